/*
 * One rank's life between MPI_Init and its end: agree on the profile, take memory, start or resume,
 * train, publish the outcome.
 */
#ifndef SESSION_H
#define SESSION_H

#include "base/status.h"
#include "worker/collectives/collectives.h"
#include "worker/report/reporter.h"
#include "worker/train/prepare.h"

#include <signal.h>
#include <stdbool.h>

struct session_options {
    const char *job_dir;
    int attempt;
    struct prepared *prepared;
    struct collectives *collectives;
    const volatile sig_atomic_t *terminated;
    int64_t poison_step; /* tests: see train.h */
    int64_t poison_times;
    bool refuse_allocation; /* tests: see train.h */
};

struct session;

/* CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code session_create(const struct session_options *options,
                                         struct session **out, struct cam_err *err);

/* Runs to the outcome: CAM_OK means that outcome.json is on disk.  After a failure session_failed
 * writes and reports it. */
CAM_CHECKED enum cam_code session_run(struct session *session, struct cam_err *err);

/* This rank's own account of a failure: failure-RANK.json and, within a moment, the report. */
void session_failed(struct session *session, const struct cam_err *err);

void session_destroy(struct session *session);

#endif
