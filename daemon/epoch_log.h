/*
 * JOB/epochs.jsonl: one JSON object a line, appended and fsynced by rank 0:
 *   {"epoch": 1, "steps": 234, "seconds": 9.1, "samples_per_s": 6586, "metrics": {"d_loss": 1.2}}
 * The report socket is the fast path; this file is the truth.  Any thread.
 */
#ifndef EPOCH_LOG_H
#define EPOCH_LOG_H

#include "base/arena.h"
#include "base/status.h"
#include "daemon/records.h"

#include <stddef.h>

/* All whole lines of the file; a last line without its end is not there yet, and a piece of a line
 * that the whole one follows is passed over.  A missing file has none.  Rows live in the arena.
 * CAM_CORRUPT names a line that is lost; all others are in *rows_out nevertheless. */
CAM_CHECKED enum cam_code epoch_log_read(const char *job_dir, struct cam_arena *arena,
                                         struct epoch_row **rows_out, size_t *count_out,
                                         struct cam_err *err);

/* Metrics as stored: a JSON object with sorted names and 17 digits, so that equal values are equal
 * text.  NULL when memory is short. */
const char *epoch_metrics_json(struct cam_arena *arena, const char *const *names,
                               const double *values, size_t count);

#endif
