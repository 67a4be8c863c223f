/*
 * Recomputation (`train.recompute: blocks`): the backward pass computes the insides of a block
 * again, from what enters the block, in place of reading what the forward pass kept.
 *
 * A rewriting of a graph whose macros are lowered already.  A block is a run of layers (a node's
 * path up to its first number, as in "model.3" or "model.h.3", or else its first two parts) with at
 * least REPLAY_PRODUCTS products, or with the square root of all of them where that is less.  Kept
 * as they are: what leaves a block, leaves, every sum and maximum (they are small, and the order of
 * a sum may depend on the program that it is in), what is small beside its block, and the last
 * block, which is needed at once.  All else that a gradient node (node.backward) reads is a copy,
 * made where it is first read.
 *
 * Nodes are shared, so a copy needs an identity: op_attr.replay is part of node_equal.  It is an
 * attribute and not a table of the planner's so that order, fusion and memory need to know nothing
 * of it.  Random numbers are stateless and everything copied computes each element alone or by the
 * same kernel: the bits are those of the plan that keeps.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "model/graph/graph.h"

enum { REPLAY_PRODUCTS = 4 };

/* The part of the graph that `nodes` need, as a graph of its own; nodes_out (may be `nodes`) are
 * theirs in it.  End it with graph_destroy.  CAM_NO_MEMORY, or the graph's own error. */
CAM_CHECKED enum cam_code replay_copy(const struct graph *graph, const int *nodes, int count,
                                      struct graph **out, int *nodes_out, struct cam_err *err);

#endif
