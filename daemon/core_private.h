/*
 * Shared by core.c (requests and decisions), core_start.c (from a decision to its launch) and
 * core_attempts.c (what ranks and launcher say).
 */
#ifndef CORE_PRIVATE_H
#define CORE_PRIVATE_H

#include "daemon/core.h"
#include "daemon/job_index.h"
#include "daemon/scheduler.h"

/* For rank 0's log. */
#define DRAIN_REASON "the daemon drains"

/* A host changes seldom: by an upgrade, mostly. */
enum { CORE_PROFILE_AGAIN_MS = 60000 };

struct core {
    struct core_options options;
    struct core_ports ports;
    struct scheduler *scheduler;
    struct job_index live; /* struct live, by job: a job has one attempt at most */
    bool draining;
};

int64_t core_now(const struct core *core);
int64_t core_wall(const struct core *core);

/* Feeds the scheduler; short memory is fatal, since what it does not know would wait for ever. */
void core_feed(struct core *core, const struct sched_event *event);

/* Lets scheduler and watchers follow a committed change. */
void core_follow(struct core *core, const struct job_change *change);
/* The same, for a job that is queued again because its ranks found another numeric profile. */
void core_follow_waiting(struct core *core, const struct job_change *change, const char *profile);

/* Carries out SCHED_START. */
void core_start(struct core *core, int64_t id, int ranks);

/* Common tail of every store request: true when op succeeded; a broken store is fatal. */
bool core_settled(struct core *core, const struct store_op *op);

void core_set_timer(struct core *core, int64_t id, enum sched_timer timer, int64_t due_ms);

/* Makes the live entry of an attempt and starts watching it. */
CAM_CHECKED enum cam_code core_add_live(struct core *core, int64_t job_id, int attempt, int ranks,
                                        struct live **out, struct cam_err *err);
void core_remove_live(struct core *core, struct live *live);

/* Polite where possible, else at once; the reason is for rank 0's log. */
void core_stop_attempt(struct core *core, struct live *live, bool now, const char *reason);
void core_kill_attempt(struct core *core, struct live *live);

/* SCHED_TIMER_WATCH is due. */
void core_judge(struct core *core, struct live *live);

#endif
