/*
 * Layers: how each is written in a job file, and which operators it is made of.
 *
 * A layer is one row of the table in layer.c and one build function, which reads its attributes,
 * asks for its tensors and appends nodes.  It is built once for every call of its part (real and
 * generated batch, training and evaluation, each phase), always from the same specification.
 *
 * Errors are sticky, as in the graph: the first one is kept in the layer, readers and builders do
 * nothing after it, and the part's loop reports it as "FILE:LINE: ...".
 */
#ifndef LAYER_H
#define LAYER_H

#include "model/layers/tensors.h"

enum { LAYER_KEYS_MAX = 24, LAYER_NAME_SIZE = 256 };

/* What train-mode normalisation saw of one call: the replicated stage makes running statistics of
 * it.  Nodes are (channels) tensors of the phase's graph. */
struct statistic {
    int mean_buffer;
    int variance_buffer;
    int mean_node;
    int square_node; /* mean of squares */
    int64_t channels;
    int64_t count; /* values a channel and shard */
    double momentum;
};

/* What one step of power iteration made of a spectral norm's u, which the replicated stage stores.
 */
struct power {
    int buffer;
    int node; /* (size) */
    int64_t size;
};

/* One use of a part in one graph. */
struct part_call {
    const struct job_file *job;
    const struct part_spec *spec;
    const char *input_name; /* how `input:` names what enters the part */
    int part;
    struct graph *graph;
    struct tensors *tensors;
    const int *parameters; /* the graph's leaf of every parameter, by slot: a part that is called
                              twice reads one leaf, so its gradients add up.  NULL: not known yet */
    int64_t flattened[3];  /* the image (H, W, C) that enters in a row, 0: none does; part_build
                              leaves here the one that goes out so */
    const char *phase;
    int call;      /* number of this call of the part within the phase */
    bool training; /* batch statistics and dropout; else running statistics */
    bool logits;   /* leave out a sigmoid at the end: the loss is computed on logits */
    bool labelled; /* there is a second input, named `label` (N), of class numbers */
    int label;
    bool features_known; /* out: what the last dense layer so far read */
    int features;
    int64_t features_image[3]; /* the image that they are in a row; 0: they are none */
    struct statistic *statistics;
    int statistic_count;
    int statistic_capacity;
    struct power *powers;
    int power_count;
    int power_capacity;
};

/* A tensor between layers, with what an export must know of it. */
struct layer_value {
    int node;
    int64_t flattened[3]; /* it is an image of H, W, C, flattened; 0: it is not */
    int64_t image[3];     /* it will be reshaped to an image of H, W, C; 0: it will not */
};

/* A list of layers while it is built: a part's, or one inside a layer such as residual. */
struct layer_scope {
    const struct layer_scope *outer; /* NULL: the part's own list */
    const struct layer_spec *layers;
    int count;
    const char *path;           /* before the names of layers: "generator", "generator.block" */
    const char *unnamed_path;   /* before the positions of layers without a name */
    struct layer_value input;   /* what the first layer reads */
    struct layer_value *values; /* what the first `done` layers gave */
    int done;
};

struct layer {
    struct part_call *call;
    const struct layer_scope *scope;
    const struct layer_spec *spec;
    int position;                      /* in its list */
    const struct doc_node *attributes; /* always a map, or NULL */
    char path[LAYER_NAME_SIZE];        /* "generator.0" or "generator.NAME" */
    struct layer_value inputs[NODE_INPUTS_MAX];
    int input_count;
    struct layer_value out; /* the build function sets it */
    enum cam_code rc;
    struct cam_err err;
};

struct layer_type {
    const char *name;
    const char *keys[LAYER_KEYS_MAX]; /* NULL after the last */
    const char *shorthand;            /* the key that `- dropout: 0.3` means; NULL: none */
    int inputs_max;
    bool keeps_form; /* elementwise or by channel: an image stays an image */
    void (*build)(struct layer *layer);
};

/* Builds the layers of a list, of which scope's first six fields are set; what the last one gave.
 * CAM_INVALID with "FILE:LINE: ...". */
CAM_CHECKED enum cam_code layers_build(struct part_call *call, struct layer_scope *scope,
                                       struct layer_value *out, struct cam_err *err);
/* The layer that `name` means to this one, and the path of its tensors; NULL where there is none.
 */
const struct layer_spec *layer_named(const struct layer *layer, const char *name,
                                     char path_out[LAYER_NAME_SIZE]);

/* The row of a type, or NULL; all names for "did you mean". */
const struct layer_type *layer_find(const char *name);
const char *const *layer_names(size_t *count_out);

/* layer_read.c: attributes, each leaving *out as it is where the key is missing. */
void layer_fail(struct layer *layer, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void layer_read_int(struct layer *layer, const char *key, int64_t least, int64_t most,
                    int64_t *out);
void layer_read_real(struct layer *layer, const char *key, double least, double most, double *out);
void layer_read_bool(struct layer *layer, const char *key, bool *out);
void layer_read_choice(struct layer *layer, const char *key, const char *const *names, size_t count,
                       int *out);
void layer_read_text(struct layer *layer, const char *key, const char **out);
/* `3` or `[3, 5]` (height first). */
void layer_read_pair(struct layer *layer, const char *key, int64_t least, int64_t most,
                     int64_t out[2]);
/* Fails where a key that has no default is missing. */
void layer_require(struct layer *layer, const char *key, const char *example);

/* layer_tensor.c: a parameter as a leaf of the graph, named PATH.suffix. */
struct layer_tensor {
    const char *suffix; /* "weight" */
    struct shape shape;
    enum export_layout layout;
    const int64_t *image;
    struct initial initial;
};
int layer_parameter(struct layer *layer, const struct layer_tensor *tensor);
/* That of a tensor that another layer has made, NODE_NONE where there is none; `name` in full. */
int layer_parameter_named(const struct layer *layer, const char *name);
int layer_buffer(struct layer *layer, const struct layer_tensor *tensor, int *slot_out);
/* A random stream of this layer in this call; `label` tells several apart, NULL: the only one. */
uint32_t layer_stream(struct layer *layer, const char *label);
/* `initializer:` of weights whose units see fan_in values and feed fan_out; *plain_out where it is
 * PyTorch's default, which draws biases too. */
struct initial layer_initializer(struct layer *layer, int64_t fan_in, int64_t fan_out,
                                 bool *plain_out);
/* The same under another key. */
struct initial layer_initializer_of(struct layer *layer, const char *key, int64_t fan_in,
                                    int64_t fan_out, bool *plain_out);

/* The shape of an input; and that of one of its samples as a text, for errors. */
const struct shape *layer_shape(const struct layer *layer, int input);
const char *layer_sample_text(const struct layer *layer, int input, char *buffer, size_t size);

/* Whether this is where the part ends and its end is left out: a sigmoid before a loss that is
 * computed on logits. */
bool layer_leaves_logits(const struct layer *layer);
/* Fails unless the input is (N,H,W,C), or (N,T,C); whether it is. */
bool layer_takes_images(struct layer *layer);
bool layer_takes_sequences(struct layer *layer);

/* Build functions by file. */
void dense_build(struct layer *layer);
void conv1d_build(struct layer *layer);
void conv2d_build(struct layer *layer);
void conv2d_transpose_build(struct layer *layer);
void batch_norm_build(struct layer *layer);
void layer_norm_build(struct layer *layer);
void group_norm_build(struct layer *layer);
void instance_norm_build(struct layer *layer);
void reshape_build(struct layer *layer);
void flatten_build(struct layer *layer);
void upsample2d_build(struct layer *layer);
void max_pool2d_build(struct layer *layer);
void average_pool2d_build(struct layer *layer);
void global_max_pool_build(struct layer *layer);
void global_average_pool_build(struct layer *layer);
void global_sum_pool_build(struct layer *layer);
void add_build(struct layer *layer);
void concat_build(struct layer *layer);
void residual_build(struct layer *layer);
void dropout_build(struct layer *layer);
void activation_build(struct layer *layer);
void embedding_build(struct layer *layer);
void positions_build(struct layer *layer);
void class_token_build(struct layer *layer);
void take_build(struct layer *layer);
void attention_build(struct layer *layer);
void transformer_block_build(struct layer *layer);
void minibatch_stddev_build(struct layer *layer);
void lstm_build(struct layer *layer);
void gru_build(struct layer *layer);

/* dense.c: every row of x (...,in) times w (in,out). */
int rows_product(struct graph *graph, int x, int w);

/* spectral.c: y divided by the spectral norm of `weight` where `spectral_norm:` asks for it; y is
 * linear in the weight, whose outputs are along `axis`. */
int spectral_norm_apply(struct layer *layer, int y, int weight, int axis);

/* weighted.c: what follows a weighted layer's product: spectral norm, bias, `norm:`, `activation:`.
 */
struct weighted_tail {
    int64_t units;
    struct initial bias;
    int weight;
    int axis; /* of the weight: its outputs */
};
void weighted_finish(struct layer *layer, int product, const struct weighted_tail *tail);

/* norm.c: x normalised; tensors PATH.prefix + "weight" and so on. */
struct norm_options {
    const char *prefix; /* "" or "norm." */
    double momentum;    /* of running statistics */
    double epsilon;
    bool affine; /* a gain for each channel ... */
    bool bias;   /* ... and a bias */
    struct initial gain;
};
/* PyTorch's defaults. */
struct norm_options norm_defaults(const char *prefix);
/* Gain and bias of the channels; 1 and 0 where not affine. */
struct norm_tensors {
    int gain;
    int bias;
};
struct norm_tensors norm_tensors(struct layer *layer, int64_t channels,
                                 const struct norm_options *options);
/* Over the channels of each place. */
int layer_norm_apply(struct layer *layer, int x, const struct norm_options *options);
/* Over the places of each sample, by channel. */
int instance_norm_apply(struct layer *layer, int x, const struct norm_options *options);
/* batch_norm.c: over all axes but the last. */
int batch_norm_apply(struct layer *layer, int x, const struct norm_options *options);
/* What the replicated stage is to make of this call. */
void statistic_keep(struct layer *layer, const struct statistic *statistic);

/* dropout.c: drops values of x (N,...) in training; `stream` tells apart those of one layer. */
int dropout_apply(struct layer *layer, int x, double rate, const char *stream);

/* activation.c.  Rows of the table count from 0, "none".  `suffix` begins the names of tensors. */
int activation_apply(struct layer *layer, int x, int activation, const char *suffix);
const char *const *activation_names(size_t *count_out);
bool activation_is_sigmoid(int activation);
bool activation_is_gelu(int activation);
/* x where it is positive, else x times the slope. */
int leaky_relu_apply(struct graph *graph, int x, double slope);

#endif
