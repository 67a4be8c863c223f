/*
 * The daemon without the outside: scheduler, store and what lives now, put together.  Everything
 * that happens comes in as a call; everything it does to the world goes out through ports, so that
 * the simulator runs the same code.  Loop thread; nothing here blocks.
 *
 * The rule that holds it together: the database decides (records.h), in the order of its commits;
 * the scheduler and the table of live attempts follow in the done callbacks.  What was not
 * committed did not happen.
 */
#ifndef CORE_H
#define CORE_H

#include "base/status.h"
#include "daemon/host_profile.h"
#include "daemon/launch.h"
#include "daemon/live.h"
#include "daemon/records.h"
#include "daemon/store.h"

#include <stdbool.h>
#include <stdint.h>

struct core;

struct core_ports {
    struct launch_port launcher;
    void *self;
    int64_t (*monotonic_ms)(void *self);
    int64_t (*wall_ms)(void *self);
    /* Would a later attempt have the job's numeric profile here?  Answers once, also from inside
     * this call. */
    void (*examine)(void *self, const struct profile_question *question, profile_answer_fn answer,
                    void *context);
    /* Asks rank 0 of the attempt to agree on a step, save and end; false when it cannot be told. */
    bool (*ask_stop)(void *self, int64_t job_id, int attempt, const char *reason);
    /* core_tick is wanted at this time (monotonic); SCHED_NEVER: not at all. */
    void (*wake_at)(void *self, int64_t due_ms);
    /* Something that a watcher of the job would want to see has changed. */
    void (*changed)(void *self, int64_t job_id);
    /* A line for the daemon's log. */
    void (*note)(void *self, int64_t job_id, const char *text);
    /* The daemon must end: the store is broken. */
    void (*fatal)(void *self, const struct cam_err *why);
};

struct core_options {
    struct store *store;
    int32_t slots;
    const char *jobs_dir;
    const char *scratch_prefix; /* "/dev/shm/cambrian-0-1a2b3c4d" */
    int64_t stop_grace_ms;
    int64_t silent_limit_ms;
    int64_t attach_limit_ms;
};

CAM_CHECKED enum cam_code core_create(const struct core_options *options,
                                      const struct core_ports *ports, struct core **out,
                                      struct cam_err *err);
void core_destroy(struct core *core);

/* Reads what the last daemon left: queued jobs, and attempts to adopt.  Before anything else. */
CAM_CHECKED enum cam_code core_load(struct core *core, struct database *reader,
                                    struct cam_err *err);

/* Decides what is due.  Called when the wake time has come; the core calls it itself otherwise. */
void core_tick(struct core *core);

/* Answers of requests; called once, after the commit. */
typedef void (*core_submitted_fn)(void *context, enum cam_code rc, const struct cam_err *err,
                                  int64_t id, bool existed);
typedef void (*core_changed_fn)(void *context, enum cam_code rc, const struct cam_err *err,
                                const struct job_change *change);

/* Adds a job; job and its texts must live until the answer. */
void core_submit(struct core *core, const struct new_job *job, core_submitted_fn answer,
                 void *context);

struct core_wish {
    int64_t id;
    enum job_event event; /* hold, release, cancel, resume */
    bool now;
    int64_t by_uid; /* who asks */
};

/* CAM_DENIED where the job is not by_uid's to change (owner_admits). */
void core_change(struct core *core, const struct core_wish *wish, core_changed_fn answer,
                 void *context);

/* Asks every running attempt to save and end, and starts nothing more. */
void core_drain(struct core *core);
/* True when no attempt is left. */
bool core_idle(const struct core *core);

/* From the launcher. */
void core_adopted(struct core *core, struct post_mortem *so_far);
void core_ended(struct core *core, struct post_mortem *mortem);
/* The daemon cannot go on (ports.fatal); training does. */
void core_fatal(struct core *core, const struct cam_err *why);
/* Something about a live attempt that its owner should know. */
void core_warned(struct core *core, int64_t job_id, int attempt, const char *text);

/* From the ranks.  NULL when there is no such attempt, or it is not the job's live one. */
struct live *core_live(struct core *core, int64_t job_id, int attempt);
/* Returns whether a stop was asked for. */
bool core_rank_attached(struct core *core, struct live *live, int rank, const char *profile);
void core_rank_progress(struct core *core, struct live *live, int rank,
                        const struct live_progress *progress);
void core_rank_epoch(struct core *core, struct live *live, const struct epoch_row *row);
/* Of a row of saves that fail the first is an event, and the one that works again.  failed at step
 * 0: a damaged checkpoint that a resume passed over; text is the whole account. */
void core_rank_checkpoint(struct core *core, struct live *live, int64_t step, bool failed,
                          const char *text);
void core_rank_failure(struct core *core, struct live *live, enum cam_code code, const char *text,
                       int rank, int64_t step);

/* The loop stalled: nobody is judged by what was missed meanwhile. */
void core_forgive(struct core *core);

/* For answers. */
const struct live *core_live_of_job(const struct core *core, int64_t job_id);
void core_reason(const struct core *core, int64_t job_id, char *out, size_t size);
void core_slots(const struct core *core, int32_t *slots_out, int32_t *free_out);

#endif
