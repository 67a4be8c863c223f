/*
 * lstm (Hochreiter 1997) and gru (Cho 2014) over sequences (N,T,C), with PyTorch's equations, gate
 * order and tensors: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, and the same with
 * _reverse. The first states are 0.  Inside, the steps come first: (T,N,C), so that all steps'
 * inputs meet their weights in one product.
 */
#include "model/layers/layer.h"

#include <math.h>
#include <stdio.h>

enum { UNITS_MAX = 1 << 16, LAYERS_MAX = 64 };

struct recurrent {
    struct layer *layer;
    struct graph *graph;
    int64_t gates; /* 4 of an LSTM: i, f, g, o; 3 of a GRU: r, z, n */
    int64_t units;
    int64_t layers;
    bool bidirectional;
    bool last; /* the last hidden states alone */
    bool use_bias;
    double dropout; /* between layers */
};

/* One direction of one layer. */
struct direction {
    int64_t index;
    bool reverse;
};

static int tensor(const struct recurrent *r, const struct direction *d, const char *name,
                  const struct shape *shape)
{
    char suffix[64];
    const double bound = 1.0 / sqrt((double)r->units);
    (void)snprintf(suffix, sizeof suffix, "%s_l%d%s", name, (int)d->index,
                   d->reverse ? "_reverse" : "");
    const struct layer_tensor wanted = {
        .suffix = suffix,
        .shape = *shape,
        .layout = shape->rank == 2 ? EXPORT_MATRIX : EXPORT_SAME,
        .initial = {.kind = INITIAL_UNIFORM, .first = -bound, .second = bound}};
    return layer_parameter(r->layer, &wanted);
}

/* (T,N,C) from its last step to its first. */
static int reversed(struct graph *graph, int x)
{
    if (x < 0) {
        return NODE_NONE;
    }
    const struct shape steps = {.rank = 1, .dim = {graph_node(graph, x)->shape.dim[0]}};
    int back = graph_unary(graph, OP_NEG, graph_iota(graph, &steps, 0));
    return graph_gather(graph, x, graph_offset(graph, back, (double)steps.dim[0] - 1.0));
}

/* A GRU's bias of the hidden states: that of r and z adds to the gates' input; that of n stays
 * inside, where r multiplies it. */
static int gru(const struct recurrent *r, int gates, int w, int bias)
{
    const struct shape two = {.rank = 1, .dim = {2 * r->units}};
    const struct shape all = {.rank = 1, .dim = {3 * r->units}};
    const struct shape one = {.rank = 1, .dim = {r->units}};
    const int64_t none[SHAPE_RANK_MAX] = {0};
    const int64_t third[SHAPE_RANK_MAX] = {2 * r->units};
    if (!r->use_bias) {
        return graph_gru(r->graph, gates, w, graph_constant(r->graph, 0.0, &one));
    }
    int outer = graph_pad(r->graph, graph_slice(r->graph, bias, none, &two), none, &all);
    return graph_gru(r->graph, graph_binary(r->graph, OP_ADD, gates, outer), w,
                     graph_slice(r->graph, bias, third, &one));
}

/* (T,N,C) -> (T,N,units) */
static int run(const struct recurrent *r, const struct direction *d, int x)
{
    if (x < 0 || r->layer->rc != CAM_OK) {
        return NODE_NONE;
    }
    const int64_t wide = r->gates * r->units;
    const struct shape from_input = {.rank = 2,
                                     .dim = {graph_node(r->graph, x)->shape.dim[2], wide}};
    const struct shape from_hidden = {.rank = 2, .dim = {r->units, wide}};
    const struct shape row = {.rank = 1, .dim = {wide}};
    int w_ih = tensor(r, d, "weight_ih", &from_input);
    int w_hh = tensor(r, d, "weight_hh", &from_hidden);
    int b_ih = r->use_bias ? tensor(r, d, "bias_ih", &row) : NODE_NONE;
    int b_hh = r->use_bias ? tensor(r, d, "bias_hh", &row) : NODE_NONE;
    int gates = rows_product(r->graph, d->reverse ? reversed(r->graph, x) : x, w_ih);
    bool lstm = r->gates == 4;
    if (r->use_bias) {
        int bias = lstm ? graph_binary(r->graph, OP_ADD, b_ih, b_hh) : b_ih;
        gates = graph_binary(r->graph, OP_ADD, gates, bias);
    }
    int h = lstm ? graph_lstm(r->graph, gates, w_hh) : gru(r, gates, w_hh, b_hh);
    return d->reverse ? reversed(r->graph, h) : h;
}

/* (T,N,C) <-> (N,T,C) */
static int swap_places(struct graph *graph, int x)
{
    return x < 0 ? NODE_NONE : graph_permute(graph, x, (const int[]){1, 0, 2});
}

/* Its rows are samples, so that the numbers do not depend on the shard. */
static int drop(const struct recurrent *r, int x, int64_t index)
{
    char stream[32];
    if (r->dropout == 0.0 || !r->layer->call->training) {
        return x;
    }
    (void)snprintf(stream, sizeof stream, "dropout_l%d", (int)index);
    int y = dropout_apply(r->layer, swap_places(r->graph, x), r->dropout, stream);
    return swap_places(r->graph, y);
}

/* The last hidden state of a direction, (N,units): that of step 0 backwards. */
static int last_of(const struct recurrent *r, int h, bool reverse)
{
    if (h < 0) {
        return NODE_NONE;
    }
    struct shape part = graph_node(r->graph, h)->shape;
    const struct shape out = {.rank = 2, .dim = {part.dim[1], part.dim[2]}};
    const int64_t start[SHAPE_RANK_MAX] = {reverse ? 0 : part.dim[0] - 1};
    part.dim[0] = 1;
    return graph_reshape(r->graph, graph_slice(r->graph, h, start, &part), &out);
}

static void read_recurrent(struct layer *layer, int64_t gates, struct recurrent *out)
{
    static const char *const RETURNS[] = {"sequence", "last"};
    int choice = 0;
    *out = (struct recurrent){
        .layer = layer, .graph = layer->call->graph, .gates = gates, .layers = 1, .use_bias = true};
    layer_require(layer, "units", "128");
    layer_read_int(layer, "units", 1, UNITS_MAX, &out->units);
    layer_read_int(layer, "layers", 1, LAYERS_MAX, &out->layers);
    layer_read_bool(layer, "bidirectional", &out->bidirectional);
    layer_read_bool(layer, "use_bias", &out->use_bias);
    layer_read_real(layer, "dropout", 0.0, 0.999, &out->dropout);
    layer_read_choice(layer, "return", RETURNS, 2, &choice);
    out->last = choice == 1;
    if (layer->rc == CAM_OK && out->dropout > 0.0 && out->layers == 1) {
        layer_fail(layer, "dropout", "dropout is between layers, and there is one");
    }
}

static void recurrent_build(struct layer *layer, int64_t gates)
{
    struct recurrent r;
    read_recurrent(layer, gates, &r);
    if (!layer_takes_sequences(layer)) {
        return;
    }
    int x = swap_places(r.graph, layer->inputs[0].node);
    int ways[2] = {NODE_NONE, NODE_NONE};
    int count = r.bidirectional ? 2 : 1;
    for (int64_t i = 0; i < r.layers; i++) {
        x = i == 0 ? x : drop(&r, x, i - 1);
        for (int k = 0; k < count; k++) {
            ways[k] = run(&r, &(struct direction){i, k == 1}, x);
        }
        x = count == 1 ? ways[0] : graph_concat(r.graph, ways, count, 2);
    }
    if (!r.last) {
        layer->out.node = swap_places(r.graph, x);
        return;
    }
    for (int k = 0; k < count; k++) {
        ways[k] = last_of(&r, ways[k], k == 1);
    }
    layer->out.node = count == 1 ? ways[0] : graph_concat(r.graph, ways, count, 1);
}

void lstm_build(struct layer *layer)
{
    recurrent_build(layer, 4);
}

void gru_build(struct layer *layer)
{
    recurrent_build(layer, 3);
}
