/*
 * He, Zhang, Ren, Sun, "Deep residual learning" (2015), as torchvision builds resnet18, resnet34
 * and resnet50 (the stride is in the 3 x 3 convolution).  The stem `imagenet` is a 7 x 7
 * convolution of stride 2 and a pool; `small`, for images of about 32 x 32, is one 3 x 3
 * convolution.
 */
#include "model/presets/preset.h"

#include <inttypes.h>
#include <stdio.h>

enum { STAGES = 4, WIDTH = 64 };

static const struct {
    int depth;
    bool bottleneck;
    int blocks[STAGES];
} DEPTHS[] = {
    {18, false, {2, 2, 2, 2}},
    {34, false, {3, 4, 6, 3}},
    {50, true, {3, 4, 6, 3}},
};
enum { DEPTH_COUNT = sizeof DEPTHS / sizeof DEPTHS[0] };

/* One block; x and out are names of layers. */
struct block {
    const char *x;
    const char *out;
    int64_t inputs; /* channels */
    int64_t width;
    int64_t outputs;
    int stride;
};

/* A convolution with a norm behind it, named NAME.convN and NAME.bnN. */
static void convolve(struct preset_build *build, const struct block *block, int number,
                     const char *input, int64_t filters, int kernel, int stride)
{
    preset_layer(build, "conv2d",
                 "{name: %s.conv%d, input: %s, filters: %" PRId64
                 ", kernel: %d, stride: %d, padding: %d, use_bias: false, "
                 "initializer: {normal: %.9g}}",
                 block->out, number, input, filters, kernel, stride, kernel / 2,
                 preset_fan_out_deviation(kernel, filters));
    preset_layer(build, "batch_norm", "{name: %s.bn%d}", block->out, number);
}

static void add_block(struct preset_build *build, const struct block *block, bool bottleneck)
{
    char before[PRESET_NAME_SIZE + 8];
    bool shortcut = block->stride != 1 || block->inputs != block->outputs;
    int last = bottleneck ? 3 : 2;
    (void)snprintf(before, sizeof before, "%s", block->x);
    for (int number = 1; number <= last; number++) {
        bool narrow = bottleneck && number != 2;
        bool strides = number == (bottleneck ? 2 : 1);
        convolve(build, block, number, before, number == last ? block->outputs : block->width,
                 narrow ? 1 : 3, strides ? block->stride : 1);
        if (number < last) {
            (void)snprintf(before, sizeof before, "%s.relu%d", block->out, number);
            preset_layer(build, "relu", "{name: %s}", before);
        }
    }
    if (shortcut) {
        preset_layer(build, "conv2d",
                     "{name: %s.downsample.0, input: %s, filters: %" PRId64
                     ", kernel: 1, stride: %d, use_bias: false, initializer: {normal: %.9g}}",
                     block->out, block->x, block->outputs, block->stride,
                     preset_fan_out_deviation(1, block->outputs));
        preset_layer(build, "batch_norm", "{name: %s.downsample.1}", block->out);
    }
    preset_layer(build, "add", "{input: [%s.bn%d, %s%s]}", block->out, last,
                 shortcut ? block->out : block->x, shortcut ? ".downsample.1" : "");
    preset_layer(build, "relu", "{name: %s}", block->out);
}

static void stem(struct preset_build *build, int64_t width, bool small)
{
    int kernel = small ? 3 : 7;
    preset_layer(build, "conv2d",
                 "{name: conv1, filters: %" PRId64
                 ", kernel: %d, stride: %d, padding: %d, use_bias: false, "
                 "initializer: {normal: %.9g}}",
                 width, kernel, small ? 1 : 2, kernel / 2, preset_fan_out_deviation(kernel, width));
    preset_layer(build, "batch_norm", "{name: bn1}");
    preset_layer(build, "relu", "{name: stem}");
    if (!small) {
        preset_layer(build, "max_pool2d", "{name: maxpool, size: 3, stride: 2, padding: 1}");
    }
}

void resnet_encoder(struct preset_build *build)
{
    static const char *const STEMS[] = {"imagenet", "small"};
    char names[2][PRESET_NAME_SIZE];
    int64_t width = preset_width(build, WIDTH);
    int64_t classes = preset_classes(build);
    bool small = preset_choice(build, "stem", STEMS, 2, 0) == 1;
    int row = 0;
    if (!preset_takes_images(build)) {
        return;
    }
    while (row < DEPTH_COUNT - 1 && DEPTHS[row].depth != build->variant) {
        row++;
    }
    bool bottleneck = DEPTHS[row].bottleneck;
    int64_t channels = width;
    int turn = 0;
    stem(build, width, small);
    (void)snprintf(names[turn], sizeof names[turn], "%s", small ? "stem" : "maxpool");
    for (int stage = 0; stage < STAGES; stage++) {
        for (int i = 0; i < DEPTHS[row].blocks[stage]; i++) {
            struct block block = {.x = names[turn], .inputs = channels, .width = width << stage};
            turn = 1 - turn;
            (void)snprintf(names[turn], sizeof names[turn], "layer%d.%d", stage + 1, i);
            block.out = names[turn];
            block.outputs = block.width * (bottleneck ? 4 : 1);
            block.stride = stage > 0 && i == 0 ? 2 : 1;
            add_block(build, &block, bottleneck);
            channels = block.outputs;
        }
    }
    preset_layer(build, "global_average_pool", NULL);
    if (classes > 0) {
        preset_layer(build, "dense", "{name: fc, units: %" PRId64 "}", classes);
    }
}
