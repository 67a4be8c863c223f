/* Tensors and random streams of a layer, and their initial values. */
#include "model/layers/layer.h"

#include <math.h>
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

static struct tensor_wish wish(const struct layer *layer, const struct layer_tensor *tensor,
                               char *name, size_t size)
{
    (void)snprintf(name, size, "%s.%s", layer->path, tensor->suffix);
    return (struct tensor_wish){.name = name,
                                .shape = tensor->shape,
                                .layout = tensor->layout,
                                .image = tensor->image,
                                .part = layer->call->part,
                                .initial = tensor->initial};
}

int layer_parameter(struct layer *layer, const struct layer_tensor *tensor)
{
    char name[LAYER_NAME_SIZE + 32];
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

int layer_buffer(struct layer *layer, const struct layer_tensor *tensor, int *slot_out)
{
    char name[LAYER_NAME_SIZE + 32];
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

uint32_t layer_stream(struct layer *layer)
{
    char name[LAYER_NAME_SIZE + 64];
    uint32_t stream = 0;
    (void)snprintf(name, sizeof name, "%s/%s/%d", layer->call->phase, layer->path,
                   layer->call->call);
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

/* Divisions and square roots only, which IEEE rounds one way: the same bits on every machine. */
static struct initial uniform_of(double bound)
{
    return (struct initial){.kind = INITIAL_UNIFORM, .first = -bound, .second = bound};
}

static struct initial pytorch_default(double fan_in, double fan_out)
{
    (void)fan_out;
    return uniform_of(1.0 / sqrt(fan_in));
}

static struct initial glorot_uniform(double fan_in, double fan_out)
{
    return uniform_of(sqrt(6.0 / (fan_in + fan_out)));
}

static struct initial he_uniform(double fan_in, double fan_out)
{
    (void)fan_out;
    return uniform_of(sqrt(6.0 / fan_in));
}

static struct initial he_normal(double fan_in, double fan_out)
{
    (void)fan_out;
    return (struct initial){.kind = INITIAL_NORMAL, .second = sqrt(2.0 / fan_in)};
}

static struct initial zeros(double fan_in, double fan_out)
{
    (void)fan_in;
    (void)fan_out;
    return (struct initial){.kind = INITIAL_CONSTANT};
}

static const char *const INITIALIZERS[] = {"pytorch", "glorot_uniform", "he_uniform", "he_normal",
                                           "zeros"};
static struct initial (*const INITIALS[])(double fan_in, double fan_out) = {
    pytorch_default, glorot_uniform, he_uniform, he_normal, zeros};
enum { INITIALIZER_COUNT = sizeof INITIALS / sizeof INITIALS[0] };
_Static_assert(sizeof INITIALIZERS / sizeof INITIALIZERS[0] == INITIALIZER_COUNT, "one a name");

/* `{normal: 0.02}` and `{uniform: 0.05}`. */
static struct initial drawn_initial(struct layer *layer, const struct doc_node *map)
{
    static const char *const KEYS[] = {"normal", "uniform"};
    double width = 0.0;
    bool normal = doc_get(map, "normal") != NULL;
    if (layer->rc == CAM_OK) {
        layer->rc = doc_check_keys(map, "initializer", KEYS, 2, &layer->err);
    }
    if (layer->rc == CAM_OK) {
        layer->rc =
            doc_read_real(map, normal ? "normal" : "uniform", 0.0, 1e6, &width, &layer->err);
    }
    return normal ? (struct initial){.kind = INITIAL_NORMAL, .second = width} : uniform_of(width);
}

struct initial layer_initializer(struct layer *layer, int64_t fan_in, int64_t fan_out,
                                 bool *plain_out)
{
    const struct doc_node *node = doc_get(layer->attributes, "initializer");
    int choice = 0;
    *plain_out = node == NULL;
    if (node != NULL && node->kind == DOC_MAP) {
        return drawn_initial(layer, node);
    }
    layer_read_choice(layer, "initializer", INITIALIZERS, INITIALIZER_COUNT, &choice);
    *plain_out = choice == 0;
    return INITIALS[choice]((double)fan_in, (double)fan_out);
}
