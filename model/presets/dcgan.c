/*
 * Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional
 * generative adversarial networks" (2015), with the settings of pytorch/examples: weights
 * N(0, .02), gains N(1, .02), leaky relu 0.2, no bias before a norm.
 *
 * The image is halved by 4 x 4 convolutions of stride 2 until 4 x 4 or, where it does not come down
 * to that (28 x 28), 7 x 7; the generator is the mirror image.  Channels double from `width` at the
 * image's end.
 */
#include "model/presets/preset.h"

#include <inttypes.h>

#define NORMAL "initializer: {normal: 0.02}"

enum { HALVINGS_MAX = 7, WIDTH = 64 };

/* How often the image is halved, and what is left of its side; fails where it is no such image. */
static int halvings(struct preset_build *build, int64_t *side_out)
{
    int64_t side = build->data->height;
    int count = 0;
    if (!preset_takes_images(build)) {
        return 0;
    }
    while (side > 7 && side % 2 == 0) {
        side /= 2;
        count++;
    }
    if (build->data->width != build->data->height || count < 1 || count > HALVINGS_MAX ||
        (side != 4 && side != 7)) {
        preset_fail(build,
                    "preset dcgan needs square images whose side is 4 or 7 times a power of two "
                    "(28, 32, 64, ...), the data are %" PRId64 " x %" PRId64,
                    build->data->height, build->data->width);
    }
    *side_out = side;
    return count;
}

void dcgan_generator(struct preset_build *build)
{
    int64_t side = 0;
    int64_t width = preset_width(build, WIDTH);
    int count = halvings(build, &side);
    if (build->rc != CAM_OK) {
        return;
    }
    int64_t channels = width << (count - 1);
    preset_layer(build, "dense", "{units: %" PRId64 ", use_bias: false, " NORMAL "}",
                 side * side * channels);
    preset_layer(build, "reshape", "{shape: [%" PRId64 ", %" PRId64 ", %" PRId64 "]}", side, side,
                 channels);
    for (int i = count - 1; i >= 0; i--) {
        preset_layer(build, "batch_norm", "{" NORMAL "}");
        preset_layer(build, "relu", NULL);
        preset_layer(build, "conv2d_transpose",
                     "{filters: %" PRId64
                     ", kernel: 4, stride: 2, padding: same, use_bias: false, " NORMAL "}",
                     i == 0 ? build->data->channels : width << (i - 1));
    }
    preset_layer(build, "tanh", NULL);
}

void dcgan_discriminator(struct preset_build *build)
{
    int64_t side = 0;
    int64_t width = preset_width(build, WIDTH);
    int count = halvings(build, &side);
    for (int i = 0; i < count && build->rc == CAM_OK; i++) {
        preset_layer(build, "conv2d",
                     "{filters: %" PRId64
                     ", kernel: 4, stride: 2, padding: same, use_bias: false, " NORMAL "}",
                     width << i);
        if (i > 0) { /* none behind the image itself */
            preset_layer(build, "batch_norm", "{" NORMAL "}");
        }
        preset_layer(build, "leaky_relu", "{negative_slope: 0.2}");
    }
    preset_layer(build, "flatten", NULL);
    preset_layer(build, "dense", "{units: 1, use_bias: false, " NORMAL "}");
}
