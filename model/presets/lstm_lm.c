/*
 * The recurrent language model of pytorch/examples (word_language_model), with its names and first
 * weights: embedding, LSTM, dense layer, dropout before and behind the LSTM and between its layers.
 * Its state starts from 0 in every window.
 */
#include "model/presets/preset.h"

#include <inttypes.h>

enum { WIDTH = 200, LAYERS = 2, LAYERS_MAX = 64, VOCABULARY_MAX = 1 << 24 };

void lstm_lm_encoder(struct preset_build *build)
{
    int64_t classes = build->data->classes;
    int64_t vocabulary = preset_int(build, "vocabulary", classes, VOCABULARY_MAX, classes);
    int64_t width = preset_width(build, WIDTH);
    int64_t embedding = preset_int(build, "embedding", 1, INT16_MAX, width);
    int64_t layers = preset_int(build, "layers", 1, LAYERS_MAX, LAYERS);
    double dropout = preset_dropout(build, 0.2);
    bool tied = preset_bool(build, "tied", false);
    if (preset_takes_text(build) && tied && embedding != width) {
        preset_fail(build,
                    "preset lstm_lm with tied weights needs an embedding as wide as the LSTM, "
                    "found %" PRId64 " and width %" PRId64,
                    embedding, width);
    }
    preset_layer(build, "embedding",
                 "{name: encoder, vocabulary: %" PRId64 ", units: %" PRId64
                 ", initializer: {uniform: 0.1}}",
                 vocabulary, embedding);
    preset_layer(build, "dropout", "{rate: %.9g}", dropout);
    preset_layer(build, "lstm",
                 "{name: rnn, units: %" PRId64 ", layers: %" PRId64 ", dropout: %.9g}", width,
                 layers, dropout);
    preset_layer(build, "dropout", "{rate: %.9g}", dropout);
    if (tied) {
        preset_layer(build, "dense", "{name: decoder, tied: encoder}");
    } else {
        preset_layer(build, "dense",
                     "{name: decoder, units: %" PRId64 ", initializer: {uniform: 0.1}}",
                     vocabulary);
    }
}
