/*
 * Activations: one row each, for layers (`- elu: {alpha: 0.5}`) and for the `activation:` of
 * weighted layers, where attributes have their defaults.  Formulas and defaults are PyTorch's, the
 * slope of leaky_relu excepted.
 */
#include "model/layers/layer.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_SLOPE 0.2 /* of every DCGAN since Radford 2015 */

/* Klambauer 2017: with these the activations' mean 0 and variance 1 are a fixed point. */
#define SELU_ALPHA 1.6732632423543772848170429916717
#define SELU_SCALE 1.0507009873554804934193349852946

#define ROOT_HALF       0.70710678118654752440
#define ROOT_TWO_BY_PI  0.79788456080286535588
#define GELU_CUBIC_TERM 0.044715

static int like(struct graph *graph, int x, double value)
{
    return x < 0 ? NODE_NONE : graph_constant(graph, value, &graph_node(graph, x)->shape);
}

static int mul(struct graph *graph, int a, int b)
{
    return graph_binary(graph, OP_MUL, a, b);
}

static int positive_of(struct graph *graph, int x)
{
    return graph_binary(graph, OP_MAX, x, like(graph, x, 0.0));
}

static int negative_of(struct graph *graph, int x)
{
    return graph_binary(graph, OP_MIN, x, like(graph, x, 0.0));
}

/* A call of an activation: the layer gives its attributes, `suffix` where its tensors stand. */
struct activation_call {
    struct layer *layer;
    struct graph *graph;
    int x;
    const char *suffix;
};

static int apply_none(const struct activation_call *a)
{
    return a->x;
}

static int apply_relu(const struct activation_call *a)
{
    return positive_of(a->graph, a->x);
}

/* x times its slope, 1 or `slope`: the backward pass reads x alone, and is one product with the
 * same slope. */
int leaky_relu_apply(struct graph *graph, int x, double slope)
{
    int above = graph_binary(graph, OP_GREATER, x, like(graph, x, 0.0));
    return mul(graph, x, graph_select(graph, above, like(graph, x, 1.0), like(graph, x, slope)));
}

static int apply_leaky_relu(const struct activation_call *a)
{
    double slope = DEFAULT_SLOPE;
    layer_read_real(a->layer, "negative_slope", 0.0, 1.0, &slope);
    return leaky_relu_apply(a->graph, a->x, slope);
}

/* He 2015: the slope is trained, one for all channels or one a channel. */
static int apply_prelu(const struct activation_call *a)
{
    double first = 0.25;
    bool by_channel = false;
    char name[64];
    layer_read_real(a->layer, "initial", 0.0, 1.0, &first);
    layer_read_bool(a->layer, "by_channel", &by_channel);
    if (a->x < 0 || a->layer->rc != CAM_OK) {
        return NODE_NONE;
    }
    const struct shape *shape = &graph_node(a->graph, a->x)->shape;
    (void)snprintf(name, sizeof name, "%sweight", a->suffix);
    int64_t channels = shape->dim[shape->rank - 1];
    const int64_t *image = a->layer->inputs[0].flattened;
    bool row = by_channel && shape->rank == 2 && image[0] != 0;
    const struct layer_tensor tensor = {.suffix = name,
                                        .shape = {.rank = 1, .dim = {by_channel ? channels : 1}},
                                        .layout = row ? EXPORT_VECTOR_TO_IMAGE : EXPORT_SAME,
                                        .image = row ? image : NULL,
                                        .initial = {.kind = INITIAL_CONSTANT, .first = first}};
    int slope = layer_parameter(a->layer, &tensor);
    return graph_binary(a->graph, OP_ADD, positive_of(a->graph, a->x),
                        mul(a->graph, negative_of(a->graph, a->x), slope));
}

static int apply_relu6(const struct activation_call *a)
{
    return graph_binary(a->graph, OP_MIN, like(a->graph, a->x, 6.0), positive_of(a->graph, a->x));
}

/* alpha (e^(x / width) - 1) below 0, where no e^x overflows. */
static int exponential_tail(struct graph *graph, int x, double alpha, double width)
{
    int power = graph_unary(graph, OP_EXP, graph_scale(graph, negative_of(graph, x), 1.0 / width));
    int tail = graph_scale(graph, graph_offset(graph, power, -1.0), alpha);
    return graph_binary(graph, OP_ADD, positive_of(graph, x), tail);
}

static int apply_elu(const struct activation_call *a)
{
    double alpha = 1.0;
    layer_read_real(a->layer, "alpha", 1e-6, 1e3, &alpha);
    return exponential_tail(a->graph, a->x, alpha, 1.0);
}

static int apply_celu(const struct activation_call *a)
{
    double alpha = 1.0;
    layer_read_real(a->layer, "alpha", 1e-6, 1e3, &alpha);
    return exponential_tail(a->graph, a->x, alpha, alpha);
}

static int apply_selu(const struct activation_call *a)
{
    return graph_scale(a->graph, exponential_tail(a->graph, a->x, SELU_ALPHA, 1.0), SELU_SCALE);
}

/* x / 2 (1 + bell): both forms of gelu. */
static int gelu_of(const struct activation_call *a, int bell)
{
    return mul(a->graph, graph_scale(a->graph, a->x, 0.5), graph_offset(a->graph, bell, 1.0));
}

static int apply_gelu_tanh(const struct activation_call *a)
{
    int cube = mul(a->graph, mul(a->graph, a->x, a->x), a->x);
    int inner = graph_binary(a->graph, OP_ADD, a->x, graph_scale(a->graph, cube, GELU_CUBIC_TERM));
    return gelu_of(a, graph_unary(a->graph, OP_TANH, graph_scale(a->graph, inner, ROOT_TWO_BY_PI)));
}

/* Hendrycks 2016: x times the normal distribution's share below x; or its tanh approximation. */
static int apply_gelu(const struct activation_call *a)
{
    static const char *const WAYS[] = {"none", "tanh"};
    int way = 0;
    layer_read_choice(a->layer, "approximate", WAYS, 2, &way);
    return way == 1
               ? apply_gelu_tanh(a)
               : gelu_of(a, graph_unary(a->graph, OP_ERF, graph_scale(a->graph, a->x, ROOT_HALF)));
}

static int apply_silu(const struct activation_call *a)
{
    return mul(a->graph, a->x, graph_unary(a->graph, OP_SIGMOID, a->x));
}

static int apply_mish(const struct activation_call *a)
{
    int soft = graph_unary(a->graph, OP_SOFTPLUS, a->x);
    return mul(a->graph, a->x, graph_unary(a->graph, OP_TANH, soft));
}

static int apply_softplus(const struct activation_call *a)
{
    return graph_unary(a->graph, OP_SOFTPLUS, a->x);
}

static int apply_softsign(const struct activation_call *a)
{
    int size = graph_offset(a->graph, graph_unary(a->graph, OP_ABS, a->x), 1.0);
    return graph_binary(a->graph, OP_DIV, a->x, size);
}

static int apply_tanh(const struct activation_call *a)
{
    return graph_unary(a->graph, OP_TANH, a->x);
}

static int apply_sigmoid(const struct activation_call *a)
{
    return graph_unary(a->graph, OP_SIGMOID, a->x);
}

/* relu6(x + 3) / 6 */
static int apply_hard_sigmoid(const struct activation_call *a)
{
    struct activation_call moved = *a;
    moved.x = graph_offset(a->graph, a->x, 3.0);
    return graph_scale(a->graph, apply_relu6(&moved), 1.0 / 6.0);
}

static int apply_hard_swish(const struct activation_call *a)
{
    return mul(a->graph, a->x, apply_hard_sigmoid(a));
}

/* Over the channels. */
static int apply_softmax(const struct activation_call *a)
{
    if (a->x < 0) {
        return NODE_NONE;
    }
    uint32_t axis = 1u << (graph_node(a->graph, a->x)->shape.rank - 1);
    int most = graph_unary(a->graph, OP_STOP_GRADIENT, graph_reduce_max(a->graph, a->x, axis));
    int power = graph_unary(a->graph, OP_EXP, graph_binary(a->graph, OP_SUB, a->x, most));
    return graph_binary(a->graph, OP_DIV, power, graph_sum(a->graph, power, axis));
}

static const char *const NAMES[] = {
    "none",     "linear", "relu",    "leaky_relu",   "prelu",      "relu6",  "elu",
    "celu",     "selu",   "gelu",    "gelu_tanh",    "silu",       "mish",   "softplus",
    "softsign", "tanh",   "sigmoid", "hard_sigmoid", "hard_swish", "softmax"};
static int (*const APPLY[])(const struct activation_call *call) = {
    apply_none,      apply_none,    apply_relu,         apply_leaky_relu, apply_prelu,
    apply_relu6,     apply_elu,     apply_celu,         apply_selu,       apply_gelu,
    apply_gelu_tanh, apply_silu,    apply_mish,         apply_softplus,   apply_softsign,
    apply_tanh,      apply_sigmoid, apply_hard_sigmoid, apply_hard_swish, apply_softmax};
enum { ACTIVATION_COUNT = sizeof NAMES / sizeof NAMES[0] };
_Static_assert(sizeof APPLY / sizeof APPLY[0] == ACTIVATION_COUNT, "one a name");

const char *const *activation_names(size_t *count_out)
{
    *count_out = ACTIVATION_COUNT;
    return NAMES;
}

int activation_apply(struct layer *layer, int x, int activation, const char *suffix)
{
    const struct activation_call call = {
        .layer = layer, .graph = layer->call->graph, .x = x, .suffix = suffix};
    return layer->rc == CAM_OK ? APPLY[activation](&call) : NODE_NONE;
}

bool activation_is_sigmoid(int activation)
{
    return APPLY[activation] == apply_sigmoid;
}

bool activation_is_gelu(int activation)
{
    return APPLY[activation] == apply_gelu;
}

void activation_build(struct layer *layer)
{
    int activation = 0;
    while (strcmp(NAMES[activation], layer->spec->type) != 0) {
        activation++; /* a row of the layer table that builds with this has one here: a test */
    }
    layer->out = layer->inputs[0];
    if (!(activation_is_sigmoid(activation) && layer_leaves_logits(layer))) {
        layer->out.node = activation_apply(layer, layer->inputs[0].node, activation, "");
    }
}
