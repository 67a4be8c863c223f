/*
 * The two files that say how an attempt went: failure-RANK.json and outcome.json.
 */
#ifndef RECORDS_H
#define RECORDS_H

#include "base/status.h"
#include "worker/report/reporter.h"

/* Stands in the attempt's folder once a rank's own cause of failure is on disk. */
#define RECORDS_FAILED "failed"

/* And marks the attempt as failed, unless the failure is a lost peer.  CAM_DISK_FULL, CAM_IO,
 * CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code records_write_failure(const char *job_dir, int attempt,
                                                const struct failure *failure, struct cam_err *err);

struct outcome {
    const char *outcome;        /* "succeeded" or "stopped" */
    const char *weights_sha256; /* "" where it was stopped */
    int64_t step;
    const char *model;  /* relative to JOB; "" where it was stopped */
    int64_t peak_bytes; /* the most memory that rank 0 held */
};

CAM_CHECKED enum cam_code records_write_outcome(const char *job_dir, int attempt,
                                                const struct outcome *outcome, struct cam_err *err);

#endif
