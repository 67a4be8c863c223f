#include "daemon/records.h"

#include <stdio.h>
#include <string.h>

/* Longer backoffs than this help nobody: the doubling ends here. */
enum { BACKOFF_MS_MAX = 3600 * 1000 };

struct job_row {
    enum job_state state;
    int attempt;
    int64_t counted;
    int64_t counted_at_step;
    int64_t retry_max;
    int64_t backoff_ms;
    bool cancel_now;
    int64_t not_before_ms;
    int64_t time_limit_ms; /* 0: none */
    int64_t elapsed_ms;    /* of all attempts that ended */
};

static enum cam_code read_row(struct database *db, int64_t id, struct job_row *out,
                              struct cam_err *err)
{
    struct query q;
    enum cam_code rc = database_query(
        db, &q, err,
        "SELECT state, attempt, counted, counted_at_step, retry_max, backoff_ms, cancel_now, "
        "not_before_ms, time_limit_ms, elapsed_ms FROM jobs WHERE id = ?",
        "i", id);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        *out = (struct job_row){
            .state = job_state_from_name(query_text(&q, 0)),
            .attempt = (int)query_int(&q, 1),
            .counted = query_int(&q, 2),
            .counted_at_step = query_int(&q, 3),
            .retry_max = query_int(&q, 4),
            .backoff_ms = query_int(&q, 5),
            .cancel_now = query_int(&q, 6) != 0,
            .not_before_ms = query_int(&q, 7),
            .time_limit_ms = query_int(&q, 8),
            .elapsed_ms = query_int(&q, 9),
        };
    } else if (rc == CAM_OK) {
        rc = cam_fail(err, CAM_NOT_FOUND, "no job %lld", (long long)id);
    }
    query_end(&q);
    return rc;
}

static enum cam_code add_event(struct database *db, int64_t id, int attempt, int64_t now_ms,
                               const char *const fields[4], struct cam_err *err)
{
    return database_run(db, err,
                        "INSERT INTO events (job_id, at_ms, attempt, kind, from_state, to_state, "
                        "text) VALUES (?, ?, ?, ?, ?, ?, ?)",
                        "iiissss", id, now_ms, (int64_t)attempt, fields[0], fields[1], fields[2],
                        fields[3]);
}

enum cam_code records_event(struct database *db, int64_t job_id, int attempt, int64_t now_ms,
                            const char *kind, const char *text, struct cam_err *err)
{
    return add_event(db, job_id, attempt, now_ms, (const char *const[]){kind, "", "", text}, err);
}

static enum cam_code add_transition(struct database *db, const struct job_change *change,
                                    int64_t now_ms, const char *text, struct cam_err *err)
{
    return add_event(db, change->id, change->attempt, now_ms,
                     (const char *const[]){"state", job_state_name(change->from),
                                           job_state_name(change->to), text},
                     err);
}

static enum cam_code find_by_key(struct database *db, const struct new_job *job, int64_t *id_out,
                                 bool *found_out, struct cam_err *err)
{
    struct query q;
    *found_out = false;
    if (job->request_key == NULL) {
        return CAM_OK;
    }
    enum cam_code rc = database_query(
        db, &q, err,
        "SELECT id, spec_sha256, set_json FROM jobs WHERE owner_uid = ? AND request_key = ?", "is",
        job->owner_uid, job->request_key);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        *id_out = query_int(&q, 0);
        *found_out = true;
        if (strcmp(query_text(&q, 1), job->spec_sha256) != 0 ||
            strcmp(query_text(&q, 2), job->set_json) != 0) {
            rc = cam_fail(err, CAM_CONFLICT,
                          "request key '%s' was used for job %lld, with another job file or other "
                          "--set: choose "
                          "another key",
                          job->request_key, (long long)*id_out);
        }
    }
    query_end(&q);
    return rc;
}

static enum cam_code insert_job(struct database *db, const struct new_job *job, int64_t now_ms,
                                struct cam_err *err)
{
    return database_run(
        db, err,
        "INSERT INTO jobs (state, request_key, owner_uid, owner_gid, name, kind, spec_sha256, "
        "file_name, base_dir, set_json, env_json, ranks_min, ranks_max, shards, threads_per_shard, "
        "isa, epochs, batch, "
        "steps_per_epoch, parameters, flops_per_step, bytes_per_rank, retry_max, backoff_ms, "
        "time_limit_ms, submitted_at_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "ssiisssssssiiiisiiiiiiiiii", job_state_name(job->hold ? JOB_HELD : JOB_QUEUED),
        job->request_key, job->owner_uid, job->owner_gid, job->name, job->kind, job->spec_sha256,
        job->file_name, job->base_dir, job->set_json, job->env_json, job->ranks_min, job->ranks_max,
        job->shards, job->threads_per_shard, job->isa, job->epochs, job->batch,
        job->steps_per_epoch, job->parameters, job->flops_per_step, job->bytes_per_rank,
        job->retry_max, job->backoff_ms, job->time_limit_ms, now_ms);
}

static enum cam_code insert_dependency(struct database *db, int64_t id, int64_t after,
                                       struct cam_err *err)
{
    struct job_row row;
    enum cam_code rc = read_row(db, after, &row, err);
    if (rc != CAM_OK) {
        cam_err_prefix(err, "after %lld", (long long)after);
        return rc;
    }
    return database_run(db, err,
                        "INSERT OR IGNORE INTO dependencies (job_id, after_id) VALUES (?, ?)", "ii",
                        id, after);
}

enum cam_code records_submit(struct database *db, const struct new_job *job, int64_t now_ms,
                             int64_t *id_out, bool *existed_out, struct cam_err *err)
{
    enum cam_code rc = find_by_key(db, job, id_out, existed_out, err);
    if (rc != CAM_OK || *existed_out) {
        return rc;
    }
    rc = database_run(db, err, "INSERT OR IGNORE INTO specs (sha256, text) VALUES (?, ?)", "ss",
                      job->spec_sha256, job->spec_text);
    if (rc == CAM_OK) {
        rc = insert_job(db, job, now_ms, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    *id_out = database_last_id(db);
    for (size_t i = 0; rc == CAM_OK && i < job->after_count; i++) {
        rc = insert_dependency(db, *id_out, job->after[i], err);
    }
    if (rc == CAM_OK) {
        rc = add_event(db, *id_out, 0, now_ms,
                       (const char *const[]){"submitted", "",
                                             job_state_name(job->hold ? JOB_HELD : JOB_QUEUED), ""},
                       err);
    }
    return rc;
}

static enum cam_code write_change(struct database *db, const struct job_change *change,
                                  enum job_event event, int64_t now_ms, struct cam_err *err)
{
    bool ended = job_state_ended(change->to);
    bool first = event == JOB_EVENT_RESUME;
    return database_run(db, err,
                        /* A resume is a new start: what the last end left behind goes, but for
                         * the time that was used. */
                        "UPDATE jobs SET state = ?1, not_before_ms = ?2, cancel_now = ?3, "
                        "ended_at_ms = CASE WHEN ?4 THEN ?5 ELSE 0 END, "
                        "counted = CASE WHEN ?6 THEN 0 ELSE counted END, "
                        "error_code = CASE WHEN ?6 THEN '' ELSE error_code END, "
                        "error_text = CASE WHEN ?6 THEN '' ELSE error_text END, "
                        "error_rank = CASE WHEN ?6 THEN -1 ELSE error_rank END, "
                        "error_step = CASE WHEN ?6 THEN -1 ELSE error_step END WHERE id = ?7",
                        "siiiiii", job_state_name(change->to), change->not_before_ms,
                        (int64_t)change->cancel_now, (int64_t)ended, now_ms, (int64_t)first,
                        change->id);
}

enum cam_code records_change(struct database *db, int64_t id, enum job_event event, bool cancel_now,
                             int64_t now_ms, const char *text, struct job_change *out,
                             struct cam_err *err)
{
    struct job_row row = {0};
    enum cam_code rc = read_row(db, id, &row, err);
    if (rc != CAM_OK) {
        return rc;
    }
    *out = (struct job_change){
        .id = id,
        .from = row.state,
        .to = job_next_state(row.state, event),
        .attempt = row.attempt,
        .not_before_ms = event == JOB_EVENT_RESUME ? 0 : row.not_before_ms,
        /* Other events leave what was asked for: a rank that attaches again, say. */
        .cancel_now = event == JOB_EVENT_CANCEL ? cancel_now || row.cancel_now
                                                : event != JOB_EVENT_RESUME && row.cancel_now,
    };
    if (out->to == JOB_NO_STATE) {
        return cam_fail(err, CAM_CONFLICT, "job %lld is %s: %s is not possible now", (long long)id,
                        job_state_name(row.state), job_event_name(event));
    }
    if (event == JOB_EVENT_RESUME && row.time_limit_ms > 0 && row.elapsed_ms >= row.time_limit_ms) {
        return cam_fail(err, CAM_CONFLICT,
                        "job %lld has used up its time limit (ran %.1f s, resources.time_limit is "
                        "%.1f s): it cannot be resumed; submit it anew with a longer one",
                        (long long)id, (double)row.elapsed_ms / 1000.0,
                        (double)row.time_limit_ms / 1000.0);
    }
    if (out->from == out->to && (out->cancel_now == row.cancel_now || job_state_ended(out->to))) {
        return CAM_OK;
    }
    rc = write_change(db, out, event, now_ms, err);
    if (rc == CAM_OK) {
        rc = add_transition(db, out, now_ms, text, err);
    }
    return rc;
}

enum cam_code records_begin_attempt(struct database *db, int64_t id, int ranks,
                                    const char *scratch_prefix, int64_t now_ms,
                                    struct job_change *out, struct cam_err *err)
{
    struct job_row row = {0};
    enum cam_code rc = read_row(db, id, &row, err);
    if (rc != CAM_OK) {
        return rc;
    }
    char scratch[512];
    char text[64];
    *out = (struct job_change){.id = id, .from = row.state, .attempt = row.attempt + 1};
    out->to = job_next_state(row.state, JOB_EVENT_START);
    if (out->to == JOB_NO_STATE) {
        return cam_fail(err, CAM_CONFLICT, "job %lld is %s: it does not start", (long long)id,
                        job_state_name(row.state));
    }
    /* Its folder is everybody's: under a name that can be guessed somebody else's would be there
     * first. */
    (void)snprintf(scratch, sizeof scratch, "%s-%lld-%d-", scratch_prefix, (long long)id,
                   out->attempt);
    (void)snprintf(text, sizeof text, "attempt %d on %d rank%s", out->attempt, ranks,
                   ranks == 1 ? "" : "s");
    rc = database_run(db, err,
                      "INSERT INTO attempts (job_id, attempt, ranks, scratch, started_at_ms) "
                      "VALUES (?, ?, ?, ? || lower(hex(randomblob(4))), ?)",
                      "iiisi", id, (int64_t)out->attempt, (int64_t)ranks, scratch, now_ms);
    if (rc == CAM_OK) {
        rc = database_run(
            db, err,
            "UPDATE jobs SET state = ?, attempt = ?, attempt_ranks = ?, cancel_now = 0, "
            "not_before_ms = 0, started_at_ms = CASE started_at_ms WHEN 0 THEN ? ELSE "
            "started_at_ms END WHERE id = ?",
            "siiii", job_state_name(out->to), (int64_t)out->attempt, (int64_t)ranks, now_ms, id);
    }
    if (rc == CAM_OK) {
        rc = add_transition(db, out, now_ms, text, err);
    }
    return rc;
}

/* The event that an attempt's end is for its job, and what the retry costs (in *row). */
static enum job_event choose_event(const struct attempt_end *end, struct job_row *row)
{
    const struct job_cause_rule *rule = job_cause_rule(end->cause);
    if (end->cause == CAUSE_SUCCEEDED) {
        return JOB_EVENT_SUCCEED;
    }
    if (!rule->retried) {
        /* Stopped without having been asked through the queue: from outside. */
        return end->cause == CAUSE_STOPPED && row->state != JOB_STOPPING ? JOB_EVENT_INTERRUPT
                                                                         : JOB_EVENT_FAIL;
    }
    if (!rule->counted) {
        bool nothing_happened =
            end->cause == CAUSE_NEVER_STARTED || end->cause == CAUSE_OTHER_PROFILE;
        return row->retry_max > 0 || nothing_happened ? JOB_EVENT_RETRY : JOB_EVENT_INTERRUPT;
    }
    if (end->checkpoint_step > row->counted_at_step) {
        row->counted = 0; /* it came further than the last time */
    }
    row->counted_at_step = end->checkpoint_step;
    row->counted++;
    return row->counted <= row->retry_max ? JOB_EVENT_RETRY : JOB_EVENT_FAIL;
}

/* Doubles from one counted attempt to the next. */
static int64_t backoff_of(const struct job_row *row)
{
    int64_t backoff = row->backoff_ms;
    for (int64_t i = 1; i < row->counted && backoff < BACKOFF_MS_MAX; i++) {
        backoff *= 2;
    }
    return backoff < BACKOFF_MS_MAX ? backoff : BACKOFF_MS_MAX;
}

static enum cam_code close_attempt(struct database *db, const struct attempt_end *end,
                                   int64_t now_ms, bool *closed_out, struct cam_err *err)
{
    const struct job_cause_rule *rule = job_cause_rule(end->cause);
    enum cam_code rc = database_run(
        db, err,
        "UPDATE attempts SET ended_at_ms = ?, cause = ?, counted = ?, elapsed_ms = ?, "
        "exit_code = ?, signal = ? WHERE job_id = ? AND attempt = ? AND ended_at_ms = 0",
        "isiiiiii", now_ms, rule->name, (int64_t)rule->counted, end->elapsed_ms,
        (int64_t)end->exit_code, (int64_t)end->signal, end->job_id, (int64_t)end->attempt);
    *closed_out = rc == CAM_OK && database_changes(db) > 0;
    return rc;
}

static enum cam_code write_end(struct database *db, const struct attempt_end *end,
                               const struct job_change *change, const struct job_row *row,
                               int64_t now_ms, struct cam_err *err)
{
    bool ended = job_state_ended(change->to);
    bool show_error = change->to == JOB_FAILED || change->to == JOB_INTERRUPTED;
    enum cam_code rc = database_run(
        db, err,
        "UPDATE jobs SET state = ?, not_before_ms = ?, counted = ?, counted_at_step = ?, "
        "elapsed_ms = elapsed_ms + ?, ended_at_ms = ?, step = max(step, ?), weights_sha256 = ?, "
        "model_path = ?, cancel_now = 0 WHERE id = ?",
        "siiiiiissi", job_state_name(change->to), change->not_before_ms, row->counted,
        row->counted_at_step, end->elapsed_ms, ended ? now_ms : (int64_t)0, end->step,
        end->weights_sha256, end->model_path, change->id);
    if (rc == CAM_OK && show_error && end->error_code != CAM_OK) {
        rc = database_run(db, err,
                          "UPDATE jobs SET error_code = ?, error_text = ?, error_rank = ?, "
                          "error_step = ? WHERE id = ?",
                          "ssiii", cam_code_name(end->error_code), end->error_text,
                          (int64_t)end->error_rank, end->error_step, change->id);
    }
    return rc;
}

enum cam_code records_end_attempt(struct database *db, const struct attempt_end *end,
                                  int64_t now_ms, struct job_change *out, struct cam_err *err)
{
    struct job_row row = {0};
    bool closed = false;
    enum cam_code rc = read_row(db, end->job_id, &row, err);
    if (rc == CAM_OK) {
        rc = close_attempt(db, end, now_ms, &closed, err);
    }
    *out = (struct job_change){
        .id = end->job_id, .from = row.state, .to = row.state, .attempt = end->attempt};
    if (rc != CAM_OK || !closed || !job_state_active(row.state)) {
        return rc;
    }
    enum job_event event = choose_event(end, &row);
    out->to = job_next_state(row.state, event);
    const struct job_cause_rule *rule = job_cause_rule(end->cause);
    if (out->to == JOB_QUEUED && rule->counted) {
        out->not_before_ms = now_ms + backoff_of(&row);
    }
    rc = write_end(db, end, out, &row, now_ms, err);
    if (rc == CAM_OK) {
        char text[1200];
        (void)snprintf(text, sizeof text, "attempt %d: %s%s%s", end->attempt, rule->name,
                       end->error_text[0] == '\0' ? "" : ": ", end->error_text);
        rc = add_transition(db, out, now_ms, text, err);
    }
    return rc;
}

static enum cam_code compare_epoch(struct database *db, int64_t job_id, int attempt,
                                   const struct epoch_row *row, int64_t now_ms, struct cam_err *err)
{
    struct query q;
    char text[1024];
    bool differs = false;
    enum cam_code rc = database_query(
        db, &q, err, "SELECT metrics, attempt FROM epochs WHERE job_id = ? AND epoch = ?", "ii",
        job_id, row->epoch);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        differs = strcmp(query_text(&q, 0), row->metrics_json) != 0;
        (void)snprintf(text, sizeof text,
                       "not reproducible: epoch %lld was %.300s in attempt %lld and is %.300s in "
                       "attempt %d; the first is kept",
                       (long long)row->epoch, query_text(&q, 0), (long long)query_int(&q, 1),
                       row->metrics_json, attempt);
    }
    query_end(&q);
    return rc == CAM_OK && differs
               ? records_event(db, job_id, attempt, now_ms, "warning", text, err)
               : rc;
}

enum cam_code records_epoch(struct database *db, int64_t job_id, int attempt,
                            const struct epoch_row *row, int64_t now_ms, bool *added_out,
                            struct cam_err *err)
{
    enum cam_code rc = database_run(
        db, err,
        "INSERT INTO epochs (job_id, epoch, attempt, steps, seconds, samples_per_s, metrics) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job_id, epoch) DO NOTHING",
        "iiiidds", job_id, row->epoch, (int64_t)attempt, row->steps, row->seconds,
        row->samples_per_s, row->metrics_json);
    *added_out = rc == CAM_OK && database_changes(db) > 0;
    if (rc != CAM_OK || !*added_out) {
        return rc == CAM_OK ? compare_epoch(db, job_id, attempt, row, now_ms, err) : rc;
    }
    char text[640];
    (void)snprintf(text, sizeof text, "epoch %lld: %.500s", (long long)row->epoch,
                   row->metrics_json);
    rc = database_run(db, err,
                      "UPDATE jobs SET epochs_finished = max(epochs_finished, ?1), "
                      "step = max(step, ?1 * steps_per_epoch) WHERE id = ?2",
                      "ii", row->epoch, job_id);
    return rc == CAM_OK ? records_event(db, job_id, attempt, now_ms, "epoch", text, err) : rc;
}

enum cam_code records_profile(struct database *db, int64_t job_id, const char *profile,
                              struct cam_err *err)
{
    return database_run(db, err,
                        "UPDATE jobs SET numeric_profile = ? WHERE id = ? AND numeric_profile = ''",
                        "si", profile, job_id);
}
