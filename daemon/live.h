/*
 * What is known of an attempt while it lives: the ranks' last words.  In memory only; after a
 * restart it fills again as the ranks re-attach.  Loop thread.
 *
 * live_verdict names the rank that hangs.  A verdict needs either missing heartbeats, or ranks
 * that disagree on their collective: then it is the one with the smallest progress (step,
 * collective), once it has been in its stage for longer than max(10 s, 5 times the median of its
 * last times in that stage).  Where it has never ended that stage, the medians of the ranks that
 * have stand for it.  A stage that announced its own limit gets that, and nothing is judged for a
 * while after a start, a re-attach, or a pause of the daemon itself.  Pure: time comes in.
 */
#ifndef LIVE_H
#define LIVE_H

#include "base/file.h"
#include "base/status.h"
#include "daemon/stage_times.h"
#include "proto/attempt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LIVE_METRICS_MAX = 16, LIVE_NAME_SIZE = 48 };

struct live_metric {
    char name[LIVE_NAME_SIZE];
    double value;
};

/* A rank's own figures; from cam.Progress. */
struct live_progress {
    int64_t step;
    int64_t epoch;
    char phase[LIVE_NAME_SIZE];
    char stage[LIVE_NAME_SIZE];
    int64_t collective;
    double samples_per_s;
    int64_t stage_limit_ms;
    struct live_metric metrics[LIVE_METRICS_MAX];
    size_t metric_count;
};

struct live_rank {
    bool attached;    /* it has shown its token in this daemon's life */
    bool reported;    /* a progress came */
    int64_t heard_ms; /* of the last word */
    int64_t moved_ms; /* when its tuple last changed */
    bool whole;       /* its stage was watched from its begin on: its end tells a duration */
    struct stage_times times;
    struct live_progress now;
};

struct live {
    int64_t job_id;
    int attempt;
    int rank_count;
    struct live_rank *ranks;
    int64_t owner_uid; /* of the job: owner.h */
    int64_t owner_gid;
    char job_dir[CAM_PATH_SIZE];
    uint8_t token[ATTEMPT_TOKEN_BYTES];
    bool token_known;
    int64_t started_wall_ms;
    int64_t judge_after_ms;  /* no verdict before */
    int64_t silent_limit_ms; /* heartbeats may be missing for this long */
    int64_t attach_limit_ms; /* a rank may take this long to show up */
    int64_t since_ms;        /* launch or adoption */
    bool stop_asked;
    bool kill_asked;
    bool drained; /* the stop is the daemon's own drain */
    /* The first account of a failure, from a rank or from live_verdict. */
    enum cam_code error_code;
    char error_text[1016];
    int error_rank;
    int64_t error_step;
    bool hung;
    int saves_failed; /* checkpoints since the last that was saved */
};

/* rank_count ranks that have not been heard of. */
CAM_CHECKED enum cam_code live_create(int64_t job_id, int attempt, int rank_count,
                                      struct live **out, struct cam_err *err);
void live_destroy(struct live *live);

/* A rank showed its token: it gets time before it is judged. */
void live_attach(struct live *live, int rank, int64_t now_ms);

void live_hear(struct live *live, int rank, const struct live_progress *progress, int64_t now_ms);

/* The first failure stays. */
void live_fail(struct live *live, enum cam_code code, const char *text, int rank, int64_t step);

/* The daemon itself paused (its loop stalled): nobody is judged by what was missed meanwhile. */
void live_forgive(struct live *live, int64_t now_ms);

/* The rank that hangs and why, for the job's error; -1: none. */
int live_verdict(const struct live *live, int64_t now_ms, char *text, size_t size);

#endif
