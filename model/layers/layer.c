#include "model/layers/layer.h"

#include <string.h>

#define WEIGHTED_KEYS "use_bias", "initializer", "spectral_norm", "norm", "activation"

#define CONVOLUTION_KEYS "filters", "kernel", "stride", "padding", "dilation", "groups"
#define ATTENTION_KEYS   "heads", "causal", "dropout", "use_bias", "initializer"
#define RECURRENT_KEYS   "units", "layers", "bidirectional", "return", "dropout", "use_bias"
#define NORM_KEYS        "epsilon", "affine", "initializer"
#define POOL             .keys = {"size", "stride", "padding"}, .shorthand = "size", .inputs_max = 1
#define ACTIVATION(n, s, ...)                                                                      \
    {                                                                                              \
        .name = n, .keys = {__VA_ARGS__}, .shorthand = s, .inputs_max = 1, .keeps_form = true,     \
        .build = activation_build                                                                  \
    }

static const struct layer_type TYPES[] = {
    {.name = "dense",
     .keys = {"units", "tied", WEIGHTED_KEYS},
     .inputs_max = 1,
     .build = dense_build},
    {.name = "conv1d",
     .keys = {CONVOLUTION_KEYS, WEIGHTED_KEYS},
     .inputs_max = 1,
     .build = conv1d_build},
    {.name = "conv2d",
     .keys = {CONVOLUTION_KEYS, WEIGHTED_KEYS},
     .inputs_max = 1,
     .build = conv2d_build},
    {.name = "conv2d_transpose",
     .keys = {CONVOLUTION_KEYS, "output_padding", WEIGHTED_KEYS},
     .inputs_max = 1,
     .build = conv2d_transpose_build},
    {.name = "batch_norm",
     .keys = {"momentum", NORM_KEYS},
     .inputs_max = 1,
     .keeps_form = true,
     .build = batch_norm_build},
    {.name = "layer_norm",
     .keys = {"use_bias", NORM_KEYS},
     .inputs_max = 1,
     .keeps_form = true,
     .build = layer_norm_build},
    {.name = "group_norm",
     .keys = {"groups", NORM_KEYS},
     .shorthand = "groups",
     .inputs_max = 1,
     .build = group_norm_build},
    {.name = "instance_norm", .keys = {NORM_KEYS}, .inputs_max = 1, .build = instance_norm_build},
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
    {.name = "max_pool2d", POOL, .build = max_pool2d_build},
    {.name = "average_pool2d", POOL, .build = average_pool2d_build},
    {.name = "global_max_pool", .inputs_max = 1, .build = global_max_pool_build},
    {.name = "global_average_pool", .inputs_max = 1, .build = global_average_pool_build},
    {.name = "global_sum_pool", .inputs_max = 1, .build = global_sum_pool_build},
    {.name = "add", .inputs_max = NODE_INPUTS_MAX, .build = add_build},
    {.name = "concat", .inputs_max = NODE_INPUTS_MAX, .build = concat_build},
    {.name = "residual",
     .keys = {"body", "shortcut", "activation"},
     .shorthand = "body",
     .inputs_max = 1,
     .build = residual_build},
    {.name = "dropout",
     .keys = {"rate"},
     .shorthand = "rate",
     .inputs_max = 1,
     .keeps_form = true,
     .build = dropout_build},
    {.name = "minibatch_stddev",
     .keys = {"group"},
     .shorthand = "group",
     .inputs_max = 1,
     .build = minibatch_stddev_build},
    {.name = "embedding",
     .keys = {"vocabulary", "units", "token", "initializer", "spectral_norm"},
     .inputs_max = 1,
     .build = embedding_build},
    {.name = "positions",
     .keys = {"kind", "initializer"},
     .shorthand = "kind",
     .inputs_max = 1,
     .build = positions_build},
    {.name = "class_token", .keys = {"initializer"}, .inputs_max = 1, .build = class_token_build},
    {.name = "take", .keys = {"step"}, .shorthand = "step", .inputs_max = 1, .build = take_build},
    {.name = "attention", .keys = {ATTENTION_KEYS}, .inputs_max = 1, .build = attention_build},
    {.name = "transformer_block",
     .keys = {ATTENTION_KEYS, "mlp", "activation", "norm", "epsilon", "residual_initializer"},
     .inputs_max = 1,
     .build = transformer_block_build},
    {.name = "lstm", .keys = {RECURRENT_KEYS}, .inputs_max = 1, .build = lstm_build},
    {.name = "gru", .keys = {RECURRENT_KEYS}, .inputs_max = 1, .build = gru_build},
    ACTIVATION("relu", NULL, NULL),
    ACTIVATION("leaky_relu", "negative_slope", "negative_slope"),
    {.name = "prelu",
     .keys = {"initial", "by_channel"},
     .inputs_max = 1,
     .build = activation_build},
    ACTIVATION("relu6", NULL, NULL),
    ACTIVATION("elu", "alpha", "alpha"),
    ACTIVATION("celu", "alpha", "alpha"),
    ACTIVATION("selu", NULL, NULL),
    ACTIVATION("gelu", NULL, "approximate"),
    ACTIVATION("gelu_tanh", NULL, NULL),
    ACTIVATION("silu", NULL, NULL),
    ACTIVATION("mish", NULL, NULL),
    ACTIVATION("softplus", NULL, NULL),
    ACTIVATION("softsign", NULL, NULL),
    ACTIVATION("tanh", NULL, NULL),
    ACTIVATION("sigmoid", NULL, NULL),
    ACTIVATION("hard_sigmoid", NULL, NULL),
    ACTIVATION("hard_swish", NULL, NULL),
    ACTIVATION("softmax", NULL, NULL),
};

enum { TYPE_COUNT = sizeof TYPES / sizeof TYPES[0] };

/* The same names in the same order, as cam_nearest wants them; a test compares. */
static const char *const NAMES[] = {"dense",
                                    "conv1d",
                                    "conv2d",
                                    "conv2d_transpose",
                                    "batch_norm",
                                    "layer_norm",
                                    "group_norm",
                                    "instance_norm",
                                    "reshape",
                                    "flatten",
                                    "upsample2d",
                                    "max_pool2d",
                                    "average_pool2d",
                                    "global_max_pool",
                                    "global_average_pool",
                                    "global_sum_pool",
                                    "add",
                                    "concat",
                                    "residual",
                                    "dropout",
                                    "minibatch_stddev",
                                    "embedding",
                                    "positions",
                                    "class_token",
                                    "take",
                                    "attention",
                                    "transformer_block",
                                    "lstm",
                                    "gru",
                                    "relu",
                                    "leaky_relu",
                                    "prelu",
                                    "relu6",
                                    "elu",
                                    "celu",
                                    "selu",
                                    "gelu",
                                    "gelu_tanh",
                                    "silu",
                                    "mish",
                                    "softplus",
                                    "softsign",
                                    "tanh",
                                    "sigmoid",
                                    "hard_sigmoid",
                                    "hard_swish",
                                    "softmax"};
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
