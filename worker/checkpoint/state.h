/*
 * state.json of a checkpoint: all that a step depends on besides the tensors.  Plain data.
 */
#ifndef STATE_H
#define STATE_H

#include "base/digest.h"
#include "base/status.h"

#include <stdint.h>

enum { STATE_VERSION = 2, STATE_PHASES_MAX = 8, STATE_METRICS_MAX = 16, STATE_NAME_SIZE = 64 };

/* Where a training stands between two steps. */
struct run_state {
    int64_t step;       /* finished, over the whole job */
    int64_t epoch;      /* finished */
    int64_t epoch_step; /* finished steps of the open epoch */
    double epoch_seconds;
    int64_t rollbacks; /* so far, and what they have made of the learning rates */
    double rate_factor;
    int phase_count;
    int64_t executions[STATE_PHASES_MAX]; /* of each phase, in the training's order */
    int metric_count;
    char metric_name[STATE_METRICS_MAX][STATE_NAME_SIZE];
    double metric_sum[STATE_METRICS_MAX]; /* over the open epoch's steps, added in step order */
};

/* What the bits depend on besides the tensors; a checkpoint of another is not used. */
struct state_identity {
    char job_sha256[CAM_DIGEST_HEX_SIZE];  /* of the job's text and --set pairs */
    char data_sha256[CAM_DIGEST_HEX_SIZE]; /* of the data's identity */
    const char *profile;                   /* JSON text; written, not compared */
};

struct state_digests {
    char model_sha256[CAM_DIGEST_HEX_SIZE];
    char optimizer_sha256[CAM_DIGEST_HEX_SIZE];
};

/* Replaces path (base/file.h).  CAM_DISK_FULL, CAM_IO, CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code state_write(const char *path, const struct run_state *state,
                                      const struct state_identity *identity,
                                      const struct state_digests *digests, struct cam_err *err);

/* CAM_CORRUPT where the file is not whole or does not make sense; CAM_CHANGED where it is of
 * another job text or other data. */
CAM_CHECKED enum cam_code state_read(const char *path, const struct state_identity *identity,
                                     struct run_state *state_out, struct state_digests *digests_out,
                                     struct cam_err *err);

#endif
