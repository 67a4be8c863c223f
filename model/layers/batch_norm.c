/*
 * batch_norm (Ioffe, Szegedy 2015) over all axes but the last.
 *
 * Training: mean and variance of the shard (ENGINE.md), y = x * scale + shift with the channel's
 * scale = gain / sqrt(variance + epsilon) and shift = bias - mean * scale, so that the backward
 * pass needs x alone.  The variance is E[x^2] - mean^2, not below 0, as the running statistics
 * need E[x^2] anyway.  Evaluation: the running statistics.
 */
#include "model/layers/layer.h"

#include <stdio.h>
#include <string.h>

enum { STATISTICS_FIRST = 16 };

struct moments {
    int mean;
    int square; /* mean of squares */
};

/* The tensors of one norm: names PREFIX + "weight", and the layouts of vectors beside an image. */
struct norm {
    struct layer *layer;
    const struct norm_options *options;
    int64_t channels;
    const int64_t *image; /* NULL: no image in the way */
};

static struct layer_tensor tensor_of(const struct norm *norm, const char *name, char suffix[64])
{
    (void)snprintf(suffix, 64, "%s%s", norm->options->prefix, name);
    return (struct layer_tensor){.suffix = suffix,
                                 .shape = {.rank = 1, .dim = {norm->channels}},
                                 .layout =
                                     norm->image != NULL ? EXPORT_VECTOR_TO_IMAGE : EXPORT_SAME,
                                 .image = norm->image};
}

static int parameter_of(const struct norm *norm, const char *name, struct initial initial)
{
    char suffix[64];
    struct layer_tensor tensor = tensor_of(norm, name, suffix);
    tensor.initial = initial;
    return layer_parameter(norm->layer, &tensor);
}

static int buffer_of(const struct norm *norm, const char *name, double initial, int *slot_out)
{
    char suffix[64];
    struct layer_tensor tensor = tensor_of(norm, name, suffix);
    tensor.initial = (struct initial){.kind = INITIAL_CONSTANT, .first = initial};
    return layer_buffer(norm->layer, &tensor, slot_out);
}

static void keep_statistic(struct layer *layer, const struct statistic *statistic)
{
    struct part_call *call = layer->call;
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

static struct moments batch_moments(struct layer *layer, int x, const struct shape *channel)
{
    struct graph *graph = layer->call->graph;
    struct shape shape = graph_node(graph, x)->shape;
    uint32_t axes = (1u << (shape.rank - 1)) - 1u;
    double share = (double)channel->dim[0] / (double)shape_count(&shape);
    int sum = graph_reshape(graph, graph_sum(graph, x, axes), channel);
    int squares = graph_sum(graph, graph_binary(graph, OP_MUL, x, x), axes);
    squares = graph_reshape(graph, squares, channel);
    return (struct moments){graph_scale(graph, sum, share), graph_scale(graph, squares, share)};
}

int batch_norm_apply(struct layer *layer, int x, const struct norm_options *options)
{
    struct graph *graph = layer->call->graph;
    struct statistic statistic = {.momentum = options->momentum};
    if (layer->rc != CAM_OK || x < 0) {
        return NODE_NONE;
    }
    struct shape shape = graph_node(graph, x)->shape;
    struct norm norm = {.layer = layer,
                        .options = options,
                        .channels = shape.dim[shape.rank - 1],
                        .image = layer->out.image[0] != 0 ? layer->out.image : NULL};
    struct shape channel = {.rank = 1, .dim = {norm.channels}};
    struct initial zero = {.kind = INITIAL_CONSTANT};
    statistic.channels = norm.channels;
    statistic.count = shape_count(&shape) / norm.channels;
    int gain = parameter_of(&norm, "weight", options->gain);
    int bias = parameter_of(&norm, "bias", zero);
    int mean = buffer_of(&norm, "running_mean", 0.0, &statistic.mean_buffer);
    int variance = buffer_of(&norm, "running_var", 1.0, &statistic.variance_buffer);
    if (layer->call->training) {
        if (statistic.count < 2) {
            layer_fail(layer, NULL, "batch norm sees one value a channel and shard, it needs two");
            return NODE_NONE;
        }
        struct moments moments = batch_moments(layer, x, &channel);
        mean = moments.mean;
        variance =
            graph_binary(graph, OP_SUB, moments.square, graph_binary(graph, OP_MUL, mean, mean));
        variance = graph_binary(graph, OP_MAX, variance, graph_constant(graph, 0.0, &channel));
        statistic.mean_node = mean;
        statistic.square_node = moments.square;
        keep_statistic(layer, &statistic);
    }
    int deviation = graph_unary(graph, OP_SQRT, graph_offset(graph, variance, options->epsilon));
    int scale = graph_binary(graph, OP_DIV, gain, deviation);
    int shift = graph_binary(graph, OP_SUB, bias, graph_binary(graph, OP_MUL, mean, scale));
    return graph_binary(graph, OP_ADD, graph_binary(graph, OP_MUL, x, scale), shift);
}

void batch_norm_build(struct layer *layer)
{
    struct norm_options options = {.prefix = "",
                                   .momentum = 0.1,
                                   .epsilon = 1e-5,
                                   .gain = {.kind = INITIAL_CONSTANT, .first = 1.0}};
    const struct shape *in = layer_shape(layer, 0);
    struct layer_value input = layer->inputs[0];
    bool plain = true;
    layer_read_real(layer, "momentum", 0.0, 1.0, &options.momentum);
    layer_read_real(layer, "epsilon", 1e-12, 1.0, &options.epsilon);
    struct initial drawn = layer_initializer(layer, 1, 1, &plain);
    if (!plain) {
        options.gain = drawn; /* around 1, where a gain belongs */
        options.gain.first += 1.0;
        options.gain.second += drawn.kind == INITIAL_UNIFORM ? 1.0 : 0.0;
    }
    if (in->rank < 2) {
        layer_fail(layer, NULL, "takes samples with channels, found rank %d", in->rank);
        return;
    }
    layer->out = input;
    if (in->rank == 2 && input.flattened[0] != 0) {
        memcpy(layer->out.image, input.flattened, sizeof layer->out.image);
    }
    layer->out.node = batch_norm_apply(layer, input.node, &options);
    memcpy(layer->out.image, input.image, sizeof layer->out.image);
}
