/*
 * The graph: a list of operator nodes, each after its inputs.  Pure data; one thread.
 *
 * Building never checks a return code a line: a node is named by its index, a failed step (shapes
 * that do not fit, memory short) leaves the first error in the graph and gives NODE_NONE, and every
 * later step on NODE_NONE gives NODE_NONE.  graph_status says once, at the end, how it went.
 *
 * Values are f32 unless said otherwise.  Comparisons give 1.0 or 0.0.  Logical layouts: images
 * (N,H,W,C); convolution weights (KH,KW,I,O), I and O a group's inputs and all outputs; matrix
 * weights (in,out).  Export permutes to PyTorch's order (model/recipes/training.h).
 */
#ifndef GRAPH_H
#define GRAPH_H

#include "base/arena.h"
#include "base/status.h"
#include "model/graph/shape.h"

#include <stdbool.h>
#include <stdint.h>

enum { NODE_NONE = -1, NODE_INPUTS_MAX = 8 };

/* Rows of the operator table (op.h); the order is free, names are stable. */
enum op_kind {
    /* leaves */
    OP_PARAMETER, /* attr.slot: index in the training's parameter table */
    OP_BUFFER,    /* attr.slot: index in the training's buffer table (running statistics) */
    OP_INPUT,     /* attr.slot: index in the phase's inputs */
    OP_SCALAR,    /* attr.slot: a number known only at run time (learning rate); rank 0 */
    OP_CONSTANT,  /* attr.value everywhere */
    OP_IOTA,      /* 0, 1, 2, ... along attr.axis */
    OP_UNIFORM,   /* [0, 1): Philox, see attr.stream and attr.by_row */
    OP_NORMAL,    /* N(0, 1): Box-Muller over the same words */
    /* elementwise: inputs of one shape (broadcast is explicit) */
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MAX,
    OP_MIN,
    OP_GREATER, /* a > b ? 1 : 0 */
    OP_EQUAL,   /* a == b ? 1 : 0 */
    OP_SELECT,  /* a != 0 ? b : c */
    OP_NEG,
    OP_ABS,
    OP_SIGN,
    OP_EXP,
    OP_LOG,
    OP_SQRT,
    OP_TANH,
    OP_SIGMOID,
    OP_SOFTPLUS, /* log(1 + e^x), without overflow */
    OP_SIN,
    OP_COS,
    OP_STOP_GRADIENT, /* the value, and no gradient through it */
    /* form */
    OP_BROADCAST, /* to attr.shape: same rank, sizes of 1 are repeated */
    OP_RESHAPE,   /* to attr.shape: same count, row-major */
    OP_PERMUTE,   /* out.dim[i] = in.dim[attr.order[i]] */
    OP_SLICE,     /* attr.start, sizes in attr.shape; step 1 */
    OP_PAD,       /* zeros: attr.start before, the rest after, to attr.shape */
    OP_CONCAT,    /* along attr.axis */
    /* sums */
    OP_SUM, /* over attr.axes (bit mask); summed axes stay with size 1 */
    /* products */
    OP_MATMUL,             /* (M,K)(K,N), each transposed first where attr says so */
    OP_CONV2D,             /* x (N,H,W,I), w (KH,KW,I/groups,O) -> (N,H',W',O) */
    OP_CONV2D_GRAD_INPUT,  /* dy, w -> attr.shape (N,H,W,I); also the transposed convolution */
    OP_CONV2D_GRAD_WEIGHT, /* x, dy -> attr.shape (KH,KW,I/groups,O) */
    OP_COUNT,
};

/* Of a convolution: heights first. */
struct window {
    int64_t stride[2];
    int64_t pad_before[2];
    int64_t pad_after[2];
    int64_t dilation[2];
    int64_t groups;
};

/* What a node carries besides its inputs; which fields count stands at the operator's kind. */
struct op_attr {
    struct shape shape;
    struct window window;
    int64_t start[SHAPE_RANK_MAX];
    int order[SHAPE_RANK_MAX];
    double value;
    int slot;
    int axis;
    uint32_t axes;
    uint32_t stream;  /* Philox counter word 3 */
    bool by_row;      /* dim[0] is a row of the global batch: counter word 1 = first row + n, and
                         counter word 0 counts elements within the row; else row 0, whole tensor */
    bool transpose_a;
    bool transpose_b;
};

struct node {
    enum op_kind op;
    struct shape shape;
    int input_count;
    int input[NODE_INPUTS_MAX];
    struct op_attr attr;
    const char *path; /* "generator.2" of whoever built it, for errors, profiles and hangs */
};

struct graph;

/* NULL when memory is short. */
struct graph *graph_create(void);
void graph_destroy(struct graph *graph);

/* The first error, or CAM_OK. */
CAM_CHECKED enum cam_code graph_status(const struct graph *graph, struct cam_err *err);

/* Records an error of the builder's own (a layer's), if it is the first; returns NODE_NONE. */
int graph_fail(struct graph *graph, enum cam_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The path that later nodes carry; copied.  Gradient nodes carry their forward node's. */
void graph_set_path(struct graph *graph, const char *path);

int graph_count(const struct graph *graph);
const struct node *graph_node(const struct graph *graph, int node);

/* Memory that lives with the graph. */
struct cam_arena *graph_arena(struct graph *graph);

/* The general step: checks through the operator's row and appends.  attr may be NULL. */
int graph_append(struct graph *graph, enum op_kind op, const int *inputs, int input_count,
                 const struct op_attr *attr);

/* Leaves. */
int graph_leaf(struct graph *graph, enum op_kind op, int slot, const struct shape *shape);
int graph_constant(struct graph *graph, double value, const struct shape *shape);
int graph_random(struct graph *graph, enum op_kind op, const struct shape *shape, uint32_t stream,
                 bool by_row);

/* Elementwise, form, sums and products: one call an operator's arity. */
int graph_unary(struct graph *graph, enum op_kind op, int a);
/* Shapes that differ are broadcast first: missing leading axes and sizes of 1 are repeated. */
int graph_binary(struct graph *graph, enum op_kind op, int a, int b);
int graph_select(struct graph *graph, int condition, int a, int b);
int graph_scale(struct graph *graph, int a, double factor);     /* a * factor */
int graph_offset(struct graph *graph, int a, double addend);    /* a + addend */
int graph_broadcast(struct graph *graph, int a, const struct shape *shape); /* as graph_binary's */
int graph_reshape(struct graph *graph, int a, const struct shape *shape);
int graph_permute(struct graph *graph, int a, const int *order);
int graph_slice(struct graph *graph, int a, const int64_t *start, const struct shape *shape);
int graph_pad(struct graph *graph, int a, const int64_t *before, const struct shape *shape);
int graph_concat(struct graph *graph, const int *inputs, int count, int axis);
int graph_sum(struct graph *graph, int a, uint32_t axes);
int graph_matmul(struct graph *graph, int a, int b, bool transpose_a, bool transpose_b);
int graph_conv2d(struct graph *graph, int x, int w, const struct window *window);
int graph_conv2d_grad_input(struct graph *graph, int dy, int w, const struct window *window,
                            const struct shape *input_shape);
int graph_conv2d_grad_weight(struct graph *graph, int x, int dy, const struct window *window,
                             const struct shape *weight_shape);

#endif
