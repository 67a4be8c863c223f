/*
 * Every layer of the table: its shape, its parameters and their count, its gradient against finite
 * differences, and what it refuses.  A row of the table without a case fails.
 */
#include "../unit.h"

#include "layers_rig.h"

#include <math.h>

#define SEQUENCE                                                                                   \
    {                                                                                              \
        {2, 5, 6}, 3                                                                               \
    }
#define IMAGE                                                                                      \
    {                                                                                              \
        {2, 6, 8, 4}, 4                                                                            \
    }
#define ROW                                                                                        \
    {                                                                                              \
        {3, 6}, 2                                                                                  \
    }

struct layer_case {
    const char *type; /* the row of the table that this is about */
    const char *list; /* layers, a line each */
    struct shape in;
    struct shape out;
    int64_t parameters;
    int64_t buffers;
    int64_t tokens; /* the input counts from 0 to this, less 1; 0: any numbers */
};

static const struct layer_case CASES[] = {
    {"dense", "    - dense: {units: 5}\n", ROW, {{3, 5}, 2}, 35, 0, 0},
    {"dense",
     "    - dense: {units: 5, use_bias: false, activation: gelu}\n",
     SEQUENCE,
     {{2, 5, 5}, 3},
     30,
     0,
     0},
    {"dense", "    - dense: {units: 4, norm: batch}\n", ROW, {{3, 4}, 2}, 24 + 8, 8, 0},
    {"dense",
     "    - dense: {units: 4, norm: layer, activation: prelu}\n",
     ROW,
     {{3, 4}, 2},
     28 + 8 + 1,
     0,
     0},
    {"conv1d", "    - conv1d: {filters: 3, kernel: 2}\n", SEQUENCE, {{2, 4, 3}, 3}, 39, 0, 0},
    {"conv1d",
     "    - conv1d: {filters: 4, kernel: 3, stride: 2, dilation: 2, groups: 2, padding: causal}\n",
     SEQUENCE,
     {{2, 3, 4}, 3},
     36 + 4,
     0,
     0},
    {"conv2d",
     "    - conv2d: {filters: 3, kernel: [3, 2], stride: [1, 2], padding: 1}\n",
     IMAGE,
     {{2, 6, 5, 3}, 4},
     75,
     0,
     0},
    {"conv2d",
     "    - conv2d: {filters: 6, kernel: 3, dilation: 2, groups: 2, padding: same, norm: "
     "instance}\n",
     IMAGE,
     {{2, 6, 8, 6}, 4},
     108,
     0,
     0},
    {"conv2d_transpose",
     "    - conv2d_transpose: {filters: 2, kernel: 3, stride: 2, padding: 1, output_padding: 1}\n",
     IMAGE,
     {{2, 12, 16, 2}, 4},
     74,
     0,
     0},
    {"conv2d_transpose",
     "    - conv2d_transpose: {filters: 6, kernel: 4, stride: 2, padding: same, groups: 2}\n",
     IMAGE,
     {{2, 12, 16, 6}, 4},
     16 * 3 * 4 + 6,
     0,
     0},
    {"batch_norm", "    - batch_norm\n", IMAGE, IMAGE, 8, 8, 0},
    {"batch_norm", "    - batch_norm: {affine: false}\n", SEQUENCE, SEQUENCE, 0, 12, 0},
    {"layer_norm", "    - layer_norm\n", SEQUENCE, SEQUENCE, 12, 0, 0},
    {"layer_norm", "    - layer_norm: {epsilon: 1e-3, initializer: {normal: 0.5}}\n", IMAGE, IMAGE,
     8, 0, 0},
    {"group_norm", "    - group_norm: 2\n", IMAGE, IMAGE, 8, 0, 0},
    {"group_norm", "    - group_norm: {groups: 3, affine: false}\n", SEQUENCE, SEQUENCE, 0, 0, 0},
    {"group_norm", "    - group_norm: 3\n", ROW, ROW, 12, 0, 0},
    {"instance_norm", "    - instance_norm\n", IMAGE, IMAGE, 0, 0, 0},
    {"instance_norm", "    - instance_norm: {affine: true}\n", SEQUENCE, SEQUENCE, 12, 0, 0},
    {"reshape", "    - reshape: [3, -1]\n", ROW, {{3, 3, 2}, 3}, 0, 0, 0},
    {"flatten", "    - flatten\n", IMAGE, {{2, 192}, 2}, 0, 0, 0},
    {"upsample2d", "    - upsample2d\n", IMAGE, {{2, 12, 16, 4}, 4}, 0, 0, 0},
    {"upsample2d",
     "    - upsample2d: {size: [3, 2], interpolation: bilinear}\n",
     IMAGE,
     {{2, 18, 16, 4}, 4},
     0,
     0,
     0},
    {"max_pool2d", "    - max_pool2d\n", IMAGE, {{2, 3, 4, 4}, 4}, 0, 0, 0},
    {"max_pool2d",
     "    - max_pool2d: {size: 3, stride: 2, padding: 1}\n",
     IMAGE,
     {{2, 3, 4, 4}, 4},
     0,
     0,
     0},
    {"average_pool2d", "    - average_pool2d: [4, 2]\n", IMAGE, {{2, 1, 4, 4}, 4}, 0, 0, 0},
    {"average_pool2d",
     "    - average_pool2d: {size: 3, stride: 2, padding: 1}\n",
     IMAGE,
     {{2, 3, 4, 4}, 4},
     0,
     0,
     0},
    {"average_pool2d",
     "    - average_pool2d: {size: 3, stride: 2, padding: same}\n",
     IMAGE,
     {{2, 3, 4, 4}, 4},
     0,
     0,
     0},
    {"global_max_pool", "    - global_max_pool\n", IMAGE, {{2, 4}, 2}, 0, 0, 0},
    {"global_max_pool", "    - global_max_pool\n", SEQUENCE, {{2, 6}, 2}, 0, 0, 0},
    {"global_average_pool", "    - global_average_pool\n", IMAGE, {{2, 4}, 2}, 0, 0, 0},
    {"global_sum_pool", "    - global_sum_pool\n", SEQUENCE, {{2, 6}, 2}, 0, 0, 0},
    {"add",
     "    - dense: {units: 6, name: a}\n    - tanh: {name: b}\n    - add: {input: [a, b, "
     "latent]}\n",
     ROW, ROW, 42, 0, 0},
    {"concat",
     "    - tanh: {name: a}\n    - concat: {input: [a, latent]}\n",
     IMAGE,
     {{2, 6, 8, 8}, 4},
     0,
     0,
     0},
    {"residual", "    - residual: [dense: {units: 6}, tanh]\n", ROW, ROW, 42, 0, 0},
    {"residual",
     "    - residual:\n"
     "        name: block\n"
     "        activation: tanh\n"
     "        body:\n"
     "          - conv2d: {filters: 5, kernel: 3, padding: same, stride: 2, name: first}\n"
     "          - residual: [conv2d: {filters: 5, kernel: 1}, add: {input: [first, first]}]\n"
     "        shortcut: [conv2d: {filters: 5, kernel: 1, stride: 2, use_bias: false}]\n",
     IMAGE,
     {{2, 3, 4, 5}, 4},
     185 + 30 + 20,
     0,
     0},
    {"dropout", "    - dropout: 0.25\n", IMAGE, IMAGE, 0, 0, 0},
    {"relu", "    - relu\n", ROW, ROW, 0, 0, 0},
    {"leaky_relu", "    - leaky_relu: 0.1\n", ROW, ROW, 0, 0, 0},
    {"prelu", "    - prelu\n", ROW, ROW, 1, 0, 0},
    {"prelu", "    - prelu: {by_channel: true, initial: 0.1}\n", IMAGE, IMAGE, 4, 0, 0},
    {"relu6", "    - relu6\n", ROW, ROW, 0, 0, 0},
    {"elu", "    - elu: 0.5\n", ROW, ROW, 0, 0, 0},
    {"celu", "    - celu: 0.5\n", ROW, ROW, 0, 0, 0},
    {"selu", "    - selu\n", ROW, ROW, 0, 0, 0},
    {"gelu", "    - gelu\n", ROW, ROW, 0, 0, 0},
    {"gelu", "    - gelu: {approximate: tanh}\n", ROW, ROW, 0, 0, 0},
    {"gelu_tanh", "    - gelu_tanh\n", ROW, ROW, 0, 0, 0},
    {"silu", "    - silu\n", ROW, ROW, 0, 0, 0},
    {"mish", "    - mish\n", ROW, ROW, 0, 0, 0},
    {"softplus", "    - softplus\n", ROW, ROW, 0, 0, 0},
    {"softsign", "    - softsign\n", ROW, ROW, 0, 0, 0},
    {"tanh", "    - tanh\n", ROW, ROW, 0, 0, 0},
    {"sigmoid", "    - sigmoid\n", ROW, ROW, 0, 0, 0},
    {"hard_sigmoid", "    - hard_sigmoid\n", ROW, ROW, 0, 0, 0},
    {"hard_swish", "    - hard_swish\n", ROW, ROW, 0, 0, 0},
    {"softmax", "    - softmax\n", SEQUENCE, SEQUENCE, 0, 0, 0},
};
enum { CASE_COUNT = sizeof CASES / sizeof CASES[0] };

static void test_every_layer_has_a_case(void **state)
{
    (void)state;
    size_t count = 0;
    const char *const *names = layer_names(&count);
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (int k = 0; k < CASE_COUNT; k++) {
            found = found || strcmp(CASES[k].type, names[i]) == 0;
        }
        if (!found) {
            fail_msg("layer %s has no case here", names[i]);
        }
    }
}

/* Training and evaluation give one shape and one set of tensors. */
static void test_shapes_and_counts(void **state)
{
    (void)state;
    for (int k = 0; k < 2 * CASE_COUNT; k++) {
        const struct layer_case *c = &CASES[k / 2];
        struct built b = build_layers(c->list, &c->in, k % 2 == 0);
        run_layers(&b);
        if (b.rc != CAM_OK) {
            fail_msg("%s: %s", c->list, b.err.text);
        }
        const struct shape *out = &graph_node(b.graph, b.out)->shape;
        int64_t parameters = count_tensors(&b.tensors.parameters);
        int64_t buffers = count_tensors(&b.tensors.buffers);
        if (!shape_equal(out, &c->out) || parameters != c->parameters || buffers != c->buffers) {
            char text[96];
            fail_msg("%s gives %s with %d parameters, %d in buffers", c->list,
                     shape_text(out, text, sizeof text), (int)parameters, (int)buffers);
        }
        release_layers(&b);
    }
}

/* Numbers for everything that a list reads; `step` moves them along one direction. */
struct point {
    double *parameters;
    double *buffers;
    double *input;
};

static void fill(double *out, int64_t count, uint64_t seed, double step, uint64_t direction)
{
    for (int64_t i = 0; i < count; i++) {
        out[i] = next_number(&seed) + step * next_number(&direction);
    }
}

static struct values point_at(const struct built *b, const struct layer_case *c, double step,
                              struct point *p)
{
    int64_t inputs = shape_count(&c->in);
    uint64_t seed = 4;
    fill(p->parameters, b->tensors.parameters.floats, 11, step, 21);
    fill(p->buffers, b->tensors.buffers.floats, 12, 0.0, 22);
    for (int64_t i = 0; i < b->tensors.buffers.floats; i++) {
        p->buffers[i] = fabs(p->buffers[i]) + 0.1;
    }
    fill(p->input, inputs, 13, step, 23);
    for (int64_t i = 0; c->tokens > 0 && i < inputs; i++) {
        p->input[i] = floor((next_number(&seed) + 1.0) / 2.0 * (double)c->tokens);
    }
    return (struct values){p->parameters, p->buffers, p->input};
}

/* The sum of the outputs, each times a number of its own: a loss that no layer makes constant. */
static int loss_of(const struct built *b)
{
    const struct shape shape = graph_node(b->graph, b->out)->shape;
    int weights = graph_random(b->graph, OP_UNIFORM, &shape, 77, false);
    return graph_sum(b->graph, graph_binary(b->graph, OP_MUL, b->out, weights),
                     (1u << shape.rank) - 1u);
}

/* d loss along the direction: by the gradient's nodes, then by the difference of two losses. */
static void check_gradient(struct built *b, const struct layer_case *c)
{
    enum { NODES_MAX = 64 };
    const double step = 1e-6;
    const struct tensor_table *table = &b->tensors.parameters;
    struct point p = {.parameters = cam_alloc((size_t)table->floats + 16, sizeof(double)),
                      .buffers = cam_alloc((size_t)b->tensors.buffers.floats + 16, sizeof(double)),
                      .input = cam_alloc((size_t)shape_count(&c->in) + 16, sizeof(double))};
    int wrt[NODES_MAX] = {b->input};
    int nodes[NODES_MAX];
    int64_t size = shape_count(&c->in);
    for (int i = 0; i < table->count; i++) {
        wrt[1 + i] = graph_leaf(b->graph, OP_PARAMETER, i, &table->rows[i].shape);
        size += shape_count(&table->rows[i].shape);
    }
    int loss = gradient_append(b->graph, loss_of(b), wrt, 1 + table->count, nodes);
    double *gradient = cam_alloc((size_t)size, sizeof *gradient);
    struct values values = point_at(b, c, 0.0, &p);
    run_nodes(b, &values, nodes, 1 + table->count, gradient);
    double found = 0.0;
    uint64_t direction = 23;
    double *next = gradient;
    for (int64_t i = 0; i < shape_count(&c->in); i++, next++) {
        found += c->tokens > 0 ? 0.0 : *next * next_number(&direction);
    }
    for (int i = 0; i < table->count; i++) {
        direction = 21;
        for (int64_t k = 0; k < table->rows[i].offset; k++) {
            (void)next_number(&direction);
        }
        for (int64_t k = 0; k < shape_count(&table->rows[i].shape); k++, next++) {
            found += *next * next_number(&direction);
        }
    }
    double after = 0.0;
    double before = 0.0;
    values = point_at(b, c, step, &p);
    run_nodes(b, &values, &loss, 1, &after);
    values = point_at(b, c, -step, &p);
    run_nodes(b, &values, &loss, 1, &before);
    double wanted = (after - before) / (2.0 * step);
    if (!(fabs(found - wanted) <= 1e-6 * (1.0 + fabs(wanted)))) {
        fail_msg("%s: the gradient gives %.10g, differences %.10g", c->list, found, wanted);
    }
    cam_free(p.parameters);
    cam_free(p.buffers);
    cam_free(p.input);
    cam_free(gradient);
}

static void test_gradients(void **state)
{
    (void)state;
    for (int k = 0; k < 2 * CASE_COUNT; k++) {
        const struct layer_case *c = &CASES[k / 2];
        struct built b = build_layers(c->list, &c->in, k % 2 == 0);
        run_layers(&b);
        ASSERT_OK(b.rc, b.err);
        check_gradient(&b, c);
        release_layers(&b);
    }
}

/* Known outputs of known inputs: x counts up from `first` by `step`. */
static const struct {
    const char *list;
    struct shape in;
    double first;
    double step;
    double out[8]; /* as many as there are, at most 8 */
} VALUES[] = {
    {"    - upsample2d: {size: [1, 2], interpolation: bilinear}\n",
     {{1, 1, 3, 1}, 4},
     0,
     4,
     {0, 1, 3, 5, 7, 8}},
    {"    - upsample2d: {size: [3, 1], interpolation: bilinear}\n",
     {{1, 2, 1, 1}, 4},
     0,
     3,
     {0, 0, 1, 2, 3, 3}},
    {"    - average_pool2d: {size: [1, 3], stride: [1, 2], padding: [0, 1]}\n",
     {{1, 1, 4, 1}, 4},
     3,
     3,
     {3, 9}},
    {"    - average_pool2d: {size: [1, 3], stride: 1, padding: same}\n",
     {{1, 1, 4, 1}, 4},
     2,
     2,
     {3, 4, 6, 7}},
    {"    - average_pool2d: [1, 2]\n", {{1, 1, 5, 1}, 4}, 0, 1, {0.5, 2.5}},
    {"    - max_pool2d: {size: [1, 3], stride: 2, padding: [0, 1]}\n",
     {{1, 1, 5, 1}, 4},
     -5,
     1,
     {-4, -2, -1}},
    {"    - layer_norm: {epsilon: 1e-12}\n", {{2, 2}, 2}, 0, 3, {-1, 1, -1, 1}},
    {"    - group_norm: {groups: 2, epsilon: 1e-12}\n", {{1, 4}, 2}, 0, 2, {-1, 1, -1, 1}},
    {"    - instance_norm: {epsilon: 1e-12}\n", {{1, 2, 2}, 3}, 0, 2, {-1, -1, 1, 1}},
    {"    - gelu\n", {{3}, 1}, -1, 1, {-0.15865525393145707, 0, 0.8413447460685429}},
    {"    - gelu_tanh\n", {{2}, 1}, 0, 1, {0, 0.8411919906082768}},
    {"    - silu\n", {{2}, 1}, 0, 1, {0, 0.7310585786300049}},
    {"    - mish\n", {{2}, 1}, 0, 1, {0, 0.8650983882673103}},
    {"    - elu: 2\n", {{3}, 1}, -1, 1, {-1.2642411176571153, 0, 1}},
    {"    - celu: 2\n", {{3}, 1}, -2, 2, {-1.2642411176571153, 0, 2}},
    {"    - selu\n", {{2}, 1}, -1, 2, {-1.1113307378125625, 1.0507009873554805}},
    {"    - softsign\n", {{2}, 1}, -1, 4, {-0.5, 0.75}},
    {"    - relu6\n", {{3}, 1}, -1, 4, {0, 3, 6}},
    {"    - hard_sigmoid\n", {{4}, 1}, -4, 4, {0, 0.5, 1, 1}},
    {"    - hard_swish\n", {{4}, 1}, -4, 3, {0, -1.0 / 3.0, 2.0 * 5.0 / 6.0, 5}},
    {"    - leaky_relu: 0.1\n", {{2}, 1}, -1, 2, {-0.1, 1}},
    {"    - softmax\n", {{1, 2}, 2}, 0, 1.0986122886681098, {0.25, 0.75}},
    {"    - global_average_pool\n", {{1, 2, 2}, 3}, 0, 1, {1, 2}},
    {"    - global_max_pool\n", {{1, 2, 2}, 3}, 0, 1, {2, 3}},
    {"    - global_sum_pool\n", {{1, 2, 2}, 3}, 0, 1, {2, 4}},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof VALUES / sizeof VALUES[0]; k++) {
        double input[16];
        double found[16];
        double parameters[64];
        struct built b = build_layers(VALUES[k].list, &VALUES[k].in, true);
        run_layers(&b);
        ASSERT_OK(b.rc, b.err);
        for (int i = 0; i < 16; i++) {
            input[i] = VALUES[k].first + i * VALUES[k].step;
        }
        for (int i = 0; i < 64; i++) { /* gains of 1, then biases of 0 */
            parameters[i] = i < 16 ? 1.0 : 0.0;
        }
        const struct values values = {.parameters = parameters, .input = input};
        run_nodes(&b, &values, &b.out, 1, found);
        for (int64_t i = 0; i < shape_count(&graph_node(b.graph, b.out)->shape); i++) {
            if (!(fabs(found[i] - VALUES[k].out[i]) <= 1e-9)) {
                fail_msg("%s[%d] is %.16g, not %.16g", VALUES[k].list, (int)i, found[i],
                         VALUES[k].out[i]);
            }
        }
        release_layers(&b);
    }
}

static void test_names_in_residual_layers(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "generator.block.first.weight",      "generator.block.first.bias",
        "generator.block.1.0.weight",        "generator.block.1.0.bias",
        "generator.block.shortcut.0.weight",
    };
    const struct layer_case *c = CASES;
    while (strstr(c->list, "name: block") == NULL) {
        c++;
    }
    struct built b = build_layers(c->list, &c->in, true);
    run_layers(&b);
    ASSERT_OK(b.rc, b.err);
    assert_int_equal(b.tensors.parameters.count, sizeof NAMES / sizeof NAMES[0]);
    for (int i = 0; i < b.tensors.parameters.count; i++) {
        assert_string_equal(b.tensors.parameters.rows[i].name, NAMES[i]);
    }
    release_layers(&b);
}

static const struct {
    const char *list;
    struct shape in;
    const char *line;
    const char *words;
} REFUSALS[] = {
    {"    - dense: {units: 3, activation: gelo}\n", ROW, "6: ", "did you mean 'gelu'?"},
    {"    - dense: {units: 3, norm: bach}\n", ROW, "6: ", "did you mean 'batch'?"},
    {"    - dense: {units: 3, initializer: he_normall}\n", ROW, "6: ", "did you mean 'he_normal'?"},
    {"    - dense: {units: 3, initializer: {normal: {sdt: 1}}}\n", ROW,
     "6: ", "did you mean 'std'?"},
    {"    - conv1d: {filters: 3, kernel: 3}\n", ROW, "6: ", "takes sequences (steps, channels)"},
    {"    - conv1d: {filters: 3, kernel: 3, groups: 4}\n", SEQUENCE, "6: ", "must divide"},
    {"    - conv1d: {filters: 3, kernel: [3, 3]}\n", SEQUENCE, "6: ", "whole number"},
    {"    - conv2d: {filters: 4, kernel: 3, padding: causal}\n", IMAGE, "6: ", "valid, same"},
    {"    - conv2d_transpose: {filters: 3, kernel: 3, groups: 2}\n", IMAGE, "6: ", "must divide"},
    {"    - group_norm: 3\n", IMAGE, "6: ", "groups is 3, it must divide the 4 channels"},
    {"    - flatten\n    - group_norm: 4\n", IMAGE, "7: ", "an image in a row"},
    {"    - instance_norm\n", ROW, "6: ", "it needs two"},
    {"    - layer_norm: {epsilon: 0}\n", ROW, "6: ", "epsilon"},
    {"    - batch_norm: {momentum: 2}\n", ROW, "6: ", "momentum"},
    {"    - upsample2d: {interpolation: cubic}\n", IMAGE, "6: ", "nearest, bilinear"},
    {"    - max_pool2d: {size: 2, padding: 2}\n", IMAGE, "6: ", "at most half of the size 2"},
    {"    - max_pool2d: 7\n", IMAGE, "6: ", "larger than the image's 6"},
    {"    - average_pool2d: {padding: some}\n", IMAGE, "6: ", "valid, same"},
    {"    - max_pool2d\n", SEQUENCE, "6: ", "takes images (height, width, channels)"},
    {"    - global_average_pool\n", ROW, "6: ", "takes images"},
    {"    - residual\n", ROW, "6: ", "body is missing"},
    {"    - residual: []\n", ROW, "6: ", "body is a list of 0, a list of 1"},
    {"    - residual: 3\n", ROW, "6: ", "body is '3', a list of"},
    {"    - residual: [dense: {units: 5}]\n", ROW,
     "6: ", "its body gives (5) and its shortcut (6), they must be equal"},
    {"    - residual:\n        body:\n          - dens: {units: 5}\n", ROW,
     "8: ", "unknown layer 'dens'"},
    {"    - residual:\n        body:\n          - tanh: {input: later}\n    - tanh: {name: "
     "later}\n",
     ROW, "8: ", "input 'later' is neither"},
    {"    - residual: {body: [tanh: {name: a}], shortcut: [tanh: {name: a}]}\n", ROW,
     "6: ", "names must differ"},
    {"    - residual: {body: [tanh: {name: shortcut}]}\n", ROW, "6: ", "the shortcut itself"},
    {"    - elu: {alpha: -1}\n", ROW, "6: ", "alpha"},
    {"    - gelu: {approximate: erf}\n", ROW, "6: ", "none, tanh"},
    {"    - prelu: {initial: x}\n", ROW, "6: ", "initial"},
    {"    - dropout: 1\n", ROW, "6: ", "rate"},
};

static void check_refusal(const char *list, const struct shape *in, const char *line,
                          const char *words)
{
    struct built b = build_layers(list, in, true);
    char start[32];
    (void)snprintf(start, sizeof start, "job.yaml:%s", line);
    run_layers(&b);
    if (b.rc != CAM_INVALID || strncmp(b.err.text, start, strlen(start)) != 0 ||
        strstr(b.err.text, words) == NULL) {
        fail_msg("%s: wanted %s...%s, found %s", list, start, words, b.err.text);
    }
    release_layers(&b);
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        check_refusal(REFUSALS[i].list, &REFUSALS[i].in, REFUSALS[i].line, REFUSALS[i].words);
    }
}

/* Each row refuses a key that is none of its own, and more inputs than it takes. */
static void test_every_layer_refuses_unknown_keys(void **state)
{
    (void)state;
    const struct shape row = ROW;
    size_t count = 0;
    const char *const *names = layer_names(&count);
    for (size_t i = 0; i < count; i++) {
        char list[128];
        char words[128];
        (void)snprintf(list, sizeof list, "    - %s: {nonsense: 1}\n", names[i]);
        (void)snprintf(words, sizeof words, "unknown key 'nonsense' of %s", names[i]);
        check_refusal(list, &row, "6: ", words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_layer_has_a_case),
        cmocka_unit_test(test_shapes_and_counts),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_names_in_residual_layers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_layer_refuses_unknown_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
