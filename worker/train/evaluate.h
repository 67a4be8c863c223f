/*
 * Judges a validation set by the training's evaluation graph: every sample once, on all ranks.
 *
 * The set is cut into shards of as many samples as one of training has, the last one padded with
 * samples of weight 0.  Rank r takes a contiguous range of shards, its lanes take turns; each shard
 * leaves its sums, and rank 0 adds them by one fixed tree over all shards, in double.  So the
 * figures depend on parameters and data alone, not on ranks or lanes.
 *
 * One thread, lane 0, calls everything here.  Nothing is allocated after evaluate_create.
 */
#ifndef EVALUATE_H
#define EVALUATE_H

#include "base/status.h"
#include "data/source.h"
#include "worker/train/engine.h"

struct evaluate;

struct evaluate_options {
    const struct compiled *compiled;
    const struct source *source; /* loaded */
    struct engine *engine;
    struct collectives *collectives;
    struct lanes *lanes;
    struct progress *progress;
};

/* The training has an evaluation.  CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code evaluate_create(const struct evaluate_options *options,
                                          struct evaluate **out, struct cam_err *err);
void evaluate_destroy(struct evaluate *evaluate);

/* Collective.  Rank 0: means over the samples into metrics (metric_count); other ranks leave it as
 * it is.  CAM_NON_FINITE names the metric; the source's and the backend's errors. */
CAM_CHECKED enum cam_code evaluate_run(struct evaluate *evaluate, double *metrics,
                                       struct cam_err *err);

#endif
