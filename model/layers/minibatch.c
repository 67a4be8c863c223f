/*
 * minibatch_stddev (Karras 2018, as in StyleGAN2): a channel more, in which a discriminator sees
 * how much the samples differ.  The shard is cut into groups of `group` samples, sample n in group
 * n mod (samples / group); the deviation over a group is averaged over places and channels, and
 * stands in every place of each of its samples.
 */
#include "model/layers/layer.h"

#include <inttypes.h>

#define EPSILON 1e-8 /* below the root */

enum { GROUP_DEFAULT = 4 };

void minibatch_stddev_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    const struct shape in = *layer_shape(layer, 0);
    int64_t samples = in.dim[0];
    int64_t group = samples < GROUP_DEFAULT ? samples : GROUP_DEFAULT;
    layer_read_int(layer, "group", 1, INT32_MAX, &group);
    if (layer->rc == CAM_OK && samples % group != 0) {
        layer_fail(layer, "group",
                   "group is %" PRId64 ", it must divide the %" PRId64 " samples of a shard", group,
                   samples);
    }
    if (in.rank < 2) {
        layer_fail(layer, NULL, "takes samples with channels, found rank %d", in.rank);
    }
    if (layer->rc != CAM_OK) {
        return;
    }
    const struct shape cut = {.rank = 3,
                              .dim = {group, samples / group, shape_count(&in) / samples}};
    struct shape member = {.rank = 3, .dim = {group, samples / group, 1}};
    struct shape one = {.rank = in.rank, .dim = {samples, 1, 1, 1, 1, 1}};
    struct shape channel = in;
    channel.dim[in.rank - 1] = 1;
    for (int i = in.rank; i < SHAPE_RANK_MAX; i++) {
        one.dim[i] = 0;
    }
    int x = graph_reshape(graph, layer->inputs[0].node, &cut);
    int away = graph_binary(graph, OP_SUB, x, graph_mean(graph, x, 1u));
    int variance = graph_mean(graph, graph_binary(graph, OP_MUL, away, away), 1u);
    int deviation = graph_unary(graph, OP_SQRT, graph_offset(graph, variance, EPSILON));
    int mean = graph_broadcast(graph, graph_mean(graph, deviation, 1u << 2), &member);
    int seen = graph_broadcast(graph, graph_reshape(graph, mean, &one), &channel);
    layer->out.node = graph_concat(graph, (int[]){layer->inputs[0].node, seen}, 2, in.rank - 1);
}
