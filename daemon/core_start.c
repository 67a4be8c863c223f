#include "daemon/core.h"

#include "base/arena.h"
#include "base/mem.h"
#include "daemon/core_private.h"

#include <string.h>

/*
 * From the decision to start a job to its launch.  Where an earlier attempt has fixed the numeric
 * profile, this host's is asked first: nothing is written of an attempt that would not be.
 */

enum { START_AGAIN_MS = 1000 /* after a start that could not be stored */ };

struct start_op {
    struct store_op op;
    struct core *core;
    int64_t id;
    int ranks;
    int64_t now_ms;
    bool asks; /* question is to be answered before anything is written */
    bool examined;
    struct profile_question question;
    struct job_change change;
    struct cam_arena *arena;
    struct launch_order order;
};

/* What an earlier attempt fixed.  A job of an early release has no isa: its ranks compare. */
static enum cam_code read_question(struct database *db, struct start_op *start, struct cam_err *err)
{
    struct query q;
    enum cam_code rc = database_query(db, &q, err,
                                      "SELECT numeric_profile, isa, env_json, owner_uid, owner_gid "
                                      "FROM jobs WHERE id = ? AND state = 'queued' AND "
                                      "numeric_profile <> '' AND isa IS NOT NULL",
                                      "i", start->id);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        start->question = (struct profile_question){
            .wanted = cam_arena_strdup(start->arena, query_text(&q, 0)),
            .isa = cam_arena_strdup(start->arena, query_text(&q, 1)),
            .env_json = cam_arena_strdup(start->arena, query_text(&q, 2)),
            .owner_uid = query_int(&q, 3),
            .owner_gid = query_int(&q, 4),
        };
        start->asks = true;
        if (start->question.wanted == NULL || start->question.isa == NULL ||
            start->question.env_json == NULL) {
            rc = cam_fail(err, CAM_NO_MEMORY, "job %lld", (long long)start->id);
        }
    }
    query_end(&q);
    return rc;
}

static enum cam_code read_order(struct database *db, struct start_op *start, struct cam_err *err)
{
    struct query q;
    enum cam_code rc = database_query(
        db, &q, err,
        "SELECT text, file_name, base_dir, set_json, env_json, shards, "
        "CASE time_limit_ms WHEN 0 THEN 0 ELSE max(1, time_limit_ms - jobs.elapsed_ms) END, "
        "scratch, threads_per_shard, submitted_at_ms, owner_uid, owner_gid "
        "FROM jobs JOIN specs ON sha256 = spec_sha256 "
        "JOIN attempts ON job_id = id AND attempts.attempt = jobs.attempt WHERE id = ?",
        "i", start->id);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        struct cam_arena *arena = start->arena;
        start->order = (struct launch_order){
            .job_id = start->id,
            .attempt = start->change.attempt,
            .ranks = start->ranks,
            .spec_text = cam_arena_strdup(arena, query_text(&q, 0)),
            .file_name = cam_arena_strdup(arena, query_text(&q, 1)),
            .base_dir = cam_arena_strdup(arena, query_text(&q, 2)),
            .set_json = cam_arena_strdup(arena, query_text(&q, 3)),
            .env_json = cam_arena_strdup(arena, query_text(&q, 4)),
            .shards = query_int(&q, 5),
            .time_limit_ms = query_int(&q, 6),
            .scratch = cam_arena_strdup(arena, query_text(&q, 7)),
            .threads_per_shard = query_int(&q, 8),
            .submitted_at_ms = query_int(&q, 9),
            .owner_uid = query_int(&q, 10),
            .owner_gid = query_int(&q, 11),
        };
        const struct launch_order *order = &start->order;
        if (order->spec_text == NULL || order->file_name == NULL || order->base_dir == NULL ||
            order->set_json == NULL || order->env_json == NULL || order->scratch == NULL) {
            rc = cam_fail(err, CAM_NO_MEMORY, "job %lld", (long long)start->id);
        }
    }
    query_end(&q);
    return rc;
}

static enum cam_code run_start(struct database *db, struct store_op *op, struct cam_err *err)
{
    struct start_op *start = (struct start_op *)op;
    start->asks = false;
    enum cam_code rc = start->examined ? CAM_OK : read_question(db, start, err);
    if (rc != CAM_OK || start->asks) {
        return rc;
    }
    rc = records_begin_attempt(db, start->id, start->ranks, start->core->options.scratch_prefix,
                               start->now_ms, &start->change, err);
    return rc == CAM_OK ? read_order(db, start, err) : rc;
}

static void start_free(struct start_op *start)
{
    if (start != NULL) {
        cam_arena_destroy(start->arena);
        cam_free(start);
    }
}

/* It is tried again in_ms from now (0: at once); profile as in sched_event. */
static void refuse(struct core *core, int64_t id, int64_t in_ms, const char *profile)
{
    core_feed(core, &(struct sched_event){.kind = SCHED_REFUSED,
                                          .id = id,
                                          .ready_ms = in_ms == 0 ? 0 : core_now(core) + in_ms,
                                          .profile = profile});
}

/* Whatever keeps the profile from being known keeps the job waiting: it says so. */
static void examined(void *context, enum cam_code rc, const struct cam_err *err)
{
    struct start_op *start = context;
    struct core *core = start->core;
    start->examined = true;
    if (rc == CAM_OK && !core->draining) {
        start->now_ms = core_wall(core); /* the answer may have taken a while */
        store_submit(core->options.store, &start->op);
        return;
    }
    refuse(core, start->id, rc == CAM_OK ? 0 : CORE_PROFILE_AGAIN_MS,
           rc == CAM_OK ? NULL : err->text);
    core->ports.changed(core->ports.self, start->id);
    start_free(start);
    core_tick(core);
}

static void launch(struct start_op *start)
{
    struct core *core = start->core;
    struct live *live = NULL;
    struct cam_err err;
    if (core_add_live(core, start->id, start->change.attempt, start->ranks, &live, &err) !=
        CAM_OK) {
        core_fatal(core, &err);
        return;
    }
    live->owner_uid = start->order.owner_uid;
    live->owner_gid = start->order.owner_gid;
    core_follow(core, &start->change);
    core->ports.launcher.launch(core->ports.launcher.self, &start->order);
    if (core->draining) { /* it was on its way when the drain began */
        live->drained = true;
        core_stop_attempt(core, live, false, DRAIN_REASON);
    }
}

static void start_done(struct store_op *op)
{
    struct start_op *start = (struct start_op *)op;
    struct core *core = start->core;
    bool settled = core_settled(core, op);
    if (settled && start->asks) {
        core->ports.examine(core->ports.self, &start->question, examined, start);
        return;
    }
    if (settled) {
        launch(start);
    } else {
        /* A conflict means that another change was first; the scheduler has heard of it. */
        if (op->rc != CAM_CONFLICT) {
            core->ports.note(core->ports.self, start->id, op->err.text);
        }
        refuse(core, start->id, op->rc == CAM_CONFLICT ? 0 : START_AGAIN_MS, NULL);
    }
    start_free(start);
    core_tick(core);
}

void core_start(struct core *core, int64_t id, int ranks)
{
    struct start_op *start = cam_alloc(1, sizeof *start);
    struct cam_arena *arena = cam_arena_create();
    if (start == NULL || arena == NULL) {
        cam_arena_destroy(arena);
        cam_free(start);
        refuse(core, id, START_AGAIN_MS, NULL);
        return;
    }
    *start = (struct start_op){.op = {.run = run_start, .done = start_done},
                               .core = core,
                               .id = id,
                               .ranks = ranks,
                               .now_ms = core_wall(core),
                               .arena = arena};
    store_submit(core->options.store, &start->op);
}
