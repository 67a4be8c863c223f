/*
 * Lowering: macro operators rewritten as what they are made of (op.h).
 */
#ifndef LOWER_H
#define LOWER_H

#include "model/graph/graph.h"

/* A node of the same graph that equals `node`, with no macro left on any path to it from one of
 * `wrt` (which stay as they are). */
int lower_append(struct graph *graph, int node, const int *wrt, int count);

/*
 * The part of a graph that `nodes` need, as a graph of its own, with every macro lowered but those
 * that `keeps` (by operator; NULL: none) says.  nodes_out are theirs in it.  End it with
 * graph_destroy.  CAM_NO_MEMORY, or the graph's own error.
 */
CAM_CHECKED enum cam_code lower_copy(const struct graph *graph, const bool *keeps, const int *nodes,
                                     int count, struct graph **out, int *nodes_out,
                                     struct cam_err *err);

#endif
