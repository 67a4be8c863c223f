/*
 * What a recipe builds a training with; inside model/recipes only.
 *
 *   training.c    the frame: tables, parts, warnings, ownership
 *   gan*.c        kind gan
 *   supervised.c  what classification.c and causal_lm.c share: one phase, and its evaluation
 *   phase.c       one phase: calls of parts, gradients, the layout of the output block
 *   schedule.c    which phases a step runs, and how many steps an epoch has
 *   statistics.c  the replicated stage: running statistics and the vectors of spectral norms
 *   update.c      update graphs and their scalars
 *   layout.c      the order of a tensor's bytes in checkpoints
 */
#ifndef BUILD_H
#define BUILD_H

#include "model/layers/part.h"

enum {
    GRAPHS_MAX = 16,
    PHASES_MAX = 4,
    INPUTS_MAX = 4,
    PHASE_METRICS_MAX = 8,
    METRIC_FLOATS = 16, /* tensors of an output block start on 64 bytes */
};

struct training_build {
    const struct job_file *job;
    const struct data_shape *data;
    struct training *training;
    struct cam_arena *arena;
    struct streams streams;
    struct tensors tensors;
    struct part_spec specs[PARTS_MAX]; /* presets expanded; in the job's order */
    const char *input_names[PARTS_MAX];
    int64_t enters[PARTS_MAX][3]; /* the image that enters a part in a row, as part_call has it */
    int64_t leaves[PARTS_MAX][3]; /* the one that leaves it so, once declared */
    struct part_info parts[PARTS_MAX + 1]; /* the last: a group */
    struct phase phases[PHASES_MAX];
    struct input_info inputs[INPUTS_MAX];
    const char *warnings[4];
    /* In place of part_build; NULL: that. */
    enum cam_code (*build_part)(struct training_build *build, struct part_call *call, int input,
                                int *node_out);
    struct cam_err *err;
};

/* A phase while its shard graph grows. */
struct phase_build {
    struct training_build *build;
    const char *name;
    struct graph *graph; /* the training's, once registered */
    int *parameters;     /* leaf of every parameter */
    int calls[PARTS_MAX];
    struct statistic *statistics;
    int statistic_count;
    int statistic_capacity;
    struct power *powers;
    int power_count;
    int power_capacity;
};

/* How a part is called. */
struct phase_call {
    int part;
    int input;
    bool training;
    bool logits;
    bool labelled;
    int label;
};

struct phase_metric {
    const char *name;
    int node; /* rank 0: the sum over the shard's samples */
};

/* What the phase's output block ends with. */
struct phase_loss {
    const char *metrics[PHASE_METRICS_MAX]; /* "d_loss" */
    int nodes[PHASE_METRICS_MAX]; /* rank 0: sums over the shard's samples; their sum is minimised
                                   */
    int count;
    const struct phase_metric *shown; /* reported beside them, and not minimised */
    int shown_count;
};
void phase_loss_add(struct phase_loss *loss, const char *metric, int node);

/* A graph that ends with the training; NULL when memory is short or there are too many. */
struct graph *build_graph(struct training_build *build);

/* part_build, or what the recipe has in its place. */
CAM_CHECKED enum cam_code build_part(struct training_build *build, struct part_call *call,
                                     int input, int *node_out);

/* Numbers below `count` are looked up, those of node `index`: every table of the graph that they
 * choose a row of must have as many, else CAM_INVALID. */
enum table_of { TABLE_TOKENS, TABLE_CLASSES };
CAM_CHECKED enum cam_code build_check_tables(const struct training_build *build, int part,
                                             const struct graph *graph, int index, int64_t count,
                                             enum table_of what);

/* Declares a part's tensors by building it once over `input_shape`; its output's shape. */
CAM_CHECKED enum cam_code build_declare(struct training_build *build, int part,
                                        const struct shape *input_shape, struct shape *out);

/* A row for parts that were declared one behind another from `first` to `last` and are updated
 * together, by one optimizer; returns its index. */
int build_group(struct training_build *build, int first, int last);

/* A phase over all parameters; then its calls; then phase_finish makes the row. */
CAM_CHECKED enum cam_code phase_begin(struct training_build *build, const char *name,
                                      struct phase_build *out);
/* The graph's error, with the job's line where the job is to blame: outside of layers, which name
 * their own, that is a phase of too many operators. */
CAM_CHECKED enum cam_code phase_status(const struct phase_build *phase);
CAM_CHECKED enum cam_code phase_call(struct phase_build *phase, const struct phase_call *call,
                                     int *node_out);
/* Standard normal numbers (rows, size), a row a sample of the global batch. */
CAM_CHECKED enum cam_code phase_latent(struct phase_build *phase, int64_t rows, int64_t size,
                                       int *node_out);
CAM_CHECKED enum cam_code phase_finish(struct phase_build *phase, int part,
                                       const struct phase_loss *loss, struct phase *out);

/* Where the statistics of a call stand, floats from the first one's. */
int64_t statistics_mean_offset(const struct statistic *statistics, int index);
int64_t statistics_square_offset(const struct statistic *statistics, int index);
int64_t statistics_floats(const struct statistic *statistics, int count);

/* Leaves a phase the spectral norms of the part that it updates: one step of theirs each step. */
void powers_keep_own(struct phase_build *phase, int part);
/* Where a spectral norm's vector stands behind the statistics, floats from the first of these. */
int64_t powers_offset(const struct phase_build *phase, int index);

/* statistics.c: fills phase->replicated and its tables; none where there are no statistics. */
CAM_CHECKED enum cam_code statistics_build(struct phase_build *build, struct phase *phase);

/* schedule.c: steps_per_epoch, of the phases. */
CAM_CHECKED enum cam_code schedule_build(struct training_build *build);

/* Recipes. */
enum cam_code gan_build(struct training_build *build);
enum cam_code classification_build(struct training_build *build);
enum cam_code causal_lm_build(struct training_build *build);

#endif
