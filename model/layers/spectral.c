/*
 * spectral_norm (Miyato 2018): weights divided by their largest singular value, that of the matrix
 * (outputs, the rest), as one step of power iteration estimates it:
 *
 *     v = normalise(W' u),  u' = normalise(W v),  sigma = u' W v
 *
 * with no gradient through u' and v.  The layer's output is divided rather than its weights, which
 * is the same and leaves them packed.  u is a buffer, and u' its value after the optimizer step of
 * this part: every shard computes the same u' of the same weights, so that the mean over shards,
 * which the replicated stage stores, is u' on every rank.  PyTorch steps once a forward pass in
 * training; here it is once a step, however often the part is called.
 */
#include "model/layers/layer.h"

#include <string.h>

#define EPSILON 1e-12 /* the least norm that normalise divides by */

enum { POWERS_FIRST = 16 };

static void keep_power(struct layer *layer, const struct power *power)
{
    struct part_call *call = layer->call;
    for (int i = 0; i < call->power_count; i++) {
        if (call->powers[i].buffer == power->buffer) {
            return; /* another call of the part made the same node */
        }
    }
    if (call->power_count == call->power_capacity) {
        int capacity = call->power_capacity == 0 ? POWERS_FIRST : 2 * call->power_capacity;
        struct power *powers =
            cam_arena_alloc(call->tensors->arena, (size_t)capacity, sizeof *powers);
        if (powers == NULL) {
            layer->rc = cam_fail(&layer->err, CAM_NO_MEMORY, "no memory for spectral norms");
            return;
        }
        if (call->power_count > 0) {
            memcpy(powers, call->powers, (size_t)call->power_count * sizeof *powers);
        }
        call->powers = powers;
        call->power_capacity = capacity;
    }
    call->powers[call->power_count++] = *power;
}

/* x over its length, a constant to the gradient. */
static int normalised(struct graph *graph, int x)
{
    if (x < 0) {
        return NODE_NONE;
    }
    uint32_t all = (1u << graph_node(graph, x)->shape.rank) - 1u;
    int square = graph_sum(graph, graph_binary(graph, OP_MUL, x, x), all);
    int length = graph_unary(graph, OP_SQRT, square);
    if (length < 0) {
        return NODE_NONE;
    }
    int least = graph_constant(graph, EPSILON, &graph_node(graph, length)->shape);
    length = graph_binary(graph, OP_MAX, length, least);
    return graph_unary(graph, OP_STOP_GRADIENT, graph_binary(graph, OP_DIV, x, length));
}

int spectral_norm_apply(struct layer *layer, int y, int weight, int axis)
{
    struct graph *graph = layer->call->graph;
    bool wanted = false;
    layer_read_bool(layer, "spectral_norm", &wanted);
    if (!wanted || y < 0 || weight < 0 || layer->rc != CAM_OK) {
        return y;
    }
    const struct shape shape = graph_node(graph, weight)->shape;
    const struct shape one = {.rank = 1, .dim = {1}};
    const struct shape outputs = {.rank = 1, .dim = {shape.dim[axis]}};
    struct shape column = {.rank = shape.rank, .dim = {1, 1, 1, 1, 1, 1}};
    column.dim[axis] = shape.dim[axis];
    for (int i = shape.rank; i < SHAPE_RANK_MAX; i++) {
        column.dim[i] = 0;
    }
    uint32_t rest = ((1u << shape.rank) - 1u) & ~(1u << axis);
    struct power power = {.size = outputs.dim[0]};
    const struct layer_tensor first = {
        .suffix = "weight_u", .shape = outputs, .initial = {.kind = INITIAL_NORMAL, .second = 1.0}};
    int u = graph_reshape(graph, layer_buffer(layer, &first, &power.buffer), &column);
    int v = normalised(graph, graph_sum(graph, graph_binary(graph, OP_MUL, weight, u), 1u << axis));
    int product = graph_sum(graph, graph_binary(graph, OP_MUL, weight, v), rest);
    int next = normalised(graph, product);
    int sigma = graph_sum(graph, graph_binary(graph, OP_MUL, next, product), 1u << axis);
    power.node = graph_reshape(graph, next, &outputs);
    if (layer->call->training && layer->rc == CAM_OK) {
        keep_power(layer, &power);
    }
    int factor = graph_binary(graph, OP_DIV, graph_constant(graph, 1.0, &one),
                              graph_reshape(graph, sigma, &one));
    return graph_binary(graph, OP_MUL, y, factor);
}
