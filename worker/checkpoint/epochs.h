/*
 * epochs.jsonl: one line an epoch, appended and fsynced before any checkpoint that covers it.
 * What the report socket misses is read from here.  Rank 0's writer thread only.
 *
 *   {"epoch":1,"steps":468,"seconds":9.1,"samples_per_s":6580.2,"metrics":{"d_loss":..}}
 *
 * Numbers have 17 digits, so that equal bits print alike.  A line that a crash cut off is ended
 * before the next one is appended; a row that is there already is not written again.
 */
#ifndef EPOCHS_H
#define EPOCHS_H

#include "base/status.h"
#include "worker/checkpoint/state.h"

#include <stdint.h>

struct epoch_row {
    int64_t epoch; /* from 1 */
    int64_t steps;
    double seconds;
    double samples_per_s;
    int metric_count;
    char metric_name[STATE_METRICS_MAX][STATE_NAME_SIZE];
    double metric[STATE_METRICS_MAX];
};

/* Appends a row to the file (made if missing) and fsyncs it.  CAM_DISK_FULL, CAM_IO, CAM_DENIED:
 * the row is not to be counted as written then, and appending it again later is right. */
CAM_CHECKED enum cam_code epochs_append(const char *path, const struct epoch_row *row,
                                        struct cam_err *err);

/* The largest epoch with a whole line; 0 where there is none or no file. */
CAM_CHECKED enum cam_code epochs_last(const char *path, int64_t *out, struct cam_err *err);

#endif
