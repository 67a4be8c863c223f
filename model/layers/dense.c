/* dense: (N, in) -> (N, units), or a row of it for every step of a sequence (N, T, in). */
#include "model/layers/layer.h"

enum { UNITS_MAX = 1 << 24 };

/* The image that this layer's units become, where only layers that keep the form stand between
 * it and a reshape to one. */
static bool becomes_image(const struct layer *layer, int64_t image_out[3])
{
    for (int i = layer->position + 1; i < layer->scope->count; i++) {
        const struct layer_spec *next = &layer->scope->layers[i];
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

int rows_product(struct graph *graph, int x, int w)
{
    if (x < 0 || w < 0) {
        return NODE_NONE;
    }
    struct shape out = graph_node(graph, x)->shape;
    int64_t features = out.dim[out.rank - 1];
    const struct shape rows = {.rank = 2, .dim = {shape_count(&out) / features, features}};
    out.dim[out.rank - 1] = graph_node(graph, w)->shape.dim[1];
    int y = graph_matmul(graph, graph_reshape(graph, x, &rows), w, false, false);
    return graph_reshape(graph, y, &out);
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
    if (in->rank != 2 && in->rank != 3) {
        char text[96];
        layer_fail(layer, NULL, "takes features in a row, found %s; put flatten before it",
                   layer_sample_text(layer, 0, text, sizeof text));
    }
    if (layer->rc != CAM_OK) {
        return;
    }
    int64_t features = in->dim[in->rank - 1];
    struct layer_tensor weight = {.suffix = "weight",
                                  .shape = {.rank = 2, .dim = {features, units}},
                                  .layout = EXPORT_MATRIX};
    if (input->flattened[0] != 0) {
        weight.layout = EXPORT_MATRIX_FROM_IMAGE;
        weight.image = input->flattened;
    } else if (in->rank == 2 && becomes_image(layer, image) &&
               image[0] * image[1] * image[2] == units) {
        weight.layout = EXPORT_MATRIX_TO_IMAGE;
        weight.image = image;
        for (int d = 0; d < 3; d++) {
            layer->out.image[d] = image[d];
        }
    }
    weight.initial = layer_initializer(layer, features, units, &plain);
    const struct weighted_tail tail = {.units = units,
                                       .bias = plain ? weight.initial
                                                     : (struct initial){.kind = INITIAL_CONSTANT}};
    int w = layer_parameter(layer, &weight);
    weighted_finish(layer, rows_product(layer->call->graph, input->node, w), &tail);
}
