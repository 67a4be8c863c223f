/* conv2d and conv2d_transpose over images (N,H,W,C). */
#include "model/layers/layer.h"

#include <inttypes.h>
#include <string.h>

enum { FILTERS_MAX = 1 << 20, KERNEL_MAX = 1024, STRIDE_MAX = 1024, PADDING_MAX = 1024 };

struct convolution {
    int64_t filters;
    int64_t kernel[2];
    int64_t padding[2];
    bool same;
    struct window window;
};

/* `same`, `valid` or a number (or two) on both sides, as PyTorch's. */
static void read_padding(struct layer *layer, struct convolution *c)
{
    static const char *const NAMES[] = {"valid", "same"};
    const struct doc_node *node = doc_get(layer->attributes, "padding");
    int64_t number = 0;
    if (node != NULL && (node->kind == DOC_LIST || doc_int(node, &number))) {
        layer_read_pair(layer, "padding", 0, PADDING_MAX, c->padding);
    } else {
        int choice = 0;
        layer_read_choice(layer, "padding", NAMES, sizeof NAMES / sizeof NAMES[0], &choice);
        c->same = choice == 1;
    }
}

static void read_convolution(struct layer *layer, struct convolution *c)
{
    *c = (struct convolution){.window = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1}};
    layer_require(layer, "filters", "64");
    layer_require(layer, "kernel", "3");
    layer_read_int(layer, "filters", 1, FILTERS_MAX, &c->filters);
    layer_read_pair(layer, "kernel", 1, KERNEL_MAX, c->kernel);
    layer_read_pair(layer, "stride", 1, STRIDE_MAX, c->window.stride);
    layer_read_pair(layer, "dilation", 1, STRIDE_MAX, c->window.dilation);
    read_padding(layer, c);
    const struct shape *in = layer_shape(layer, 0);
    if (in->rank != 4) {
        char text[96];
        layer_fail(layer, NULL, "takes images (height, width, channels), found %s",
                   layer_sample_text(layer, 0, text, sizeof text));
    }
}

/* Pads an image of `size` so that a stride of s gives ceil(size / s), the odd one behind, as
 * TensorFlow's `same`; or as written. */
static void set_padding(struct convolution *c, int axis, int64_t size)
{
    struct window *w = &c->window;
    int64_t reach = w->dilation[axis] * (c->kernel[axis] - 1) + 1;
    int64_t outputs = (size + w->stride[axis] - 1) / w->stride[axis];
    int64_t total = (outputs - 1) * w->stride[axis] + reach - size;
    total = total > 0 ? total : 0;
    w->pad_before[axis] = c->same ? total / 2 : c->padding[axis];
    w->pad_after[axis] = c->same ? total - total / 2 : c->padding[axis];
}

/* The layer's weights and their initial values; one convention with PyTorch: fan_in is the second
 * axis of its weight tensor times the kernel. */
static int weights(struct layer *layer, const struct layer_tensor *tensor, int64_t fan_in,
                   int64_t fan_out, struct weighted_tail *tail)
{
    bool plain = false;
    struct layer_tensor weight = *tensor;
    weight.suffix = "weight";
    weight.initial = layer_initializer(layer, fan_in, fan_out, &plain);
    tail->bias = plain ? weight.initial : (struct initial){.kind = INITIAL_CONSTANT};
    return layer_parameter(layer, &weight);
}

void conv2d_build(struct layer *layer)
{
    struct convolution c;
    read_convolution(layer, &c);
    layer_read_int(layer, "groups", 1, FILTERS_MAX, &c.window.groups);
    if (layer->rc != CAM_OK) {
        return;
    }
    const struct shape *in = layer_shape(layer, 0);
    int64_t groups = c.window.groups;
    if (in->dim[3] % groups != 0 || c.filters % groups != 0) {
        layer_fail(layer, "groups",
                   "groups is %" PRId64 ", it must divide the %" PRId64 " channels and the %" PRId64
                   " filters",
                   groups, in->dim[3], c.filters);
        return;
    }
    for (int i = 0; i < 2; i++) {
        set_padding(&c, i, in->dim[1 + i]);
    }
    int64_t window = c.kernel[0] * c.kernel[1];
    const struct layer_tensor weight = {
        .shape = {.rank = 4, .dim = {c.kernel[0], c.kernel[1], in->dim[3] / groups, c.filters}},
        .layout = EXPORT_CONV};
    struct weighted_tail tail = {.units = c.filters};
    int w =
        weights(layer, &weight, window * (in->dim[3] / groups), window * c.filters / groups, &tail);
    weighted_finish(layer, graph_conv2d(layer->call->graph, layer->inputs[0].node, w, &c.window),
                    &tail);
}

/* The image that a convolution of this window would turn into the input. */
static struct shape transposed_shape(const struct shape *in, struct convolution *c,
                                     const int64_t output_padding[2])
{
    struct shape out = {.rank = 4, .dim = {in->dim[0], 0, 0, c->filters}};
    for (int i = 0; i < 2; i++) {
        int64_t stride = c->window.stride[i];
        int64_t reach = c->window.dilation[i] * (c->kernel[i] - 1) + 1;
        out.dim[1 + i] =
            c->same ? in->dim[1 + i] * stride
                    : (in->dim[1 + i] - 1) * stride + reach - 2 * c->padding[i] + output_padding[i];
        set_padding(c, i, out.dim[1 + i]);
    }
    return out;
}

void conv2d_transpose_build(struct layer *layer)
{
    struct convolution c;
    int64_t output_padding[2] = {0, 0};
    read_convolution(layer, &c);
    layer_read_pair(layer, "output_padding", 0, STRIDE_MAX, output_padding);
    for (int i = 0; i < 2; i++) {
        if (output_padding[i] > 0 && (c.same || output_padding[i] >= c.window.stride[i])) {
            layer_fail(layer, "output_padding",
                       "output_padding must be below the stride, and padding a number");
        }
    }
    if (layer->rc != CAM_OK) {
        return;
    }
    const struct shape *in = layer_shape(layer, 0);
    struct shape out = transposed_shape(in, &c, output_padding);
    if (out.dim[1] < 1 || out.dim[2] < 1) {
        layer_fail(layer, "padding",
                   "the padding leaves nothing of an image of %" PRId64 " x %" PRId64, in->dim[1],
                   in->dim[2]);
        return;
    }
    int64_t window = c.kernel[0] * c.kernel[1];
    const struct layer_tensor weight = {
        .shape = {.rank = 4, .dim = {c.kernel[0], c.kernel[1], c.filters, in->dim[3]}},
        .layout = EXPORT_CONV_TRANSPOSE};
    struct weighted_tail tail = {.units = c.filters};
    int w = weights(layer, &weight, window * c.filters, window * in->dim[3], &tail);
    weighted_finish(
        layer,
        graph_conv2d_grad_input(layer->call->graph, layer->inputs[0].node, w, &c.window, &out),
        &tail);
}
