/*
 * Gradients against finite differences in double, on the reference backend: the first of every
 * operator, the second of every operator (so of the whole discriminator path), and the closure of
 * the table: whatever a gradient to third order emits has a kernel.
 */
#include "../unit.h"

#include "operators.h"

#include "base/mem.h"
#include "kernels/registry.h"
#include "model/graph/gradient.h"
#include "model/graph/op.h"

enum { CASES = 12, PROBES = 3, WRT_MAX = 12 };

static const struct rig_place DOUBLE = {.backend = "reference", .f64 = true, .lanes = 1};

/* The leaves to differentiate by: all inputs made so far. */
static int leaves_of(const struct rig *rig, int *out)
{
    int count = 0;
    for (int n = 0; n < graph_count(rig->graph); n++) {
        if (graph_node(rig->graph, n)->op == OP_INPUT && count < WRT_MAX) {
            out[count++] = n;
        }
    }
    return count;
}

/* A number that depends on every element of the nodes: each times an own random leaf, summed. */
static int project(struct rig *rig, const int *nodes, int count, int first_slot)
{
    int total = NODE_NONE;
    const struct shape scalar = {0};
    for (int i = 0; i < count; i++) {
        const struct shape shape = graph_node(rig->graph, nodes[i])->shape;
        int weighted =
            graph_binary(rig->graph, OP_MUL, nodes[i], rig_input(rig, first_slot + i, &shape));
        int sum = graph_sum(rig->graph, weighted, (1u << shape.rank) - 1);
        sum = graph_reshape(rig->graph, sum, &scalar);
        total = i == 0 ? sum : graph_binary(rig->graph, OP_ADD, total, sum);
    }
    return total;
}

static double value_of(struct rig *rig, int node, int slot, int64_t element, double nudge)
{
    rig->nudged_slot = slot;
    rig->nudged_element = element;
    rig->nudge = nudge;
    rig->outputs[0] = node;
    rig->output_count = 1;
    double *out = rig_run(rig, &DOUBLE);
    double value = out[0];
    cam_free(out);
    rig->nudged_slot = -1;
    return value;
}

/* Compares d(total)/d(leaf) with differences at a few elements. */
static void check(struct rig *rig, const char *what, int total, const int *wrt, int count)
{
    const double h = 1e-5;
    const double tolerance = 2e-6;
    int gradients[WRT_MAX];
    struct cam_err err;
    gradient_append(rig->graph, total, wrt, count, gradients);
    ASSERT_OK(graph_status(rig->graph, &err), err);
    uint64_t state = rig->seed;
    for (int i = 0; i < count; i++) {
        const struct node *leaf = graph_node(rig->graph, wrt[i]);
        rig->outputs[0] = gradients[i];
        rig->output_count = 1;
        double *gradient = rig_run(rig, &DOUBLE);
        for (int probe = 0; probe < PROBES; probe++) {
            int64_t element = rig_draw(&state, 0, shape_count(&leaf->shape) - 1);
            double above = value_of(rig, total, leaf->attr.slot, element, h);
            double below = value_of(rig, total, leaf->attr.slot, element, -h);
            double expected = (above - below) / (2.0 * h);
            double error = gradient[element] - expected;
            double size = expected > 0.0 ? expected : -expected;
            double allowed = tolerance * (size > 1.0 ? size : 1.0);
            if (!(error <= allowed && -error <= allowed)) {
                fail_msg("%s: d/d(input %d)[%lld] is %.9g, by differences %.9g", what,
                         leaf->attr.slot, (long long)element, gradient[element], expected);
            }
        }
        cam_free(gradient);
    }
}

static bool has_inputs(enum op_kind op)
{
    return op_get(op)->input_count != 0;
}

/* One case of an operator, projected; NODE_NONE where it has no inputs. */
static int begin_case(struct rig *rig, enum op_kind op, int number, uint64_t *draw)
{
    rig_begin(rig, (uint64_t)op * 997u + (uint64_t)number);
    rig->inputs_only = true;
    operator_range(rig, op);
    int node = operator_case(rig, op, draw);
    return node == NODE_NONE || !has_inputs(op) ? NODE_NONE : project(rig, &node, 1, 4);
}

/* Its value is that of its input, and its gradient is nothing. */
static bool is_differentiable(enum op_kind op)
{
    return op != OP_STOP_GRADIENT;
}

static void test_first_derivatives(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        uint64_t draw = (uint64_t)op << 20;
        for (int number = 0; number < CASES && is_differentiable((enum op_kind)op); number++) {
            struct rig rig;
            int total = begin_case(&rig, (enum op_kind)op, number, &draw);
            if (total != NODE_NONE) {
                int wrt[WRT_MAX];
                int count = leaves_of(&rig, wrt);
                check(&rig, op_get((enum op_kind)op)->name, total, wrt, count);
            }
            rig_end(&rig);
        }
    }
}

static void test_second_derivatives(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        uint64_t draw = (uint64_t)op << 21;
        for (int number = 0; number < CASES / 2 && is_differentiable((enum op_kind)op); number++) {
            struct rig rig;
            int total = begin_case(&rig, (enum op_kind)op, number, &draw);
            if (total != NODE_NONE) {
                int wrt[WRT_MAX];
                int gradients[WRT_MAX];
                int count = leaves_of(&rig, wrt);
                gradient_append(rig.graph, total, wrt, count, gradients);
                int second = project(&rig, gradients, count, 5);
                check(&rig, op_get((enum op_kind)op)->name, second, wrt, count);
            }
            rig_end(&rig);
        }
    }
}

/* A macro's own kernel and its lowering are written apart: each checks the other. */
static void test_macros_equal_their_lowering(void **state)
{
    (void)state;
    const struct rig_place lowered = {
        .backend = "reference", .f64 = true, .lanes = 1, .lowered = true};
    for (int op = 0; op < OP_COUNT; op++) {
        uint64_t draw = (uint64_t)op << 22;
        for (int number = 0; number < CASES && op_get((enum op_kind)op)->lower != NULL; number++) {
            struct rig rig;
            rig_begin(&rig, (uint64_t)op * 991u + (uint64_t)number);
            rig.outputs[rig.output_count++] = operator_case(&rig, (enum op_kind)op, &draw);
            double *macro = rig_run(&rig, &DOUBLE);
            double *lower = rig_run(&rig, &lowered);
            double distance = rig_distance(macro, lower, rig_output_count(&rig));
            if (!(distance < 1e-12)) {
                fail_msg("%s, case %d: the lowering is %g away", op_get((enum op_kind)op)->name,
                         number, distance);
            }
            cam_free(macro);
            cam_free(lower);
            rig_end(&rig);
        }
    }
}

static void test_stop_gradient_stops(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig, 1);
    const struct shape shape = {.rank = 1, .dim = {4}};
    int x = rig_input(&rig, 0, &shape);
    int y = graph_binary(rig.graph, OP_MUL, x, graph_unary(rig.graph, OP_STOP_GRADIENT, x));
    int gradient = NODE_NONE;
    gradient_append(rig.graph, y, &x, 1, &gradient);
    rig.outputs[0] = gradient;
    rig.outputs[1] = x;
    rig.output_count = 2;
    double *out = rig_run(&rig, &DOUBLE);
    for (int i = 0; i < 4; i++) {
        assert_true(out[i] == out[4 + i]); /* x, not 2 x */
    }
    cam_free(out);
    rig_end(&rig);
}

/* leaky_relu as the layers build it, inside a small discriminator: the gradient of its gradient's
 * square, as a penalty takes it. */
static void test_gradient_penalty(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig, 77);
    const struct window window = {.stride = {2, 2},
                                  .pad_before = {1, 1},
                                  .pad_after = {1, 1},
                                  .dilation = {1, 1},
                                  .groups = 1};
    const struct shape image = {.rank = 4, .dim = {2, 6, 6, 1}};
    const struct shape kernel = {.rank = 4, .dim = {4, 4, 1, 3}};
    const struct shape dense = {.rank = 2, .dim = {27, 1}};
    const struct shape flat = {.rank = 2, .dim = {2, 27}};
    int wrt[] = {rig_input(&rig, 0, &image), rig_input(&rig, 1, &kernel),
                 rig_input(&rig, 2, &dense)};
    int h = graph_conv2d(rig.graph, wrt[0], wrt[1], &window);
    int zero = graph_constant(rig.graph, 0.0, &graph_node(rig.graph, h)->shape);
    h = graph_select(rig.graph, graph_binary(rig.graph, OP_GREATER, h, zero), h,
                     graph_scale(rig.graph, h, 0.2));
    int logits = graph_matmul(rig.graph, graph_reshape(rig.graph, h, &flat), wrt[2], false, false);
    int d_image = NODE_NONE;
    gradient_append(rig.graph, graph_unary(rig.graph, OP_SOFTPLUS, logits), wrt, 1, &d_image);
    int squares = graph_sum(rig.graph, graph_binary(rig.graph, OP_MUL, d_image, d_image), 14);
    int norm = graph_unary(rig.graph, OP_SQRT, graph_offset(rig.graph, squares, 1e-3));
    int penalty = graph_offset(rig.graph, norm, -1.0);
    penalty = graph_sum(rig.graph, graph_binary(rig.graph, OP_MUL, penalty, penalty), 15);
    check(&rig, "gradient penalty", penalty, wrt, 3);
    rig_end(&rig);
}

static void test_closure_to_third_order(void **state)
{
    (void)state;
    struct cam_err err;
    const struct backend *reference = NULL;
    ASSERT_OK(registry_find("reference", "", &reference, &err), err);
    for (int op = 0; op < OP_COUNT; op++) {
        struct rig rig;
        uint64_t draw = 5;
        int total = begin_case(&rig, (enum op_kind)op, 0, &draw);
        for (int order = 0; order < 3 && total != NODE_NONE; order++) {
            int wrt[WRT_MAX];
            int gradients[WRT_MAX];
            int count = leaves_of(&rig, wrt);
            count = count > 3 ? 3 : count;
            gradient_append(rig.graph, total, wrt, count, gradients);
            total = project(&rig, gradients, count, 5 + 3 * order);
        }
        ASSERT_OK(graph_status(rig.graph, &err), err);
        for (int n = 0; n < graph_count(rig.graph); n++) {
            const struct op *row = op_get(graph_node(rig.graph, n)->op);
            assert_true(reference->query(NULL, graph_node(rig.graph, n)->op));
            assert_true(row->gradient != NULL || row->lower != NULL);
        }
        rig_end(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_derivatives),
        cmocka_unit_test(test_second_derivatives),
        cmocka_unit_test(test_macros_equal_their_lowering),
        cmocka_unit_test(test_stop_gradient_stops),
        cmocka_unit_test(test_gradient_penalty),
        cmocka_unit_test(test_closure_to_third_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
