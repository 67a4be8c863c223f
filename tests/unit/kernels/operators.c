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

static int matmul(struct rig *rig, enum op_kind op, uint64_t *state)
{
    (void)op;
    int64_t m = rig_draw(state, 1, 9);
    int64_t k = rig_draw(state, 1, 20);
    int64_t n = rig_draw(state, 1, 9);
    bool ta = rig_draw(state, 0, 1) == 1;
    bool tb = rig_draw(state, 0, 1) == 1;
    struct shape a = {.rank = 2, .dim = {ta ? k : m, ta ? m : k}};
    struct shape b = {.rank = 2, .dim = {tb ? n : k, tb ? k : n}};
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
    struct window window = {.groups = groups};
    struct shape x = {.rank = 4, .dim = {rig_draw(state, 1, 3), 0, 0, ins}};
    struct shape w = {.rank = 4, .dim = {0, 0, ins / groups, outs}};
    struct shape y = {.rank = 4, .dim = {x.dim[0], 0, 0, outs}};
    for (int a = 0; a < 2; a++) {
        window.stride[a] = rig_draw(state, 1, 2);
        window.dilation[a] = rig_draw(state, 0, 3) == 0 ? 2 : 1;
        w.dim[a] = rig_draw(state, 1, 4);
        int64_t reach = window.dilation[a] * (w.dim[a] - 1) + 1;
        window.pad_before[a] = rig_draw(state, 0, reach / 2);
        window.pad_after[a] = rig_draw(state, 0, reach / 2);
        x.dim[1 + a] = reach + rig_draw(state, 0, 5);
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
