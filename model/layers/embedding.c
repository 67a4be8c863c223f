/*
 * Tables of vectors: embedding reads a row for each token, positions adds one to each step,
 * class_token puts one before the first step; take reads a step.
 */
#include "model/layers/layer.h"

#include <inttypes.h>
#include <string.h>

enum { VOCABULARY_MAX = 1 << 24, UNITS_MAX = 1 << 20 };

/* PyTorch draws an embedding from N(0, 1); tables that are added are drawn as GPT-2's and ViT's. */
#define ADDED_DEVIATION 0.02

/* The tokens that are read: those that enter, or one at every place with `token:`. */
static int tokens_of(struct layer *layer, int64_t vocabulary)
{
    int64_t token = -1;
    layer_read_int(layer, "token", 0, vocabulary - 1, &token);
    return token < 0 ? layer->inputs[0].node
                     : graph_constant(layer->call->graph, (double)token, layer_shape(layer, 0));
}

/* Every token's row of a (vocabulary, units) table. */
void embedding_build(struct layer *layer)
{
    const struct shape *in = layer_shape(layer, 0);
    int64_t vocabulary = 0;
    int64_t units = 0;
    bool plain = true;
    layer_require(layer, "vocabulary", "65");
    layer_require(layer, "units", "128");
    layer_read_int(layer, "vocabulary", 1, VOCABULARY_MAX, &vocabulary);
    layer_read_int(layer, "units", 1, UNITS_MAX, &units);
    if (in->rank > 2) {
        char text[96];
        layer_fail(layer, NULL, "takes a token, or a sequence of them, found %s",
                   layer_sample_text(layer, 0, text, sizeof text));
    }
    struct layer_tensor weight = {.suffix = "weight",
                                  .shape = {.rank = 2, .dim = {vocabulary, units}},
                                  .initial = layer_initializer(layer, units, vocabulary, &plain)};
    if (plain) {
        weight.initial = (struct initial){.kind = INITIAL_NORMAL, .second = 1.0};
    }
    int table = layer_parameter(layer, &weight);
    int rows = graph_gather(layer->call->graph, table, tokens_of(layer, vocabulary));
    layer->out.node = spectral_norm_apply(layer, rows, table, 0);
}

/* A trained table as large as what it is added to. */
static int added_table(struct layer *layer, const struct shape *shape)
{
    bool plain = true;
    struct layer_tensor weight = {
        .suffix = "weight",
        .shape = *shape,
        .initial = layer_initializer(layer, shape->dim[shape->rank - 1], shape->dim[0], &plain)};
    if (plain) {
        weight.initial = (struct initial){.kind = INITIAL_NORMAL, .second = ADDED_DEVIATION};
    }
    return layer_parameter(layer, &weight);
}

/* Vaswani 2017, section 3.5: channel 2i of step t is sin(t / 10000^(2i / C)), channel 2i + 1 the
 * cosine of the same. */
static int waves(struct graph *graph, const struct shape *shape)
{
    const double log_10000 = 9.2103403719761827361;
    int channel = graph_iota(graph, shape, 1);
    int pair = graph_unary(graph, OP_FLOOR, graph_scale(graph, channel, 0.5));
    int odd = graph_binary(graph, OP_SUB, channel, graph_scale(graph, pair, 2.0));
    int pace = graph_unary(graph, OP_EXP,
                           graph_scale(graph, pair, -2.0 * log_10000 / (double)shape->dim[1]));
    int angle = graph_binary(graph, OP_MUL, graph_iota(graph, shape, 0), pace);
    return graph_select(graph, odd, graph_unary(graph, OP_COS, angle),
                        graph_unary(graph, OP_SIN, angle));
}

void positions_build(struct layer *layer)
{
    static const char *const KINDS[] = {"learned", "sinusoidal"};
    struct graph *graph = layer->call->graph;
    int kind = 0;
    layer_read_choice(layer, "kind", KINDS, 2, &kind);
    if (!layer_takes_sequences(layer)) {
        return;
    }
    const struct shape *in = layer_shape(layer, 0);
    const struct shape steps = {.rank = 2, .dim = {in->dim[1], in->dim[2]}};
    int table = kind == 0 ? added_table(layer, &steps) : waves(graph, &steps);
    layer->out.node = graph_binary(graph, OP_ADD, layer->inputs[0].node, table);
}

void class_token_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    if (!layer_takes_sequences(layer)) {
        return;
    }
    const struct shape *in = layer_shape(layer, 0);
    const struct shape one = {.rank = 1, .dim = {in->dim[2]}};
    const struct shape first = {.rank = 3, .dim = {in->dim[0], 1, in->dim[2]}};
    int token = graph_broadcast(graph, added_table(layer, &one), &first);
    layer->out.node = graph_concat(graph, (int[]){token, layer->inputs[0].node}, 2, 1);
}

void take_build(struct layer *layer)
{
    int64_t step = 0;
    layer_require(layer, "step", "0");
    layer_read_int(layer, "step", INT32_MIN, INT32_MAX, &step);
    if (!layer_takes_sequences(layer)) {
        return;
    }
    const struct shape *in = layer_shape(layer, 0);
    if (step < -in->dim[1] || step >= in->dim[1]) {
        layer_fail(layer, "step",
                   "step is %" PRId64 ", a sequence of %" PRId64 " has 0 to %" PRId64
                   ", and -1 is its last",
                   step, in->dim[1], in->dim[1] - 1);
        return;
    }
    const int64_t start[SHAPE_RANK_MAX] = {0, step < 0 ? in->dim[1] + step : step};
    const struct shape part = {.rank = 3, .dim = {in->dim[0], 1, in->dim[2]}};
    const struct shape out = {.rank = 2, .dim = {in->dim[0], in->dim[2]}};
    struct graph *graph = layer->call->graph;
    int slice = graph_slice(graph, layer->inputs[0].node, start, &part);
    layer->out.node = graph_reshape(graph, slice, &out);
}
