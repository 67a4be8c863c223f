/*
 * Rank 0's writer: a thread that puts epoch rows, sample grids and checkpoints on disk while
 * training goes on, in the order they were given.  What fails is reported and training goes on;
 * rows that could not be stored are tried again before each later write, and no checkpoint that
 * covers them is published before them.
 *
 * Training thread: writer_row and writer_wait at any time; writer_snapshot only after writer_wait,
 * then fill it and writer_submit.
 */
#ifndef WRITER_H
#define WRITER_H

#include "base/status.h"
#include "kernels/backend.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/checkpoint/epochs.h"
#include "worker/report/reporter.h"
#include "worker/train/compiled.h"

#include <stdbool.h>
#include <stdint.h>

struct writer;

struct writer_options {
    const char *job_dir;
    int attempt;
    int64_t keep_last;
    struct anchors anchors;
    const struct state_identity *identity;
    const struct compiled *compiled;
    struct backend_options backend_options; /* of the training's instance */
    struct snapshot *snapshot;              /* the writer's until writer_destroy; not freed */
    struct reporter *reporter;              /* may be NULL */
};

/* CAM_NO_MEMORY, CAM_UNAVAILABLE (no thread). */
CAM_CHECKED enum cam_code writer_create(const struct writer_options *options, struct writer **out,
                                        struct cam_err *err);

/* Ends after what was submitted; NULL is allowed. */
void writer_destroy(struct writer *writer);

/* An epoch's row; CAM_DISK_FULL or the last error where too many wait for the disk. */
CAM_CHECKED enum cam_code writer_row(struct writer *writer, const struct epoch_row *row,
                                     struct cam_err *err);

/* Waits until nothing is being written. */
void writer_wait(struct writer *writer);

/* What to do with the snapshot that now holds `state`. */
struct writer_order {
    bool sample; /* a grid named after state.epoch */
    bool checkpoint;
    struct run_state state;
};
void writer_submit(struct writer *writer, const struct writer_order *order);

/* Waits, tries rows again, and gives the error of rows that are still not on disk. */
CAM_CHECKED enum cam_code writer_finish(struct writer *writer, struct cam_err *err);

#endif
