#include "daemon/core.h"

#include "base/arena.h"
#include "base/mem.h"
#include "daemon/core_private.h"
#include "daemon/owner.h"

#include <stdio.h>
#include <string.h>

enum {
    DECISIONS_AT_ONCE = 32,
    BACKOFF_MS_MAX = 3600 * 1000,
};

int64_t core_now(const struct core *core)
{
    return core->ports.monotonic_ms(core->ports.self);
}

int64_t core_wall(const struct core *core)
{
    return core->ports.wall_ms(core->ports.self);
}

void core_fatal(struct core *core, const struct cam_err *why)
{
    core->ports.fatal(core->ports.self, why);
}

void core_feed(struct core *core, const struct sched_event *event)
{
    struct cam_err err;
    if (scheduler_apply(core->scheduler, event, &err) != CAM_OK) {
        core_fatal(core, &err);
    }
}

void core_set_timer(struct core *core, int64_t id, enum sched_timer timer, int64_t due_ms)
{
    core_feed(core, &(struct sched_event){
                        .kind = SCHED_TIMER, .id = id, .timer = timer, .due_ms = due_ms});
}

bool core_settled(struct core *core, const struct store_op *op)
{
    struct cam_err why;
    if (store_broken(core->options.store, &why)) {
        core_fatal(core, &why);
    }
    return op->rc == CAM_OK;
}

/* A stored due time is wall clock; a clock that jumped must not make a job wait for days. */
static int64_t ready_time(const struct core *core, int64_t not_before_ms)
{
    int64_t wait_ms = not_before_ms - core_wall(core);
    if (not_before_ms == 0 || wait_ms <= 0) {
        return 0;
    }
    return core_now(core) + (wait_ms > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : wait_ms);
}

void core_follow_waiting(struct core *core, const struct job_change *change, const char *profile)
{
    if (change->to != JOB_QUEUED) {
        core_follow(core, change);
        return;
    }
    core_feed(core, &(struct sched_event){.kind = SCHED_CHANGED,
                                          .id = change->id,
                                          .state = JOB_QUEUED,
                                          .ready_ms = core_now(core) + CORE_PROFILE_AGAIN_MS,
                                          .profile = profile});
    core->ports.changed(core->ports.self, change->id);
}

void core_follow(struct core *core, const struct job_change *change)
{
    if (change->from != change->to) {
        core_feed(core, &(struct sched_event){.kind = SCHED_CHANGED,
                                              .id = change->id,
                                              .state = change->to,
                                              .ready_ms = ready_time(core, change->not_before_ms)});
    }
    core->ports.changed(core->ports.self, change->id);
}

/* ---------------------------------------------------------------- submit */

struct submit_op {
    struct store_op op;
    struct core *core;
    const struct new_job *job;
    core_submitted_fn answer;
    void *context;
    int64_t now_ms;
    int64_t id;
    bool existed;
    int64_t *unmet; /* of job->after: those that have not succeeded */
    size_t unmet_count;
};

/* Jobs that `id` waits for and that have not succeeded; room is at least 1. */
static enum cam_code read_unmet(struct database *db, int64_t id, size_t room, int64_t *out,
                                size_t *count_out, struct cam_err *err)
{
    struct query q;
    *count_out = 0;
    enum cam_code rc =
        database_query(db, &q, err,
                       "SELECT after_id FROM dependencies JOIN jobs ON jobs.id = after_id WHERE "
                       "job_id = ? AND state <> 'succeeded' ORDER BY after_id LIMIT ?",
                       "ii", id, (int64_t)room);
    while (rc == CAM_OK && query_next(&q, &rc, err)) {
        out[(*count_out)++] = query_int(&q, 0);
    }
    query_end(&q);
    return rc;
}

static enum cam_code run_submit(struct database *db, struct store_op *op, struct cam_err *err)
{
    struct submit_op *submit = (struct submit_op *)op;
    submit->unmet_count = 0;
    enum cam_code rc =
        records_submit(db, submit->job, submit->now_ms, &submit->id, &submit->existed, err);
    if (rc != CAM_OK || submit->existed || submit->job->after_count == 0) {
        return rc;
    }
    return read_unmet(db, submit->id, submit->job->after_count, submit->unmet, &submit->unmet_count,
                      err);
}

static void submit_done(struct store_op *op)
{
    struct submit_op *submit = (struct submit_op *)op;
    struct core *core = submit->core;
    bool added = core_settled(core, op) && !submit->existed;
    if (added) {
        core_feed(core, &(struct sched_event){
                            .kind = SCHED_ADDED,
                            .id = submit->id,
                            .state = submit->job->hold ? JOB_HELD : JOB_QUEUED,
                            .ranks_min = (int32_t)submit->job->ranks_min,
                            .ranks_max = (int32_t)submit->job->ranks_max,
                            .after = submit->unmet,
                            .after_count = submit->unmet_count,
                        });
    }
    submit->answer(submit->context, op->rc, &op->err, submit->id, submit->existed);
    cam_free(submit->unmet);
    cam_free(submit);
    if (added) {
        core_tick(core);
    }
}

void core_submit(struct core *core, const struct new_job *job, core_submitted_fn answer,
                 void *context)
{
    struct submit_op *submit = cam_alloc(1, sizeof *submit);
    int64_t *unmet = job->after_count == 0 ? NULL : cam_alloc(job->after_count, sizeof *unmet);
    if (submit == NULL || (job->after_count > 0 && unmet == NULL)) {
        struct cam_err err;
        enum cam_code rc = cam_fail(&err, CAM_NO_MEMORY, "the daemon is short of memory");
        cam_free(unmet);
        cam_free(submit);
        answer(context, rc, &err, 0, false);
        return;
    }
    *submit = (struct submit_op){.op = {.run = run_submit, .done = submit_done},
                                 .core = core,
                                 .job = job,
                                 .answer = answer,
                                 .context = context,
                                 .now_ms = core_wall(core),
                                 .unmet = unmet};
    store_submit(core->options.store, &submit->op);
}

/* ---------------------------------------------------------------- hold, release, cancel, resume */

struct change_op {
    struct store_op op;
    struct core *core;
    struct core_wish wish;
    core_changed_fn answer;
    void *context;
    int64_t now_ms;
    struct job_change change;
    struct sched_event back; /* for a resume: the job as the scheduler must know it again */
    int64_t unmet[JOB_AFTER_MAX];
};

/* Decided here and not from a copy: it is one with the change. */
static enum cam_code check_owner(struct database *db, const struct core_wish *wish,
                                 struct cam_err *err)
{
    struct query q;
    int64_t owner_uid = wish->by_uid; /* of a job that is not there the change itself tells */
    enum cam_code rc =
        database_query(db, &q, err, "SELECT owner_uid FROM jobs WHERE id = ?", "i", wish->id);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        owner_uid = query_int(&q, 0);
    }
    query_end(&q);
    if (rc == CAM_OK && !owner_admits(owner_uid, wish->by_uid)) {
        rc = cam_fail(err, CAM_DENIED,
                      "job %lld belongs to user %lld, you are user %lld: only its owner and root "
                      "may %s it",
                      (long long)wish->id, (long long)owner_uid, (long long)wish->by_uid,
                      job_event_name(wish->event));
    }
    return rc;
}

static enum cam_code run_change(struct database *db, struct store_op *op, struct cam_err *err)
{
    struct change_op *change = (struct change_op *)op;
    const struct core_wish *wish = &change->wish;
    struct query q;
    enum cam_code rc = check_owner(db, wish, err);
    if (rc == CAM_OK) {
        rc = records_change(db, wish->id, wish->event, wish->now, change->now_ms,
                            wish->now ? "now" : "", &change->change, err);
    }
    if (rc != CAM_OK || wish->event != JOB_EVENT_RESUME) {
        return rc;
    }
    rc = database_query(db, &q, err, "SELECT ranks_min, ranks_max, priority FROM jobs WHERE id = ?",
                        "i", wish->id);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        change->back = (struct sched_event){.kind = SCHED_ADDED,
                                            .id = wish->id,
                                            .state = JOB_QUEUED,
                                            .ranks_min = (int32_t)query_int(&q, 0),
                                            .ranks_max = (int32_t)query_int(&q, 1),
                                            .priority = (int32_t)query_int(&q, 2),
                                            .after = change->unmet};
    }
    query_end(&q);
    return rc == CAM_OK ? read_unmet(db, wish->id, JOB_AFTER_MAX, change->unmet,
                                     &change->back.after_count, err)
                        : rc;
}

static void change_done(struct store_op *op)
{
    struct change_op *change = (struct change_op *)op;
    struct core *core = change->core;
    bool moved = core_settled(core, op);
    if (moved && change->wish.event == JOB_EVENT_RESUME) {
        core_feed(core, &change->back);
        core->ports.changed(core->ports.self, change->wish.id);
    } else if (moved) {
        core_follow(core, &change->change);
    }
    struct live *live = job_index_get(&core->live, change->wish.id);
    /* Asking twice gives no second grace. */
    bool asked = live != NULL && live->stop_asked && !change->change.cancel_now;
    if (moved && live != NULL && !asked && change->change.to == JOB_STOPPING) {
        core_stop_attempt(core, live, change->change.cancel_now, "cancelled");
    }
    if (change->answer != NULL) {
        change->answer(change->context, op->rc, &op->err, &change->change);
    }
    cam_free(change);
    if (moved) {
        core_tick(core);
    }
}

void core_change(struct core *core, const struct core_wish *wish, core_changed_fn answer,
                 void *context)
{
    struct change_op *change = cam_alloc(1, sizeof *change);
    if (change == NULL) {
        struct cam_err err;
        enum cam_code rc = cam_fail(&err, CAM_NO_MEMORY, "the daemon is short of memory");
        if (answer != NULL) {
            answer(context, rc, &err, &(struct job_change){.id = wish->id});
        }
        return;
    }
    *change = (struct change_op){.op = {.run = run_change, .done = change_done, .essential = true},
                                 .core = core,
                                 .wish = *wish,
                                 .answer = answer,
                                 .context = context,
                                 .now_ms = core_wall(core)};
    store_submit(core->options.store, &change->op);
}

/* ---------------------------------------------------------------- the whole */

void core_tick(struct core *core)
{
    struct sched_decision decisions[DECISIONS_AT_ONCE];
    size_t count = 0;
    while ((count = scheduler_next(core->scheduler, core_now(core), decisions, DECISIONS_AT_ONCE)) >
           0) {
        for (size_t i = 0; i < count; i++) {
            const struct sched_decision *decision = &decisions[i];
            struct live *live = job_index_get(&core->live, decision->id);
            if (decision->kind == SCHED_START) {
                core_start(core, decision->id, decision->ranks);
            } else if (live != NULL && decision->timer == SCHED_TIMER_GRACE) {
                core_kill_attempt(core, live);
            } else if (live != NULL) {
                core_judge(core, live);
            }
        }
    }
    core->ports.wake_at(core->ports.self, scheduler_due(core->scheduler));
}

enum cam_code core_create(const struct core_options *options, const struct core_ports *ports,
                          struct core **out, struct cam_err *err)
{
    struct core *core = cam_alloc(1, sizeof *core);
    if (core == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the daemon's core");
    }
    core->options = *options;
    core->ports = *ports;
    enum cam_code rc = scheduler_create(options->slots, &core->scheduler, err);
    if (rc != CAM_OK) {
        cam_free(core);
        return rc;
    }
    *out = core;
    return CAM_OK;
}

void core_destroy(struct core *core)
{
    if (core == NULL) {
        return;
    }
    size_t at = 0;
    struct live *live = NULL;
    while ((live = job_index_walk(&core->live, &at)) != NULL) {
        live_destroy(live);
    }
    job_index_release(&core->live);
    scheduler_destroy(core->scheduler);
    cam_free(core);
}

static enum cam_code load_jobs(struct core *core, struct database *reader, struct cam_err *err)
{
    struct query q;
    enum cam_code rc = database_query(
        reader, &q, err,
        "SELECT id, state, not_before_ms, priority, ranks_min, ranks_max, "
        "(SELECT count(*) FROM dependencies WHERE job_id = id) FROM jobs WHERE state IN "
        "('queued', 'held', 'starting', 'running', 'stopping') ORDER BY id",
        "");
    while (rc == CAM_OK && query_next(&q, &rc, err)) {
        int64_t after[JOB_AFTER_MAX];
        struct sched_event event = {
            .kind = SCHED_ADDED,
            .id = query_int(&q, 0),
            .state = job_state_from_name(query_text(&q, 1)),
            .ready_ms = ready_time(core, query_int(&q, 2)),
            .priority = (int32_t)query_int(&q, 3),
            .ranks_min = (int32_t)query_int(&q, 4),
            .ranks_max = (int32_t)query_int(&q, 5),
            .after = after,
        };
        if (query_int(&q, 6) > 0) {
            rc = read_unmet(reader, event.id, JOB_AFTER_MAX, after, &event.after_count, err);
        }
        rc = rc == CAM_OK ? scheduler_apply(core->scheduler, &event, err) : rc;
    }
    query_end(&q);
    return rc;
}

static const char *const OPEN_ATTEMPTS =
    "SELECT job_id, attempts.attempt, ranks, scratch, attempts.started_at_ms, state, cancel_now, "
    "submitted_at_ms, owner_uid, owner_gid FROM attempts JOIN jobs ON jobs.id = job_id WHERE "
    "attempts.ended_at_ms = 0";

static enum cam_code load_attempts(struct core *core, struct database *reader, struct cam_err *err)
{
    struct query q;
    enum cam_code rc = database_query(reader, &q, err, OPEN_ATTEMPTS, "");
    while (rc == CAM_OK && query_next(&q, &rc, err)) {
        struct live *live = NULL;
        int64_t id = query_int(&q, 0);
        rc = core_add_live(core, id, (int)query_int(&q, 1), (int)query_int(&q, 2), &live, err);
        if (rc != CAM_OK) {
            break;
        }
        live->started_wall_ms = query_int(&q, 4);
        live->owner_uid = query_int(&q, 8);
        live->owner_gid = query_int(&q, 9);
        core_feed(core, &(struct sched_event){
                            .kind = SCHED_HOLDS, .id = id, .ranks = (int32_t)query_int(&q, 2)});
        if (strcmp(query_text(&q, 5), job_state_name(JOB_STOPPING)) == 0) {
            /* Asserted again: rank 0 hears of it as soon as it re-attaches. */
            live->stop_asked = true;
            live->kill_asked = query_int(&q, 6) != 0;
            core_set_timer(core, id, SCHED_TIMER_GRACE,
                           core_now(core) + core->options.stop_grace_ms);
        }
    }
    query_end(&q);
    return rc;
}

enum cam_code core_load(struct core *core, struct database *reader, struct cam_err *err)
{
    struct query q;
    enum cam_code rc = load_jobs(core, reader, err);
    if (rc == CAM_OK) {
        rc = load_attempts(core, reader, err);
    }
    if (rc == CAM_OK) {
        rc = database_query(reader, &q, err, OPEN_ATTEMPTS, "");
    }
    if (rc != CAM_OK) {
        return rc;
    }
    /* Only now: an answer may free slots, and all that are taken must be known by then. */
    while (query_next(&q, &rc, err)) {
        struct launch_order order = {.job_id = query_int(&q, 0),
                                     .attempt = (int)query_int(&q, 1),
                                     .scratch = query_text(&q, 3),
                                     .submitted_at_ms = query_int(&q, 7),
                                     .owner_uid = query_int(&q, 8),
                                     .owner_gid = query_int(&q, 9)};
        core->ports.launcher.adopt(core->ports.launcher.self, &order);
    }
    query_end(&q);
    return rc;
}

void core_reason(const struct core *core, int64_t job_id, char *out, size_t size)
{
    (void)scheduler_reason(core->scheduler, job_id, core_now(core), out, size);
}

void core_slots(const struct core *core, int32_t *slots_out, int32_t *free_out)
{
    *slots_out = scheduler_slots(core->scheduler);
    *free_out = scheduler_slots_free(core->scheduler);
}
