/* Shapes, the builder's rules, and the operator table: every row complete. */
#include "../unit.h"

#include "base/mem.h"
#include "model/graph/graph.h"
#include "model/graph/op.h"

#include <string.h>

static const struct window UNIT = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};

static struct shape make(int rank, const int64_t *dims)
{
    struct shape shape = {.rank = rank};
    memcpy(shape.dim, dims, (size_t)rank * sizeof *dims);
    return shape;
}

#define SHAPE(...)                                                                                 \
    make((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static int leaf(struct graph *graph, struct shape shape)
{
    return graph_leaf(graph, OP_INPUT, 0, &shape);
}

static void assert_shape(const struct graph *graph, int node, struct shape expected)
{
    char found[96];
    char wanted[96];
    assert_true(node >= 0);
    assert_string_equal(shape_text(&graph_node(graph, node)->shape, found, sizeof found),
                        shape_text(&expected, wanted, sizeof wanted));
}

static void test_every_row_is_complete(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++) {
        const struct op *op = op_get((enum op_kind)i);
        assert_non_null(op->name);
        assert_non_null(op->infer);
        assert_true(op->gradient != NULL || op->lower != NULL);
        assert_true((op->lower != NULL) == (op->class == OP_CLASS_MACRO));
        assert_true(op->tolerance >= 0 && op->tolerance < 1e-3);
        assert_true(op->flops != NULL || op->class != OP_CLASS_PRODUCT);
        assert_int_equal(op->input_count == 0,
                         op->class == OP_CLASS_LEAF || op->class == OP_CLASS_RANDOM);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(op->name, op_get((enum op_kind)k)->name);
        }
    }
}

static void test_shape_text_and_strides(void **state)
{
    (void)state;
    char text[32];
    char tiny[4];
    int64_t stride[SHAPE_RANK_MAX];
    struct shape shape = SHAPE(64, 7, 7, 128);
    assert_string_equal(shape_text(&shape, text, sizeof text), "(64, 7, 7, 128)");
    assert_string_equal(shape_text(&shape, tiny, sizeof tiny), "(64");
    assert_string_equal(shape_text(&(struct shape){0}, text, sizeof text), "()");
    shape_strides(&shape, stride);
    assert_int_equal(stride[0], 7 * 7 * 128);
    assert_int_equal(stride[3], 1);
    assert_int_equal(shape_count(&(struct shape){0}), 1);
}

static void test_binary_broadcasts(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    int x = leaf(graph, SHAPE(8, 4, 4, 3));
    int bias = leaf(graph, SHAPE(3));
    int scalar = leaf(graph, (struct shape){0});
    assert_shape(graph, graph_binary(graph, OP_ADD, x, bias), SHAPE(8, 4, 4, 3));
    assert_shape(graph, graph_binary(graph, OP_MUL, scalar, x), SHAPE(8, 4, 4, 3));
    assert_int_equal(graph_broadcast(graph, x, &graph_node(graph, x)->shape), x);
    assert_int_equal(graph_binary(graph, OP_ADD, x, leaf(graph, SHAPE(4))), NODE_NONE);
    struct cam_err err;
    assert_int_equal(graph_status(graph, &err), CAM_INVALID);
    assert_string_equal(err.text, "shapes (8, 4, 4, 3) and (4) do not match");
    /* Sticky: nothing is appended any more, and the first error stays. */
    int count = graph_count(graph);
    assert_int_equal(graph_scale(graph, x, 2.0), NODE_NONE);
    assert_int_equal(graph_fail(graph, CAM_INVALID, "later"), NODE_NONE);
    assert_int_equal(graph_count(graph), count);
    assert_int_equal(graph_status(graph, &err), CAM_INVALID);
    assert_null(strstr(err.text, "later"));
    graph_destroy(graph);
}

static void test_form_shapes(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape flat = SHAPE(2, 12);
    struct shape part = SHAPE(2, 2, 3);
    struct shape wide = SHAPE(2, 5, 3);
    int x = leaf(graph, SHAPE(2, 4, 3));
    assert_shape(graph, graph_reshape(graph, x, &flat), flat);
    assert_shape(graph, graph_permute(graph, x, (int[]){2, 0, 1}), SHAPE(3, 2, 4));
    assert_int_equal(graph_permute(graph, x, (int[]){0, 1, 2}), x);
    assert_shape(graph, graph_slice(graph, x, (int64_t[]){0, 1, 0}, &part), part);
    assert_shape(graph, graph_pad(graph, x, (int64_t[]){0, 1, 0}, &wide), wide);
    assert_shape(graph, graph_concat(graph, (int[]){x, x, x}, 3, 1), SHAPE(2, 12, 3));
    assert_shape(graph, graph_sum(graph, x, 5), SHAPE(1, 4, 1));
    assert_int_equal(graph_sum(graph, x, 0), x);
    assert_int_equal(graph_status(graph, NULL), CAM_OK);
    graph_destroy(graph);
}

struct conv_case {
    int64_t x[4];
    int64_t w[4];
    struct window window;
    int64_t y[4];
};

static const struct conv_case CONVS[] = {
    {{2, 28, 28, 1}, {5, 5, 1, 8}, {{1, 1}, {2, 2}, {2, 2}, {1, 1}, 1, {0}}, {2, 28, 28, 8}},
    {{2, 28, 28, 3}, {4, 4, 3, 8}, {{2, 2}, {1, 1}, {1, 1}, {1, 1}, 1, {0}}, {2, 14, 14, 8}},
    {{1, 9, 7, 4}, {3, 2, 2, 6}, {{2, 1}, {0, 1}, {1, 0}, {2, 1}, 2, {0}}, {1, 3, 7, 6}},
};

static void test_convolution_shapes_and_flops(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CONVS / sizeof CONVS[0]; i++) {
        const struct conv_case *c = &CONVS[i];
        struct graph *graph = graph_create();
        struct shape xs = make(4, c->x);
        struct shape ws = make(4, c->w);
        int x = leaf(graph, xs);
        int w = leaf(graph, ws);
        int y = graph_conv2d(graph, x, w, &c->window);
        int dx = graph_conv2d_grad_input(graph, y, w, &c->window, &xs);
        int dw = graph_conv2d_grad_weight(graph, x, y, &c->window, &ws);
        assert_shape(graph, y, make(4, c->y));
        assert_shape(graph, dx, xs);
        assert_shape(graph, dw, ws);
        const struct node *n[] = {graph_node(graph, x), graph_node(graph, w), graph_node(graph, y)};
        int64_t expected = 2 * shape_count(&n[2]->shape) * c->w[0] * c->w[1] * c->w[2];
        assert_int_equal(op_get(OP_CONV2D)->flops(n[2], n), expected);
        const struct node *gi[] = {n[2], n[1]};
        assert_int_equal(op_get(OP_CONV2D_GRAD_INPUT)->flops(graph_node(graph, dx), gi), expected);
        const struct node *gw[] = {n[0], n[2]};
        assert_int_equal(op_get(OP_CONV2D_GRAD_WEIGHT)->flops(graph_node(graph, dw), gw), expected);
        graph_destroy(graph);
    }
}

static void test_matmul_shapes(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    int a = leaf(graph, SHAPE(2, 3));
    int b = leaf(graph, SHAPE(3, 5));
    int at = leaf(graph, SHAPE(3, 2));
    int bt = leaf(graph, SHAPE(5, 3));
    assert_shape(graph, graph_matmul(graph, a, b, false, false), SHAPE(2, 5));
    assert_shape(graph, graph_matmul(graph, at, b, true, false), SHAPE(2, 5));
    assert_shape(graph, graph_matmul(graph, a, bt, false, true), SHAPE(2, 5));
    assert_shape(graph, graph_matmul(graph, at, bt, true, true), SHAPE(2, 5));
    assert_int_equal(graph_matmul(graph, a, bt, false, false), NODE_NONE);
    graph_destroy(graph);
}

struct refusal {
    const char *text;
    int (*build)(struct graph *graph);
};

static int build_large_kernel(struct graph *graph)
{
    return graph_conv2d(graph, leaf(graph, SHAPE(1, 4, 4, 1)), leaf(graph, SHAPE(5, 5, 1, 2)),
                        &UNIT);
}

static int build_large_tensor(struct graph *graph)
{
    return leaf(graph, SHAPE(65536, 32768));
}

static int build_reshape(struct graph *graph)
{
    struct shape shape = SHAPE(3, 5);
    return graph_reshape(graph, leaf(graph, SHAPE(4, 4)), &shape);
}

static const struct refusal REFUSALS[] = {
    {"a kernel that spans 5 is larger than the image (4, 4, 1)", build_large_kernel},
    {"input gives a tensor of shape (65536, 32768), allowed are 1 to 2^31 - 1 elements",
     build_large_tensor},
    {"reshape of (4, 4) to (3, 5) does not fit", build_reshape},
};

static void test_refusals_name_the_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        struct graph *graph = graph_create();
        struct cam_err err;
        assert_int_equal(REFUSALS[i].build(graph), NODE_NONE);
        assert_int_equal(graph_status(graph, &err), CAM_INVALID);
        assert_string_equal(err.text, REFUSALS[i].text);
        graph_destroy(graph);
    }
}

static void test_too_many_nodes_are_refused(void **state)
{
    (void)state;
    const int most = 1 << 17;
    const struct shape one = SHAPE(1);
    struct graph *graph = graph_create();
    struct cam_err err = {0};
    for (int i = 0; i < most; i++) {
        assert_int_equal(graph_constant(graph, i, &one), i);
    }
    assert_int_equal(graph_constant(graph, 0.0, &one), 0); /* it is there already */
    assert_int_equal(graph_constant(graph, most, &one), NODE_NONE);
    assert_int_equal(graph_status(graph, &err), CAM_INVALID);
    assert_non_null(strstr(err.text, "more than 131072 operators"));
    graph_destroy(graph);
}

static void test_memory_short_is_an_error_not_a_crash(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        cam_fault_after(n);
        struct graph *graph = graph_create();
        enum cam_code rc = CAM_NO_MEMORY;
        if (graph != NULL) {
            int x = leaf(graph, SHAPE(2, 3));
            for (int i = 0; i < 600; i++) {
                x = graph_offset(graph, x, 1.0);
            }
            rc = graph_status(graph, NULL);
        }
        cam_fault_after(-1);
        graph_destroy(graph);
        if (rc == CAM_OK) {
            assert_true(n > 2);
            break;
        }
        assert_int_equal(rc, CAM_NO_MEMORY);
    }
}

static void test_equal_steps_are_one_node(void **state)
{
    (void)state;
    struct graph *graph = graph_create();
    struct shape shape = make(2, (int64_t[]){3, 4});
    int a = leaf(graph, shape);
    int sum = graph_sum(graph, a, 1);
    assert_int_equal(graph_sum(graph, a, 1), sum);
    assert_true(graph_sum(graph, a, 2) != sum);
    assert_true(graph_scale(graph, a, 2.0) != graph_scale(graph, a, 3.0));
    assert_int_equal(graph_scale(graph, a, 1.0), a);
    assert_int_equal(graph_offset(graph, a, 0.0), a);
    /* Many nodes, all found again after the table has grown. */
    int first = graph_unary(graph, OP_SIN, a);
    int last = first;
    for (int i = 0; i < 5000; i++) {
        last = graph_unary(graph, OP_SIN, last);
    }
    int count = graph_count(graph);
    int again = graph_unary(graph, OP_SIN, a);
    assert_int_equal(again, first);
    for (int i = 0; i < 5000; i++) {
        again = graph_unary(graph, OP_SIN, again);
    }
    assert_int_equal(again, last);
    assert_int_equal(graph_count(graph), count);
    graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_steps_are_one_node),
        cmocka_unit_test(test_every_row_is_complete),
        cmocka_unit_test(test_shape_text_and_strides),
        cmocka_unit_test(test_binary_broadcasts),
        cmocka_unit_test(test_form_shapes),
        cmocka_unit_test(test_convolution_shapes_and_flops),
        cmocka_unit_test(test_matmul_shapes),
        cmocka_unit_test(test_refusals_name_the_shapes),
        cmocka_unit_test(test_too_many_nodes_are_refused),
        cmocka_unit_test(test_memory_short_is_an_error_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
