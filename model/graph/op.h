/*
 * The operator table: everything the engine knows about an operator, one row each.
 *
 * Contract of a row
 *   infer     the output's shape from inputs and attributes; the only place that checks them.
 *   gradient  given dy, the gradient of some sum with respect to the node, appends nodes of this
 *             same table and puts each input's gradient into d_inputs (NODE_NONE: none flows).
 *             So a gradient can be differentiated again.
 *             NULL: its lowering is differentiated instead (gradient.h).
 *   lower     macros only: appends what the node is made of, over the given inputs, and gives the
 *             node that equals it.  Where a backend has no kernel of a macro, the planner does so.
 *   flops     multiply-adds counted twice; NULL: not counted.
 * Kernels live in kernels/<backend>/, in arrays indexed by the same enum.
 */
#ifndef OP_H
#define OP_H

#include "base/status.h"
#include "model/graph/graph.h"

enum op_class {
    OP_CLASS_LEAF,
    OP_CLASS_RANDOM,
    OP_CLASS_ELEMENTWISE, /* may join a fused program */
    OP_CLASS_VIEW,        /* reshape, broadcast, permute, slice: an index map over the input */
    OP_CLASS_MOVE,        /* pad, concat: copies */
    OP_CLASS_SUM,
    OP_CLASS_CHOICE,  /* by value or by index, over whole tensors */
    OP_CLASS_PRODUCT, /* matmul and convolutions */
    OP_CLASS_MACRO,   /* has a lowering */
};

struct op {
    const char *name;
    enum op_class class;
    int input_count; /* -1: one to NODE_INPUTS_MAX; infer says how many */
    enum cam_code (*infer)(const struct node *inputs[], int input_count, const struct op_attr *attr,
                           struct shape *out, struct cam_err *err);
    void (*gradient)(struct graph *graph, int node, int dy, int *d_inputs);
    int (*lower)(struct graph *graph, const struct node *node, const int *inputs);
    int64_t (*flops)(const struct node *node, const struct node *inputs[]);
    double tolerance; /* largest accepted error of an f32 kernel against the reference, relative to
                         the largest magnitude in the output */
};

const struct op *op_get(enum op_kind kind);

#endif
