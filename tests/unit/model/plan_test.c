/* Plans: drawn graphs, fused and not, proven sound and equal; and what fusion must achieve. */
#include "../unit.h"

#include "base/mem.h"
#include "model/graph/gradient.h"
#include "model/plan/plan_verify.h"
#include "plan_hash.h"

#include <stdio.h>

enum { GRAPHS = 400, NODES = 60, OUTPUTS = 5 };

static const struct window SAME3 = {
    .stride = {1, 1}, .pad_before = {1, 1}, .pad_after = {1, 1}, .dilation = {1, 1}, .groups = 1};

struct draw {
    uint64_t state;
};

static int draw_below(struct draw *draw, int limit)
{
    draw->state = hash_mix(draw->state, 77);
    return (int)(draw->state % (uint64_t)limit);
}

static struct plan *make_plan(const struct graph *graph, const struct plan_output *outputs,
                              int count, bool fuse)
{
    static const int64_t OFFSETS[NODES] = {0};
    struct plan_request request = {.graph = graph,
                                   .outputs = outputs,
                                   .output_count = count,
                                   .parameter_offsets = OFFSETS,
                                   .buffer_offsets = OFFSETS,
                                   .fuse = fuse};
    struct cam_err err = {0};
    struct plan *plan = NULL;
    ASSERT_OK(plan_create(&request, &plan, &err), err);
    ASSERT_OK(plan_verify(plan, &err), err);
    return plan;
}

/* Both plans of a graph say the same; the fused one is returned. */
static struct plan *check_graph(const struct graph *graph, const int *nodes, int count)
{
    struct plan_output outputs[16];
    int64_t floats = 0;
    for (int i = 0; i < count; i++) {
        outputs[i] = (struct plan_output){.node = nodes[i], .offset = floats};
        floats += shape_count(&graph_node(graph, nodes[i])->shape) + i % 2 * 16;
    }
    struct plan *fused = make_plan(graph, outputs, count, true);
    struct plan *plain = make_plan(graph, outputs, count, false);
    uint64_t *a = plan_hash(fused);
    uint64_t *b = plan_hash(plain);
    assert_int_equal(fused->output_floats, plain->output_floats);
    for (int64_t i = 0; i < fused->output_floats; i++) {
        assert_int_equal(a[i], b[i]);
    }
    for (int i = 0; i < fused->step_count; i++) {
        const struct plan_step *step = &fused->steps[i];
        enum op_class class = op_get(step->op)->class;
        assert_true(step->kind == PLAN_PROGRAM || class == OP_CLASS_PRODUCT ||
                    class == OP_CLASS_MOVE || step->op == OP_REDUCE_MAX);
    }
    free(a);
    free(b);
    plan_destroy(plain);
    return fused;
}

static int draw_leaf(struct graph *graph, struct draw *draw)
{
    struct shape shapes[] = {{{2, 4, 4, 3}, 4}, {{1, 1, 1, 3}, 4}, {{2, 1, 1, 1}, 4}, {{3}, 1}};
    const struct shape *shape = &shapes[draw_below(draw, 4)];
    int slot = draw_below(draw, 4);
    struct op_attr iota = {.shape = *shape, .axis = draw_below(draw, shape->rank)};
    switch (draw_below(draw, 8)) {
    case 0:
        return graph_constant(graph, slot, shape);
    case 1:
        return graph_random(graph, OP_NORMAL, shape, (uint32_t)slot, draw_below(draw, 2) == 0);
    case 2:
        return graph_append(graph, OP_IOTA, NULL, 0, &iota);
    case 3:
        return graph_leaf(graph, OP_SCALAR, slot, &(struct shape){0});
    default:
        return graph_leaf(graph, OP_PARAMETER, slot + 8 * shape->rank + (int)shape->dim[0], shape);
    }
}

static int draw_view(struct graph *graph, struct draw *draw, int a)
{
    struct shape shape = graph_node(graph, a)->shape;
    int axis = draw_below(draw, shape.rank);
    int order[SHAPE_RANK_MAX] = {0, 1, 2, 3, 4, 5};
    int64_t start[SHAPE_RANK_MAX] = {0};
    struct shape flat = {.rank = 1, .dim = {shape_count(&shape)}};
    switch (draw_below(draw, 5)) {
    case 0:
        order[0] = axis;
        order[axis] = 0;
        return graph_permute(graph, a, order);
    case 1:
        start[axis] = shape.dim[axis] / 2;
        shape.dim[axis] -= start[axis];
        return graph_slice(graph, a, start, &shape);
    case 2:
        start[axis] = 1;
        shape.dim[axis] += 1;
        return graph_pad(graph, a, start, &shape);
    case 3:
        return graph_concat(graph, (int[]){a, a}, 2, axis);
    default:
        return graph_reshape(graph, a, &flat);
    }
}

static int draw_product(struct graph *graph, struct draw *draw, int a)
{
    struct shape shape = graph_node(graph, a)->shape;
    if (shape.rank != 4) {
        struct shape matrix = {.rank = 2, .dim = {1, shape_count(&shape)}};
        int m = graph_reshape(graph, a, &matrix);
        bool outer = shape_count(&shape) < 30 && draw_below(draw, 2) == 0;
        return graph_matmul(graph, m, m, outer, !outer);
    }
    struct shape weight = {.rank = 4, .dim = {3, 3, shape.dim[3], 3}};
    return graph_conv2d(graph, a, graph_leaf(graph, OP_PARAMETER, 30, &weight), &SAME3);
}

static bool fits(const struct graph *graph, int a, int b)
{
    const struct shape *x = &graph_node(graph, a)->shape;
    const struct shape *y = &graph_node(graph, b)->shape;
    for (int i = 1; i <= x->rank && i <= y->rank; i++) {
        int64_t p = x->dim[x->rank - i];
        int64_t q = y->dim[y->rank - i];
        if (p != q && p != 1 && q != 1) {
            return false;
        }
    }
    return true;
}

/* Half of them over the last axes, and half of those read again by the row. */
static int draw_reduction(struct graph *graph, struct draw *draw, int a)
{
    const struct shape shape = graph_node(graph, a)->shape;
    uint32_t all = (1u << shape.rank) - 1;
    uint32_t axes = 1u + (uint32_t)draw_below(draw, (int)all);
    if (draw_below(draw, 2) == 0) {
        axes = all & ~((1u << draw_below(draw, shape.rank)) - 1);
    }
    int reduced =
        draw_below(draw, 4) == 0 ? graph_reduce_max(graph, a, axes) : graph_sum(graph, a, axes);
    switch (draw_below(draw, 4)) {
    case 0:
        return graph_binary(graph, OP_SUB, a, graph_unary(graph, OP_TANH, reduced));
    case 1:
        return graph_binary(graph, OP_MUL, reduced, a);
    default:
        return reduced;
    }
}

/* One more node over those that are there; a where what was drawn does not fit. */
static int draw_node(struct graph *graph, struct draw *draw, const int *nodes, int count)
{
    static const enum op_kind UNARY[] = {OP_NEG, OP_TANH, OP_STOP_GRADIENT, OP_SOFTPLUS, OP_ABS};
    static const enum op_kind BINARY[] = {OP_ADD, OP_MUL, OP_MAX, OP_SUB, OP_GREATER};
    int a = nodes[draw_below(draw, count)];
    int b = nodes[count - 1 - draw_below(draw, count < 6 ? count : 6)];
    int rank = graph_node(graph, a)->shape.rank;
    if (shape_count(&graph_node(graph, a)->shape) > 3000 || rank == 0) {
        return draw_leaf(graph, draw);
    }
    switch (draw_below(draw, 10)) {
    case 0:
        return draw_leaf(graph, draw);
    case 1:
    case 2:
        return draw_view(graph, draw, a);
    case 3:
        return draw_product(graph, draw, a);
    case 4:
        return draw_reduction(graph, draw, a);
    case 5:
    case 6:
        return graph_unary(graph, UNARY[draw_below(draw, 5)], a);
    default:
        return fits(graph, a, b) ? graph_binary(graph, BINARY[draw_below(draw, 5)], a, b) : a;
    }
}

static void test_drawn_graphs(void **state)
{
    (void)state;
    for (int g = 0; g < GRAPHS; g++) {
        struct draw draw = {.state = (uint64_t)g + 1};
        struct graph *graph = graph_create();
        struct cam_err err = {0};
        int nodes[NODES];
        int outputs[OUTPUTS];
        nodes[0] = draw_leaf(graph, &draw);
        for (int i = 1; i < NODES; i++) {
            nodes[i] = draw_node(graph, &draw, nodes, i);
            ASSERT_OK(graph_status(graph, &err), err);
        }
        for (int i = 0; i < OUTPUTS; i++) {
            outputs[i] = nodes[NODES - 1 - draw_below(&draw, i < 2 ? 3 : NODES)];
        }
        plan_destroy(check_graph(graph, outputs, OUTPUTS));
        graph_destroy(graph);
    }
}

/* Normalisation over all but the last axis, as the batch_norm layer writes it. */
static int normalise(struct graph *graph, int x, int gain)
{
    const struct shape shape = graph_node(graph, x)->shape;
    double share = 1.0 / (double)(shape_count(&shape) / shape.dim[3]);
    int mean = graph_scale(graph, graph_sum(graph, x, 7), share);
    int squares = graph_sum(graph, graph_binary(graph, OP_MUL, x, x), 7);
    int variance = graph_binary(graph, OP_SUB, graph_scale(graph, squares, share),
                                graph_binary(graph, OP_MUL, mean, mean));
    int deviation = graph_unary(graph, OP_SQRT, graph_offset(graph, variance, 1e-5));
    int one = graph_constant(graph, 1.0, &graph_node(graph, deviation)->shape);
    int inverse = graph_binary(graph, OP_DIV, one, deviation);
    int y = graph_binary(graph, OP_MUL, graph_binary(graph, OP_SUB, x, mean), inverse);
    return graph_binary(graph, OP_MUL, y, gain);
}

static void test_a_block_fuses_as_it_should(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape image = {.rank = 4, .dim = {2, 6, 6, 4}};
    struct shape weight = {.rank = 4, .dim = {3, 3, 4, 4}};
    struct shape channel = {.rank = 1, .dim = {4}};
    int x = graph_leaf(graph, OP_INPUT, 0, &image);
    int w = graph_leaf(graph, OP_PARAMETER, 0, &weight);
    int gain = graph_leaf(graph, OP_PARAMETER, 1, &channel);
    int y = normalise(graph, graph_conv2d(graph, x, w, &SAME3), gain);
    int zero = graph_constant(graph, 0.0, &image);
    int z = graph_conv2d(graph, graph_binary(graph, OP_MAX, y, zero), w, &SAME3);
    struct plan *plan = check_graph(graph, &z, 1);
    /* conv; both sums; the statistics of a channel; normalise and relu; conv */
    assert_int_equal(plan->step_count, 5);
    assert_int_equal(plan->steps[1].program->sum_count, 2);
    assert_int_equal(plan->steps[1].program->space.rank, 2);
    assert_int_equal(plan->steps[1].program->space.dim[0], 2 * 6 * 6);
    assert_int_equal(plan->steps[3].program->store_count, 1);
    plan_destroy(plan);

    int wrt[2] = {w, gain};
    int gradients[2];
    gradient_append(graph, graph_sum(graph, z, 15), wrt, 2, gradients);
    plan = check_graph(graph, gradients, 2);
    /* Backwards: conv gradients 2 + 1, ones, relu with the sums, channels, the rest, the sum. */
    assert_true(plan->step_count <= 5 + 8);
    plan_destroy(plan);
    graph_destroy(graph);
}

/* The forward pass stores what the next product reads and nothing for the backward pass, which
 * makes bias and slope again; the bits are those of the plan that stores (check_graph). */
static void test_cheap_nodes_are_made_again(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape image = {.rank = 4, .dim = {2, 6, 6, 4}};
    struct shape weight = {.rank = 4, .dim = {3, 3, 4, 4}};
    struct shape channel = {.rank = 1, .dim = {4}};
    int x = graph_leaf(graph, OP_INPUT, 0, &image);
    int w = graph_leaf(graph, OP_PARAMETER, 0, &weight);
    int bias = graph_leaf(graph, OP_PARAMETER, 1, &channel);
    int y = graph_binary(graph, OP_ADD, graph_conv2d(graph, x, w, &SAME3), bias);
    y = graph_binary(graph, OP_MAX, y, graph_constant(graph, 0.0, &image));
    int z = graph_sum(graph, graph_conv2d(graph, y, w, &SAME3), 15);
    int gradients[2];
    gradient_append(graph, z, (int[]){w, bias}, 2, gradients);
    struct plan *plan = check_graph(graph, gradients, 2);
    int stores = 0;
    for (int i = 0; i < plan->step_count; i++) {
        stores += plan->steps[i].kind == PLAN_PROGRAM ? plan->steps[i].program->store_count : 0;
    }
    /* y; ones; what arrives at the first convolution; the gradient of w from both. */
    assert_int_equal(stores, 4);
    plan_destroy(plan);
    graph_destroy(graph);
}

static void test_upsampling_is_one_load(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape split = {.rank = 6, .dim = {2, 3, 1, 3, 1, 4}};
    struct shape image = {.rank = 4, .dim = {2, 3, 3, 4}};
    struct shape wide = {.rank = 6, .dim = {2, 3, 2, 3, 2, 4}};
    struct shape large = {.rank = 4, .dim = {2, 6, 6, 4}};
    int x = graph_leaf(graph, OP_INPUT, 0, &image);
    int y = graph_broadcast(graph, graph_reshape(graph, x, &split), &wide);
    y = graph_reshape(graph, y, &large);
    struct plan *plan = check_graph(graph, &y, 1);
    assert_int_equal(plan->step_count, 1);
    assert_int_equal(plan->steps[0].program->load_count, 1);
    plan_destroy(plan);
    graph_destroy(graph);
}

static void test_limits_split_programs(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape shape = {.rank = 2, .dim = {3, 4}};
    int outputs[12];
    int x = graph_leaf(graph, OP_INPUT, 0, &shape);
    int sums = NODE_NONE;
    for (int i = 0; i < 120; i++) {
        x = graph_binary(graph, OP_ADD, graph_unary(graph, OP_TANH, x),
                         i % 3 == 0 ? graph_leaf(graph, OP_INPUT, 1 + i, &shape) : x);
        outputs[i / 10] = x;
        int sum = graph_sum(graph, graph_unary(graph, OP_NEG, x), 1);
        sums = sums < 0 ? sum : graph_binary(graph, OP_MUL, sums, sum);
    }
    outputs[0] = sums;
    struct plan *plan = check_graph(graph, outputs, 12);
    assert_true(plan->step_count >= 120 / PROGRAM_STORES_MAX);
    assert_true(plan->step_count <= 40);
    plan_destroy(plan);
    graph_destroy(graph);
}

/* Layer norm with its factors, and its gradients: x is read once each way, mean and deviation pass
 * from one to the other as a number a row. */
static void test_layer_norm_is_one_program_each_way(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape shape = {.rank = 3, .dim = {4, 5, 48}};
    struct shape channel = {.rank = 1, .dim = {48}};
    struct shape square = {.rank = 2, .dim = {48, 48}};
    int x = graph_leaf(graph, OP_INPUT, 0, &shape);
    int gain = graph_leaf(graph, OP_PARAMETER, 0, &channel);
    int bias = graph_leaf(graph, OP_PARAMETER, 1, &channel);
    int y = graph_binary(graph, OP_MUL, graph_standardize(graph, x, 4, 1e-5), gain);
    y = graph_binary(graph, OP_ADD, y, bias);
    struct plan *plan = check_graph(graph, &y, 1);
    assert_int_equal(plan->step_count, 1);
    assert_int_equal(plan->steps[0].program->store_count, 1);
    assert_int_equal(plan->steps[0].program->load_count, 3);
    assert_int_equal(plan->steps[0].program->row_axes, 2);
    plan_destroy(plan);

    struct shape rows = {.rank = 2, .dim = {20, 48}};
    int z = graph_matmul(graph, graph_reshape(graph, y, &rows),
                         graph_leaf(graph, OP_PARAMETER, 2, &square), false, false);
    int wrt[3] = {x, gain, bias};
    int gradients[3];
    gradient_append(graph, graph_sum(graph, graph_binary(graph, OP_MUL, z, z), 3), wrt, 3,
                    gradients);
    plan = check_graph(graph, gradients, 3);
    int programs = 0;
    for (int i = 0; i < plan->step_count; i++) {
        programs += plan->steps[i].kind == PLAN_PROGRAM ? 1 : 0;
    }
    const struct program *last = plan->steps[plan->step_count - 1].program;
    /* Forward, the gradient of z, backward with both sums over the batch. */
    assert_int_equal(programs, 3);
    assert_int_equal(last->sum_count, 2);
    assert_int_equal(last->store_count, 1);
    assert_int_equal(plan->steps[0].program->store_count, 3);
    plan_destroy(plan);
    graph_destroy(graph);
}

/* The logits are read once for the loss of each row and the gradient. */
static void test_softmax_is_one_program(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape label = {.rank = 1, .dim = {12}};
    struct shape hidden = {.rank = 2, .dim = {12, 8}};
    struct shape weight = {.rank = 2, .dim = {8, 65}};
    int w = graph_leaf(graph, OP_PARAMETER, 0, &weight);
    int logits = graph_matmul(graph, graph_leaf(graph, OP_INPUT, 0, &hidden), w, false, false);
    int loss = graph_softmax_xent(graph, logits, graph_leaf(graph, OP_INPUT, 1, &label), 0.1);
    loss = graph_mean(graph, loss, 3);
    int outputs[2] = {loss};
    gradient_append(graph, loss, &w, 1, &outputs[1]);
    struct plan *plan = check_graph(graph, outputs, 2);
    /* The product, the rows and the sum of their losses, the gradient of w, the mean. */
    assert_int_equal(plan->step_count, 4);
    assert_int_equal(plan->steps[1].program->load_count, 2);
    assert_int_equal(plan->steps[1].program->store_count, 1);
    assert_int_equal(plan->steps[1].program->sum_count, 1);
    plan_destroy(plan);

    int largest = graph_reduce_max(graph, logits, 2);
    int powers = graph_unary(graph, OP_EXP, graph_binary(graph, OP_SUB, logits, largest));
    int y = graph_binary(graph, OP_DIV, powers, graph_sum(graph, powers, 2));
    plan = check_graph(graph, &y, 1);
    assert_int_equal(plan->step_count, 2);
    plan_destroy(plan);
    graph_destroy(graph);
}

/* 24 layers of two products: with blocks computed again the same expressions, in less memory. */
static void test_recomputation_saves_memory(void **state)
{
    (void)state;
    enum { LAYERS = 24 };
    struct graph *graph = graph_create();
    struct shape rows = {.rank = 2, .dim = {12, 8}};
    struct shape weight = {.rank = 2, .dim = {8, 32}};
    int x = graph_leaf(graph, OP_INPUT, 0, &rows);
    int weights[LAYERS];
    for (int i = 0; i < LAYERS; i++) {
        char path[24];
        (void)snprintf(path, sizeof path, "model.%d.body.0", i);
        graph_set_path(graph, path);
        weights[i] = graph_leaf(graph, OP_PARAMETER, i, &weight); /* read twice */
        int y = graph_matmul(graph, graph_standardize(graph, x, 2, 1e-5), weights[i], false, false);
        y = graph_unary(graph, OP_TANH, y);
        x = graph_binary(graph, OP_ADD, x, graph_matmul(graph, y, weights[i], false, true));
    }
    struct plan_output outputs[LAYERS];
    int nodes[LAYERS];
    gradient_append(graph, graph_sum(graph, graph_unary(graph, OP_EXP, x), 3), weights, LAYERS,
                    nodes);
    for (int i = 0; i < LAYERS; i++) {
        outputs[i] = (struct plan_output){.node = nodes[i], .offset = (int64_t)256 * i};
    }
    struct plan *plans[2];
    uint64_t *hashes[2];
    for (int i = 0; i < 2; i++) {
        static const int64_t OFFSETS[LAYERS] = {0};
        struct plan_request request = {.graph = graph,
                                       .outputs = outputs,
                                       .output_count = LAYERS,
                                       .parameter_offsets = OFFSETS,
                                       .recompute = i == 1,
                                       .fuse = true};
        struct cam_err err = {0};
        ASSERT_OK(plan_create(&request, &plans[i], &err), err);
        ASSERT_OK(plan_verify(plans[i], &err), err);
        hashes[i] = plan_hash(plans[i]);
    }
    for (int i = 0; i < 256 * LAYERS; i++) {
        assert_int_equal(hashes[0][i], hashes[1][i]);
    }
    assert_true(2 * plans[1]->activation_floats < plans[0]->activation_floats);
    /* Each product of the forward pass once more, but the last block's. */
    assert_true(plans[1]->flops > plans[0]->flops);
    assert_true(3 * plans[1]->flops <= 4 * plans[0]->flops);
    for (int i = 0; i < 2; i++) {
        free(hashes[i]);
        plan_destroy(plans[i]);
    }
    graph_destroy(graph);
}

static void test_two_slices_of_one_tensor(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape shape = {.rank = 2, .dim = {6, 4}};
    struct shape half = {.rank = 2, .dim = {3, 4}};
    int x = graph_leaf(graph, OP_INPUT, 0, &shape);
    int upper = graph_slice(graph, x, (int64_t[]){0, 0}, &half);
    int lower = graph_slice(graph, x, (int64_t[]){3, 0}, &half);
    int y = graph_binary(graph, OP_SUB, upper, lower);
    struct plan *plan = check_graph(graph, &y, 1);
    assert_int_equal(plan->step_count, 1);
    assert_int_equal(plan->steps[0].program->load_count, 2);
    plan_destroy(plan);
    graph_destroy(graph);
}

static void test_outputs_that_are_leaves_twice_and_views(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape shape = {.rank = 2, .dim = {3, 4}};
    struct shape flat = {.rank = 1, .dim = {12}};
    int x = graph_leaf(graph, OP_INPUT, 2, &shape);
    int y = graph_unary(graph, OP_TANH, x);
    int outputs[] = {x,
                     y,
                     y,
                     graph_reshape(graph, y, &flat),
                     graph_permute(graph, y, (int[]){1, 0}),
                     graph_constant(graph, 3.0, &shape),
                     graph_unary(graph, OP_STOP_GRADIENT, x)};
    struct plan *plan = check_graph(graph, outputs, 7);
    assert_int_equal(plan->input_count, 3);
    assert_int_equal(plan->output_floats, 7 * 12 + 3 * 16);
    plan_destroy(plan);
    graph_destroy(graph);
}

static void test_memory_is_used_again(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape shape = {.rank = 2, .dim = {32, 32}};
    int x = graph_leaf(graph, OP_INPUT, 0, &shape);
    int w = graph_leaf(graph, OP_PARAMETER, 0, &shape);
    for (int i = 0; i < 20; i++) {
        x = graph_matmul(graph, x, w, false, false);
    }
    struct plan *plan = check_graph(graph, &x, 1);
    assert_int_equal(plan->activation_floats, 2 * 32 * 32);
    assert_int_equal(plan->flops, (int64_t)20 * 2 * 32 * 32 * 32);
    plan_destroy(plan);
    graph_destroy(graph);
}

static void test_memory_short_is_an_error(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape shape = {.rank = 2, .dim = {4, 4}};
    int x = graph_leaf(graph, OP_INPUT, 0, &shape);
    for (int i = 0; i < 70; i++) {
        x = graph_matmul(graph, graph_unary(graph, OP_TANH, x), x, false, false);
    }
    for (long n = 0;; n++) {
        struct plan_output output = {.node = x};
        struct plan_request request = {
            .graph = graph, .outputs = &output, .output_count = 1, .fuse = n % 2 == 0};
        struct plan *plan = NULL;
        struct cam_err err;
        cam_fault_after(n);
        enum cam_code rc = plan_create(&request, &plan, &err);
        cam_fault_after(-1);
        if (rc == CAM_OK) {
            plan_destroy(plan);
            assert_true(n > 4);
            break;
        }
        assert_int_equal(rc, CAM_NO_MEMORY);
        assert_null(plan);
    }
    graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drawn_graphs),
        cmocka_unit_test(test_a_block_fuses_as_it_should),
        cmocka_unit_test(test_cheap_nodes_are_made_again),
        cmocka_unit_test(test_upsampling_is_one_load),
        cmocka_unit_test(test_limits_split_programs),
        cmocka_unit_test(test_layer_norm_is_one_program_each_way),
        cmocka_unit_test(test_softmax_is_one_program),
        cmocka_unit_test(test_recomputation_saves_memory),
        cmocka_unit_test(test_two_slices_of_one_tensor),
        cmocka_unit_test(test_outputs_that_are_leaves_twice_and_views),
        cmocka_unit_test(test_memory_is_used_again),
        cmocka_unit_test(test_memory_short_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
