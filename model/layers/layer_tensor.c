/* Tensors and random streams of a layer, and the shapes it meets. */
#include "model/layers/layer.h"

#include <stdio.h>
#include <string.h>

const struct shape *layer_shape(const struct layer *layer, int input)
{
    return &graph_node(layer->call->graph, layer->inputs[input].node)->shape;
}

const char *layer_sample_text(const struct layer *layer, int input, char *buffer, size_t size)
{
    struct shape sample = shape_sample(layer_shape(layer, input));
    return shape_text(&sample, buffer, size);
}

static bool takes(struct layer *layer, int rank, const char *what)
{
    if (layer_shape(layer, 0)->rank == rank) {
        return layer->rc == CAM_OK;
    }
    char text[96];
    layer_fail(layer, NULL, "takes %s, found %s", what,
               layer_sample_text(layer, 0, text, sizeof text));
    return false;
}

bool layer_takes_images(struct layer *layer)
{
    return takes(layer, 4, "images (height, width, channels)");
}

bool layer_takes_sequences(struct layer *layer)
{
    return takes(layer, 3, "sequences (steps, channels)");
}

/* PATH.SUFFIX, or as the part's preset publishes it; the row of that, or NULL. */
static const struct tensor_name *name_tensor(const struct layer *layer, const char *suffix,
                                             char *name, size_t size)
{
    const struct part_spec *spec = layer->call->spec;
    (void)snprintf(name, size, "%s.%s", layer->path, suffix);
    size_t length = strlen(name);
    for (int i = 0; i < spec->tensor_name_count; i++) {
        const struct tensor_name *row = &spec->tensor_names[i];
        size_t tail = strlen(row->own);
        if (length > tail && name[length - tail - 1] == '.' &&
            strcmp(name + length - tail, row->own) == 0) {
            (void)snprintf(name + length - tail, size - length + tail, "%s", row->published);
            return row;
        }
    }
    return NULL;
}

static struct tensor_wish wish(const struct layer *layer, const struct layer_tensor *tensor,
                               char *name, size_t size)
{
    const struct tensor_name *row = name_tensor(layer, tensor->suffix, name, size);
    return (struct tensor_wish){.name = name,
                                .shape = tensor->shape,
                                .layout =
                                    row != NULL && row->in_first ? EXPORT_SAME : tensor->layout,
                                .image = tensor->image,
                                .part = layer->call->part,
                                .initial = tensor->initial,
                                .fresh = layer->call->parameters == NULL};
}

int layer_parameter(struct layer *layer, const struct layer_tensor *tensor)
{
    char name[LAYER_NAME_SIZE + 64];
    struct tensor_wish w = wish(layer, tensor, name, sizeof name);
    int slot = 0;
    if (layer->rc == CAM_OK) {
        struct cam_err err = {0};
        enum cam_code rc = tensors_parameter(layer->call->tensors, &w, &slot, &err);
        if (rc != CAM_OK) {
            layer_fail(layer, NULL, "%s", err.text);
            layer->rc = rc;
        }
    }
    if (layer->rc != CAM_OK) {
        return NODE_NONE;
    }
    return layer->call->parameters != NULL
               ? layer->call->parameters[slot]
               : graph_leaf(layer->call->graph, OP_PARAMETER, slot, &tensor->shape);
}

int layer_parameter_named(const struct layer *layer, const char *name)
{
    const struct part_call *call = layer->call;
    const struct tensor_table *table = &call->tensors->parameters;
    for (int i = 0; i < table->count; i++) {
        if (strcmp(table->rows[i].name, name) == 0) {
            return call->parameters != NULL
                       ? call->parameters[i]
                       : graph_leaf(call->graph, OP_PARAMETER, i, &table->rows[i].shape);
        }
    }
    return NODE_NONE;
}

int layer_buffer(struct layer *layer, const struct layer_tensor *tensor, int *slot_out)
{
    char name[LAYER_NAME_SIZE + 64];
    struct tensor_wish w = wish(layer, tensor, name, sizeof name);
    if (layer->rc == CAM_OK) {
        struct cam_err err = {0};
        enum cam_code rc = tensors_buffer(layer->call->tensors, &w, slot_out, &err);
        if (rc != CAM_OK) {
            layer_fail(layer, NULL, "%s", err.text);
            layer->rc = rc;
        }
    }
    return layer->rc == CAM_OK
               ? graph_leaf(layer->call->graph, OP_BUFFER, *slot_out, &tensor->shape)
               : NODE_NONE;
}

uint32_t layer_stream(struct layer *layer, const char *label)
{
    char name[LAYER_NAME_SIZE + 64];
    uint32_t stream = 0;
    (void)snprintf(name, sizeof name, "%s/%s%s%s/%d", layer->call->phase, layer->path,
                   label != NULL ? "/" : "", label != NULL ? label : "", layer->call->call);
    if (layer->rc == CAM_OK) {
        struct cam_err err = {0};
        enum cam_code rc = streams_take(layer->call->tensors->streams, name, &stream, &err);
        if (rc != CAM_OK) {
            layer_fail(layer, NULL, "%s", err.text);
            layer->rc = rc;
        }
    }
    return stream;
}
