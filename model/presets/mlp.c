/* Dense layers of one width, for every kind of part. */
#include "model/presets/preset.h"

#include <inttypes.h>

enum { WIDTH = 512, LAYERS = 2, LAYERS_MAX = 64, RELU = 0, LEAKY_RELU = 1 };

static const char *const ACTIVATIONS[] = {"relu", "leaky_relu", "gelu", "silu", "elu", "tanh"};
enum { ACTIVATION_COUNT = sizeof ACTIVATIONS / sizeof ACTIVATIONS[0] };

static void hidden(struct preset_build *build, int activation)
{
    int64_t width = preset_width(build, WIDTH);
    int64_t layers = preset_int(build, "layers", 0, LAYERS_MAX, LAYERS);
    double dropout = preset_dropout(build, 0.0);
    activation = preset_choice(build, "activation", ACTIVATIONS, ACTIVATION_COUNT, activation);
    for (int64_t i = 0; i < layers; i++) {
        preset_layer(build, "dense", "{units: %" PRId64 ", activation: %s}", width,
                     ACTIVATIONS[activation]);
        if (dropout > 0.0) {
            preset_layer(build, "dropout", "{rate: %.9g}", dropout);
        }
    }
}

static void check_no_classes(struct preset_build *build)
{
    if (doc_get(build->part->preset_attributes, "classes") != NULL) {
        preset_fail(build, "preset mlp of %s has no classes; encoder and head have",
                    build->part->name);
    }
}

void mlp_generator(struct preset_build *build)
{
    const struct data_shape *data = build->data;
    check_no_classes(build);
    if (!preset_takes_images(build)) {
        return;
    }
    hidden(build, RELU);
    preset_layer(build, "dense", "{units: %" PRId64 ", activation: tanh}",
                 data->height * data->width * data->channels);
    preset_layer(build, "reshape", "{shape: [%" PRId64 ", %" PRId64 ", %" PRId64 "]}", data->height,
                 data->width, data->channels);
}

void mlp_discriminator(struct preset_build *build)
{
    check_no_classes(build);
    if (!preset_takes_images(build)) {
        return;
    }
    preset_layer(build, "flatten", NULL);
    hidden(build, LEAKY_RELU);
    preset_layer(build, "dense", "{units: 1}");
}

void mlp_encoder(struct preset_build *build)
{
    int64_t classes = preset_classes(build);
    if (!preset_takes_images(build)) {
        return;
    }
    preset_layer(build, "flatten", NULL);
    hidden(build, RELU);
    if (classes > 0) {
        preset_layer(build, "dense", "{units: %" PRId64 "}", classes);
    }
}

/* Of text it judges every step by itself, of an image all features at once. */
void mlp_head(struct preset_build *build)
{
    int64_t classes = preset_classes(build);
    classes = classes > 0 ? classes : build->data->classes;
    if (build->data->length == 0) {
        preset_layer(build, "flatten", NULL);
    }
    hidden(build, RELU);
    preset_layer(build, "dense", "{units: %" PRId64 "}", classes);
}
