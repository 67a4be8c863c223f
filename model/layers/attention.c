/*
 * attention and transformer_block (Vaswani 2017), with the tensors of PyTorch's MultiheadAttention
 * and TransformerEncoderLayer.  Dropout is as theirs but for the weights of attention, which are
 * never stored: none is dropped.
 */
#include "model/layers/layer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { HEADS_MAX = 4096, HIDDEN_MAX = 1 << 20 };

/* A product by a matrix of its own, and a bias. */
struct linear {
    const char *prefix; /* "linear1" */
    bool joined;        /* "in_proj_weight" rather than "out_proj.weight" */
    int64_t units;
    struct initial weight;
    struct initial bias;
};

struct block {
    struct layer *layer;
    struct graph *graph;
    const char *prefix; /* of the attention's tensors: "" or "self_attn." */
    int64_t heads;
    int64_t channels;
    bool causal;
    bool use_bias;
    double dropout;
};

static int linear(const struct block *block, int x, const struct linear *options)
{
    struct layer *layer = block->layer;
    if (x < 0 || layer->rc != CAM_OK) {
        return NODE_NONE;
    }
    struct shape shape = graph_node(block->graph, x)->shape;
    char weight[64];
    char bias[64];
    const char *join = options->joined ? "_" : ".";
    (void)snprintf(weight, sizeof weight, "%s%sweight", options->prefix, join);
    (void)snprintf(bias, sizeof bias, "%s%sbias", options->prefix, join);
    const struct layer_tensor matrix = {
        .suffix = weight,
        .shape = {.rank = 2, .dim = {shape.dim[shape.rank - 1], options->units}},
        .layout = EXPORT_MATRIX,
        .initial = options->weight};
    const struct layer_tensor offsets = {
        .suffix = bias, .shape = {.rank = 1, .dim = {options->units}}, .initial = options->bias};
    int y = rows_product(block->graph, x, layer_parameter(layer, &matrix));
    return block->use_bias ? graph_binary(block->graph, OP_ADD, y, layer_parameter(layer, &offsets))
                           : y;
}

/* The values of `key`, or those of `initializer`, or PyTorch's: weights within 1 / sqrt(inputs),
 * biases too where `draws_bias`. */
static void set_initial(struct layer *layer, const char *key, int64_t inputs, bool draws_bias,
                        struct linear *out)
{
    bool plain = true;
    out->weight = layer_initializer_of(layer, key, inputs, out->units, &plain);
    if (plain) {
        out->weight = layer_initializer(layer, inputs, out->units, &plain);
    }
    out->bias = plain && draws_bias ? out->weight : (struct initial){.kind = INITIAL_CONSTANT};
}

/* The projection to queries, keys and values is drawn as one matrix (Glorot 2010). */
static int project_in(const struct block *block, int x)
{
    char prefix[48];
    bool plain = true;
    int64_t units = 3 * block->channels;
    (void)snprintf(prefix, sizeof prefix, "%sin_proj", block->prefix);
    struct linear options = {.prefix = prefix,
                             .joined = true,
                             .units = units,
                             .weight =
                                 layer_initializer(block->layer, block->channels, units, &plain),
                             .bias = {.kind = INITIAL_CONSTANT}};
    if (plain) {
        double bound = sqrt(6.0 / (double)(block->channels + units));
        options.weight =
            (struct initial){.kind = INITIAL_UNIFORM, .first = -bound, .second = bound};
    }
    return linear(block, x, &options);
}

static int attend(const struct block *block, int x)
{
    char prefix[48];
    struct linear out = {.prefix = prefix, .units = block->channels};
    (void)snprintf(prefix, sizeof prefix, "%sout_proj", block->prefix);
    set_initial(block->layer, "residual_initializer", block->channels, false, &out);
    int qkv = project_in(block, x);
    if (qkv < 0) {
        return NODE_NONE;
    }
    const struct shape shape = graph_node(block->graph, x)->shape;
    int64_t width = block->channels / block->heads;
    const struct shape split = {.rank = 5,
                                .dim = {shape.dim[0], shape.dim[1], 3, block->heads, width}};
    const struct attention options = {
        .scale = 1.0 / sqrt((double)width), .causal = block->causal, .lengths = NODE_NONE};
    int y = graph_attention(block->graph, graph_reshape(block->graph, qkv, &split), &options);
    return linear(block, graph_reshape(block->graph, y, &shape), &out);
}

static void read_block(struct layer *layer, struct block *out)
{
    *out = (struct block){
        .layer = layer, .graph = layer->call->graph, .prefix = "", .heads = 1, .use_bias = true};
    layer_require(layer, "heads", "4");
    layer_read_int(layer, "heads", 1, HEADS_MAX, &out->heads);
    layer_read_bool(layer, "causal", &out->causal);
    layer_read_bool(layer, "use_bias", &out->use_bias);
    layer_read_real(layer, "dropout", 0.0, 0.999, &out->dropout);
    if (!layer_takes_sequences(layer)) {
        return;
    }
    out->channels = layer_shape(layer, 0)->dim[2];
    if (out->channels % out->heads != 0) {
        layer_fail(layer, "heads", "heads is %" PRId64 ", it must divide the %" PRId64 " channels",
                   out->heads, out->channels);
    }
}

void attention_build(struct layer *layer)
{
    struct block block;
    read_block(layer, &block);
    if (layer->rc == CAM_OK) {
        int y = attend(&block, layer->inputs[0].node);
        layer->out.node = dropout_apply(layer, y, block.dropout, NULL);
    }
}

/* What a transformer block has beside its attention. */
struct feed_forward {
    int64_t hidden;
    int activation;
    bool norm_first;
    double epsilon;
};

static int norm(const struct block *block, int x, const char *prefix, double epsilon)
{
    struct norm_options options = norm_defaults(prefix);
    options.epsilon = epsilon;
    options.bias = block->use_bias;
    return layer_norm_apply(block->layer, x, &options);
}

static int attend_and_drop(const struct block *block, int x)
{
    return dropout_apply(block->layer, attend(block, x), block->dropout, "dropout1");
}

static int feed(const struct block *block, const struct feed_forward *f, int x)
{
    struct linear up = {.prefix = "linear1", .units = f->hidden};
    struct linear down = {.prefix = "linear2", .units = block->channels};
    set_initial(block->layer, "initializer", block->channels, true, &up);
    set_initial(block->layer, "residual_initializer", f->hidden, true, &down);
    int y = activation_apply(block->layer, linear(block, x, &up), f->activation, "activation.");
    y = dropout_apply(block->layer, y, block->dropout, "dropout");
    return dropout_apply(block->layer, linear(block, y, &down), block->dropout, "dropout2");
}

static void read_feed_forward(struct layer *layer, const struct block *block,
                              struct feed_forward *out)
{
    static const char *const NORMS[] = {"pre", "post"};
    size_t count = 0;
    const char *const *names = activation_names(&count);
    int norms = 0;
    *out = (struct feed_forward){.hidden = 4 * block->channels, .epsilon = 1e-5};
    while (!activation_is_gelu(out->activation)) {
        out->activation++;
    }
    layer_read_int(layer, "mlp", 1, HIDDEN_MAX, &out->hidden);
    layer_read_choice(layer, "activation", names, count, &out->activation);
    layer_read_choice(layer, "norm", NORMS, 2, &norms);
    layer_read_real(layer, "epsilon", 1e-12, 1.0, &out->epsilon);
    out->norm_first = norms == 0;
}

void transformer_block_build(struct layer *layer)
{
    struct graph *graph = layer->call->graph;
    struct block block;
    struct feed_forward f;
    int x = layer->inputs[0].node;
    read_block(layer, &block);
    block.prefix = "self_attn.";
    read_feed_forward(layer, &block, &f);
    if (layer->rc != CAM_OK) {
        return;
    }
    if (f.norm_first) {
        int y = attend_and_drop(&block, norm(&block, x, "norm1.", f.epsilon));
        x = graph_binary(graph, OP_ADD, x, y);
        y = feed(&block, &f, norm(&block, x, "norm2.", f.epsilon));
        layer->out.node = graph_binary(graph, OP_ADD, x, y);
        return;
    }
    x = graph_binary(graph, OP_ADD, x, attend_and_drop(&block, x));
    x = norm(&block, x, "norm1.", f.epsilon);
    x = graph_binary(graph, OP_ADD, x, feed(&block, &f, x));
    layer->out.node = norm(&block, x, "norm2.", f.epsilon);
}
