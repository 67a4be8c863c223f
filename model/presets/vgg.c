/*
 * Simonyan, Zisserman, "Very deep convolutional networks" (2014), configurations A, B, D and E, as
 * torchvision builds vgg11 to vgg19 (and vgg11_bn to vgg19_bn with batch_norm): convolutions of 3 x
 * 3 between five pools, two hidden dense layers.  Where the image is not 224 x 224 the first of
 * these takes what the pools leave, which torchvision would pool to 7 x 7.
 */
#include "model/presets/preset.h"

#include <inttypes.h>

enum { STAGES = 5, WIDTH = 64, HIDDEN = 4096, HIDDEN_MAX = 1 << 16 };

/* Convolutions of each stage; its channels are width times 1, 2, 4, 8, 8. */
static const struct {
    int depth;
    int convolutions[STAGES];
} DEPTHS[] = {
    {11, {1, 1, 2, 2, 2}},
    {13, {2, 2, 2, 2, 2}},
    {16, {2, 2, 3, 3, 3}},
    {19, {2, 2, 4, 4, 4}},
};
enum { DEPTH_COUNT = sizeof DEPTHS / sizeof DEPTHS[0] };

/* Layers are numbered as in torchvision's Sequential, those without weights too. */
static void features(struct preset_build *build, const int convolutions[STAGES])
{
    int64_t width = preset_width(build, WIDTH);
    bool norm = preset_bool(build, "batch_norm", false);
    int number = 0;
    for (int stage = 0; stage < STAGES; stage++) {
        int64_t channels = width << (stage < 3 ? stage : 3);
        for (int i = 0; i < convolutions[stage]; i++) {
            preset_layer(build, "conv2d",
                         "{name: features.%d, filters: %" PRId64
                         ", kernel: 3, padding: 1, initializer: {normal: %.9g}}",
                         number++, channels, preset_fan_out_deviation(3, channels));
            if (norm) {
                preset_layer(build, "batch_norm", "{name: features.%d}", number++);
            }
            preset_layer(build, "relu", NULL);
            number++;
        }
        preset_layer(build, "max_pool2d", "{size: 2}");
        number++;
    }
}

void vgg_encoder(struct preset_build *build)
{
    const struct data_shape *data = build->data;
    int64_t hidden = preset_int(build, "hidden", 0, HIDDEN_MAX, HIDDEN);
    int64_t classes = preset_classes(build);
    double dropout = preset_dropout(build, 0.5);
    if (preset_takes_images(build) && (data->height < 1 << STAGES || data->width < 1 << STAGES)) {
        preset_fail(build,
                    "preset %s halves images five times, the data are %" PRId64 " x %" PRId64
                    ", at least 32 x 32 is allowed",
                    build->part->preset, data->height, data->width);
    }
    for (int i = 0; i < DEPTH_COUNT; i++) {
        if (DEPTHS[i].depth == build->variant) {
            features(build, DEPTHS[i].convolutions);
        }
    }
    preset_layer(build, "flatten", NULL);
    for (int i = 0; i < 2 && hidden > 0; i++) {
        preset_layer(build, "dense",
                     "{name: classifier.%d, units: %" PRId64
                     ", activation: relu, initializer: {normal: 0.01}}",
                     3 * i, hidden);
        preset_layer(build, "dropout", "{rate: %.9g}", dropout);
    }
    if (classes > 0) {
        preset_layer(build, "dense",
                     "{name: classifier.%d, units: %" PRId64 ", initializer: {normal: 0.01}}",
                     hidden > 0 ? 6 : 0, classes);
    }
}
