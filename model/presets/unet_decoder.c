/*
 * The rising half of Ronneberger, Fischer, Brox, "U-Net" (2015), as a part of its own: without
 * what the falling half would pass across.  A dense layer makes the smallest image of the vector;
 * each level doubles its side by a 2 x 2 transposed convolution, which halves the channels, and
 * has two 3 x 3 convolutions with batch norms.
 */
#include "model/presets/preset.h"

#include <inttypes.h>

enum { WIDTH = 64, LEVELS_MAX = 6, SIDE_LARGE = 7 };

static int64_t levels_of(const struct data_shape *data)
{
    int64_t levels = 0;
    int64_t height = data->height;
    int64_t width = data->width;
    while (levels < LEVELS_MAX && height % 2 == 0 && width % 2 == 0 &&
           (height > SIDE_LARGE || width > SIDE_LARGE)) {
        height /= 2;
        width /= 2;
        levels++;
    }
    return levels;
}

static void convolve(struct preset_build *build, int64_t level, int number, int64_t channels)
{
    preset_layer(build, "conv2d",
                 "{name: up%" PRId64 ".conv.double_conv.%d, filters: %" PRId64
                 ", kernel: 3, padding: same, use_bias: false}",
                 level, number, channels);
    preset_layer(build, "batch_norm", "{name: up%" PRId64 ".conv.double_conv.%d}", level,
                 number + 1);
    preset_layer(build, "relu", NULL);
}

void unet_decoder(struct preset_build *build)
{
    const struct data_shape *data = build->data;
    int64_t width = preset_width(build, WIDTH);
    int64_t levels = preset_int(build, "levels", 1, LEVELS_MAX, levels_of(data));
    int64_t scale = INT64_C(1) << levels;
    if (preset_takes_images(build) &&
        (levels == 0 || data->height % scale != 0 || data->width % scale != 0)) {
        preset_fail(build,
                    "preset unet_decoder of %" PRId64 " levels needs images with sides divisible "
                    "by %" PRId64 ", the data are %" PRId64 " x %" PRId64,
                    levels, levels == 0 ? 2 : scale, data->height, data->width);
    }
    if (build->rc != CAM_OK) {
        return;
    }
    int64_t height = data->height / scale;
    int64_t breadth = data->width / scale;
    int64_t channels = width * scale;
    preset_layer(build, "dense", "{name: inc, units: %" PRId64 ", activation: relu}",
                 height * breadth * channels);
    preset_layer(build, "reshape", "{shape: [%" PRId64 ", %" PRId64 ", %" PRId64 "]}", height,
                 breadth, channels);
    for (int64_t level = 1; level <= levels; level++) {
        channels /= 2;
        preset_layer(build, "conv2d_transpose",
                     "{name: up%" PRId64 ".up, filters: %" PRId64 ", kernel: 2, stride: 2}", level,
                     channels);
        convolve(build, level, 0, channels);
        convolve(build, level, 3, channels);
    }
    preset_layer(build, "conv2d",
                 "{name: outc.conv, filters: %" PRId64 ", kernel: 1, activation: tanh}",
                 data->channels);
}
