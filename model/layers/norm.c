/*
 * Norms within a sample: layer_norm (Ba 2016) over the channels of each place, instance_norm
 * (Ulyanov 2016) over the places by channel, group_norm (Wu 2018) over places and a group of
 * channels.  (x - mean) / sqrt(variance + epsilon) with the biased variance, then a gain and a bias
 * for each channel.
 */
#include "model/layers/layer.h"

#include <inttypes.h>
#include <stdio.h>

enum { GROUPS_DEFAULT = 32 };

struct norm_options norm_defaults(const char *prefix)
{
    return (struct norm_options){.prefix = prefix,
                                 .momentum = 0.1,
                                 .epsilon = 1e-5,
                                 .affine = true,
                                 .bias = true,
                                 .gain = {.kind = INITIAL_CONSTANT, .first = 1.0}};
}

/* A vector of the channels, permuted on export where they are an image in a row. */
static int channel_parameter(struct layer *layer, const struct norm_options *options,
                             const char *name, int64_t channels, struct initial initial)
{
    char suffix[64];
    bool image = layer->out.image[0] != 0;
    (void)snprintf(suffix, sizeof suffix, "%s%s", options->prefix, name);
    return layer_parameter(
        layer, &(struct layer_tensor){.suffix = suffix,
                                      .shape = {.rank = 1, .dim = {channels}},
                                      .layout = image ? EXPORT_VECTOR_TO_IMAGE : EXPORT_SAME,
                                      .image = image ? layer->out.image : NULL,
                                      .initial = initial});
}

struct norm_tensors norm_tensors(struct layer *layer, int64_t channels,
                                 const struct norm_options *options)
{
    struct graph *graph = layer->call->graph;
    const struct shape shape = {.rank = 1, .dim = {channels}};
    if (!options->affine) {
        return (struct norm_tensors){graph_constant(graph, 1.0, &shape),
                                     graph_constant(graph, 0.0, &shape)};
    }
    int gain = channel_parameter(layer, options, "weight", channels, options->gain);
    int bias = options->bias ? channel_parameter(layer, options, "bias", channels,
                                                 (struct initial){.kind = INITIAL_CONSTANT})
                             : graph_constant(graph, 0.0, &shape);
    return (struct norm_tensors){gain, bias};
}

/* x * gain + bias */
static int norm_affine(struct layer *layer, int x, const struct norm_options *options)
{
    struct graph *graph = layer->call->graph;
    if (!options->affine || x < 0 || layer->rc != CAM_OK) {
        return x;
    }
    const struct shape *shape = &graph_node(graph, x)->shape;
    struct norm_tensors t = norm_tensors(layer, shape->dim[shape->rank - 1], options);
    return graph_binary(graph, OP_ADD, graph_binary(graph, OP_MUL, x, t.gain), t.bias);
}

int layer_norm_apply(struct layer *layer, int x, const struct norm_options *options)
{
    struct graph *graph = layer->call->graph;
    if (x < 0 || layer->rc != CAM_OK) {
        return NODE_NONE;
    }
    uint32_t axis = 1u << (graph_node(graph, x)->shape.rank - 1);
    return norm_affine(layer, graph_standardize(graph, x, axis, options->epsilon), options);
}

/* All axes between samples and channels. */
static uint32_t places_of(const struct shape *shape)
{
    return ((1u << (shape->rank - 1)) - 1u) & ~1u;
}

int instance_norm_apply(struct layer *layer, int x, const struct norm_options *options)
{
    struct graph *graph = layer->call->graph;
    if (x < 0 || layer->rc != CAM_OK) {
        return NODE_NONE;
    }
    const struct shape *shape = &graph_node(graph, x)->shape;
    uint32_t places = places_of(shape);
    if (shape_count(shape) == shape->dim[0] * shape->dim[shape->rank - 1]) {
        layer_fail(layer, NULL,
                   "instance norm sees one value a sample and channel, it needs two; it takes "
                   "images or sequences");
        return NODE_NONE;
    }
    return norm_affine(layer, graph_standardize(graph, x, places, options->epsilon), options);
}

/* Epsilon, affine, use_bias and `initializer`, which is drawn around 1 where a gain belongs. */
static void read_options(struct layer *layer, struct norm_options *options)
{
    bool plain = true;
    layer_read_real(layer, "epsilon", 1e-12, 1.0, &options->epsilon);
    layer_read_bool(layer, "affine", &options->affine);
    layer_read_bool(layer, "use_bias", &options->bias);
    struct initial drawn = layer_initializer(layer, 1, 1, &plain);
    if (!plain) {
        options->gain = drawn;
        options->gain.first += 1.0;
        options->gain.second += drawn.kind == INITIAL_UNIFORM ? 1.0 : 0.0;
    }
}

/* Of the row that this layer flattened, or of the one it will become. */
static void keep_form(struct layer *layer)
{
    const struct layer_value *input = &layer->inputs[0];
    layer->out = *input;
    for (int i = 0; layer_shape(layer, 0)->rank == 2 && input->flattened[0] != 0 && i < 3; i++) {
        layer->out.image[i] = input->flattened[i];
    }
}

static void norm_build(struct layer *layer, bool affine,
                       int (*apply)(struct layer *layer, int x, const struct norm_options *options))
{
    struct norm_options options = norm_defaults("");
    options.affine = affine;
    layer_read_real(layer, "momentum", 0.0, 1.0, &options.momentum);
    read_options(layer, &options);
    if (layer_shape(layer, 0)->rank < 2) {
        layer_fail(layer, NULL, "takes samples with channels, found rank %d",
                   layer_shape(layer, 0)->rank);
        return;
    }
    keep_form(layer);
    int y = apply(layer, layer->inputs[0].node, &options);
    layer->out = layer->inputs[0];
    layer->out.node = y;
}

void batch_norm_build(struct layer *layer)
{
    norm_build(layer, true, batch_norm_apply);
}

void layer_norm_build(struct layer *layer)
{
    norm_build(layer, true, layer_norm_apply);
}

void instance_norm_build(struct layer *layer)
{
    norm_build(layer, false, instance_norm_apply);
}

static int group_norm_apply(struct layer *layer, int x, const struct norm_options *options)
{
    struct graph *graph = layer->call->graph;
    const struct shape shape = *layer_shape(layer, 0);
    int64_t channels = shape.dim[shape.rank - 1];
    int64_t groups = GROUPS_DEFAULT;
    layer_read_int(layer, "groups", 1, INT32_MAX, &groups);
    if (layer->rc == CAM_OK && channels % groups != 0) {
        layer_fail(layer, "groups",
                   "groups is %" PRId64 ", it must divide the %" PRId64 " channels", groups,
                   channels);
    }
    if (layer->out.image[0] != 0) {
        layer_fail(layer, NULL, "takes channels, found an image in a row; put it beside the image");
    }
    if (layer->rc != CAM_OK || shape.rank >= SHAPE_RANK_MAX) {
        return NODE_NONE;
    }
    struct shape split = shape;
    split.rank++;
    split.dim[shape.rank - 1] = groups;
    split.dim[shape.rank] = channels / groups;
    uint32_t axes = places_of(&shape) | 1u << shape.rank;
    int y = graph_standardize(graph, graph_reshape(graph, x, &split), axes, options->epsilon);
    return norm_affine(layer, graph_reshape(graph, y, &shape), options);
}

void group_norm_build(struct layer *layer)
{
    norm_build(layer, true, group_norm_apply);
}
