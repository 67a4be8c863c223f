/*
 * Runs phases: one call is one optimizer step of one part, over all ranks.
 *
 *   compute    every lane runs the shard graph for its shards; finished shards merge up the tree
 *   exchange   owners come to see all ranks' partial sums, and whether one is not finite: then no
 *              rank goes on
 *   update     the owner adds in tree order and updates its blocks; where norms are asked for,
 *              squares of every block are shared before
 *   share      the new parameters become everyone's
 *   replicated running statistics, the same on every rank
 *
 * One thread, lane 0, calls everything here.  All memory is taken by engine_create; a phase
 * allocates nothing.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "base/status.h"
#include "worker/collectives/collectives.h"
#include "worker/report/progress.h"
#include "worker/train/compiled.h"
#include "worker/train/lanes.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;

struct engine_options {
    const struct compiled *compiled;
    struct collectives *collectives;
    struct lanes *lanes; /* lane_begin was not called yet: engine_create does it */
    struct progress *progress;
    bool poison; /* tests: engine_phase.poison may be set */
};

typedef int64_t engine_sample(const void *context, int64_t row);

/* One execution of a phase. */
struct engine_phase {
    int phase;           /* index in the training */
    uint64_t execution;  /* of the phase, from 0 */
    int64_t step;        /* from 1: for error texts */
    double rate_factor;  /* of the learning rate: 1, less after a rollback */
    const float *values; /* this rank's rows: images (rows,H,W,C), or tokens (rows,T); NULL where
                          * the phase takes no batch */
    const float *labels;
    engine_sample *sample_of; /* the sample in a row of this rank; NULL as pixels */
    const void *sample_context;
    bool poison;      /* tests: the first phase's shard 0 sees images that overflow */
    uint64_t control; /* in: this rank's word of 32 bits; out: the or of all ranks' */
    double *metrics;  /* out: metric_count of the phase, means over the batch */
};

/* CAM_NO_MEMORY, CAM_PEER_LOST, the backend's errors. */
CAM_CHECKED enum cam_code engine_create(const struct engine_options *options, struct engine **out,
                                        struct cam_err *err);
void engine_destroy(struct engine *engine);

/* CAM_NON_FINITE comes on all ranks alike, and nothing was applied on any; engine_explain says
 * more. */
CAM_CHECKED enum cam_code engine_run(struct engine *engine, struct engine_phase *run,
                                     struct cam_err *err);

/* After CAM_NON_FINITE, with the same `run`: computes the shard again, operator by operator, and
 * says in *err, the same on every rank, where the first value came from that is not finite.
 * *rank_out is where.  Collective; allocates.  CAM_NON_FINITE, or CAM_PEER_LOST. */
CAM_CHECKED enum cam_code engine_explain(struct engine *engine, const struct engine_phase *run,
                                         int *rank_out, struct cam_err *err);

/* This rank's rows of the global batch. */
void engine_rows(const struct engine *engine, int64_t *first_out, int64_t *count_out);

/* The arenas: parameters are shared with the ranks of this host (see collectives_replica). */
float *engine_parameters(const struct engine *engine);
float *engine_buffers(const struct engine *engine);

/* A lane's activations, for other plans of the training between two phases. */
float *engine_activations(const struct engine *engine, int lane);

/* Whether an input of the training is filled with labels; else with values. */
bool engine_input_is_label(const struct engine *engine, int input);

/* Rank 0 gathers all optimizer states into whole[phase][state] (a part's floats each), or hands
 * them out; whole is NULL on other ranks.  Collective. */
CAM_CHECKED enum cam_code engine_collect(struct engine *engine, float *const *whole,
                                         struct cam_err *err);
CAM_CHECKED enum cam_code engine_distribute(struct engine *engine, const float *const *whole,
                                            struct cam_err *err);

/* Rank 0's parameters and buffers become everyone's.  Collective. */
CAM_CHECKED enum cam_code engine_publish(struct engine *engine, struct cam_err *err);

/* Index in `whole` above: states of all phases, in the order of the table. */
int engine_state_index(const struct training *training, int phase, int state);
int engine_state_count(const struct training *training);

/* Bytes that this rank holds for training (without the backend's own). */
int64_t engine_bytes(const struct engine *engine);

#endif
