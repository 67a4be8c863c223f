/* dense: (N, in) -> (N, units), or a row of it for every step of a sequence (N, T, in). */
#include "model/layers/layer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
            int64_t count = 1; /* a product of more units than there may be does not overflow */
            for (int d = 0; image && d < 3; d++) {
                image = doc_int(shape->items[d], &image_out[d]) && image_out[d] > 0 &&
                        image_out[d] <= UNITS_MAX / count;
                count *= image ? image_out[d] : 1;
            }
            return image;
        }
        if (!type->keeps_form) {
            return false;
        }
    }
    return false;
}

/* (...,in) times w, (in,out) or (out,in) transposed. */
static int product(struct graph *graph, int x, int w, bool transposed)
{
    if (x < 0 || w < 0) {
        return NODE_NONE;
    }
    struct shape out = graph_node(graph, x)->shape;
    int64_t features = out.dim[out.rank - 1];
    const struct shape rows = {.rank = 2, .dim = {shape_count(&out) / features, features}};
    out.dim[out.rank - 1] = graph_node(graph, w)->shape.dim[transposed ? 0 : 1];
    int y = graph_matmul(graph, graph_reshape(graph, x, &rows), w, false, transposed);
    return graph_reshape(graph, y, &out);
}

int rows_product(struct graph *graph, int x, int w)
{
    return product(graph, x, w, false);
}

/* The table of the embedding that `tied:` names, which gives a logit for each of its rows. */
static int tied_table(struct layer *layer, const char *name, int64_t features, int64_t *units)
{
    char path[LAYER_NAME_SIZE];
    char weight[LAYER_NAME_SIZE + 16];
    const struct layer_spec *spec = layer_named(layer, name, path);
    if (spec == NULL || strcmp(spec->type, "embedding") != 0) {
        layer_fail(layer, "tied", "tied is '%s', %s is expected", name,
                   spec == NULL ? "the name of an embedding above" : "an embedding");
        return NODE_NONE;
    }
    (void)snprintf(weight, sizeof weight, "%s.weight", path);
    int table = layer_parameter_named(layer, weight);
    if (table < 0) {
        return NODE_NONE;
    }
    const struct shape *shape = &graph_node(layer->call->graph, table)->shape;
    if (features != shape->dim[1] || (*units != 0 && *units != shape->dim[0])) {
        layer_fail(layer, "tied",
                   "%s has %" PRId64 " rows of %" PRId64 ", found features of %" PRId64
                   " and %" PRId64 " units",
                   name, shape->dim[0], shape->dim[1], features,
                   *units == 0 ? shape->dim[0] : *units);
        return NODE_NONE;
    }
    *units = shape->dim[0];
    return table;
}

static void tied_build(struct layer *layer, const char *name, int64_t units)
{
    const struct shape *in = layer_shape(layer, 0);
    int table = tied_table(layer, name, in->dim[in->rank - 1], &units);
    const struct weighted_tail tail = {.units = units, .weight = table};
    if (doc_get(layer->attributes, "initializer") != NULL) {
        layer_fail(layer, "initializer", "initializer with tied: the weights are those of %s",
                   name);
    }
    weighted_finish(layer, product(layer->call->graph, layer->inputs[0].node, table, true), &tail);
}

void dense_build(struct layer *layer)
{
    const struct shape *in = layer_shape(layer, 0);
    const struct layer_value *input = &layer->inputs[0];
    int64_t units = 0;
    int64_t image[3] = {0};
    bool plain = false;
    const char *tied = NULL;
    layer_read_text(layer, "tied", &tied);
    if (tied == NULL) {
        layer_require(layer, "units", "1");
    }
    layer_read_int(layer, "units", 1, UNITS_MAX, &units);
    if (in->rank != 2 && in->rank != 3) {
        char text[96];
        layer_fail(layer, NULL, "takes features in a row, found %s; put flatten before it",
                   layer_sample_text(layer, 0, text, sizeof text));
    }
    if (layer->rc == CAM_OK && tied != NULL) {
        tied_build(layer, tied, units);
    }
    if (layer->rc != CAM_OK || tied != NULL) {
        return;
    }
    int64_t features = in->dim[in->rank - 1];
    layer->call->features = input->node;
    layer->call->features_known = true;
    memcpy(layer->call->features_image, input->flattened, sizeof input->flattened);
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
    struct weighted_tail tail = {.units = units,
                                 .axis = 1,
                                 .bias = plain ? weight.initial
                                               : (struct initial){.kind = INITIAL_CONSTANT}};
    tail.weight = layer_parameter(layer, &weight);
    weighted_finish(layer, rows_product(layer->call->graph, input->node, tail.weight), &tail);
}
