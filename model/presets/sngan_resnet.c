/*
 * The residual GAN of Miyato et al., "Spectral normalization for generative adversarial networks"
 * (2018), with widths, first weights, bilinear upsampling and names of kwotsin/mimicry.  mimicry
 * has 32 x 32, 64 x 64 and 128 x 128 (and 48 x 48); 28 x 28 is the network of 32 x 32 with one
 * block less in the generator, which starts from 7 x 7.
 *
 * A 1 x 1 convolution commutes with upsampling and with average pooling, since their weights sum
 * to 1: shortcuts do it at the smaller size, which mimicry does at the larger one.
 */
#include "model/presets/preset.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { BLOCKS_MAX = 6, WIDTH_MOST = 8192 };

/* Channels are the width divided by a power of two: its exponents, block by block. */
struct size {
    int64_t side;
    int64_t bottom; /* the generator's first image */
    int64_t generator_width;
    int64_t discriminator_width;
    int64_t width_least; /* the width must be a multiple of it */
    int rises;           /* blocks of the generator, each doubles the side */
    int rise[BLOCKS_MAX];
    int falls; /* blocks of the discriminator; the first `halvings` halve the side */
    int halvings;
    int fall[BLOCKS_MAX];
};

static const struct size SIZES[] = {
    {28, 7, 256, 128, 1, 2, {0, 0}, 4, 2, {0, 0, 0, 0}},
    {32, 4, 256, 128, 1, 3, {0, 0, 0}, 4, 2, {0, 0, 0, 0}},
    {64, 4, 1024, 1024, 16, 4, {1, 2, 3, 4}, 5, 5, {4, 3, 2, 1, 0}},
    {128, 4, 1024, 1024, 16, 5, {0, 1, 2, 3, 4}, 6, 5, {4, 3, 2, 1, 0, 0}},
};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

static const struct size *find_size(struct preset_build *build, bool generator, int64_t *width_out)
{
    const struct data_shape *data = build->data;
    if (!preset_takes_images(build)) {
        return NULL;
    }
    for (int i = 0; i < SIZE_COUNT; i++) {
        const struct size *size = &SIZES[i];
        if (data->height != size->side || data->width != size->side) {
            continue;
        }
        *width_out = preset_int(build, "width", size->width_least, WIDTH_MOST,
                                generator ? size->generator_width : size->discriminator_width);
        if (*width_out % size->width_least != 0) {
            preset_fail(build,
                        "width of sngan_resnet is %" PRId64 ", a multiple of %" PRId64
                        " is expected for images of %" PRId64 " x %" PRId64,
                        *width_out, size->width_least, size->side, size->side);
        }
        return build->rc == CAM_OK ? size : NULL;
    }
    preset_fail(build,
                "preset sngan_resnet has images of 28 x 28, 32 x 32, 64 x 64 and 128 x 128, the "
                "data are %" PRId64 " x %" PRId64,
                data->height, data->width);
    return NULL;
}

/* One convolution of a block. */
struct convolution {
    const char *block;
    const char *name;  /* "c1" */
    const char *input; /* NULL: the layer before */
    int64_t from;
    int64_t to;
    int kernel;
    bool spectral;
};

static void convolve(struct preset_build *build, const struct convolution *c)
{
    int64_t window = (int64_t)c->kernel * c->kernel;
    double gain = c->kernel == 1 ? 1.0 : sqrt(2.0);
    preset_layer(build, "conv2d",
                 "{name: %s.%s%s%s, filters: %" PRId64 ", kernel: %d, padding: same%s, "
                 "initializer: {uniform: %.9g}}",
                 c->block, c->name, c->input != NULL ? ", input: " : "",
                 c->input != NULL ? c->input : "", c->to, c->kernel,
                 c->spectral ? ", spectral_norm: true" : "",
                 preset_glorot_bound(gain, c->from * window, c->to * window));
}

static void rise(struct preset_build *build, const char *x, const char *name, int64_t from,
                 int64_t to)
{
    static const char UP[] = "size: 2, interpolation: bilinear";
    preset_layer(build, "batch_norm", "{name: %s.b1, input: %s}", name, x);
    preset_layer(build, "relu", NULL);
    preset_layer(build, "upsample2d", "{%s}", UP);
    convolve(build, &(struct convolution){name, "c1", NULL, from, to, 3, false});
    preset_layer(build, "batch_norm", "{name: %s.b2}", name);
    preset_layer(build, "relu", NULL);
    convolve(build, &(struct convolution){name, "c2", NULL, to, to, 3, false});
    convolve(build, &(struct convolution){name, "c_sc", x, from, to, 1, false});
    preset_layer(build, "upsample2d", "{name: %s.shortcut, %s}", name, UP);
    preset_layer(build, "add", "{name: %s, input: [%s.c2, %s.shortcut]}", name, name, name);
}

void sngan_generator(struct preset_build *build)
{
    char names[2][PRESET_NAME_SIZE] = {"bottom", ""};
    int64_t width = 0;
    const struct size *size = find_size(build, true, &width);
    if (size == NULL) {
        return;
    }
    int64_t channels = width;
    preset_layer(build, "dense", "{name: l1, units: %" PRId64 ", initializer: glorot_uniform}",
                 size->bottom * size->bottom * width);
    preset_layer(build, "reshape", "{name: bottom, shape: [%" PRId64 ", %" PRId64 ", %" PRId64 "]}",
                 size->bottom, size->bottom, width);
    for (int i = 0; i < size->rises; i++) {
        int64_t next = width >> size->rise[i];
        (void)snprintf(names[(i + 1) % 2], sizeof names[0], "block%d", i + 2);
        rise(build, names[i % 2], names[(i + 1) % 2], channels, next);
        channels = next;
    }
    preset_layer(build, "batch_norm", "{name: b%d}", size->rises + 2);
    preset_layer(build, "relu", NULL);
    preset_layer(build, "conv2d",
                 "{name: c%d, filters: %" PRId64
                 ", kernel: 3, padding: same, activation: tanh, initializer: glorot_uniform}",
                 size->rises + 2, build->data->channels);
}

/* A block of the discriminator; the first one has no activation before it. */
struct fall {
    const char *x;
    const char *name;
    int64_t from;
    int64_t to;
    bool first;
    bool halves;
};

static void fall(struct preset_build *build, const struct fall *f)
{
    char shortcut[PRESET_NAME_SIZE];
    bool learned = f->halves || f->from != f->to;
    int64_t hidden = f->first ? f->to : f->from;
    (void)snprintf(shortcut, sizeof shortcut, "%s", f->x);
    if (!f->first) {
        preset_layer(build, "relu", "{name: %s.relu, input: %s}", f->name, f->x);
    }
    convolve(build, &(struct convolution){f->name, "c1", NULL, f->from, hidden, 3, true});
    preset_layer(build, "relu", NULL);
    convolve(build, &(struct convolution){f->name, "c2", NULL, hidden, f->to, 3, true});
    if (f->halves) {
        preset_layer(build, "average_pool2d", "{name: %s.pool, size: 2}", f->name);
        (void)snprintf(shortcut, sizeof shortcut, "%s.small", f->name);
        preset_layer(build, "average_pool2d", "{name: %s, input: %s, size: 2}", shortcut, f->x);
    }
    if (learned) {
        convolve(build, &(struct convolution){f->name, "c_sc", shortcut, f->from, f->to, 1, true});
        (void)snprintf(shortcut, sizeof shortcut, "%s.c_sc", f->name);
    }
    preset_layer(build, "add", "{name: %s, input: [%s.%s, %s]}", f->name, f->name,
                 f->halves ? "pool" : "c2", shortcut);
}

void sngan_discriminator(struct preset_build *build)
{
    char names[2][PRESET_NAME_SIZE] = {"image", ""};
    int64_t width = 0;
    const struct size *size = find_size(build, false, &width);
    if (size == NULL) {
        return;
    }
    int64_t channels = build->data->channels;
    for (int i = 0; i < size->falls; i++) {
        (void)snprintf(names[(i + 1) % 2], sizeof names[0], "block%d", i + 1);
        struct fall block = {.x = names[i % 2],
                             .name = names[(i + 1) % 2],
                             .from = channels,
                             .to = width >> size->fall[i],
                             .first = i == 0,
                             .halves = i < size->halvings};
        fall(build, &block);
        channels = block.to;
    }
    preset_layer(build, "relu", NULL);
    preset_layer(build, "global_sum_pool", NULL);
    preset_layer(build, "dense",
                 "{name: l%d, units: 1, spectral_norm: true, initializer: glorot_uniform}",
                 size->falls + 1);
}
