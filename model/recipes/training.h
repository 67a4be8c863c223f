/*
 * A training: everything that a job file and the data's shape say about how to train, before any
 * number exists.  Tables of tensors, and a list of phases over them.  Pure data; read-only once
 * built, by any thread.
 *
 * A phase is one optimizer step of one part:
 *   shard graph  run once a shard: parameters, buffers and one shard of the inputs in; out come, in
 *                one block of floats, the sums that are to be added over shards:
 *                [gradients, at the blocks of their parameters | statistics | losses]
 *   update       over the owned blocks: parameter, gradient, state -> the new ones
 *   replicated   on whole buffers, the same on every rank: running statistics
 * Losses and gradients are of the sum over the shard's samples; `1/batch` is applied once, in the
 * update (scalar UPDATE_GRADIENT_SCALE) and when a loss is reported.
 */
#ifndef TRAINING_H
#define TRAINING_H

#include "base/arena.h"
#include "base/status.h"
#include "model/check.h"
#include "model/graph/graph.h"
#include "model/optim/rate.h"
#include "proto/jobfile.h"

enum {
    BLOCK_FLOATS = 1024, /* every trained tensor starts on a block and owns whole blocks */
    PARTS_MAX = 8,
};

/* How a tensor's bytes are ordered in a checkpoint, which follows PyTorch. */
enum export_layout {
    EXPORT_SAME,
    EXPORT_CONV,              /* (KH,KW,I,O) -> (O,I,KH,KW) */
    EXPORT_CONV_TRANSPOSE,    /* (KH,KW,O,I) as stored for the gradient operator -> (I,O,KH,KW) */
    EXPORT_MATRIX,            /* (in,out) -> (out,in) */
    EXPORT_MATRIX_FROM_IMAGE, /* (H*W*C,out) -> (out,C*H*W): a dense layer behind flatten */
    EXPORT_MATRIX_TO_IMAGE,   /* (in,H*W*C) -> (C*H*W,in): a dense layer before reshape */
    EXPORT_VECTOR_TO_IMAGE,   /* (H*W*C) -> (C*H*W): its bias */
    EXPORT_CONV1D,            /* (1,K,I,O) -> (O,I,K) */
    EXPORT_TABLE_OF_IMAGES,   /* (rows,H*W*C) -> (rows,C*H*W): vectors beside flattened images */
};

struct tensor_info {
    const char *name; /* "generator.0.weight" */
    struct shape shape;
    enum export_layout layout;
    int64_t image[3];    /* H, W, C for the *_IMAGE layouts */
    int64_t offset;      /* floats in the parameter arena (blocks) or in the buffer arena */
    int64_t block_first; /* parameters: offset / BLOCK_FLOATS */
    int64_t block_count;
    int part;    /* index in parts */
    int initial; /* node in the initialisation graph */
};

/* A part, or several that are updated together. */
struct part_info {
    const char *name;    /* "generator" */
    int parameter_first; /* its parameters are neighbours in the table and in the arena */
    int parameter_count;
    int64_t block_first;
    int64_t block_count;
};

struct input_info {
    const char *name;   /* "image" */
    struct shape shape; /* of one shard, (N,H,W,C) */
};

/* The scalars of an update graph; optimizers add none of their own. */
enum update_scalar {
    UPDATE_LEARNING_RATE,
    UPDATE_GRADIENT_SCALE, /* 1/batch */
    UPDATE_CORRECTION_1,   /* adam: 1 / (1 - beta1^t), else 1 */
    UPDATE_CORRECTION_2,   /* adam: 1 / (1 - beta2^t), else 1 */
    UPDATE_CLIP,           /* clip_norm: what every gradient is multiplied by */
    UPDATE_KEEP,           /* adamw: 1 - learning rate * weight decay */
    UPDATE_AVERAGE,        /* ema: the share of the average that is kept */
    UPDATE_SCALAR_COUNT,
};

enum { UPDATE_STATES_MAX = 4 };

/* Inputs of an update graph.  The last two have one number a block, since a block belongs to one
 * tensor; a graph reads them only where its optimizer asks. */
enum update_input {
    UPDATE_PARAMETER,
    UPDATE_GRADIENT,                                   /* the sum over the batch */
    UPDATE_STATES,                                     /* and the slots behind it */
    UPDATE_DECAYS = UPDATE_STATES + UPDATE_STATES_MAX, /* 1: the tensor's weights decay; 0: not */
    UPDATE_TRUST,                                      /* lars: the tensor's own rate */
    UPDATE_INPUT_COUNT,
};

/* An average of the weights (ema.h); both 0: none. */
struct ema {
    double half_life; /* images */
    double decay;     /* an update */
};

/* The update of one part. Its graph is made for any number of elements, since a rank's share is
 * known only at run time: training_update_graph. */
struct update_info {
    int optimizer; /* row of the optimizer table */
    struct rate rate;
    double beta1; /* adam; else 0 */
    double beta2;
    double weight_decay;
    bool decay_weights;  /* tensors of one dimension (biases, norms) do not decay */
    double clip_value;   /* largest gradient of an element; 0: any */
    double clip_norm;    /* largest Euclidean norm of the part's gradient; 0: any */
    double trust;        /* lars: eta; else 0 */
    bool trust_limited;  /* lars: no tensor's rate is above the learning rate */
    struct ema ema;      /* its average is the last state */
    double weight_clip;  /* new parameters are put into [-weight_clip, weight_clip]; 0: not */
    const void *options; /* the optimizer's own, in the training's arena */
    int state_count;     /* tensors of the part's size: adam 2, sgd with momentum 1 */
    const char *state_names[UPDATE_STATES_MAX]; /* "exp_avg", as PyTorch names them */
};

struct metric_info {
    const char *name; /* "d_loss" */
    int64_t offset;   /* floats in the phase's output block */
};

struct phase {
    const char *name;  /* "discriminator" */
    int part;          /* the part it updates */
    int repeat;        /* executions a training step, but for `critic`; 0: a variant */
    bool takes_batch;  /* consumes a batch of real samples each execution */
    bool shares_batch; /* reads the batch that was consumed last in the same step */
    /* A variant is run in place of another phase in every variant_every-th of its executions, from
     * the first one on, and has its part, optimizer state and count of executions. */
    int base;    /* that other phase; of others: their own index */
    int variant; /* with variant_every > 0: the variant's index */
    int64_t variant_every;
    const struct graph *graph;
    const int *output_nodes;       /* of the shard graph ... */
    const int64_t *output_offsets; /* ... and their place in the output block (floats) */
    int output_count;
    int64_t output_floats;     /* size of the block, a multiple of BLOCK_FLOATS */
    int64_t gradient_floats;   /* its head: the part's blocks, in the part's order */
    int64_t statistics_floats; /* behind the gradients; then the losses */
    const struct metric_info *metrics;
    int metric_count;
    struct update_info update;
    /* Replicated stage: inputs are slot 0 = the summed statistics (statistics_floats), scalar 0 =
     * 1 / shards, buffers are leaves; outputs are new buffers.  NULL: none. */
    const struct graph *replicated;
    const int *replicated_nodes;
    const int *replicated_buffers; /* the buffer slot that each node replaces */
    int replicated_count;
};

/* Executions a step of the phase that takes batches; all zero: its `repeat`. */
struct critic {
    int64_t regular;
    int64_t start; /* in the first start_steps steps, and then ... */
    int64_t start_steps;
    int64_t every; /* ... in steps whose number, from 0, is a multiple of this; 0: in none */
};

enum { EVALUATION_METRICS_MAX = 4 };

/*
 * How a validation set is judged: a graph over one shard of `rows` samples in evaluation mode, with
 * the inputs of the phases and behind them the rows' weights (rows): 1, or 0 for one that pads the
 * last shard.  Its metrics are sums over samples; whoever runs it adds them over all shards and
 * divides by the count of samples.
 */
struct evaluation {
    const struct graph *graph; /* NULL: nothing is judged */
    int64_t count;             /* samples */
    int weight_slot;
    const struct metric_info *metrics; /* their offsets in a block of metric_floats */
    const int *nodes;
    int metric_count;
    int64_t metric_floats;
};

struct training {
    int64_t batch;
    int64_t shards;
    int64_t rows; /* of a shard: batch / shards */
    uint64_t seed;
    bool recompute; /* plans of phases compute blocks again in the backward pass */
    const struct part_info *parts;
    int part_count;
    const struct tensor_info *parameters;
    int parameter_count;
    int64_t parameter_floats; /* of the arena, whole blocks */
    const struct tensor_info *buffers;
    int buffer_count;
    int64_t buffer_floats;
    const struct input_info *inputs;
    int input_count;
    const struct phase *phases;
    int phase_count;
    struct critic critic;
    int64_t steps_per_epoch;
    int64_t
        batches_per_pass; /* of the data; what is left over is dropped, another rest each time */
    const struct graph *initial; /* node tensor_info.initial of each parameter and buffer */
    struct evaluation evaluation;
    /* Samples for people: no inputs, fixed noise, evaluation mode.  NULL: there are none. */
    const struct graph *sample;
    int sample_node;             /* (SAMPLES,H,W,C) in [-1, 1], or (SAMPLE_POINTS,1,1,C) */
    const char *const *warnings; /* "batch_norm sees 8 samples a shard ..." for check */
    int warning_count;
    struct cam_arena *arena;
};

/* A grid of samples has 8 columns; with classes, a row for each.  Points make no grid: there are
 * enough of them to judge a distribution by. */
enum { SAMPLES = 64, SAMPLE_COLUMNS = 8, SAMPLE_CLASSES_MAX = 32, SAMPLE_POINTS = 4096 };

/* Whether samples (N,1,1,C) are points, which have no picture. */
static inline bool sample_is_point(const struct shape *shape)
{
    return shape->dim[1] * shape->dim[2] == 1;
}

/* Builds the training of a job; end it with training_destroy.  CAM_INVALID is "FILE:LINE: ...". */
CAM_CHECKED enum cam_code training_create(const struct job_file *job, const struct data_shape *data,
                                          struct training **out, struct cam_err *err);
void training_destroy(struct training *training);

/* schedule.c: executions of a phase in a step (from 0); the phase or its variant, as its execution
 * (from 0) has it; batches consumed by the steps before one. */
int64_t training_repeat(const struct training *training, int phase, int64_t step);
int training_variant(const struct training *training, int phase, int64_t execution);
int64_t training_batches_before(const struct training *training, int64_t step);

/* The names that `gan.augment` lists. */
const char *const *gan_augmentation_names(size_t *count_out);

/* ema.c: the average of weights among all states (as snapshots count them), and the part that it is
 * of; -1: there is none. */
int training_ema_state(const struct training *training);
int training_ema_part(const struct training *training);

/* Optimizer states that a phase keeps: none for a variant, which uses its base's. */
int training_own_states(const struct training *training, int phase);

/*
 * The update of `floats` neighbouring elements, whole blocks (or, for tests, less than one): inputs
 * by enum update_input, each (blocks, BLOCK_FLOATS) or (blocks, 1); scalars by enum update_scalar.
 * out[0] = the new parameter, out[1..] = the new states.
 */
CAM_CHECKED enum cam_code training_update_graph(const struct update_info *update, int64_t floats,
                                                struct graph **graph_out,
                                                int out[1 + UPDATE_STATES_MAX],
                                                struct cam_err *err);

/* What an update's scalars depend on. */
struct update_moment {
    int64_t execution;    /* of the phase, from 0 */
    double rate_factor;   /* of the learning rate: 1, less after a rollback */
    double gradient_norm; /* of the part, where update_needs_norms; else any */
};

/* The update's scalars.  Products and square roots only: the same bits anywhere. */
void training_update_scalars(const struct training *training, const struct update_info *update,
                             const struct update_moment *moment,
                             float scalars_out[UPDATE_SCALAR_COUNT]);

/* The learning rate of an execution. */
double update_rate(const struct update_info *update, const struct update_moment *moment);

/* Whether an update must know norms before it begins: stage (a) of ENGINE.md. */
bool update_needs_norms(const struct update_info *update);

/* Whether a tensor's weights decay, and its own rate (lars: You, Gitman, Ginsburg 2017, with
 * biases and norms left out; 1 for other optimizers).  Norms are Euclidean, of the mean gradient
 * after clipping by value. */
bool update_decays(const struct update_info *update, const struct tensor_info *tensor);
float update_trust(const struct update_info *update, const struct tensor_info *tensor,
                   const struct update_moment *moment, double weight_norm, double gradient_norm);

/* Copies a tensor between the arena's order and the checkpoint's (`export`: towards it), and the
 * shape that the checkpoint shows. */
void tensor_export(const struct tensor_info *info, const float *source, float *out);
void tensor_import(const struct tensor_info *info, const float *source, float *out);
struct shape tensor_export_shape(const struct tensor_info *info);

#endif
