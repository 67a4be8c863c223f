/*
 * Reverse-mode differentiation as graph rewriting: appends the nodes that compute
 * d(sum of y) / d(wrt[i]) to the same graph.  Only paths from wrt to y are differentiated, so
 * gradients nobody uses are never computed.  May be called again on its own results: a macro whose
 * gradient has no rule is lowered first (lower.h).
 */
#ifndef GRADIENT_H
#define GRADIENT_H

#include "model/graph/graph.h"

/* out[i] has wrt[i]'s shape; a zero constant where y does not depend on it.  Returns the node that
 * was differentiated: y, or the one that it was lowered to; whoever wants y's value too takes that
 * one, so that nothing is computed twice. */
int gradient_append(struct graph *graph, int y, const int *wrt, int count, int *out);

#endif
