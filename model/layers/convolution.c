/* conv2d and conv2d_transpose over images (N,H,W,C); conv1d over sequences (N,T,C). */
#include "model/layers/layer.h"

#include <inttypes.h>
#include <string.h>

enum { FILTERS_MAX = 1 << 20, KERNEL_MAX = 1024, STRIDE_MAX = 1024, PADDING_MAX = 1024 };

struct convolution {
    int64_t filters;
    int64_t kernel[2];
    int64_t padding[2];
    bool same;
    bool causal;
    struct window window;
};

/* `same`, `valid` or a number (or two) on both sides, as PyTorch's; `causal` for sequences. */
static void read_padding(struct layer *layer, struct convolution *c, size_t choices)
{
    static const char *const NAMES[] = {"valid", "same", "causal"};
    const struct doc_node *node = doc_get(layer->attributes, "padding");
    int64_t number = 0;
    bool sequence = choices > 2; /* which has one padding on both sides */
    if (node != NULL && ((node->kind == DOC_LIST && !sequence) || doc_int(node, &number))) {
        layer_read_pair(layer, "padding", 0, PADDING_MAX, c->padding);
    } else {
        int choice = 0;
        layer_read_choice(layer, "padding", NAMES, choices, &choice);
        c->same = choice == 1;
        c->causal = choice == 2;
    }
}

/* What all three share; the caller checks the input. */
static void read_convolution(struct layer *layer, struct convolution *c)
{
    *c = (struct convolution){.window = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1}};
    layer_require(layer, "filters", "64");
    layer_require(layer, "kernel", "3");
    layer_read_int(layer, "filters", 1, FILTERS_MAX, &c->filters);
    layer_read_int(layer, "groups", 1, FILTERS_MAX, &c->window.groups);
}

static void read_window2d(struct layer *layer, struct convolution *c)
{
    layer_read_pair(layer, "kernel", 1, KERNEL_MAX, c->kernel);
    layer_read_pair(layer, "stride", 1, STRIDE_MAX, c->window.stride);
    layer_read_pair(layer, "dilation", 1, STRIDE_MAX, c->window.dilation);
    read_padding(layer, c, 2);
}

/* A sequence is an image of height 1. */
static void read_window1d(struct layer *layer, struct convolution *c)
{
    c->kernel[0] = 1;
    layer_read_int(layer, "kernel", 1, KERNEL_MAX, &c->kernel[1]);
    layer_read_int(layer, "stride", 1, STRIDE_MAX, &c->window.stride[1]);
    layer_read_int(layer, "dilation", 1, STRIDE_MAX, &c->window.dilation[1]);
    read_padding(layer, c, 3);
    c->padding[0] = 0;
}

static bool check_groups(struct layer *layer, const struct convolution *c, int64_t channels)
{
    int64_t groups = c->window.groups;
    if (layer->rc == CAM_OK && (channels % groups != 0 || c->filters % groups != 0)) {
        layer_fail(layer, "groups",
                   "groups is %" PRId64 ", it must divide the %" PRId64 " channels and the %" PRId64
                   " filters",
                   groups, channels, c->filters);
    }
    return layer->rc == CAM_OK;
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
    w->pad_before[axis] = c->same ? total / 2 : c->causal ? reach - 1 : c->padding[axis];
    w->pad_after[axis] = c->same ? total - total / 2 : c->causal ? 0 : c->padding[axis];
}

/* The layer's weights and their initial values.  As PyTorch's, fan_in is the second axis of its
 * weight tensor times the kernel, fan_out the first, whatever the groups. */
static int weights(struct layer *layer, const struct layer_tensor *tensor, int64_t fan_in,
                   int64_t fan_out, struct weighted_tail *tail)
{
    bool plain = false;
    struct layer_tensor weight = *tensor;
    weight.suffix = "weight";
    weight.initial = layer_initializer(layer, fan_in, fan_out, &plain);
    tail->bias = plain ? weight.initial : (struct initial){.kind = INITIAL_CONSTANT};
    tail->weight = layer_parameter(layer, &weight);
    return tail->weight;
}

/* x is (N,H,W,C); the node of the whole layer goes to layer->out. */
static void convolve(struct layer *layer, struct convolution *c, int x, enum export_layout layout)
{
    const struct shape in = graph_node(layer->call->graph, x)->shape;
    int64_t inputs = in.dim[3] / c->window.groups;
    int64_t window = c->kernel[0] * c->kernel[1];
    const struct layer_tensor weight = {
        .shape = {.rank = 4, .dim = {c->kernel[0], c->kernel[1], inputs, c->filters}},
        .layout = layout};
    struct weighted_tail tail = {.units = c->filters, .axis = 3};
    for (int i = 0; i < 2; i++) {
        set_padding(c, i, in.dim[1 + i]);
    }
    int w = weights(layer, &weight, window * inputs, window * c->filters, &tail);
    weighted_finish(layer, graph_conv2d(layer->call->graph, x, w, &c->window), &tail);
}

void conv2d_build(struct layer *layer)
{
    struct convolution c;
    read_convolution(layer, &c);
    read_window2d(layer, &c);
    if (layer_takes_images(layer) && check_groups(layer, &c, layer_shape(layer, 0)->dim[3])) {
        convolve(layer, &c, layer->inputs[0].node, EXPORT_CONV);
    }
}

void conv1d_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    struct convolution c;
    read_convolution(layer, &c);
    read_window1d(layer, &c);
    if (!layer_takes_sequences(layer) || !check_groups(layer, &c, layer_shape(layer, 0)->dim[2])) {
        return;
    }
    const int64_t *in = layer_shape(layer, 0)->dim;
    const struct shape image = {.rank = 4, .dim = {in[0], 1, in[1], in[2]}};
    convolve(layer, &c, graph_reshape(graph, layer->inputs[0].node, &image), EXPORT_CONV1D);
    if (layer->out.node >= 0) {
        const int64_t *d = graph_node(graph, layer->out.node)->shape.dim;
        const struct shape out = {.rank = 3, .dim = {d[0], d[2], d[3]}};
        layer->out.node = graph_reshape(graph, layer->out.node, &out);
    }
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
    read_window2d(layer, &c);
    layer_read_pair(layer, "output_padding", 0, STRIDE_MAX, output_padding);
    for (int i = 0; i < 2; i++) {
        if (output_padding[i] > 0 && (c.same || output_padding[i] >= c.window.stride[i])) {
            layer_fail(layer, "output_padding",
                       "output_padding must be below the stride, and padding a number");
        }
    }
    if (!layer_takes_images(layer) || !check_groups(layer, &c, layer_shape(layer, 0)->dim[3])) {
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
    int64_t outputs = c.filters / c.window.groups;
    int64_t window = c.kernel[0] * c.kernel[1];
    const struct layer_tensor weight = {
        .shape = {.rank = 4, .dim = {c.kernel[0], c.kernel[1], outputs, in->dim[3]}},
        .layout = EXPORT_CONV_TRANSPOSE};
    struct weighted_tail tail = {.units = c.filters, .axis = 2};
    int w = weights(layer, &weight, window * outputs, window * in->dim[3], &tail);
    weighted_finish(
        layer,
        graph_conv2d_grad_input(layer->call->graph, layer->inputs[0].node, w, &c.window, &out),
        &tail);
}
