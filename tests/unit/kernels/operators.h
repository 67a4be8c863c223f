/*
 * One random small graph for each operator, from seeded shapes and attributes.
 */
#ifndef OPERATORS_H
#define OPERATORS_H

#include "rig.h"

/* Appends the operator over fresh input leaves (slots from 0); returns its node.  Leaf operators
 * that are no computation give NODE_NONE. */
int operator_case(struct rig *rig, enum op_kind op, uint64_t *state);

/* The range of inputs on which the operator is defined and smooth enough. */
void operator_range(struct rig *rig, enum op_kind op);

#endif
