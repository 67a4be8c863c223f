/*
 * Where an attempt starts: the checkpoint it was given, the newest whole one where that is damaged
 * or gone, or the initial values.  Rank 0 only.
 */
#ifndef RESUME_H
#define RESUME_H

#include "base/status.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/report/reporter.h"
#include "worker/train/engine.h"
#include "worker/train/prepare.h"

struct resume_options {
    const char *job_dir;
    int attempt;
    const char *from; /* folder relative to JOB, or NULL: from the start */
    const struct state_identity *identity;
    const struct prepared *prepared;
    struct engine *engine;
    struct reporter *reporter;
};

/* Fills the engine's parameters and buffers, the snapshot's states and *state_out.  A checkpoint
 * that cannot be used is said so in the log and to the daemon.  CAM_CHANGED where a checkpoint is
 * whole but of another job or other data. */
CAM_CHECKED enum cam_code resume_load(const struct resume_options *options,
                                      struct snapshot *snapshot, struct run_state *state_out,
                                      struct cam_err *err);

/* The same from the anchor of a step, or the initial values for 0: to go back to while training;
 * what was saved since is removed.  CAM_NOT_FOUND where the anchor is not whole on disk. */
CAM_CHECKED enum cam_code resume_back(const struct resume_options *options, int64_t step,
                                      struct snapshot *snapshot, struct run_state *state_out,
                                      struct cam_err *err);

#endif
