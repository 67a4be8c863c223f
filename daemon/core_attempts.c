#include "daemon/core.h"

#include "base/arena.h"
#include "base/mem.h"
#include "daemon/core_private.h"
#include "daemon/verdict.h"

#include <stdio.h>
#include <string.h>

enum { WATCH_EVERY_MS = 1000 };

enum cam_code core_add_live(struct core *core, int64_t job_id, int attempt, int ranks,
                            struct live **out, struct cam_err *err)
{
    enum cam_code rc = live_create(job_id, attempt, ranks, out, err);
    if (rc != CAM_OK) {
        return rc;
    }
    struct live *live = *out;
    rc = cam_path(live->job_dir, err, "%s/%lld", core->options.jobs_dir, (long long)job_id);
    if (rc == CAM_OK) {
        rc = job_index_add(&core->live, job_id, live, err);
    }
    if (rc != CAM_OK) {
        live_destroy(live);
        *out = NULL;
        return rc;
    }
    live->since_ms = core_now(core);
    live->started_wall_ms = core_wall(core);
    live->silent_limit_ms = core->options.silent_limit_ms;
    live->attach_limit_ms = core->options.attach_limit_ms;
    live_forgive(live, live->since_ms);
    core_set_timer(core, job_id, SCHED_TIMER_WATCH, live->since_ms + WATCH_EVERY_MS);
    return CAM_OK;
}

void core_remove_live(struct core *core, struct live *live)
{
    job_index_remove(&core->live, live->job_id);
    live_destroy(live);
}

void core_kill_attempt(struct core *core, struct live *live)
{
    live->stop_asked = true;
    live->kill_asked = true;
    core->ports.launcher.kill(core->ports.launcher.self, live->job_id, live->attempt);
}

void core_stop_attempt(struct core *core, struct live *live, bool now, const char *reason)
{
    live->stop_asked = true;
    /* Before rank 0 has reported there is nobody to agree on a step, and nothing to save. */
    if (now || !core->ports.ask_stop(core->ports.self, live->job_id, live->attempt, reason)) {
        core_kill_attempt(core, live);
        return;
    }
    core_set_timer(core, live->job_id, SCHED_TIMER_GRACE,
                   core_now(core) + core->options.stop_grace_ms);
}

void core_judge(struct core *core, struct live *live)
{
    char text[512];
    int64_t now_ms = core_now(core);
    int rank = live->kill_asked ? -1 : live_verdict(live, now_ms, text, sizeof text);
    if (rank >= 0) {
        live_fail(live, CAM_TIMEOUT, text, rank, live->ranks[rank].now.step);
        live->hung = true;
        live->kill_asked = true;
        core->ports.launcher.kill(core->ports.launcher.self, live->job_id, live->attempt);
    }
    core_set_timer(core, live->job_id, SCHED_TIMER_WATCH, now_ms + WATCH_EVERY_MS);
}

void core_forgive(struct core *core)
{
    size_t at = 0;
    struct live *live = NULL;
    while ((live = job_index_walk(&core->live, &at)) != NULL) {
        live_forgive(live, core_now(core));
    }
}

void core_drain(struct core *core)
{
    core->draining = true;
    core_feed(core, &(struct sched_event){.kind = SCHED_DRAIN});
    size_t at = 0;
    struct live *live = NULL;
    while ((live = job_index_walk(&core->live, &at)) != NULL) {
        if (!live->stop_asked) {
            live->drained = true;
            core_stop_attempt(core, live, false, DRAIN_REASON);
        }
    }
}

bool core_idle(const struct core *core)
{
    return core->live.count == 0;
}

/* ---------------------------------------------------------------- what the file of epochs says */

struct rows_op {
    struct store_op op;
    struct core *core;
    struct post_mortem mortem; /* owned */
    struct attempt_end end;    /* of core_ended */
    bool is_end;
    int64_t now_ms;
    struct job_change change;
    char text[1200];
};

static enum cam_code write_rows(struct database *db, struct rows_op *rows, struct cam_err *err)
{
    const struct post_mortem *mortem = &rows->mortem;
    enum cam_code rc = CAM_OK;
    for (size_t i = 0; rc == CAM_OK && i < mortem->row_count; i++) {
        bool added = false;
        rc = records_epoch(db, mortem->job_id, mortem->attempt, &mortem->rows[i], rows->now_ms,
                           &added, err);
    }
    if (rc == CAM_OK && mortem->warning[0] != '\0') {
        rc = records_event(db, mortem->job_id, mortem->attempt, rows->now_ms, "warning",
                           mortem->warning, err);
    }
    return rc;
}

static enum cam_code run_rows(struct database *db, struct store_op *op, struct cam_err *err)
{
    struct rows_op *rows = (struct rows_op *)op;
    const struct post_mortem *mortem = &rows->mortem;
    enum cam_code rc = write_rows(db, rows, err);
    if (rc == CAM_OK && mortem->profile[0] != '\0') {
        rc = records_profile(db, mortem->job_id, mortem->profile, err);
    }
    if (rc == CAM_OK && rows->is_end) {
        rc = records_end_attempt(db, &rows->end, rows->now_ms, &rows->change, err);
    }
    return rc;
}

/* Rows that the database does not take (a damaged file) are this job's trouble alone: its end is
 * stored without them.  False where they are left out already. */
static bool leave_rows_out(struct rows_op *rows)
{
    struct post_mortem *mortem = &rows->mortem;
    if (mortem->row_count == 0) {
        return false;
    }
    mortem->row_count = 0;
    (void)snprintf(mortem->warning, sizeof mortem->warning,
                   "its epochs.jsonl cannot be stored, it stays as it is: %.900s",
                   rows->op.err.text);
    return true;
}

static void rows_done(struct store_op *op)
{
    struct rows_op *rows = (struct rows_op *)op;
    struct core *core = rows->core;
    int64_t id = rows->mortem.job_id;
    bool settled = core_settled(core, op);
    if (!settled && op->rc == CAM_CONFLICT) {
        if (leave_rows_out(rows)) {
            store_submit(core->options.store, &rows->op);
            return;
        }
        core->ports.note(core->ports.self, id, op->err.text);
    } else if (!settled && rows->is_end) {
        /* An end that cannot be stored is one that the next daemon finds again on disk. */
        core_fatal(core, &op->err);
    }
    if (settled && rows->is_end) {
        struct live *live = job_index_get(&core->live, id);
        if (live != NULL) {
            core_remove_live(core, live);
        }
        if (rows->end.cause == CAUSE_OTHER_PROFILE) {
            core_follow_waiting(core, &rows->change, rows->end.error_text);
        } else {
            core_follow(core, &rows->change);
        }
    } else {
        core->ports.changed(core->ports.self, id);
    }
    post_mortem_release(&rows->mortem);
    cam_free(rows);
    core_tick(core);
}

/* Hands a post-mortem's rows (and for an end, the end) to the store. */
static struct rows_op *make_rows(struct core *core, struct post_mortem *mortem)
{
    struct rows_op *rows = cam_alloc(1, sizeof *rows);
    if (rows == NULL) {
        struct cam_err err;
        (void)cam_fail(&err, CAM_NO_MEMORY, "the daemon is short of memory");
        post_mortem_release(mortem);
        core_fatal(core, &err);
        return NULL;
    }
    rows->op = (struct store_op){.run = run_rows, .done = rows_done, .essential = true};
    rows->core = core;
    rows->now_ms = core_wall(core);
    rows->mortem = *mortem;
    *mortem = (struct post_mortem){0};
    return rows;
}

void core_adopted(struct core *core, struct post_mortem *so_far)
{
    struct live *live = job_index_get(&core->live, so_far->job_id);
    if (live != NULL && live->kill_asked) {
        core_kill_attempt(core, live);
    } else if (live != NULL) {
        live->since_ms = core_now(core);
        live_forgive(live, live->since_ms);
    }
    struct rows_op *rows = make_rows(core, so_far);
    if (rows != NULL) {
        store_submit(core->options.store, &rows->op);
    }
}

void core_ended(struct core *core, struct post_mortem *mortem)
{
    int64_t id = mortem->job_id;
    struct live *live = job_index_get(&core->live, id);
    struct rows_op *rows = make_rows(core, mortem);
    if (rows == NULL) {
        return;
    }
    rows->is_end = true;
    verdict_reach(&rows->mortem, live, rows->now_ms, &rows->end, rows->text, sizeof rows->text);
    if (rows->end.error_text == NULL) {
        rows->end.error_text = "";
    } else if (live != NULL && rows->end.error_text == live->error_text) {
        /* live goes before the store is done with it. */
        (void)snprintf(rows->text, sizeof rows->text, "%s", live->error_text);
        rows->end.error_text = rows->text;
    }
    core_feed(core, &(struct sched_event){.kind = SCHED_DEAD, .id = id});
    store_submit(core->options.store, &rows->op);
    core_tick(core);
}

/* ---------------------------------------------------------------- what the ranks say */

struct report_op {
    struct store_op op;
    struct core *core;
    int64_t id;
    int attempt;
    int64_t now_ms;
    struct cam_arena *arena;
    const char *profile; /* NULL: no change to it */
    bool run;            /* rank 0 is there: the job runs */
    bool has_row;
    struct epoch_row row;
    const char *kind; /* of an event; NULL: none */
    const char *text;
    struct job_change change;
};

static enum cam_code run_report(struct database *db, struct store_op *op, struct cam_err *err)
{
    struct report_op *report = (struct report_op *)op;
    enum cam_code rc = CAM_OK;
    bool added = false;
    report->change = (struct job_change){.id = report->id};
    if (report->profile != NULL && report->profile[0] != '\0') {
        rc = records_profile(db, report->id, report->profile, err);
    }
    if (rc == CAM_OK && report->run) {
        rc = records_change(db, report->id, JOB_EVENT_RUN, false, report->now_ms, "",
                            &report->change, err);
    }
    if (rc == CAM_OK && report->has_row) {
        rc = records_epoch(db, report->id, report->attempt, &report->row, report->now_ms, &added,
                           err);
    }
    if (rc == CAM_OK && report->kind != NULL) {
        rc = records_event(db, report->id, report->attempt, report->now_ms, report->kind,
                           report->text, err);
    }
    return rc;
}

static void report_done(struct store_op *op)
{
    struct report_op *report = (struct report_op *)op;
    struct core *core = report->core;
    if (core_settled(core, op) && report->run) {
        core_follow(core, &report->change);
    } else {
        core->ports.changed(core->ports.self, report->id);
    }
    cam_arena_destroy(report->arena);
    cam_free(report);
}

/* NULL when memory is short: what is lost then is in a file too. */
static struct report_op *make_report(struct core *core, const struct live *live)
{
    struct report_op *report = cam_alloc(1, sizeof *report);
    struct cam_arena *arena = cam_arena_create();
    if (report == NULL || arena == NULL) {
        cam_arena_destroy(arena);
        cam_free(report);
        return NULL;
    }
    *report = (struct report_op){
        .op = {.run = run_report, .done = report_done, .essential = true},
        .core = core,
        .id = live->job_id,
        .attempt = live->attempt,
        .now_ms = core_wall(core),
        .arena = arena,
    };
    return report;
}

void core_warned(struct core *core, int64_t job_id, int attempt, const char *text)
{
    struct live *live = core_live(core, job_id, attempt);
    struct report_op *report = live == NULL ? NULL : make_report(core, live);
    if (report != NULL) {
        report->text = cam_arena_strdup(report->arena, text);
        report->kind = report->text == NULL ? NULL : "warning";
        store_submit(core->options.store, &report->op);
    }
}

struct live *core_live(struct core *core, int64_t job_id, int attempt)
{
    struct live *live = job_index_get(&core->live, job_id);
    return live != NULL && live->attempt == attempt ? live : NULL;
}

const struct live *core_live_of_job(const struct core *core, int64_t job_id)
{
    return job_index_get(&core->live, job_id);
}

bool core_rank_attached(struct core *core, struct live *live, int rank, const char *profile)
{
    live_attach(live, rank, core_now(core));
    if (rank == 0) {
        struct report_op *report = make_report(core, live);
        if (report != NULL) {
            report->run = true;
            report->profile = profile == NULL ? NULL : cam_arena_strdup(report->arena, profile);
            store_submit(core->options.store, &report->op);
        }
    }
    return live->stop_asked;
}

void core_rank_progress(struct core *core, struct live *live, int rank,
                        const struct live_progress *progress)
{
    live_hear(live, rank, progress, core_now(core));
    if (rank == 0) {
        core->ports.changed(core->ports.self, live->job_id);
    }
}

void core_rank_epoch(struct core *core, struct live *live, const struct epoch_row *row)
{
    struct report_op *report = make_report(core, live);
    if (report != NULL) {
        report->has_row = true;
        report->row = *row;
        report->row.metrics_json = cam_arena_strdup(report->arena, row->metrics_json);
        report->has_row = report->row.metrics_json != NULL;
        store_submit(core->options.store, &report->op);
    }
}

/* NULL when memory is short. */
static const char *checkpoint_text(struct cam_arena *arena, int64_t step, bool failed,
                                   const char *text, int failed_before)
{
    if (failed && step == 0) {
        return cam_arena_strdup(arena, text);
    }
    if (failed) {
        return cam_arena_printf(arena,
                                "checkpoint at step %lld failed, the one before stays: %s; told "
                                "again when one is saved",
                                (long long)step, text);
    }
    if (failed_before > 0) {
        return cam_arena_printf(arena, "step %lld: %s; saving works again, %d failed before it",
                                (long long)step, text, failed_before);
    }
    return cam_arena_printf(arena, "step %lld: %s", (long long)step, text);
}

void core_rank_checkpoint(struct core *core, struct live *live, int64_t step, bool failed,
                          const char *text)
{
    int failed_before = live->saves_failed;
    if (!failed) {
        live->saves_failed = 0;
    } else if (step > 0) {
        live->saves_failed++;
    }
    if (failed && step > 0 && failed_before > 0) {
        return; /* a full disk is one thing to tell, however often it is tried */
    }
    struct report_op *report = make_report(core, live);
    if (report != NULL) {
        report->text = checkpoint_text(report->arena, step, failed, text, failed_before);
        report->kind = report->text == NULL ? NULL : failed ? "warning" : "checkpoint";
        store_submit(core->options.store, &report->op);
    }
}

void core_rank_failure(struct core *core, struct live *live, enum cam_code code, const char *text,
                       int rank, int64_t step)
{
    live_fail(live, code, text, rank, step);
    core->ports.changed(core->ports.self, live->job_id);
}

void post_mortem_release(struct post_mortem *mortem)
{
    cam_arena_destroy(mortem->arena);
    *mortem = (struct post_mortem){0};
}
