/*
 * Who runs next: a deterministic state machine.  Events and the time in, decisions out; no I/O,
 * no clock, no random numbers, so that the same events give the same decisions anywhere.
 *
 * First in, first out, by (priority, id).  A job starts when its gang fits: at least ranks_min
 * slots, and then as many as there are up to ranks_max.  The first job that is ready and does not
 * fit makes those behind it wait, so that a large gang is never starved.  Held jobs, jobs in
 * backoff and jobs that wait for others make nobody wait.
 *
 * A decision to start reserves its slots.  They are free again with SCHED_REFUSED (the attempt's
 * row could not be written, or the host's numeric profile is not the job's) or SCHED_DEAD (proof of
 * death), never earlier.
 *
 * The numeric profile is the outside's to know: it comes in as the text of what differs, with the
 * refusal or with the change back to queued, and a time to try again.  Until then the job waits
 * for it, and makes nobody wait.
 *
 * Times are the caller's monotonic milliseconds.  All deadlines are one heap in here; the caller
 * has one timer, set to scheduler_due.
 */
#ifndef SCHEDULER_H
#define SCHEDULER_H

#include "base/status.h"
#include "proto/job_state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHED_NEVER INT64_MAX

struct scheduler;

enum sched_event_kind {
    SCHED_ADDED,   /* a job was submitted, or is there at start */
    SCHED_CHANGED, /* its state moved (committed) */
    SCHED_HOLDS,   /* an attempt of it, found at start, holds slots */
    SCHED_REFUSED, /* the decision to start it could not be stored */
    SCHED_DEAD,    /* its attempt is proved dead */
    SCHED_TIMER,   /* sets one of its deadlines; SCHED_NEVER clears it */
    SCHED_DRAIN,   /* nothing starts any more */
    SCHED_EVENT_COUNT,
};

enum sched_timer {
    SCHED_TIMER_GRACE, /* a polite stop has had its time */
    SCHED_TIMER_WATCH, /* look at the ranks' heartbeats */
    SCHED_TIMER_COUNT,
};

struct sched_event {
    enum sched_event_kind kind;
    int64_t id;
    enum job_state state; /* ADDED, CHANGED */
    int64_t ready_ms;     /* ADDED, CHANGED, REFUSED: not before; 0: at once */
    int32_t priority;     /* ADDED; larger first */
    int32_t ranks_min;    /* ADDED */
    int32_t ranks_max;    /* ADDED */
    const int64_t *after; /* ADDED: jobs that have not succeeded yet; copied */
    size_t after_count;
    int32_t ranks;          /* HOLDS */
    enum sched_timer timer; /* TIMER */
    int64_t due_ms;         /* TIMER */
    /* CHANGED, REFUSED: how the host's numeric profile differs from that of the job's first
     * attempt; copied; NULL: it does not, as far as is known. */
    const char *profile;
};

/* Why a queued job does not run. */
enum sched_wait {
    SCHED_WAIT_NONE,    /* it is not queued, or about to start */
    SCHED_WAIT_AFTER,   /* for other jobs */
    SCHED_WAIT_PROFILE, /* for a host with its numeric profile */
    SCHED_WAIT_BACKOFF, /* for its time */
    SCHED_WAIT_DRAIN,   /* nothing starts any more */
    SCHED_WAIT_HOST,    /* for a larger host */
    SCHED_WAIT_SLOTS,   /* it is the first that waits for slots */
    SCHED_WAIT_TURN,    /* behind the first */
};

enum sched_decision_kind { SCHED_START, SCHED_TIMER_DUE };

struct sched_decision {
    enum sched_decision_kind kind;
    int64_t id;
    int32_t ranks;          /* START */
    enum sched_timer timer; /* TIMER_DUE */
};

CAM_CHECKED enum cam_code scheduler_create(int32_t slots, struct scheduler **out,
                                           struct cam_err *err);
void scheduler_destroy(struct scheduler *scheduler);

/* Events about jobs that are not known are ignored, except ADDED.  CAM_NO_MEMORY leaves the
 * scheduler as it was. */
CAM_CHECKED enum cam_code scheduler_apply(struct scheduler *scheduler,
                                          const struct sched_event *event, struct cam_err *err);

/* Writes at most max decisions that are due at now_ms; the caller asks again until it gets 0. */
size_t scheduler_next(struct scheduler *scheduler, int64_t now_ms, struct sched_decision *out,
                      size_t max);

/* The time of the next deadline, or SCHED_NEVER. */
int64_t scheduler_due(const struct scheduler *scheduler);

/* Why a queued job waits, and in words for people; "" where it does not. */
enum sched_wait scheduler_reason(const struct scheduler *scheduler, int64_t id, int64_t now_ms,
                                 char *out, size_t size);

int32_t scheduler_slots(const struct scheduler *scheduler);
int32_t scheduler_slots_free(const struct scheduler *scheduler);

#endif
