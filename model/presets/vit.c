/*
 * Dosovitskiy et al., "An image is worth 16 x 16 words" (2020), as timm builds vit_tiny_patch16,
 * vit_small_patch16 and vit_base_patch16 (and vit_base_patch32 with patch 32), with its names.
 * Tables are drawn from N(0, 0.02), where timm cuts the distribution at 2 (which is 100
 * deviations).
 */
#include "model/presets/preset.h"

#include <inttypes.h>

#define NORMAL "initializer: {normal: 0.02}"

enum { PATCH = 16, PATCH_MAX = 1024, LAYERS = 12, LAYERS_MAX = 128, HEADS_MAX = 256 };

static const char *const SIZES[] = {"tiny", "small", "base"};
static const struct {
    int64_t width;
    int64_t heads;
} SIZE_ROWS[] = {
    {192, 3},
    {384, 6},
    {768, 12},
};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0], SIZE_DEFAULT = 2 };
_Static_assert(sizeof SIZE_ROWS / sizeof SIZE_ROWS[0] == SIZE_COUNT, "a row for every size");

static const struct tensor_name NAMES[] = {
    {"cls_token.weight", "cls_token", false},
    {"pos_embed.weight", "pos_embed", false},
    {"self_attn.in_proj_weight", "attn.qkv.weight", false},
    {"self_attn.in_proj_bias", "attn.qkv.bias", false},
    {"self_attn.out_proj.weight", "attn.proj.weight", false},
    {"self_attn.out_proj.bias", "attn.proj.bias", false},
    {"linear1.weight", "mlp.fc1.weight", false},
    {"linear1.bias", "mlp.fc1.bias", false},
    {"linear2.weight", "mlp.fc2.weight", false},
    {"linear2.bias", "mlp.fc2.bias", false},
};

/* The image as a row of patches, each a vector. */
static void embed(struct preset_build *build, int64_t patch, int64_t width)
{
    const struct data_shape *data = build->data;
    if (preset_takes_images(build) && (data->height % patch != 0 || data->width % patch != 0)) {
        preset_fail(build,
                    "preset vit cuts images into patches of %" PRId64 " x %" PRId64
                    ", the data are %" PRId64 " x %" PRId64 ", patch must divide both",
                    patch, patch, data->height, data->width);
    }
    preset_layer(build, "conv2d",
                 "{name: patch_embed.proj, filters: %" PRId64 ", kernel: %" PRId64
                 ", stride: %" PRId64 "}",
                 width, patch, patch);
    preset_layer(build, "reshape", "{shape: [-1, %" PRId64 "]}", width);
    preset_layer(build, "class_token", "{name: cls_token, initializer: {normal: 1e-6}}");
    preset_layer(build, "positions", "{name: pos_embed}");
}

void vit_encoder(struct preset_build *build)
{
    int size = preset_choice(build, "size", SIZES, SIZE_COUNT, SIZE_DEFAULT);
    int64_t patch = preset_int(build, "patch", 1, PATCH_MAX, PATCH);
    int64_t width = preset_width(build, SIZE_ROWS[size].width);
    int64_t heads = preset_int(build, "heads", 1, HEADS_MAX, SIZE_ROWS[size].heads);
    int64_t layers = preset_int(build, "layers", 1, LAYERS_MAX, LAYERS);
    int64_t mlp = preset_int(build, "mlp", 1, INT32_MAX, 4 * width);
    int64_t classes = preset_classes(build);
    double dropout = preset_dropout(build, 0.0);
    build->names = NAMES;
    build->name_count = sizeof NAMES / sizeof NAMES[0];
    embed(build, patch, width);
    preset_layer(build, "dropout", "{rate: %.9g}", dropout);
    for (int64_t i = 0; i < layers; i++) {
        preset_layer(build, "transformer_block",
                     "{name: blocks.%" PRId64 ", heads: %" PRId64 ", mlp: %" PRId64
                     ", epsilon: 1e-6, dropout: %.9g, " NORMAL "}",
                     i, heads, mlp, dropout);
    }
    preset_layer(build, "take", "{step: 0}");
    preset_layer(build, "layer_norm", "{name: norm, epsilon: 1e-6}");
    if (classes > 0) {
        preset_layer(build, "dense", "{name: head, units: %" PRId64 ", " NORMAL "}", classes);
    }
}
