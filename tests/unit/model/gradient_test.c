/*
 * The closure test: every gradient rule, walked to third order, emits operators of the table only,
 * with gradients of the inputs' shapes.  What the numbers are is shown by finite differences
 * (tests/unit/kernels).
 */
#include "../unit.h"

#include "model/graph/gradient.h"
#include "model/graph/op.h"

#include <stdio.h>

enum { ORDERS = 3, INPUTS = 3 };

#define WINDOW                                                                                     \
    {                                                                                              \
        .stride = {2, 1}, .pad_before = {1, 0}, .pad_after = {0, 1}, .dilation = {1, 2},           \
        .groups = 2                                                                                \
    }

/* One application of every operator that has a gradient, over the inputs it needs. */
struct rule_case {
    enum op_kind op;
    int input_count;
    struct shape inputs[INPUTS];
    struct op_attr attr;
};

#define POOL                                                                                       \
    {                                                                                              \
        .size = {2, 2}, .stride = {2, 2}, .groups = 1                                              \
    }
#define PAIR                                                                                       \
    {                                                                                              \
        .rank = 2, .dim = { 3, 4 }                                                                 \
    }
#define ELEMENTWISE(kind, count)                                                                   \
    {                                                                                              \
        .op = kind, .input_count = count, .inputs = { PAIR, PAIR, PAIR }                           \
    }

static const struct rule_case CASES[] = {
    ELEMENTWISE(OP_ADD, 2),
    ELEMENTWISE(OP_SUB, 2),
    ELEMENTWISE(OP_MUL, 2),
    ELEMENTWISE(OP_DIV, 2),
    ELEMENTWISE(OP_MAX, 2),
    ELEMENTWISE(OP_MIN, 2),
    ELEMENTWISE(OP_GREATER, 2),
    ELEMENTWISE(OP_EQUAL, 2),
    ELEMENTWISE(OP_SELECT, 3),
    ELEMENTWISE(OP_NEG, 1),
    ELEMENTWISE(OP_ABS, 1),
    ELEMENTWISE(OP_SIGN, 1),
    ELEMENTWISE(OP_EXP, 1),
    ELEMENTWISE(OP_LOG, 1),
    ELEMENTWISE(OP_SQRT, 1),
    ELEMENTWISE(OP_TANH, 1),
    ELEMENTWISE(OP_SIGMOID, 1),
    ELEMENTWISE(OP_SOFTPLUS, 1),
    ELEMENTWISE(OP_SIN, 1),
    ELEMENTWISE(OP_COS, 1),
    ELEMENTWISE(OP_ERF, 1),
    ELEMENTWISE(OP_FLOOR, 1),
    ELEMENTWISE(OP_STOP_GRADIENT, 1),
    {OP_BROADCAST, 1, {{{3, 1}, 2}}, {.shape = {{3, 5}, 2}}},
    {OP_RESHAPE, 1, {PAIR}, {.shape = {{2, 6}, 2}}},
    {OP_PERMUTE, 1, {{{2, 3, 4}, 3}}, {.order = {2, 0, 1}}},
    {OP_SLICE, 1, {PAIR}, {.shape = {{2, 2}, 2}, .start = {1, 0}}},
    {OP_PAD, 1, {PAIR}, {.shape = {{5, 6}, 2}, .start = {1, 2}}},
    {OP_CONCAT, 2, {PAIR, {{3, 2}, 2}}, {.axis = 1}},
    {OP_SUM, 1, {PAIR}, {.axes = 1}},
    {OP_MATMUL, 2, {{{2, 3}, 2}, {{3, 4}, 2}}, {.axis = 0}},
    {OP_MATMUL, 2, {{{3, 2}, 2}, {{4, 3}, 2}}, {.transpose_a = true, .transpose_b = true}},
    {OP_REDUCE_MAX, 1, {PAIR}, {.axes = 2}},
    {OP_GATHER, 2, {{{5, 2}, 2}, {{3}, 1}}, {.axis = 0}},
    {OP_SCATTER_ADD, 2, {{{3}, 1}, {{3, 2}, 2}}, {.shape = {{5, 2}, 2}}},
    {OP_MAX_POOL_INDEX, 1, {{{2, 4, 6, 3}, 4}}, {.window = POOL}},
    {OP_GATHER_POOL, 2, {{{2, 4, 6, 3}, 4}, {{2, 2, 3, 3}, 4}}, {.axis = 0}},
    {OP_SCATTER_POOL, 2, {{{2, 2, 3, 3}, 4}, {{2, 2, 3, 3}, 4}}, {.shape = {{2, 4, 6, 3}, 4}}},
    {OP_STANDARDIZE, 1, {PAIR}, {.axes = 2, .value = 1e-5}},
    {OP_STANDARDIZE_GRAD, 2, {PAIR, PAIR}, {.axes = 1, .value = 1e-5}},
    {OP_SOFTMAX_XENT, 2, {PAIR, {{3}, 1}}, {.value = 0.1}},
    {OP_SOFTMAX_XENT_GRAD, 3, {PAIR, {{3}, 1}, {{3, 1}, 2}}, {.axis = 0}},
    {OP_ATTENTION, 1, {{{2, 3, 3, 2, 4}, 5}}, {.value = 0.5, .causal = true}},
    {OP_ATTENTION, 2, {{{2, 3, 3, 2, 4}, 5}, {{2}, 1}}, {.value = 0.5}},
    {OP_ATTENTION_GRAD, 2, {{{2, 3, 3, 2, 4}, 5}, {{2, 3, 2, 4}, 4}}, {.value = 0.5}},
    {OP_LSTM, 2, {{{2, 3, 8}, 3}, {{2, 8}, 2}}, {.axis = 0}},
    {OP_LSTM_GRAD, 3, {{{2, 3, 12}, 3}, {{2, 8}, 2}, {{2, 3, 2}, 3}}, {.axis = 0}},
    {OP_GRU, 3, {{{2, 3, 6}, 3}, {{2, 6}, 2}, {{2}, 1}}, {.axis = 0}},
    {OP_GRU_GRAD, 3, {{{2, 3, 10}, 3}, {{2, 6}, 2}, {{2, 3, 2}, 3}}, {.axis = 0}},
    {OP_CONV2D, 2, {{{2, 6, 5, 4}, 4}, {{3, 2, 2, 6}, 4}}, {.window = WINDOW}},
    {OP_CONV2D_GRAD_INPUT,
     2,
     {{{2, 3, 4, 6}, 4}, {{3, 2, 2, 6}, 4}},
     {.window = WINDOW, .shape = {{2, 6, 5, 4}, 4}}},
    {OP_CONV2D_GRAD_WEIGHT,
     2,
     {{{2, 6, 5, 4}, 4}, {{2, 3, 4, 6}, 4}},
     {.window = WINDOW, .shape = {{3, 2, 2, 6}, 4}}},
};

enum { CASE_COUNT = sizeof CASES / sizeof CASES[0] };

/* A scalar that depends on every element of y in a curved way: sum(y * y). */
static int curved_sum(struct graph *graph, int y)
{
    int square = graph_binary(graph, OP_MUL, y, y);
    return graph_sum(graph, square, (1u << graph_node(graph, y)->shape.rank) - 1u);
}

static void walk(const struct rule_case *c)
{
    struct graph *graph = graph_create();
    struct cam_err err = {0};
    int inputs[INPUTS];
    int gradients[INPUTS];
    for (int i = 0; i < c->input_count; i++) {
        inputs[i] = graph_leaf(graph, OP_INPUT, i, &c->inputs[i]);
    }
    int y = graph_append(graph, c->op, inputs, c->input_count, &c->attr);
    ASSERT_OK(graph_status(graph, &err), err);
    for (int order = 1; order <= ORDERS; order++) {
        int loss = curved_sum(graph, y);
        gradient_append(graph, loss, inputs, c->input_count, gradients);
        ASSERT_OK(graph_status(graph, &err), err);
        y = gradients[0];
        for (int i = 0; i < c->input_count; i++) {
            assert_true(shape_equal(&graph_node(graph, gradients[i])->shape, &c->inputs[i]));
            y = i == 0 ? y
                       : graph_binary(graph, OP_ADD, curved_sum(graph, y),
                                      curved_sum(graph, gradients[i]));
        }
    }
    for (int n = 0; n < graph_count(graph); n++) {
        assert_true((unsigned)graph_node(graph, n)->op < OP_COUNT);
        const struct op *row = op_get(graph_node(graph, n)->op);
        assert_true(row->gradient != NULL || row->lower != NULL);
    }
    graph_destroy(graph);
}

static void test_closure_to_third_order(void **state)
{
    (void)state;
    bool walked[OP_COUNT] = {false};
    for (int i = 0; i < CASE_COUNT; i++) {
        walk(&CASES[i]);
        walked[CASES[i].op] = true;
    }
    for (int k = 0; k < OP_COUNT; k++) {
        if (op_get((enum op_kind)k)->input_count != 0 && !walked[k]) {
            fail_msg("%s is not walked", op_get((enum op_kind)k)->name);
        }
    }
}

static void test_independent_gets_zero(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape shape = {.rank = 1, .dim = {4}};
    int x = graph_leaf(graph, OP_INPUT, 0, &shape);
    int other = graph_leaf(graph, OP_INPUT, 1, &shape);
    int stopped = graph_unary(graph, OP_STOP_GRADIENT, other);
    int y = graph_binary(graph, OP_MUL, x, stopped);
    int out[2];
    gradient_append(graph, y, (int[]){x, other}, 2, out);
    assert_int_equal(graph_status(graph, NULL), CAM_OK);
    assert_int_equal(out[0], stopped); /* times 1 */
    assert_int_equal(graph_node(graph, out[1])->op, OP_CONSTANT);
    assert_true(graph_node(graph, out[1])->attr.value == 0.0);
    graph_destroy(graph);
}

static void test_gradient_nodes_carry_the_forward_path(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape shape = {.rank = 1, .dim = {4}};
    graph_set_path(graph, "generator.0");
    int x = graph_leaf(graph, OP_INPUT, 0, &shape);
    int y = graph_unary(graph, OP_TANH, x);
    graph_set_path(graph, "loss");
    int loss = graph_sum(graph, y, 1);
    int out;
    gradient_append(graph, loss, &x, 1, &out);
    assert_string_equal(graph_node(graph, out)->path, "generator.0");
    graph_destroy(graph);
}

static void test_only_paths_from_wrt_are_walked(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape x_shape = {.rank = 2, .dim = {4, 5}};
    struct shape w_shape = {.rank = 2, .dim = {5, 5}};
    int x = graph_leaf(graph, OP_INPUT, 0, &x_shape);
    int w0 = graph_leaf(graph, OP_PARAMETER, 0, &w_shape);
    int w1 = graph_leaf(graph, OP_PARAMETER, 1, &w_shape);
    int h = graph_unary(graph, OP_TANH, graph_matmul(graph, x, w0, false, false));
    int y = graph_sum(graph, graph_matmul(graph, h, w1, false, false), 3);
    int forward = graph_count(graph);
    int out;
    gradient_append(graph, y, &w1, 1, &out);
    for (int n = forward; n < graph_count(graph); n++) {
        /* Nothing behind w1 is differentiated: no slope of the tanh. */
        assert_int_not_equal(graph_node(graph, n)->op, OP_SUB);
    }
    graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closure_to_third_order),
        cmocka_unit_test(test_independent_gets_zero),
        cmocka_unit_test(test_gradient_nodes_carry_the_forward_path),
        cmocka_unit_test(test_only_paths_from_wrt_are_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
