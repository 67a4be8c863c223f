/* The builder's calls by arity; each is a few lines over graph_append. */
#include "model/graph/graph.h"

#include <string.h>

static const struct shape *shape_of(const struct graph *graph, int node)
{
    return &graph_node(graph, node)->shape;
}

int graph_unary(struct graph *graph, enum op_kind op, int a)
{
    return a < 0 ? NODE_NONE : graph_append(graph, op, &a, 1, NULL);
}

/* The common shape of a and b; false where they do not broadcast. */
static bool common_shape(const struct shape *a, const struct shape *b, struct shape *out)
{
    *out = (struct shape){.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 1; i <= out->rank; i++) {
        int64_t first = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t second = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (first != second && first != 1 && second != 1) {
            return false;
        }
        out->dim[out->rank - i] = first > second ? first : second;
    }
    return true;
}

/* Whether the constant is one that leaves the other operand as it is: x + 0, x - 0, 1 * x, x / 1.
 * Gradients are full of them. */
static bool is_neutral(const struct graph *graph, enum op_kind op, int constant, bool on_right)
{
    const struct node *node = graph_node(graph, constant);
    if (node->op != OP_CONSTANT) {
        return false;
    }
    bool sum = op == OP_ADD || (op == OP_SUB && on_right);
    bool product = op == OP_MUL || (op == OP_DIV && on_right);
    return (sum && node->attr.value == 0.0) || (product && node->attr.value == 1.0);
}

int graph_binary(struct graph *graph, enum op_kind op, int a, int b)
{
    struct shape common;
    if (a < 0 || b < 0) {
        return NODE_NONE;
    }
    if (!common_shape(shape_of(graph, a), shape_of(graph, b), &common)) {
        return graph_append(graph, op, (int[]){a, b}, 2, NULL); /* which names both shapes */
    }
    if (is_neutral(graph, op, b, true) && shape_equal(shape_of(graph, a), &common)) {
        return a;
    }
    if (is_neutral(graph, op, a, false) && shape_equal(shape_of(graph, b), &common)) {
        return b;
    }
    int left = graph_broadcast(graph, a, &common);
    int right = graph_broadcast(graph, b, &common);
    return left < 0 || right < 0 ? NODE_NONE
                                 : graph_append(graph, op, (int[]){left, right}, 2, NULL);
}

int graph_select(struct graph *graph, int condition, int a, int b)
{
    if (condition < 0 || a < 0 || b < 0) {
        return NODE_NONE;
    }
    return graph_append(graph, OP_SELECT, (int[]){condition, a, b}, 3, NULL);
}

int graph_scale(struct graph *graph, int a, double factor)
{
    if (a < 0) {
        return NODE_NONE;
    }
    return graph_binary(graph, OP_MUL, a, graph_constant(graph, factor, shape_of(graph, a)));
}

int graph_offset(struct graph *graph, int a, double addend)
{
    if (a < 0) {
        return NODE_NONE;
    }
    return graph_binary(graph, OP_ADD, a, graph_constant(graph, addend, shape_of(graph, a)));
}

int graph_broadcast(struct graph *graph, int a, const struct shape *shape)
{
    if (a < 0 || shape_equal(shape_of(graph, a), shape)) {
        return a;
    }
    const struct shape *from = shape_of(graph, a);
    if (from->rank < shape->rank) {
        struct shape same_rank = {.rank = shape->rank};
        for (int i = 0; i < shape->rank; i++) {
            int axis = i - (shape->rank - from->rank);
            same_rank.dim[i] = axis < 0 ? 1 : from->dim[axis];
        }
        a = graph_reshape(graph, a, &same_rank);
        if (a < 0 || shape_equal(&same_rank, shape)) {
            return a;
        }
    }
    return graph_append(graph, OP_BROADCAST, &a, 1, &(struct op_attr){.shape = *shape});
}

int graph_reshape(struct graph *graph, int a, const struct shape *shape)
{
    if (a < 0 || shape_equal(shape_of(graph, a), shape)) {
        return a;
    }
    return graph_append(graph, OP_RESHAPE, &a, 1, &(struct op_attr){.shape = *shape});
}

int graph_permute(struct graph *graph, int a, const int *order)
{
    struct op_attr attr = {0};
    bool same = true;
    if (a < 0) {
        return NODE_NONE;
    }
    for (int i = 0; i < shape_of(graph, a)->rank; i++) {
        attr.order[i] = order[i];
        same = same && order[i] == i;
    }
    return same ? a : graph_append(graph, OP_PERMUTE, &a, 1, &attr);
}

int graph_slice(struct graph *graph, int a, const int64_t *start, const struct shape *shape)
{
    if (a < 0 || shape_equal(shape_of(graph, a), shape)) {
        return a;
    }
    struct op_attr attr = {.shape = *shape};
    memcpy(attr.start, start, (size_t)shape->rank * sizeof *start);
    const struct node *node = graph_node(graph, a);
    if (node->op == OP_PAD && memcmp(attr.start, node->attr.start, sizeof attr.start) == 0 &&
        shape_equal(shape_of(graph, node->input[0]), shape)) {
        return node->input[0]; /* what the padding went around */
    }
    return graph_append(graph, OP_SLICE, &a, 1, &attr);
}

int graph_pad(struct graph *graph, int a, const int64_t *before, const struct shape *shape)
{
    if (a < 0 || shape_equal(shape_of(graph, a), shape)) {
        return a;
    }
    struct op_attr attr = {.shape = *shape};
    memcpy(attr.start, before, (size_t)shape->rank * sizeof *before);
    return graph_append(graph, OP_PAD, &a, 1, &attr);
}

int graph_concat(struct graph *graph, const int *inputs, int count, int axis)
{
    for (int i = 0; i < count; i++) {
        if (inputs[i] < 0) {
            return NODE_NONE;
        }
    }
    return graph_append(graph, OP_CONCAT, inputs, count, &(struct op_attr){.axis = axis});
}

int graph_sum(struct graph *graph, int a, uint32_t axes)
{
    if (a < 0 || axes == 0) {
        return a;
    }
    return graph_append(graph, OP_SUM, &a, 1, &(struct op_attr){.axes = axes});
}

int graph_mean(struct graph *graph, int a, uint32_t axes)
{
    if (a < 0) {
        return NODE_NONE;
    }
    int sum = graph_sum(graph, a, axes);
    return sum < 0 ? NODE_NONE
                   : graph_scale(graph, sum,
                                 (double)shape_count(shape_of(graph, sum)) /
                                     (double)shape_count(shape_of(graph, a)));
}

int graph_reduce_max(struct graph *graph, int a, uint32_t axes)
{
    if (a < 0 || axes == 0) {
        return a;
    }
    return graph_append(graph, OP_REDUCE_MAX, &a, 1, &(struct op_attr){.axes = axes});
}

int graph_iota(struct graph *graph, const struct shape *shape, int axis)
{
    return graph_append(graph, OP_IOTA, NULL, 0, &(struct op_attr){.shape = *shape, .axis = axis});
}

int graph_gather(struct graph *graph, int table, int index)
{
    return table < 0 || index < 0 ? NODE_NONE
                                  : graph_append(graph, OP_GATHER, (int[]){table, index}, 2, NULL);
}

int graph_scatter_add(struct graph *graph, int index, int x, const struct shape *table_shape)
{
    const struct op_attr attr = {.shape = *table_shape};
    return index < 0 || x < 0 ? NODE_NONE
                              : graph_append(graph, OP_SCATTER_ADD, (int[]){index, x}, 2, &attr);
}

int graph_max_pool(struct graph *graph, int x, const struct window *window)
{
    if (x < 0) {
        return NODE_NONE;
    }
    const struct op_attr attr = {.window = *window};
    int index = graph_append(graph, OP_MAX_POOL_INDEX, &x, 1, &attr);
    return index < 0 ? NODE_NONE : graph_append(graph, OP_GATHER_POOL, (int[]){x, index}, 2, NULL);
}

int graph_matmul(struct graph *graph, int a, int b, bool transpose_a, bool transpose_b)
{
    struct op_attr attr = {.transpose_a = transpose_a, .transpose_b = transpose_b};
    return a < 0 || b < 0 ? NODE_NONE : graph_append(graph, OP_MATMUL, (int[]){a, b}, 2, &attr);
}

int graph_conv2d(struct graph *graph, int x, int w, const struct window *window)
{
    struct op_attr attr = {.window = *window};
    return x < 0 || w < 0 ? NODE_NONE : graph_append(graph, OP_CONV2D, (int[]){x, w}, 2, &attr);
}

int graph_conv2d_grad_input(struct graph *graph, int dy, int w, const struct window *window,
                            const struct shape *input_shape)
{
    struct op_attr attr = {.window = *window, .shape = *input_shape};
    return dy < 0 || w < 0 ? NODE_NONE
                           : graph_append(graph, OP_CONV2D_GRAD_INPUT, (int[]){dy, w}, 2, &attr);
}

int graph_conv2d_grad_weight(struct graph *graph, int x, int dy, const struct window *window,
                             const struct shape *weight_shape)
{
    struct op_attr attr = {.window = *window, .shape = *weight_shape};
    return x < 0 || dy < 0 ? NODE_NONE
                           : graph_append(graph, OP_CONV2D_GRAD_WEIGHT, (int[]){x, dy}, 2, &attr);
}

int graph_standardize(struct graph *graph, int x, uint32_t axes, double epsilon)
{
    const struct op_attr attr = {.axes = axes, .value = epsilon};
    return x < 0 ? NODE_NONE : graph_append(graph, OP_STANDARDIZE, &x, 1, &attr);
}

int graph_softmax_xent(struct graph *graph, int logits, int label, double smoothing)
{
    const struct op_attr attr = {.value = smoothing};
    return logits < 0 || label < 0
               ? NODE_NONE
               : graph_append(graph, OP_SOFTMAX_XENT, (int[]){logits, label}, 2, &attr);
}

int graph_attention(struct graph *graph, int qkv, const struct attention *options)
{
    const struct op_attr attr = {.value = options->scale, .causal = options->causal};
    const int inputs[] = {qkv, options->lengths};
    return qkv < 0 ? NODE_NONE
                   : graph_append(graph, OP_ATTENTION, inputs, options->lengths < 0 ? 1 : 2, &attr);
}

/* The first of the equal parts that a recurrent operator's output is made of. */
static int hidden_states(struct graph *graph, int out, int w)
{
    if (out < 0) {
        return NODE_NONE;
    }
    struct shape hidden = *shape_of(graph, out);
    hidden.dim[2] = shape_of(graph, w)->dim[0];
    return graph_slice(graph, out, (const int64_t[SHAPE_RANK_MAX]){0}, &hidden);
}

int graph_lstm(struct graph *graph, int x, int w)
{
    return x < 0 || w < 0
               ? NODE_NONE
               : hidden_states(graph, graph_append(graph, OP_LSTM, (int[]){x, w}, 2, NULL), w);
}

int graph_gru(struct graph *graph, int x, int w, int b)
{
    return x < 0 || w < 0 || b < 0
               ? NODE_NONE
               : hidden_states(graph, graph_append(graph, OP_GRU, (int[]){x, w, b}, 3, NULL), w);
}
