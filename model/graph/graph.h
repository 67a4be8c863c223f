/*
 * The graph: a list of operator nodes, each after its inputs.  Pure data; one thread.
 *
 * Building never checks a return code a line: a node is named by its index, a failed step (shapes
 * that do not fit, memory short) leaves the first error in the graph and gives NODE_NONE, and every
 * later step on NODE_NONE gives NODE_NONE.  graph_status says once, at the end, how it went.
 *
 * Nodes are shared: a step that repeats an earlier one (same operator, inputs and attributes) gives
 * that one's node, so that layers, losses and gradient rules need not know what others computed.
 *
 * Values are f32, indices too (class labels, tokens, places: exact below 2^24, which is checked
 * where they enter).  Comparisons give 1.0 or 0.0.  Logical layouts: images
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
    OP_ERF,
    OP_FLOOR,         /* its derivative is 0, at the steps too */
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
    /* choices: by value or by index */
    OP_REDUCE_MAX,     /* over attr.axes, as OP_SUM; ties share the derivative */
    OP_GATHER,         /* table (V,...), index (I...) -> (I...,...): rows of the table */
    OP_SCATTER_ADD,    /* index (I...), x (I...,...) -> attr.shape (V,...), in index order */
    OP_MAX_POOL_INDEX, /* x (N,H,W,C) -> (N,H',W',C): h * W + w of the first largest in a window */
    OP_GATHER_POOL,    /* x (N,H,W,C), index (N,H',W',C) -> (N,H',W',C) */
    OP_SCATTER_POOL,   /* x and index (N,H',W',C) -> attr.shape (N,H,W,C), added where they meet */
    /* products */
    OP_MATMUL,             /* (...,M,K)(...,K,N), the last two transposed first where attr says */
    OP_CONV2D,             /* x (N,H,W,I), w (KH,KW,I/groups,O) -> (N,H',W',O) */
    OP_CONV2D_GRAD_INPUT,  /* dy, w -> attr.shape (N,H,W,I); also the transposed convolution */
    OP_CONV2D_GRAD_WEIGHT, /* x, dy -> attr.shape (KH,KW,I/groups,O) */
    /* macros: each has a lowering to the operators above (op.h) */
    OP_STANDARDIZE,       /* x -> (x - mean) / sqrt(variance + attr.value) over attr.axes */
    OP_STANDARDIZE_GRAD,  /* x, dy -> dx */
    OP_SOFTMAX_XENT,      /* logits (...,C), label (...) -> (...,1); attr.value: smoothing */
    OP_SOFTMAX_XENT_GRAD, /* logits, label, dy (...,1) -> as logits */
    OP_ATTENTION,         /* qkv (B,T,3,H,D), or with lengths (B) -> (B,T,H,D); attr.value: scale,
                             attr.causal; keys from a sample's length on are not seen */
    OP_ATTENTION_GRAD,    /* qkv, dy, or with lengths -> as qkv */
    OP_LSTM,              /* x (T,B,4H), w (H,4H) -> (T,B,6H) */
    OP_LSTM_GRAD,         /* out (T,B,6H), w, dh (T,B,H) -> as x */
    OP_GRU,               /* x (T,B,3H), w (H,3H), b (H) -> (T,B,5H) */
    OP_GRU_GRAD,          /* out (T,B,5H), w, dh (T,B,H) -> (T,B,4H) */
    OP_COUNT,
};

/* Of a convolution or a pool: heights first. */
struct window {
    int64_t stride[2];
    int64_t pad_before[2];
    int64_t pad_after[2];
    int64_t dilation[2];
    int64_t groups;
    int64_t size[2]; /* of a pool; a convolution's is that of its weights */
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
    uint32_t stream; /* Philox counter word 3 */
    bool by_row;     /* dim[0] is a row of the global batch: counter word 1 = first row + n, and
                        counter word 0 counts elements within the row; else row 0, whole tensor */
    bool transpose_a;
    bool transpose_b;
    bool causal; /* attention: keys after the query's place are not seen */
    bool replay; /* computed a second time, for the backward pass (model/plan/replay.h) */
};

struct node {
    enum op_kind op;
    struct shape shape;
    int input_count;
    int input[NODE_INPUTS_MAX];
    struct op_attr attr;
    const char *path; /* "generator.2" of whoever built it, for errors, profiles and hangs */
    bool backward;    /* made by gradient_append; a shared node is what it was first */
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

/* Whether later nodes are of the backward pass; returns what was so before. */
bool graph_set_backward(struct graph *graph, bool backward);

int graph_count(const struct graph *graph);
/* NODE_NONE has a node too, of shape (1,1,1,1): a builder may look at the shape of a failed step.
 */
const struct node *graph_node(const struct graph *graph, int node);

/* between_out[n], for each node n up to `last`: whether it is on a path from one of `wrt` to
 * `last`, ends included. */
void graph_mark_between(const struct graph *graph, int last, const int *wrt, int count,
                        bool *between_out);

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
int graph_scale(struct graph *graph, int a, double factor);                 /* a * factor */
int graph_offset(struct graph *graph, int a, double addend);                /* a + addend */
int graph_broadcast(struct graph *graph, int a, const struct shape *shape); /* as graph_binary's */
int graph_reshape(struct graph *graph, int a, const struct shape *shape);
int graph_permute(struct graph *graph, int a, const int *order);
int graph_slice(struct graph *graph, int a, const int64_t *start, const struct shape *shape);
int graph_pad(struct graph *graph, int a, const int64_t *before, const struct shape *shape);
int graph_concat(struct graph *graph, const int *inputs, int count, int axis);
int graph_sum(struct graph *graph, int a, uint32_t axes);
int graph_mean(struct graph *graph, int a, uint32_t axes); /* a sum, and a factor */
int graph_reduce_max(struct graph *graph, int a, uint32_t axes);
int graph_iota(struct graph *graph, const struct shape *shape, int axis);
int graph_gather(struct graph *graph, int table, int index);
int graph_scatter_add(struct graph *graph, int index, int x, const struct shape *table_shape);
int graph_max_pool(struct graph *graph, int x, const struct window *window);
int graph_matmul(struct graph *graph, int a, int b, bool transpose_a, bool transpose_b);
int graph_conv2d(struct graph *graph, int x, int w, const struct window *window);
int graph_conv2d_grad_input(struct graph *graph, int dy, int w, const struct window *window,
                            const struct shape *input_shape);
int graph_conv2d_grad_weight(struct graph *graph, int x, int dy, const struct window *window,
                             const struct shape *weight_shape);

/* Macros.  Shapes: at their kinds, above. */
int graph_standardize(struct graph *graph, int x, uint32_t axes, double epsilon);
int graph_softmax_xent(struct graph *graph, int logits, int label, double smoothing);
struct attention {
    double scale;
    bool causal;
    int lengths; /* NODE_NONE: every place is seen */
};
int graph_attention(struct graph *graph, int qkv, const struct attention *options);
/* Their hidden states (T,B,H): all that may be read of the operator's output. */
int graph_lstm(struct graph *graph, int x, int w);
int graph_gru(struct graph *graph, int x, int w, int b);

#endif
