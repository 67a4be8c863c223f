/*
 * Pools over images: max_pool2d, average_pool2d; and over all places of an image or a sequence:
 * global_max_pool, global_average_pool, global_sum_pool.
 */
#include "model/layers/layer.h"

#include <inttypes.h>
#include <stdio.h>

enum { POOL_MAX = 1024 };

/* How the windows lie on an image. */
struct pool {
    struct window window;
    bool same;
};

/* `size` 2, `stride` as the size, `padding` valid, same or numbers up to half the size. */
static struct pool read_pool(struct layer *layer)
{
    static const char *const NAMES[] = {"valid", "same"};
    struct pool p = {.window = {.size = {2, 2}, .dilation = {1, 1}, .groups = 1}};
    struct window *w = &p.window;
    const struct doc_node *padding = doc_get(layer->attributes, "padding");
    int64_t number = 0;
    int choice = 0;
    int64_t pads[2] = {0, 0};
    layer_read_pair(layer, "size", 1, POOL_MAX, w->size);
    w->stride[0] = w->size[0];
    w->stride[1] = w->size[1];
    layer_read_pair(layer, "stride", 1, POOL_MAX, w->stride);
    if (padding != NULL && (padding->kind == DOC_LIST || doc_int(padding, &number))) {
        layer_read_pair(layer, "padding", 0, POOL_MAX, pads);
    } else {
        layer_read_choice(layer, "padding", NAMES, 2, &choice);
    }
    p.same = choice == 1;
    if (!layer_takes_images(layer)) {
        return p;
    }
    for (int i = 0; i < 2; i++) {
        int64_t size = layer_shape(layer, 0)->dim[1 + i];
        int64_t total =
            ((size + w->stride[i] - 1) / w->stride[i] - 1) * w->stride[i] + w->size[i] - size;
        total = p.same && total > 0 ? total : 0;
        w->pad_before[i] = p.same ? total / 2 : pads[i];
        w->pad_after[i] = p.same ? total - total / 2 : pads[i];
        if (2 * pads[i] > w->size[i]) {
            layer_fail(layer, "padding",
                       "padding is %" PRId64 ", at most half of the size %" PRId64 " is allowed",
                       pads[i], w->size[i]);
        }
        if (w->size[i] > size + w->pad_before[i] + w->pad_after[i]) {
            layer_fail(layer, "size", "a window of %" PRId64 " is larger than the image's %" PRId64,
                       w->size[i], size);
        }
    }
    return p;
}

void max_pool2d_build(struct layer *layer)
{
    struct pool p = read_pool(layer);
    if (layer->rc == CAM_OK) {
        layer->out.node = graph_max_pool(layer->call->graph, layer->inputs[0].node, &p.window);
    }
}

/* Windows side by side, with none cut: sums over two axes of the image seen as (N,H,h,W,w,C). */
static int average_of_tiles(struct graph *graph, int x, const struct window *w)
{
    struct shape in = graph_node(graph, x)->shape;
    const struct shape out = {
        .rank = 4, .dim = {in.dim[0], in.dim[1] / w->size[0], in.dim[2] / w->size[1], in.dim[3]}};
    in.dim[1] = out.dim[1] * w->size[0];
    in.dim[2] = out.dim[2] * w->size[1];
    const struct shape tiles = {
        .rank = 6, .dim = {in.dim[0], out.dim[1], w->size[0], out.dim[2], w->size[1], in.dim[3]}};
    x = graph_slice(graph, x, (const int64_t[SHAPE_RANK_MAX]){0}, &in);
    x = graph_mean(graph, graph_reshape(graph, x, &tiles), 1u << 2 | 1u << 4);
    return graph_reshape(graph, x, &out);
}

/* Sums of windows: a convolution of each channel by ones. */
static int window_sums(struct graph *graph, int x, const struct window *w)
{
    if (x < 0) {
        return NODE_NONE;
    }
    struct window window = *w;
    window.groups = graph_node(graph, x)->shape.dim[3];
    const struct shape ones = {.rank = 4, .dim = {w->size[0], w->size[1], 1, window.groups}};
    return graph_conv2d(graph, x, graph_constant(graph, 1.0, &ones), &window);
}

/* Zeros around the image count where padding is a number (PyTorch), not where it is `same`. */
void average_pool2d_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    struct pool p = read_pool(layer);
    const struct window *w = &p.window;
    int x = layer->inputs[0].node;
    if (layer->rc != CAM_OK) {
        return;
    }
    bool padded = false;
    bool tiled = true;
    for (int i = 0; i < 2; i++) {
        padded = padded || w->pad_before[i] + w->pad_after[i] > 0;
        tiled = tiled && w->stride[i] == w->size[i];
    }
    if (tiled && !padded) {
        layer->out.node = average_of_tiles(graph, x, w);
        return;
    }
    int sums = window_sums(graph, x, w);
    if (!p.same || !padded) {
        layer->out.node = graph_scale(graph, sums, 1.0 / (double)(w->size[0] * w->size[1]));
        return;
    }
    struct shape one = *layer_shape(layer, 0);
    one.dim[0] = 1;
    one.dim[3] = 1;
    int counts = window_sums(graph, graph_constant(graph, 1.0, &one), w);
    layer->out.node = graph_binary(graph, OP_DIV, sums, counts);
}

/* Samples (N,H,W,C) or (N,T,C) to (N,C); whether the layer takes its input. */
static bool read_global(struct layer *layer, struct shape *out)
{
    const struct shape *in = layer_shape(layer, 0);
    if (in->rank != 3 && in->rank != 4) {
        char text[96];
        layer_fail(
            layer, NULL,
            "takes images (height, width, channels) or sequences (steps, channels), found %s",
            layer_sample_text(layer, 0, text, sizeof text));
    }
    *out = (struct shape){.rank = 2, .dim = {in->dim[0], in->dim[in->rank - 1]}};
    return layer->rc == CAM_OK;
}

static uint32_t places_of(const struct shape *shape)
{
    return ((1u << (shape->rank - 1)) - 1u) & ~1u;
}

void global_average_pool_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    struct shape out;
    if (read_global(layer, &out)) {
        int mean = graph_mean(graph, layer->inputs[0].node, places_of(layer_shape(layer, 0)));
        layer->out.node = graph_reshape(graph, mean, &out);
    }
}

void global_sum_pool_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    struct shape out;
    if (read_global(layer, &out)) {
        int sum = graph_sum(graph, layer->inputs[0].node, places_of(layer_shape(layer, 0)));
        layer->out.node = graph_reshape(graph, sum, &out);
    }
}

/* A pool of one window, so that of several largest the first takes the gradient. */
void global_max_pool_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    struct shape out;
    if (!read_global(layer, &out)) {
        return;
    }
    struct shape image = *layer_shape(layer, 0);
    if (image.rank == 3) {
        image = (struct shape){.rank = 4, .dim = {image.dim[0], 1, image.dim[1], image.dim[2]}};
    }
    const struct window window = {
        .size = {image.dim[1], image.dim[2]}, .stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    int x = graph_reshape(graph, layer->inputs[0].node, &image);
    layer->out.node = graph_reshape(graph, graph_max_pool(graph, x, &window), &out);
}
