/* dense: (N, in) -> (N, units), and what follows the product in every weighted layer. */
#include "model/layers/layer.h"

enum { UNITS_MAX = 1 << 24 };

static const char *const NORMS[] = {"none", "batch"};

static int read_norm(struct layer *layer)
{
    int norm = 0;
    layer_read_choice(layer, "norm", NORMS, sizeof NORMS / sizeof NORMS[0], &norm);
    return norm;
}

bool weighted_has_bias(struct layer *layer)
{
    bool bias = read_norm(layer) == 0; /* a norm takes any bias away again */
    layer_read_bool(layer, "use_bias", &bias);
    return bias;
}

static bool is_last(const struct layer *layer)
{
    return layer->position == layer->call->spec->layer_count - 1;
}

void weighted_finish(struct layer *layer, int product, const struct weighted_tail *tail)
{
    struct graph *graph = layer->call->graph;
    size_t count = 0;
    const char *const *names = activation_names(&count);
    int activation = 0;
    int y = product;
    bool vector_image = layer->out.image[0] != 0;
    layer_read_choice(layer, "activation", names, count, &activation);
    if (weighted_has_bias(layer)) {
        int bias = layer_parameter(
            layer,
            &(struct layer_tensor){.suffix = "bias",
                                   .shape = {.rank = 1, .dim = {tail->units}},
                                   .layout = vector_image ? EXPORT_VECTOR_TO_IMAGE : EXPORT_SAME,
                                   .image = vector_image ? layer->out.image : NULL,
                                   .initial = tail->bias});
        y = graph_binary(graph, OP_ADD, y, bias);
    }
    if (read_norm(layer) != 0) {
        const struct norm_options options = {.prefix = "norm.",
                                             .momentum = 0.1,
                                             .epsilon = 1e-5,
                                             .gain = {.kind = INITIAL_CONSTANT, .first = 1.0}};
        y = batch_norm_apply(layer, y, &options);
    }
    if (!(layer->call->logits && is_last(layer) && activation_is_sigmoid(activation))) {
        y = activation_apply(graph, y, activation);
    }
    layer->out.node = y;
}

/* The image that this layer's units become, where only layers that keep the form stand between
 * it and a reshape to one. */
static bool becomes_image(const struct layer *layer, int64_t image_out[3])
{
    const struct part_spec *spec = layer->call->spec;
    for (int i = layer->position + 1; i < spec->layer_count; i++) {
        const struct layer_spec *next = &spec->layers[i];
        const struct layer_type *type = layer_find(next->type);
        if (type == NULL || next->input_count > 0) {
            return false;
        }
        if (type->build == reshape_build) {
            const struct doc_node *shape = next->attributes;
            shape = shape != NULL && shape->kind == DOC_MAP ? doc_get(shape, "shape") : shape;
            bool image = shape != NULL && shape->kind == DOC_LIST && shape->count == 3;
            for (int d = 0; image && d < 3; d++) {
                image = doc_int(shape->items[d], &image_out[d]) && image_out[d] > 0;
            }
            return image;
        }
        if (!type->keeps_form) {
            return false;
        }
    }
    return false;
}

void dense_build(struct layer *layer)
{
    const struct shape *in = layer_shape(layer, 0);
    const struct layer_value *input = &layer->inputs[0];
    int64_t units = 0;
    int64_t image[3] = {0};
    bool plain = false;
    layer_require(layer, "units", "1");
    layer_read_int(layer, "units", 1, UNITS_MAX, &units);
    if (in->rank != 2) {
        char text[96];
        layer_fail(layer, NULL, "takes features in a row, found %s; put flatten before it",
                   layer_sample_text(layer, 0, text, sizeof text));
    }
    if (layer->rc != CAM_OK) {
        return;
    }
    struct layer_tensor weight = {.suffix = "weight",
                                  .shape = {.rank = 2, .dim = {in->dim[1], units}},
                                  .layout = EXPORT_MATRIX};
    if (input->flattened[0] != 0) {
        weight.layout = EXPORT_MATRIX_FROM_IMAGE;
        weight.image = input->flattened;
    } else if (becomes_image(layer, image) && image[0] * image[1] * image[2] == units) {
        weight.layout = EXPORT_MATRIX_TO_IMAGE;
        weight.image = image;
        for (int d = 0; d < 3; d++) {
            layer->out.image[d] = image[d];
        }
    }
    weight.initial = layer_initializer(layer, in->dim[1], units, &plain);
    const struct weighted_tail tail = {.units = units,
                                       .bias = plain ? weight.initial
                                                     : (struct initial){.kind = INITIAL_CONSTANT}};
    int w = layer_parameter(layer, &weight);
    weighted_finish(layer, graph_matmul(layer->call->graph, input->node, w, false, false), &tail);
}
