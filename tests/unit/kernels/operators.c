#include "operators.h"

#include "model/graph/op.h"

enum { SMALL = 5, RANK = 4 };

static struct shape draw_shape(uint64_t *state, int low_rank, int high_rank, int64_t most)
{
    struct shape shape = {.rank = (int)rig_draw(state, low_rank, high_rank)};
    for (int d = 0; d < shape.rank; d++) {
        shape.dim[d] = rig_draw(state, 1, SMALL);
    }
    /* Often one long axis: more than one tile of a fused program, and a tail. */
    if (shape.rank > 0 && rig_draw(state, 0, 2) == 0) {
        shape.dim[rig_draw(state, 0, shape.rank - 1)] = most;
    }
    return shape;
}

static int elementwise(struct rig *rig, enum op_kind op, uint64_t *state)
{
    struct shape shape = draw_shape(state, 1, RANK, 131);
    int inputs[3];
    int count = op_get(op)->input_count;
    for (int i = 0; i < count; i++) {
        inputs[i] = rig_input(rig, i, &shape);
    }
    return graph_append(rig->graph, op, inputs, count, NULL);
}

static int random_leaf(struct rig *rig, enum op_kind op, uint64_t *state)
{
    struct shape shape = draw_shape(state, 1, 3, 300);
    uint32_t stream = (uint32_t)rig_draw(state, 0, 1 << 30);
    bool by_row = rig_draw(state, 0, 1) == 1;
    return graph_random(rig->graph, op, &shape, stream, by_row);
}

static int iota(struct rig *rig, enum op_kind op, uint64_t *state)
{
    struct op_attr attr = {.shape = draw_shape(state, 1, RANK, 131)};
    attr.axis = (int)rig_draw(state, 0, attr.shape.rank - 1);
    return graph_append(rig->graph, op, NULL, 0, &attr);
}

static int constant(struct rig *rig, enum op_kind op, uint64_t *state)
{
    (void)op;
    struct shape shape = draw_shape(state, 0, RANK, 131);
    return graph_constant(rig->graph, 0.75, &shape);
}

static int broadcast(struct rig *rig, enum op_kind op, uint64_t *state)
{
    (void)op;
    struct shape to = draw_shape(state, 1, RANK, 131);
    struct shape from = to;
    for (int d = 0; d < to.rank; d++) {
        from.dim[d] = rig_draw(state, 0, 1) == 1 ? 1 : to.dim[d];
    }
    return graph_broadcast(rig->graph, rig_input(rig, 0, &from), &to);
}

static int reshape(struct rig *rig, enum op_kind op, uint64_t *state)
{
    (void)op;
    struct shape from = draw_shape(state, 2, RANK, 131);
    struct shape to = {.rank = 1, .dim = {shape_count(&from)}};
    return graph_reshape(rig->graph, rig_input(rig, 0, &from), &to);
}

static int permute(struct rig *rig, enum op_kind op, uint64_t *state)
{
    (void)op;
    struct shape from = draw_shape(state, 2, RANK, 67);
    int order[SHAPE_RANK_MAX] = {0, 1, 2, 3};
    for (int d = from.rank - 1; d > 0; d--) {
        int other = (int)rig_draw(state, 0, d);
        int kept = order[d];
        order[d] = order[other];
        order[other] = kept;
    }
    return graph_permute(rig->graph, rig_input(rig, 0, &from), order);
}

static int slice_or_pad(struct rig *rig, enum op_kind op, uint64_t *state)
{
    struct shape large = draw_shape(state, 1, RANK, 131);
    struct shape small = large;
    int64_t start[SHAPE_RANK_MAX] = {0};
    for (int d = 0; d < large.rank; d++) {
        small.dim[d] = rig_draw(state, 1, large.dim[d]);
        start[d] = rig_draw(state, 0, large.dim[d] - small.dim[d]);
    }
    return op == OP_SLICE ? graph_slice(rig->graph, rig_input(rig, 0, &large), start, &small)
                          : graph_pad(rig->graph, rig_input(rig, 0, &small), start, &large);
}

static int concat(struct rig *rig, enum op_kind op, uint64_t *state)
{
    (void)op;
    struct shape shape = draw_shape(state, 1, RANK, 67);
    int axis = (int)rig_draw(state, 0, shape.rank - 1);
    int count = (int)rig_draw(state, 1, 3);
    int inputs[3];
    for (int i = 0; i < count; i++) {
        shape.dim[axis] = rig_draw(state, 1, SMALL);
        inputs[i] = rig_input(rig, i, &shape);
    }
    return graph_concat(rig->graph, inputs, count, axis);
}

static int sum(struct rig *rig, enum op_kind op, uint64_t *state)
{
    (void)op;
    struct shape shape = draw_shape(state, 1, RANK, 700);
    int64_t axes = rig_draw(state, 1, (1 << shape.rank) - 1);
    return graph_sum(rig->graph, rig_input(rig, 0, &shape), (uint32_t)axes);
}

static int reduce_max(struct rig *rig, enum op_kind op, uint64_t *state)
{
    (void)op;
    struct shape shape = draw_shape(state, 1, RANK, 67);
    int64_t axes = rig_draw(state, 1, (1 << shape.rank) - 1);
    return graph_reduce_max(rig->graph, rig_input(rig, 0, &shape), (uint32_t)axes);
}

/* Whole numbers below `count`, which no derivative is taken by. */
static int indices(struct rig *rig, const struct shape *shape, int64_t count, uint64_t *state)
{
    int unit =
        graph_random(rig->graph, OP_UNIFORM, shape, (uint32_t)rig_draw(state, 0, 1 << 30), false);
    return graph_unary(rig->graph, OP_FLOOR, graph_scale(rig->graph, unit, (double)count));
}

static int gather(struct rig *rig, enum op_kind op, uint64_t *state)
{
    struct shape table = draw_shape(state, 1, 3, 33);
    struct shape index = draw_shape(state, 1, 2, 21);
    struct shape rows = index;
    for (int d = 1; d < table.rank; d++) {
        rows.dim[rows.rank++] = table.dim[d];
    }
    int chosen = indices(rig, &index, table.dim[0], state);
    return op == OP_GATHER
               ? graph_gather(rig->graph, rig_input(rig, 0, &table), chosen)
               : graph_scatter_add(rig->graph, chosen, rig_input(rig, 0, &rows), &table);
}

static int pool(struct rig *rig, enum op_kind op, uint64_t *state)
{
    struct shape image = {.rank = 4, .dim = {rig_draw(state, 1, 3), 0, 0, rig_draw(state, 1, 9)}};
    struct op_attr attr = {.window = {.groups = 1}};
    struct window *window = &attr.window;
    for (int a = 0; a < 2; a++) {
        window->size[a] = rig_draw(state, 1, 3);
        window->stride[a] = rig_draw(state, 1, 3);
        window->pad_before[a] = rig_draw(state, 0, window->size[a] - 1);
        window->pad_after[a] = rig_draw(state, 0, window->size[a] - 1);
        image.dim[1 + a] = window->size[a] + rig_draw(state, 0, 5);
    }
    int x = rig_input(rig, 0, &image);
    int index = graph_append(rig->graph, OP_MAX_POOL_INDEX, &x, 1, &attr);
    if (op == OP_MAX_POOL_INDEX) {
        return index;
    }
    if (op == OP_GATHER_POOL) {
        return graph_append(rig->graph, OP_GATHER_POOL, (int[]){x, index}, 2, NULL);
    }
    attr.shape = image;
    int pooled = rig_input(rig, 1, &graph_node(rig->graph, index)->shape);
    return graph_append(rig->graph, OP_SCATTER_POOL, (int[]){pooled, index}, 2, &attr);
}

static int standardize(struct rig *rig, enum op_kind op, uint64_t *state)
{
    struct shape shape = draw_shape(state, 1, RANK, 67);
    shape.dim[shape.rank - 1] += 2;
    struct op_attr attr = {.value = 0.1};
    attr.axes = (uint32_t)rig_draw(state, 0, (1 << shape.rank) - 1) | 1u << (shape.rank - 1);
    const int inputs[] = {rig_input(rig, 0, &shape),
                          op == OP_STANDARDIZE ? NODE_NONE : rig_input(rig, 1, &shape)};
    return graph_append(rig->graph, op, inputs, op == OP_STANDARDIZE ? 1 : 2, &attr);
}

static int softmax_xent(struct rig *rig, enum op_kind op, uint64_t *state)
{
    struct shape shape = draw_shape(state, 2, 3, 67);
    struct shape rows = shape;
    struct shape column = shape;
    rows.rank--;
    column.dim[shape.rank - 1] = 1;
    struct op_attr attr = {.value = rig_draw(state, 0, 1) == 1 ? 0.25 : 0.0};
    const int inputs[] = {rig_input(rig, 0, &shape),
                          indices(rig, &rows, shape.dim[shape.rank - 1], state),
                          op == OP_SOFTMAX_XENT ? NODE_NONE : rig_input(rig, 1, &column)};
    return graph_append(rig->graph, op, inputs, op == OP_SOFTMAX_XENT ? 2 : 3, &attr);
}

static int attention(struct rig *rig, enum op_kind op, uint64_t *state)
{
    struct shape qkv = {.rank = 5,
                        .dim = {rig_draw(state, 1, 3), rig_draw(state, 1, 7), 3,
                                rig_draw(state, 1, 3), rig_draw(state, 1, 5)}};
    const struct shape out = {.rank = 4, .dim = {qkv.dim[0], qkv.dim[1], qkv.dim[3], qkv.dim[4]}};
    const struct shape samples = {.rank = 1, .dim = {qkv.dim[0]}};
    struct op_attr attr = {.value = 0.5, .causal = rig_draw(state, 0, 1) == 1};
    int inputs[3] = {rig_input(rig, 0, &qkv)};
    int count = 1;
    if (op == OP_ATTENTION_GRAD) {
        inputs[count++] = rig_input(rig, 1, &out);
    }
    if (rig_draw(state, 0, 1) == 1) {
        int length = indices(rig, &samples, qkv.dim[1], state);
        inputs[count++] = graph_offset(rig->graph, length, 1.0);
    }
    return graph_append(rig->graph, op, inputs, count, &attr);
}

/* The gradients are of what the forward operator kept, so that is made first. */
static int recurrent(struct rig *rig, enum op_kind op, uint64_t *state)
{
    bool lstm = op == OP_LSTM || op == OP_LSTM_GRAD;
    int64_t size = rig_draw(state, 1, 4);
    int64_t gates = lstm ? 4 : 3;
    const struct shape x = {.rank = 3,
                            .dim = {rig_draw(state, 1, 4), rig_draw(state, 1, 3), gates * size}};
    const struct shape w = {.rank = 2, .dim = {size, gates * size}};
    const struct shape b = {.rank = 1, .dim = {size}};
    const struct shape h = {.rank = 3, .dim = {x.dim[0], x.dim[1], size}};
    const int inputs[] = {rig_input(rig, 0, &x), rig_input(rig, 1, &w),
                          lstm ? NODE_NONE : rig_input(rig, 2, &b)};
    int out = graph_append(rig->graph, lstm ? OP_LSTM : OP_GRU, inputs, lstm ? 2 : 3, NULL);
    if (op == OP_LSTM || op == OP_GRU) {
        /* What a layer may read, and so what has a derivative. */
        return graph_slice(rig->graph, out, (const int64_t[SHAPE_RANK_MAX]){0}, &h);
    }
    const int grads[] = {out, inputs[1], rig_input(rig, 3, &h)};
    return graph_append(rig->graph, op, grads, 3, NULL);
}

static int matmul(struct rig *rig, enum op_kind op, uint64_t *state)
{
    (void)op;
    int64_t m = rig_draw(state, 1, 9);
    int64_t k = rig_draw(state, 1, 20);
    int64_t n = rig_draw(state, 1, 9);
    bool ta = rig_draw(state, 0, 1) == 1;
    bool tb = rig_draw(state, 0, 1) == 1;
    struct shape a = {.rank = (int)rig_draw(state, 2, 4)};
    for (int d = 0; d + 2 < a.rank; d++) {
        a.dim[d] = rig_draw(state, 1, 3);
    }
    struct shape b = a;
    a.dim[a.rank - 2] = ta ? k : m;
    a.dim[a.rank - 1] = ta ? m : k;
    b.dim[b.rank - 2] = tb ? n : k;
    b.dim[b.rank - 1] = tb ? k : n;
    int left = rig_input(rig, 0, &a);
    return graph_matmul(rig->graph, left, rig_input(rig, 1, &b), ta, tb);
}

/* Weights are a parameter half of the time: those are packed ahead. */
static int leaf_of(struct rig *rig, int slot, bool parameter, const struct shape *shape)
{
    return parameter ? rig_parameter(rig, 0, shape) : rig_input(rig, slot, shape);
}

static int convolution(struct rig *rig, enum op_kind op, uint64_t *state)
{
    int64_t groups = rig_draw(state, 0, 3) == 0 ? 2 : 1;
    int64_t ins = groups * (rig_draw(state, 0, 2) == 0 ? 8 : rig_draw(state, 1, 4));
    int64_t outs = groups * (rig_draw(state, 0, 2) == 0 ? 16 : rig_draw(state, 1, 4));
    bool point = rig_draw(state, 0, 3) == 0; /* 1 x 1, whose kernels are others */
    struct window window = {.groups = groups};
    struct shape x = {.rank = 4, .dim = {rig_draw(state, 1, 3), 0, 0, ins}};
    struct shape w = {.rank = 4, .dim = {0, 0, ins / groups, outs}};
    struct shape y = {.rank = 4, .dim = {x.dim[0], 0, 0, outs}};
    for (int a = 0; a < 2; a++) {
        window.stride[a] = rig_draw(state, 1, 2);
        window.dilation[a] = rig_draw(state, 0, 3) == 0 ? 2 : 1;
        w.dim[a] = point ? 1 : rig_draw(state, 1, 4);
        int64_t reach = window.dilation[a] * (w.dim[a] - 1) + 1;
        window.pad_before[a] = rig_draw(state, 0, reach / 2);
        window.pad_after[a] = rig_draw(state, 0, reach / 2);
        x.dim[1 + a] = reach + rig_draw(state, 0, point ? 15 : 5);
        int64_t padded = x.dim[1 + a] + window.pad_before[a] + window.pad_after[a];
        y.dim[1 + a] = (padded - reach) / window.stride[a] + 1;
    }
    bool parameter = rig_draw(state, 0, 1) == 1 && !rig->inputs_only;
    if (op == OP_CONV2D) {
        int left = rig_input(rig, 0, &x);
        return graph_conv2d(rig->graph, left, leaf_of(rig, 1, parameter, &w), &window);
    }
    if (op == OP_CONV2D_GRAD_INPUT) {
        int left = rig_input(rig, 0, &y);
        return graph_conv2d_grad_input(rig->graph, left, leaf_of(rig, 1, parameter, &w), &window,
                                       &x);
    }
    int left = rig_input(rig, 0, &x);
    return graph_conv2d_grad_weight(rig->graph, left, rig_input(rig, 1, &y), &window, &w);
}

typedef int case_maker(struct rig *rig, enum op_kind op, uint64_t *state);

static case_maker *const MAKERS[OP_COUNT] = {
    [OP_CONSTANT] = constant,
    [OP_IOTA] = iota,
    [OP_UNIFORM] = random_leaf,
    [OP_NORMAL] = random_leaf,
    [OP_BROADCAST] = broadcast,
    [OP_RESHAPE] = reshape,
    [OP_PERMUTE] = permute,
    [OP_SLICE] = slice_or_pad,
    [OP_PAD] = slice_or_pad,
    [OP_CONCAT] = concat,
    [OP_SUM] = sum,
    [OP_REDUCE_MAX] = reduce_max,
    [OP_GATHER] = gather,
    [OP_SCATTER_ADD] = gather,
    [OP_MAX_POOL_INDEX] = pool,
    [OP_GATHER_POOL] = pool,
    [OP_SCATTER_POOL] = pool,
    [OP_STANDARDIZE] = standardize,
    [OP_STANDARDIZE_GRAD] = standardize,
    [OP_SOFTMAX_XENT] = softmax_xent,
    [OP_SOFTMAX_XENT_GRAD] = softmax_xent,
    [OP_ATTENTION] = attention,
    [OP_ATTENTION_GRAD] = attention,
    [OP_LSTM] = recurrent,
    [OP_LSTM_GRAD] = recurrent,
    [OP_GRU] = recurrent,
    [OP_GRU_GRAD] = recurrent,
    [OP_MATMUL] = matmul,
    [OP_CONV2D] = convolution,
    [OP_CONV2D_GRAD_INPUT] = convolution,
    [OP_CONV2D_GRAD_WEIGHT] = convolution,
};

int operator_case(struct rig *rig, enum op_kind op, uint64_t *state)
{
    if (MAKERS[op] != NULL) {
        return MAKERS[op](rig, op, state);
    }
    return op_get(op)->class == OP_CLASS_ELEMENTWISE ? elementwise(rig, op, state) : NODE_NONE;
}

void operator_range(struct rig *rig, enum op_kind op)
{
    rig->low = -2.0;
    rig->high = 2.0;
    if (op == OP_LOG || op == OP_SQRT || op == OP_DIV) {
        rig->low = 0.25;
    }
}
