/*
 * Devlin et al., "BERT" (2018): the encoder, as Hugging Face's BertModel builds bert-base, with its
 * names; but queries, keys and values are one tensor, attention.self.in_proj_weight, the three in
 * this order.  Every token is of the first segment.
 */
#include "model/presets/preset.h"

#include <inttypes.h>

#define NORMAL "initializer: {normal: 0.02}"

enum { WIDTH = 768, LAYERS = 12, LAYERS_MAX = 128, HEADS_MAX = 256, VOCABULARY_MAX = 1 << 24 };

static const struct tensor_name NAMES[] = {
    {"self_attn.in_proj_weight", "attention.self.in_proj_weight", false},
    {"self_attn.in_proj_bias", "attention.self.in_proj_bias", false},
    {"self_attn.out_proj.weight", "attention.output.dense.weight", false},
    {"self_attn.out_proj.bias", "attention.output.dense.bias", false},
    {"norm1.weight", "attention.output.LayerNorm.weight", false},
    {"norm1.bias", "attention.output.LayerNorm.bias", false},
    {"linear1.weight", "intermediate.dense.weight", false},
    {"linear1.bias", "intermediate.dense.bias", false},
    {"linear2.weight", "output.dense.weight", false},
    {"linear2.bias", "output.dense.bias", false},
    {"norm2.weight", "output.LayerNorm.weight", false},
    {"norm2.bias", "output.LayerNorm.bias", false},
};

static void embed(struct preset_build *build, int64_t width, double dropout)
{
    int64_t classes = build->data->classes;
    int64_t vocabulary = preset_int(build, "vocabulary", classes, VOCABULARY_MAX, classes);
    preset_layer(build, "embedding",
                 "{name: embeddings.word_embeddings, vocabulary: %" PRId64 ", units: %" PRId64
                 ", " NORMAL "}",
                 vocabulary, width);
    preset_layer(build, "embedding",
                 "{name: embeddings.token_type_embeddings, input: text, vocabulary: 2, "
                 "token: 0, units: %" PRId64 ", " NORMAL "}",
                 width);
    preset_layer(build, "add",
                 "{input: [embeddings.word_embeddings, embeddings.token_type_embeddings]}");
    preset_layer(build, "positions", "{name: embeddings.position_embeddings}");
    preset_layer(build, "layer_norm", "{name: embeddings.LayerNorm, epsilon: 1e-12}");
    preset_layer(build, "dropout", "{rate: %.9g}", dropout);
}

void bert_encoder(struct preset_build *build)
{
    int64_t width = preset_width(build, WIDTH);
    int64_t heads = preset_int(build, "heads", 1, HEADS_MAX, LAYERS);
    int64_t layers = preset_int(build, "layers", 1, LAYERS_MAX, LAYERS);
    int64_t mlp = preset_int(build, "mlp", 1, INT32_MAX, 4 * width);
    double dropout = preset_dropout(build, 0.1);
    bool pooler = preset_bool(build, "pooler", false);
    if (!preset_takes_text(build)) {
        return;
    }
    build->names = NAMES;
    build->name_count = sizeof NAMES / sizeof NAMES[0];
    embed(build, width, dropout);
    for (int64_t i = 0; i < layers; i++) {
        preset_layer(build, "transformer_block",
                     "{name: encoder.layer.%" PRId64 ", heads: %" PRId64 ", mlp: %" PRId64
                     ", norm: post, epsilon: 1e-12, dropout: %.9g, " NORMAL "}",
                     i, heads, mlp, dropout);
    }
    if (pooler) {
        preset_layer(build, "take", "{step: 0}");
        preset_layer(build, "dense",
                     "{name: pooler.dense, units: %" PRId64 ", activation: tanh, " NORMAL "}",
                     width);
    }
}
