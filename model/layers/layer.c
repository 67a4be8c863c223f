#include "model/layers/layer.h"

#include <string.h>

#define WEIGHTED_KEYS "use_bias", "initializer", "norm", "activation"

static const struct layer_type TYPES[] = {
    {.name = "dense", .keys = {"units", WEIGHTED_KEYS}, .inputs_max = 1, .build = dense_build},
    {.name = "conv2d",
     .keys = {"filters", "kernel", "stride", "padding", "dilation", "groups", WEIGHTED_KEYS},
     .inputs_max = 1,
     .build = conv2d_build},
    {.name = "conv2d_transpose",
     .keys = {"filters", "kernel", "stride", "padding", "output_padding", "dilation",
              WEIGHTED_KEYS},
     .inputs_max = 1,
     .build = conv2d_transpose_build},
    {.name = "batch_norm",
     .keys = {"momentum", "epsilon", "initializer"},
     .inputs_max = 1,
     .keeps_form = true,
     .build = batch_norm_build},
    {.name = "reshape",
     .keys = {"shape"},
     .shorthand = "shape",
     .inputs_max = 1,
     .build = reshape_build},
    {.name = "flatten", .inputs_max = 1, .build = flatten_build},
    {.name = "upsample2d",
     .keys = {"size", "interpolation"},
     .shorthand = "size",
     .inputs_max = 1,
     .build = upsample2d_build},
    {.name = "add", .inputs_max = NODE_INPUTS_MAX, .build = add_build},
    {.name = "concat", .inputs_max = NODE_INPUTS_MAX, .build = concat_build},
    {.name = "dropout",
     .keys = {"rate"},
     .shorthand = "rate",
     .inputs_max = 1,
     .keeps_form = true,
     .build = dropout_build},
    {.name = "relu", .inputs_max = 1, .keeps_form = true, .build = relu_build},
    {.name = "leaky_relu",
     .keys = {"negative_slope"},
     .shorthand = "negative_slope",
     .inputs_max = 1,
     .keeps_form = true,
     .build = leaky_relu_build},
    {.name = "tanh", .inputs_max = 1, .keeps_form = true, .build = tanh_build},
    {.name = "sigmoid", .inputs_max = 1, .keeps_form = true, .build = sigmoid_build},
};

enum { TYPE_COUNT = sizeof TYPES / sizeof TYPES[0] };

/* The same names in the same order, as cam_nearest wants them; a test compares. */
static const char *const NAMES[] = {
    "dense", "conv2d", "conv2d_transpose", "batch_norm", "reshape",    "flatten", "upsample2d",
    "add",   "concat", "dropout",          "relu",       "leaky_relu", "tanh",    "sigmoid"};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == TYPE_COUNT, "a name for every layer");

const struct layer_type *layer_find(const char *name)
{
    for (int i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(TYPES[i].name, name) == 0) {
            return &TYPES[i];
        }
    }
    return NULL;
}

const char *const *layer_names(size_t *count_out)
{
    *count_out = TYPE_COUNT;
    return NAMES;
}
