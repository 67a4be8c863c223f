/*
 * Tells the daemon how this rank fares: a thread that connects to the endpoint, shows the
 * attempt's token, sends progress each second and what is posted, and hears a stop order.
 * Training never waits for it.  While the daemon is away it tries again with growing pauses,
 * reading the endpoint file anew; posts wait in a bounded queue (the oldest goes first: what the
 * socket misses is in files, which the daemon reads).
 *
 * Any thread may post.  reporter_stop_asked is the training thread's to ask.
 */
#ifndef REPORTER_H
#define REPORTER_H

#include "base/status.h"
#include "worker/checkpoint/epochs.h"
#include "worker/report/progress.h"

#include <stdbool.h>
#include <stdint.h>

struct reporter;

struct reporter_options {
    const char *job_dir;
    int attempt;
    int64_t job_id;
    int rank;
    int ranks;
    const char *profile; /* JSON text; copied */
};

/* What a rank says of its own failure; also its failure-RANK.json. */
struct failure {
    enum cam_code code;
    char text[1016];
    int rank;
    int64_t step; /* -1: not at one step */
    char phase[64];
};

/* Starts the thread.  progress outlives it.  CAM_NO_MEMORY, CAM_UNAVAILABLE. */
CAM_CHECKED enum cam_code reporter_create(const struct reporter_options *options,
                                          struct progress *progress, struct reporter **out,
                                          struct cam_err *err);

/* Gives what is posted up to flush_ms to reach the daemon, then ends the thread.  NULL is fine. */
void reporter_destroy(struct reporter *reporter, int64_t flush_ms);

/* Whether the daemon asked to stop at a step boundary. */
bool reporter_stop_asked(const struct reporter *reporter);

/* Posts; they copy what they are given and never block.  NULL reporters are fine. */
void reporter_epoch(struct reporter *reporter, const struct epoch_row *row);
void reporter_checkpoint(struct reporter *reporter, int64_t step, const char *folder, bool failed,
                         const char *text);
void reporter_failure(struct reporter *reporter, const struct failure *failure);
void reporter_outcome(struct reporter *reporter, const char *outcome, const char *weights_sha256,
                      int64_t step);

/* Sends progress at once (the first step). */
void reporter_poke(struct reporter *reporter);

#endif
