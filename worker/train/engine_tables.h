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
    unsigned guard;       /* what combine_check saw */
};

struct engine {
    const struct training *training;
    const struct compiled *compiled;
    struct collectives *collectives;
    struct lanes *lanes;
    struct progress *progress;
    float *poison;           /* tests: a shard's images */
    bool spoiled;            /* this rank's own sums are not finite */
    struct cam_err spoiling; /* what this rank knows of it; code CAM_OK: nothing */

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

/* One run of a shard's graph, or of one with the same leaves. */
struct engine_launch {
    struct executable *executable;
    int shard; /* one of this rank's */
    int lane;
    float *activations; /* of the executable's plan, as output */
    float *output;
};

/* engine.c */
CAM_CHECKED enum cam_code engine_launch(struct engine *engine, const struct engine_phase *run,
                                        const struct engine_launch *what, struct cam_err *err);

/* What runs over the own segment in chunks of blocks, each lane its share. */
struct engine_pieces {
    struct engine *engine;
    const struct engine_phase *run;
    const float *scalars;
};
typedef enum cam_code engine_piece(const struct engine_pieces *task, int lane, int64_t offset,
                                   int64_t count, struct cam_err *err);

/* engine_update.c: this lane's share of the pieces, whole chunks, then single blocks; the gradients
 * of a piece, added over all ranks. */
CAM_CHECKED enum cam_code engine_each_piece(const struct engine_pieces *task, int lane,
                                            engine_piece *piece, struct cam_err *err);
const float *engine_own_gradient(const struct engine_pieces *task, int lane, int64_t offset,
                                 int64_t count);

/* engine_update.c: the gradients of all ranks are in the views; own parameters and states become
 * new. */
CAM_CHECKED enum cam_code engine_update(struct engine *engine, const struct engine_phase *run,
                                        struct cam_err *err);

/* engine_guard.c: before the exchange, puts into run->control what this rank's sums are like; and
 * after it, fails on every rank alike where a sum is not finite. */
CAM_CHECKED enum cam_code engine_guard(struct engine *engine, struct engine_phase *run,
                                       struct cam_err *err);
CAM_CHECKED enum cam_code engine_guard_sums(struct engine *engine, struct engine_phase *run,
                                            struct cam_err *err);

#endif
