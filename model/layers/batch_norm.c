/*
 * batch_norm (Ioffe, Szegedy 2015) over all axes but the last.
 *
 * Training: mean and variance of the shard (ENGINE.md), y = x * scale + shift with the channel's
 * scale = gain / sqrt(variance + epsilon) and shift = bias - mean * scale.  Not the standardize
 * macro: lowered, that keeps a standardized x for the backward pass and reads more of it, which
 * made a step of mnist-dcgan 6 % longer; here the backward pass needs x alone.  The variance is
 * E[x^2] - mean^2, not below 0, as the running statistics need E[x^2] anyway.  Evaluation: the
 * running statistics.
 */
#include "model/layers/layer.h"

#include <stdio.h>
#include <string.h>

enum { STATISTICS_FIRST = 16 };

void statistic_keep(struct layer *layer, const struct statistic *statistic)
{
    struct part_call *call = layer->call;
    if (layer->rc != CAM_OK) {
        return;
    }
    if (call->statistic_count == call->statistic_capacity) {
        int capacity =
            call->statistic_capacity == 0 ? STATISTICS_FIRST : 2 * call->statistic_capacity;
        struct statistic *statistics =
            cam_arena_alloc(call->tensors->arena, (size_t)capacity, sizeof *statistics);
        if (statistics == NULL) {
            layer->rc = cam_fail(&layer->err, CAM_NO_MEMORY, "no memory for statistics");
            return;
        }
        if (call->statistic_count > 0) {
            memcpy(statistics, call->statistics,
                   (size_t)call->statistic_count * sizeof *statistics);
        }
        call->statistics = statistics;
        call->statistic_capacity = capacity;
    }
    call->statistics[call->statistic_count++] = *statistic;
}

static int buffer_of(struct layer *layer, const struct norm_options *options, const char *name,
                     double initial, const struct shape *channel, int *slot_out)
{
    char suffix[64];
    bool image = layer->out.image[0] != 0;
    (void)snprintf(suffix, sizeof suffix, "%s%s", options->prefix, name);
    const struct layer_tensor tensor = {.suffix = suffix,
                                        .shape = *channel,
                                        .layout = image ? EXPORT_VECTOR_TO_IMAGE : EXPORT_SAME,
                                        .image = image ? layer->out.image : NULL,
                                        .initial = {.kind = INITIAL_CONSTANT, .first = initial}};
    return layer_buffer(layer, &tensor, slot_out);
}

/* Mean and variance of the shard, kept for the running statistics too. */
static void batch_moments(struct layer *layer, int x, struct statistic *statistic,
                          int *variance_out)
{
    struct graph *graph = layer->call->graph;
    const struct shape shape = graph_node(graph, x)->shape;
    const struct shape channel = {.rank = 1, .dim = {statistic->channels}};
    uint32_t axes = (1u << (shape.rank - 1)) - 1u;
    double share = (double)channel.dim[0] / (double)shape_count(&shape);
    int sum = graph_reshape(graph, graph_sum(graph, x, axes), &channel);
    int squares = graph_sum(graph, graph_binary(graph, OP_MUL, x, x), axes);
    int mean = graph_scale(graph, sum, share);
    int square = graph_scale(graph, graph_reshape(graph, squares, &channel), share);
    int variance = graph_binary(graph, OP_SUB, square, graph_binary(graph, OP_MUL, mean, mean));
    *variance_out = graph_binary(graph, OP_MAX, variance, graph_constant(graph, 0.0, &channel));
    statistic->mean_node = mean;
    statistic->square_node = square;
    statistic_keep(layer, statistic);
}

int batch_norm_apply(struct layer *layer, int x, const struct norm_options *options)
{
    struct graph *graph = layer->call->graph;
    struct statistic statistic = {.momentum = options->momentum};
    struct norm_tensors affine;
    if (layer->rc != CAM_OK || x < 0) {
        return NODE_NONE;
    }
    const struct shape shape = graph_node(graph, x)->shape;
    const struct shape channel = {.rank = 1, .dim = {shape.dim[shape.rank - 1]}};
    statistic.channels = channel.dim[0];
    statistic.count = shape_count(&shape) / channel.dim[0];
    affine = norm_tensors(layer, channel.dim[0], options);
    int mean = buffer_of(layer, options, "running_mean", 0.0, &channel, &statistic.mean_buffer);
    int variance =
        buffer_of(layer, options, "running_var", 1.0, &channel, &statistic.variance_buffer);
    if (layer->call->training) {
        if (statistic.count < 2) {
            layer_fail(layer, NULL, "batch norm sees one value a channel and shard, it needs two");
            return NODE_NONE;
        }
        batch_moments(layer, x, &statistic, &variance);
        mean = statistic.mean_node;
    }
    int deviation = graph_unary(graph, OP_SQRT, graph_offset(graph, variance, options->epsilon));
    int scale = graph_binary(graph, OP_DIV, affine.gain, deviation);
    int shift = graph_binary(graph, OP_SUB, affine.bias, graph_binary(graph, OP_MUL, mean, scale));
    return graph_binary(graph, OP_ADD, graph_binary(graph, OP_MUL, x, scale), shift);
}
