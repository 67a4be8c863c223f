/*
 * What an engine is made of; only for train/engine*.c.
 */
#ifndef ENGINE_TABLES_H
#define ENGINE_TABLES_H

#include "worker/train/combine.h"
#include "worker/train/engine.h"

#include <stdbool.h>

/* Sums of squares of a block, gathered for all blocks of a part: doubles, moved as floats. */
enum engine_norm { NORM_GRADIENT, NORM_WEIGHT, NORM_COUNT };
enum { NORM_FLOATS = NORM_COUNT * (int)(sizeof(double) / sizeof(float)) };

/* Of a phase: who owns what of its part. */
struct engine_part {
    int64_t parameter_first; /* floats: the part's start in the parameter arena */
    int64_t *segment;        /* ranks + 1 */
    struct exchange exchange;
    int state_count;
    float *state[UPDATE_STATES_MAX]; /* of the own segment */
    float *decays;                   /* by own block, as `trust`: update_decays, update_trust */
    float *trust;
    int64_t *norm_segment; /* ranks + 1: as `segment`, of the norms */
};

struct engine_lane {
    float *activations;
    float *update_output; /* (1 + states) chunks */
    float *scratch;       /* the combine's, chunks */
    const void **inputs;  /* by slot */
};

struct engine {
    const struct training *training;
    const struct compiled *compiled;
    struct collectives *collectives;
    struct lanes *lanes;
    struct progress *progress;
    int64_t poison_step;

    struct tree_node range; /* this rank's shards */
    struct schedule schedule;
    struct combine combine;
    int partial_total;              /* of all ranks */
    struct tree_node *partial_node; /* ranks in order */
    int *partial_count;             /* by rank */
    int **partial_buffer;           /* by rank */
    int *partial_storage;
    const float **segment_view;
    const float **tail_view;

    struct engine_part *part; /* by phase */
    struct engine_lane *lane;
    bool *input_is_label; /* by input */
    float *parameters;
    float *buffers;
    float *partials; /* schedule.buffer_count buffers of stride floats */
    int64_t stride;
    float *tail;
    float *tail_scratch;
    int64_t tail_stride;
    float *replicated_output;
    float *norms; /* NORM_FLOATS a block; the same on every rank between share and exchange */
    int64_t bytes;
};

/* engine_update.c: the gradients of all ranks are in the views; own parameters and states become
 * new. */
CAM_CHECKED enum cam_code engine_update(struct engine *engine, const struct engine_phase *run,
                                        struct cam_err *err);

#endif
