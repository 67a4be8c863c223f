/*
 * The convolutional GAN of the survey that this project started from.  Generator: dense 7 x 7 x
 * width, four 5 x 5 convolutions, a 7 x 7 convolution to the image.  As printed it ends at 7 x 7;
 * the two upsamplings that it needs stand before the first two convolutions.  Discriminator: two
 * 5 x 5 convolutions at full size, a dense logit (its sigmoid is part of the loss).
 */
#include "model/presets/preset.h"

#include <inttypes.h>

enum { WIDTH = 128 };

void classic_generator(struct preset_build *build)
{
    const struct data_shape *data = build->data;
    int64_t side = data->height / 4;
    int64_t width = preset_width(build, WIDTH);
    if (!preset_takes_squares(build, 4)) {
        return;
    }
    preset_layer(build, "dense", "{units: %" PRId64 ", activation: relu}", side * side * width);
    preset_layer(build, "reshape", "{shape: [%" PRId64 ", %" PRId64 ", %" PRId64 "]}", side, side,
                 width);
    for (int i = 0; i < 4; i++) {
        if (i < 2) {
            preset_layer(build, "upsample2d", "{size: 2}");
        }
        preset_layer(build, "conv2d",
                     "{filters: %" PRId64 ", kernel: 5, padding: same, activation: relu}", width);
    }
    preset_layer(build, "conv2d",
                 "{filters: %" PRId64 ", kernel: 7, padding: same, activation: tanh}",
                 data->channels);
}

void classic_discriminator(struct preset_build *build)
{
    int64_t width = preset_width(build, WIDTH);
    for (int i = 0; i < 2; i++) {
        preset_layer(build, "conv2d",
                     "{filters: %" PRId64 ", kernel: 5, padding: same, activation: relu}", width);
    }
    preset_layer(build, "flatten", NULL);
    preset_layer(build, "dense", "{units: 1, activation: sigmoid}");
}
