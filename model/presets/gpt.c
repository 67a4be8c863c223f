/*
 * Radford et al., "Language models are unsupervised multitask learners" (2019): GPT-2, as Hugging
 * Face's GPT2LMHeadModel and nanoGPT build it, with their names; the head is tied to the table of
 * tokens.  Matrices of the blocks are stored (in, out), as theirs (nanoGPT transposes them).
 */
#include "model/presets/preset.h"

#include <inttypes.h>
#include <math.h>

#define NORMAL "initializer: {normal: 0.02}"

enum { WIDTH = 768, LAYERS = 12, LAYERS_MAX = 128, HEADS_MAX = 256, VOCABULARY_MAX = 1 << 24 };

static const struct tensor_name NAMES[] = {
    {"norm1.weight", "ln_1.weight", false},
    {"norm1.bias", "ln_1.bias", false},
    {"norm2.weight", "ln_2.weight", false},
    {"norm2.bias", "ln_2.bias", false},
    {"self_attn.in_proj_weight", "attn.c_attn.weight", true},
    {"self_attn.in_proj_bias", "attn.c_attn.bias", false},
    {"self_attn.out_proj.weight", "attn.c_proj.weight", true},
    {"self_attn.out_proj.bias", "attn.c_proj.bias", false},
    {"linear1.weight", "mlp.c_fc.weight", true},
    {"linear1.bias", "mlp.c_fc.bias", false},
    {"linear2.weight", "mlp.c_proj.weight", true},
    {"linear2.bias", "mlp.c_proj.bias", false},
};

void gpt_encoder(struct preset_build *build)
{
    static const char *const ACTIVATIONS[] = {"gelu_tanh", "gelu"};
    static const char *const YES[] = {"false", "true"};
    int64_t classes = build->data->classes;
    int64_t vocabulary = preset_int(build, "vocabulary", classes, VOCABULARY_MAX, classes);
    int64_t width = preset_width(build, WIDTH);
    int64_t heads = preset_int(build, "heads", 1, HEADS_MAX, LAYERS);
    int64_t layers = preset_int(build, "layers", 1, LAYERS_MAX, LAYERS);
    double dropout = preset_dropout(build, 0.0);
    const char *bias = YES[preset_bool(build, "use_bias", true)];
    const char *activation = ACTIVATIONS[preset_choice(build, "activation", ACTIVATIONS, 2, 0)];
    if (!preset_takes_text(build)) {
        return;
    }
    build->names = NAMES;
    build->name_count = sizeof NAMES / sizeof NAMES[0];
    preset_layer(build, "embedding",
                 "{name: transformer.wte, vocabulary: %" PRId64 ", units: %" PRId64 ", " NORMAL "}",
                 vocabulary, width);
    preset_layer(build, "positions", "{name: transformer.wpe}");
    preset_layer(build, "dropout", "{rate: %.9g}", dropout);
    for (int64_t i = 0; i < layers; i++) {
        preset_layer(build, "transformer_block",
                     "{name: transformer.h.%" PRId64 ", heads: %" PRId64
                     ", causal: true, activation: %s, dropout: %.9g, use_bias: %s, " NORMAL
                     ", residual_initializer: {normal: %.9g}}",
                     i, heads, activation, dropout, bias, 0.02 / sqrt(2.0 * (double)layers));
    }
    preset_layer(build, "layer_norm", "{name: transformer.ln_f, use_bias: %s}", bias);
    preset_layer(build, "dense", "{name: lm_head, tied: transformer.wte, use_bias: false}");
}
