/* dropout (Srivastava 2014), inverted: what is kept is scaled, so that evaluation is the identity.
 */
#include "model/layers/layer.h"

int dropout_apply(struct layer *layer, int x, double rate, const char *stream)
{
    struct graph *graph = layer->call->graph;
    if (!layer->call->training || rate == 0.0 || layer->rc != CAM_OK || x < 0) {
        return x;
    }
    const struct shape shape = graph_node(graph, x)->shape;
    int uniform = graph_random(graph, OP_UNIFORM, &shape, layer_stream(layer, stream), true);
    int dropped = graph_binary(graph, OP_GREATER, graph_constant(graph, rate, &shape), uniform);
    int zero = graph_constant(graph, 0.0, &shape);
    int factor = graph_constant(graph, 1.0 / (1.0 - rate), &shape);
    return graph_binary(graph, OP_MUL, x, graph_select(graph, dropped, zero, factor));
}

void dropout_build(struct layer *layer)
{
    double rate = 0.5;
    layer_read_real(layer, "rate", 0.0, 0.999, &rate);
    layer->out = layer->inputs[0];
    layer->out.node = dropout_apply(layer, layer->inputs[0].node, rate, NULL);
}
