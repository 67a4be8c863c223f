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

enum { LAYER_KEYS_MAX = 16, LAYER_NAME_SIZE = 256 };

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
    const char *phase;
    int call;      /* number of this call of the part within the phase */
    bool training; /* batch statistics and dropout; else running statistics */
    bool logits;   /* leave out a sigmoid at the end: the loss is computed on logits */
    struct statistic *statistics;
    int statistic_count;
    int statistic_capacity;
};

/* A tensor between layers, with what an export must know of it. */
struct layer_value {
    int node;
    int64_t flattened[3]; /* it is an image of H, W, C, flattened; 0: it is not */
    int64_t image[3];     /* it will be reshaped to an image of H, W, C; 0: it will not */
};

struct layer {
    struct part_call *call;
    const struct layer_spec *spec;
    int position;                      /* in the part's list */
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
int layer_buffer(struct layer *layer, const struct layer_tensor *tensor, int *slot_out);
/* The random stream of this layer in this call. */
uint32_t layer_stream(struct layer *layer);
/* `initializer:` of weights whose units see fan_in values and feed fan_out; *plain_out where it is
 * PyTorch's default, which draws biases too. */
struct initial layer_initializer(struct layer *layer, int64_t fan_in, int64_t fan_out,
                                 bool *plain_out);

/* The shape of an input; and that of one of its samples as a text, for errors. */
const struct shape *layer_shape(const struct layer *layer, int input);
const char *layer_sample_text(const struct layer *layer, int input, char *buffer, size_t size);

/* Build functions by file. */
void dense_build(struct layer *layer);
void conv2d_build(struct layer *layer);
void conv2d_transpose_build(struct layer *layer);
void batch_norm_build(struct layer *layer);
void reshape_build(struct layer *layer);
void flatten_build(struct layer *layer);
void upsample2d_build(struct layer *layer);
void add_build(struct layer *layer);
void concat_build(struct layer *layer);
void dropout_build(struct layer *layer);
void relu_build(struct layer *layer);
void leaky_relu_build(struct layer *layer);
void tanh_build(struct layer *layer);
void sigmoid_build(struct layer *layer);

/* What follows a weighted layer's product: bias, `norm:`, `activation:`. */
struct weighted_tail {
    int64_t units;
    struct initial bias;
};
void weighted_finish(struct layer *layer, int product, const struct weighted_tail *tail);
bool weighted_has_bias(struct layer *layer);

/* batch_norm of a node over all axes but the last; tensors PATH.prefix + "weight" and so on. */
struct norm_options {
    const char *prefix; /* "" or "norm." */
    double momentum;
    double epsilon;
    struct initial gain;
};
int batch_norm_apply(struct layer *layer, int x, const struct norm_options *options);

/* activation.c */
int activation_apply(struct graph *graph, int x, int activation);
const char *const *activation_names(size_t *count_out); /* "none" is 0 */
bool activation_is_sigmoid(int activation);
int leaky_relu_apply(struct graph *graph, int x, double slope);

#endif
