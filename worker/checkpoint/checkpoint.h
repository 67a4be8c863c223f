/*
 * Checkpoint folders: written beside, synced, then renamed; found, checked and read; retired.
 *
 *   JOB/attempts/N/checkpoints/step-000000000042/{model,optimizer}.safetensors, state.json,
 *   and vocabulary.json where samples are text
 *
 * Rank 0 only; blocking.  Folder names given and returned are relative to JOB.
 */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "base/file.h"
#include "base/status.h"
#include "worker/checkpoint/snapshot.h"
#include "worker/checkpoint/state.h"

#include <stdbool.h>
#include <stddef.h>

/* Publishes an exported snapshot under attempts/ATTEMPT; *folder_out names it.  After a failure
 * nothing of it is left.  CAM_DISK_FULL, CAM_IO, CAM_DENIED, CAM_NO_MEMORY. */
struct checkpoint_target {
    const char *job_dir;
    int attempt;
    const struct state_identity *identity;
};
CAM_CHECKED enum cam_code checkpoint_write(const struct checkpoint_target *target,
                                           const struct snapshot *snapshot,
                                           const struct run_state *state,
                                           char folder_out[CAM_PATH_SIZE], struct cam_err *err);

/* Reads one folder into the snapshot.  CAM_CORRUPT (damaged), CAM_CHANGED (of another job or other
 * data), CAM_NOT_FOUND. */
CAM_CHECKED enum cam_code checkpoint_read(const char *job_dir, const char *folder,
                                          const struct state_identity *identity,
                                          struct snapshot *snapshot, struct run_state *state_out,
                                          struct cam_err *err);

/* One folder of an attempt. */
struct checkpoint_entry {
    int64_t step;
    int attempt;
};

/* All published folders of attempts 1 ... attempt, newest (latest attempt, then largest step)
 * first; *out ends with cam_free. */
CAM_CHECKED enum cam_code checkpoint_list(const char *job_dir, int attempt,
                                          struct checkpoint_entry **out, size_t *count_out,
                                          struct cam_err *err);

/* The folder of an entry, relative to JOB. */
CAM_CHECKED enum cam_code checkpoint_folder(const struct checkpoint_entry *entry,
                                            char out[CAM_PATH_SIZE], struct cam_err *err);

/*
 * Steps to which a run may go back: a function of the job alone, unlike other checkpoints, whose
 * steps depend on time.  Every epoch's end, and within an epoch every `every` steps.
 */
struct anchors {
    int64_t steps_per_epoch;
    int64_t every; /* 0: there are no anchors */
};

/* Whether a checkpoint of this step is an anchor; the last anchor at or before a step (0: the
 * initial values). */
bool anchors_has(const struct anchors *anchors, int64_t step);
int64_t anchors_before(const struct anchors *anchors, int64_t step);

/* Removes all but the newest `keep` and the anchors that these would go back to, and what a killed
 * writer left half written. */
CAM_CHECKED enum cam_code checkpoint_retire(const char *job_dir, int attempt, int64_t keep,
                                            const struct anchors *anchors, struct cam_err *err);

/* Removes all of later steps: a run went back to `step` and will pass them again. */
CAM_CHECKED enum cam_code checkpoint_forget(const char *job_dir, int attempt, int64_t step,
                                            struct cam_err *err);

#endif
