/* Activations, as layers and as the `activation:` of weighted layers; and dropout. */
#include "model/layers/layer.h"

#include <string.h>

#define DEFAULT_SLOPE 0.2 /* of every DCGAN since Radford 2015 */

static int apply_none(struct graph *graph, int x)
{
    (void)graph;
    return x;
}

static int apply_relu(struct graph *graph, int x)
{
    return x < 0 ? NODE_NONE
                 : graph_binary(graph, OP_MAX, x,
                                graph_constant(graph, 0.0, &graph_node(graph, x)->shape));
}

/* x times its slope, 1 or `slope`: the backward pass reads x alone, and is one product with the
 * same slope. */
int leaky_relu_apply(struct graph *graph, int x, double slope)
{
    if (x < 0) {
        return NODE_NONE;
    }
    const struct shape *shape = &graph_node(graph, x)->shape;
    int zero = graph_constant(graph, 0.0, shape);
    int one = graph_constant(graph, 1.0, shape);
    int positive = graph_binary(graph, OP_GREATER, x, zero);
    int slopes = graph_select(graph, positive, one, graph_constant(graph, slope, shape));
    return graph_binary(graph, OP_MUL, x, slopes);
}

static int apply_leaky_relu(struct graph *graph, int x)
{
    return leaky_relu_apply(graph, x, DEFAULT_SLOPE);
}

static int apply_tanh(struct graph *graph, int x)
{
    return graph_unary(graph, OP_TANH, x);
}

static int apply_sigmoid(struct graph *graph, int x)
{
    return graph_unary(graph, OP_SIGMOID, x);
}

static const char *const NAMES[] = {"none", "linear", "relu", "leaky_relu", "tanh", "sigmoid"};
static int (*const APPLY[])(struct graph *graph, int x) = {
    apply_none, apply_none, apply_relu, apply_leaky_relu, apply_tanh, apply_sigmoid};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == sizeof APPLY / sizeof APPLY[0], "one a name");

const char *const *activation_names(size_t *count_out)
{
    *count_out = sizeof NAMES / sizeof NAMES[0];
    return NAMES;
}

int activation_apply(struct graph *graph, int x, int activation)
{
    return APPLY[activation](graph, x);
}

bool activation_is_sigmoid(int activation)
{
    return APPLY[activation] == apply_sigmoid;
}

static void keep_value(struct layer *layer, int node)
{
    layer->out = layer->inputs[0];
    layer->out.node = node;
}

void relu_build(struct layer *layer)
{
    keep_value(layer, apply_relu(layer->call->graph, layer->inputs[0].node));
}

void leaky_relu_build(struct layer *layer)
{
    double slope = DEFAULT_SLOPE;
    layer_read_real(layer, "negative_slope", 0.0, 1.0, &slope);
    keep_value(layer, leaky_relu_apply(layer->call->graph, layer->inputs[0].node, slope));
}

void tanh_build(struct layer *layer)
{
    keep_value(layer, apply_tanh(layer->call->graph, layer->inputs[0].node));
}

void sigmoid_build(struct layer *layer)
{
    bool last = layer->position == layer->call->spec->layer_count - 1;
    int x = layer->inputs[0].node;
    keep_value(layer, layer->call->logits && last ? x : apply_sigmoid(layer->call->graph, x));
}

/* Inverted: what is kept is scaled, so that evaluation is the identity. */
void dropout_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    int x = layer->inputs[0].node;
    double rate = 0.5;
    layer_read_real(layer, "rate", 0.0, 0.999, &rate);
    if (!layer->call->training || rate == 0.0 || layer->rc != CAM_OK) {
        keep_value(layer, x);
        return;
    }
    const struct shape shape = *layer_shape(layer, 0);
    int uniform = graph_random(graph, OP_UNIFORM, &shape, layer_stream(layer), true);
    int dropped = graph_binary(graph, OP_GREATER, graph_constant(graph, rate, &shape), uniform);
    int zero = graph_constant(graph, 0.0, &shape);
    int factor = graph_constant(graph, 1.0 / (1.0 - rate), &shape);
    keep_value(layer, graph_binary(graph, OP_MUL, x, graph_select(graph, dropped, zero, factor)));
}
