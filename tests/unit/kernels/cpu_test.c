/* The CPU backend against the reference: every operator on seeded shapes and attributes. */
#include "../unit.h"

#include "operators.h"

#include "base/mem.h"
#include "model/graph/op.h"

#include <stdio.h>

enum { CASES = 60 };

static void compare(const struct rig *rig, const char *what, int number, double tolerance)
{
    const struct rig_place reference = {.backend = "reference", .lanes = 1};
    double *expected = rig_run(rig, &reference);
    int64_t count = rig_output_count(rig);
    for (int form = 0; form < 3; form++) {
        const struct rig_place cpu = {
            .backend = "cpu", .fuse = form > 0, .lowered = form == 2, .lanes = 2};
        double *found = rig_run(rig, &cpu);
        double distance = rig_distance(found, expected, count);
        if (!(distance <= tolerance)) {
            fail_msg("%s, case %d, form %d: distance %g, allowed %g", what, number, form, distance,
                     tolerance);
        }
        cam_free(found);
    }
    cam_free(expected);
}

static void test_every_operator(void **state)
{
    (void)state;
    if (!rig_has_cpu()) {
        print_message("no CPU backend here\n");
        skip();
    }
    for (int op = 0; op < OP_COUNT; op++) {
        uint64_t draw = (uint64_t)op << 32;
        for (int number = 0; number < CASES; number++) {
            struct rig rig;
            rig_begin(&rig, (uint64_t)(op * CASES + number));
            operator_range(&rig, (enum op_kind)op);
            int node = operator_case(&rig, (enum op_kind)op, &draw);
            if (node != NODE_NONE) {
                rig.outputs[rig.output_count++] = node;
                compare(&rig, op_get((enum op_kind)op)->name, number,
                        op_get((enum op_kind)op)->tolerance);
            }
            struct cam_err err;
            ASSERT_OK(graph_status(rig.graph, &err), err);
            rig_end(&rig);
        }
    }
}

/* What normalisation and softmax are made of: a reduction over the last axes, arithmetic on one
 * number a row, and back into the rows. */
static int draw_rows(struct rig *rig, uint64_t *state, int a, const struct shape *shape)
{
    struct graph *graph = rig->graph;
    uint32_t all = (1u << shape->rank) - 1;
    uint32_t axes = all & ~((1u << rig_draw(state, 0, shape->rank - 1)) - 1);
    a = graph_unary(graph, OP_TANH, a); /* what follows would enlarge large values' errors */
    int mean = graph_mean(graph, a, axes);
    int centred = graph_binary(graph, OP_SUB, a, mean);
    int squares = graph_mean(graph, graph_binary(graph, OP_MUL, centred, centred), axes);
    int most = graph_reduce_max(graph, a, axes);
    switch (rig_draw(state, 0, 3)) {
    case 0:
        return graph_binary(graph, OP_DIV, centred,
                            graph_unary(graph, OP_SQRT, graph_offset(graph, squares, 1.0)));
    case 1:
        return graph_unary(graph, OP_EXP, graph_binary(graph, OP_SUB, a, most));
    case 2:
        return graph_broadcast(graph, graph_binary(graph, OP_MUL, mean, most), shape);
    default:
        rig->outputs[rig->output_count < 8 ? rig->output_count++ : 7] = graph_sum(
            graph, graph_unary(graph, OP_TANH, squares), (uint32_t)rig_draw(state, 1, all));
        return graph_binary(graph, OP_ADD, graph_unary(graph, OP_TANH, mean), a);
    }
}

/* Grows a graph of elementwise nodes, views, random leaves and sums of sums over one shape, so that
 * programs of every form come out: several stores, sums beside them, constants, broadcasts. */
static void grow(struct rig *rig, uint64_t *state)
{
    enum { NODES = 14 };
    static const enum op_kind BINARY[] = {OP_ADD, OP_SUB, OP_MUL, OP_MAX, OP_MIN};
    static const enum op_kind UNARY[] = {OP_TANH, OP_SIGMOID, OP_NEG, OP_ABS, OP_SIN, OP_COS};
    struct graph *graph = rig->graph;
    struct shape shape = {.rank = (int)rig_draw(state, 1, 3)};
    for (int d = 0; d < shape.rank; d++) {
        shape.dim[d] = rig_draw(state, 0, 2) == 0 ? rig_draw(state, 1, 70) : rig_draw(state, 1, 9);
    }
    if (rig_draw(state, 0, 9) == 0) { /* longer than a tile */
        shape = (struct shape){.rank = 2, .dim = {3, rig_draw(state, 700, 3000)}};
    }
    int nodes[NODES] = {rig_input(rig, 0, &shape), rig_input(rig, 1, &shape)};
    for (int i = 2; i < NODES; i++) {
        int a = nodes[rig_draw(state, 0, i - 1)];
        int b = nodes[rig_draw(state, 0, i - 1)];
        uint32_t axes = (uint32_t)rig_draw(state, 1, (1 << shape.rank) - 1);
        double scale = 1.0;
        for (int d = 0; d < shape.rank; d++) {
            scale /= (axes >> d & 1u) != 0 ? (double)shape.dim[d] : 1.0;
        }
        const int results[] = {
            graph_binary(graph, BINARY[rig_draw(state, 0, 4)], a, b),
            graph_unary(graph, UNARY[rig_draw(state, 0, 5)], a),
            graph_scale(graph, a, 0.5),
            graph_offset(graph, a, 0.25),
            graph_broadcast(graph, graph_scale(graph, graph_sum(graph, a, axes), scale), &shape),
            graph_select(graph, graph_binary(graph, OP_GREATER, a, b), b, a),
            graph_binary(graph, OP_MUL, a,
                         graph_random(graph, OP_UNIFORM, &shape, (uint32_t)i, i % 2 == 0)),
        };
        int64_t kind = rig_draw(state, 0, 9);
        nodes[i] = kind <= 6 ? results[kind] : draw_rows(rig, state, a, &shape);
    }
    rig->outputs[rig->output_count++] = nodes[NODES - 1];
    rig->outputs[rig->output_count++] = nodes[NODES - 2];
    rig->outputs[rig->output_count++] =
        graph_sum(graph, nodes[NODES - 3], (uint32_t)rig_draw(state, 1, (1 << shape.rank) - 1));
}

static void test_random_graphs(void **state)
{
    (void)state;
    if (!rig_has_cpu()) {
        skip();
    }
    uint64_t draw = 99;
    for (int number = 0; number < 300; number++) {
        struct rig rig;
        rig_begin(&rig, (uint64_t)number);
        grow(&rig, &draw);
        /* Products of sines of products enlarge what f32 rounds, fused or not; a wrong element is
         * wrong by far more. */
        compare(&rig, "random graph", number, 2e-4);
        rig_end(&rig);
    }
}

/* Sums of every form over many terms: all accumulate in double, so that f32's own rounding of the
 * result is most of the error. */
static void test_long_sums(void **state)
{
    (void)state;
    static const struct {
        struct shape shape;
        uint32_t axes;
    } SUMS[] = {
        {{{300001}, 1}, 1},      {{{5000, 64}, 2}, 1},    {{{5000, 13}, 2}, 1},
        {{{90000, 3}, 2}, 1},    {{{3, 100003}, 2}, 2},   {{{700, 700}, 2}, 1},
        {{{40, 3001}, 2}, 1},    {{{64, 49, 128}, 3}, 3}, {{{64, 49, 128}, 3}, 5},
        {{{20, 900, 30}, 3}, 2}, {{{20, 900, 30}, 3}, 7}, {{{2000, 7, 11}, 3}, 5},
    };
    if (!rig_has_cpu()) {
        skip();
    }
    for (size_t i = 0; i < sizeof SUMS / sizeof SUMS[0]; i++) {
        struct rig rig;
        rig_begin(&rig, i);
        rig.low = 0.0;
        rig.outputs[rig.output_count++] =
            graph_sum(rig.graph, rig_input(&rig, 0, &SUMS[i].shape), SUMS[i].axes);
        compare(&rig, "long sum", (int)i, 2e-7);
        rig_end(&rig);
    }
}

/* A kernel of twice its stride, which is computed at points: any stride, padding and size. */
static void at_points(struct rig *rig, enum op_kind op, int64_t samples, uint64_t *draw)
{
    struct window window = {.dilation = {1, 1}, .groups = 1};
    struct shape x = {.rank = 4, .dim = {samples, 0, 0, 32 + 4 * rig_draw(draw, 0, 4)}};
    struct shape w = {.rank = 4, .dim = {0, 0, x.dim[3], 32 + 8 * rig_draw(draw, 0, 2)}};
    struct shape y = {.rank = 4, .dim = {samples, 0, 0, w.dim[3]}};
    for (int a = 0; a < 2; a++) {
        window.stride[a] = samples > 3 ? 2 : rig_draw(draw, 1, 3);
        w.dim[a] = 2 * window.stride[a];
        window.pad_before[a] = rig_draw(draw, 0, w.dim[a] - 1);
        window.pad_after[a] = rig_draw(draw, 0, w.dim[a] - 1);
        x.dim[1 + a] = w.dim[a] + rig_draw(draw, 0, 14);
        int64_t padded = x.dim[1 + a] + window.pad_before[a] + window.pad_after[a];
        y.dim[1 + a] = (padded - w.dim[a]) / window.stride[a] + 1;
    }
    int image = rig_input(rig, 0, &x);
    int result = rig_input(rig, 1, &y);
    int weights = rig_parameter(rig, 0, &w);
    if (op == OP_CONV2D) {
        rig->outputs[0] = graph_conv2d(rig->graph, image, weights, &window);
    } else if (op == OP_CONV2D_GRAD_INPUT) {
        rig->outputs[0] = graph_conv2d_grad_input(rig->graph, result, weights, &window, &x);
    } else {
        rig->outputs[0] = graph_conv2d_grad_weight(rig->graph, image, result, &window, &w);
    }
    rig->output_count = 1;
}

/* Now and then more samples than a chunk holds. */
static void test_convolutions_at_points(void **state)
{
    (void)state;
    static const enum op_kind OPS[] = {OP_CONV2D, OP_CONV2D_GRAD_INPUT, OP_CONV2D_GRAD_WEIGHT};
    if (!rig_has_cpu()) {
        skip();
    }
    uint64_t draw = 7;
    for (int number = 0; number < 36; number++) {
        struct rig rig;
        rig_begin(&rig, (uint64_t)number);
        at_points(&rig, OPS[number % 3], number < 3 ? 40 : rig_draw(&draw, 1, 3), &draw);
        compare(&rig, "convolution at points", number, 2e-6);
        rig_end(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operator),
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_long_sums),
        cmocka_unit_test(test_convolutions_at_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
