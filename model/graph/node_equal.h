/*
 * When two nodes are one: same operator, inputs and attributes; the path is whose built it first.
 */
#ifndef NODE_EQUAL_H
#define NODE_EQUAL_H

#include "model/graph/graph.h"

bool node_equal(const struct node *a, const struct node *b);

/* Equal nodes have equal hashes. */
unsigned node_hash(const struct node *node);

#endif
