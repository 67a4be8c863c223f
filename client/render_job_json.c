#include "client/render.h"
#include "client/render_job.h"

/* Texts that are not there are null, and so are times of 0: a program need not know our zeros. */
static json_t *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *time_or_null(int64_t wall_ms)
{
    char text[RENDER_SIZE];
    return wall_ms > 0 ? json_string(render_time(wall_ms, text)) : json_null();
}

/* JSON has no NaN and no infinity. */
static json_t *number_or_null(double value)
{
    return __builtin_isfinite(value) ? json_real(value) : json_null();
}

static json_t *metrics_json(Cam__Metric *const *metrics, size_t count)
{
    json_t *map = json_object();
    for (size_t i = 0; i < count; i++) {
        (void)json_object_set_new(map, metrics[i]->name, number_or_null(metrics[i]->value));
    }
    return map;
}

static json_t *epoch_json(const Cam__Epoch *epoch)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o}", "epoch", (json_int_t)epoch->epoch, "steps",
                     (json_int_t)epoch->steps, "seconds", number_or_null(epoch->seconds),
                     "samples_per_s", number_or_null(epoch->samples_per_s), "metrics",
                     metrics_json(epoch->metrics, epoch->n_metrics));
}

static json_t *error_json(const Cam__JobError *error)
{
    if (error == NULL) {
        return json_null();
    }
    return json_pack("{s:o, s:s, s:o, s:o}", "code", text_or_null(error->code), "text", error->text,
                     "rank", error->rank >= 0 ? json_integer(error->rank) : json_null(), "step",
                     error->step >= 0 ? json_integer(error->step) : json_null());
}

static json_t *profile_json(const char *text)
{
    json_t *profile = text != NULL ? json_loads(text, 0, NULL) : NULL;
    return profile != NULL ? profile : json_null();
}

json_t *render_job_json(const Cam__Job *job, bool with_epochs)
{
    json_t *map = json_pack(
        "{s:I, s:s, s:s, s:s, s:o, s:i, s:i, s:I, s:I, s:I, s:I, s:o, s:o}", "id",
        (json_int_t)job->id, "name", job->name, "kind", job->kind, "state",
        render_state(job->state), "reason", text_or_null(job->reason), "ranks", job->ranks,
        "attempts", job->attempts, "epoch", (json_int_t)job->epoch, "epochs",
        (json_int_t)job->epochs, "step", (json_int_t)job->step, "steps_per_epoch",
        (json_int_t)job->steps_per_epoch, "eta_s",
        job->eta_s >= 0 && !render_is_ended(job->state) ? number_or_null(job->eta_s) : json_null(),
        "samples_per_s", job->samples_per_s > 0 ? number_or_null(job->samples_per_s) : json_null());
    if (map == NULL) {
        return NULL;
    }
    (void)json_object_set_new(map, "submitted_at", time_or_null(job->submitted_at_ms));
    (void)json_object_set_new(map, "started_at", time_or_null(job->started_at_ms));
    (void)json_object_set_new(map, "ended_at", time_or_null(job->ended_at_ms));
    (void)json_object_set_new(map, "not_before", time_or_null(job->not_before_ms));
    (void)json_object_set_new(map, "weights_sha256", text_or_null(job->weights_sha256));
    (void)json_object_set_new(map, "error", error_json(job->error));
    (void)json_object_set_new(map, "metrics", metrics_json(job->metrics, job->n_metrics));
    (void)json_object_set_new(map, "ranks_min", json_integer(job->ranks_min));
    (void)json_object_set_new(map, "ranks_max", json_integer(job->ranks_max));
    (void)json_object_set_new(map, "priority", json_integer(job->priority));
    (void)json_object_set_new(map, "batch", json_integer(job->batch));
    (void)json_object_set_new(map, "parameters", json_integer(job->parameters));
    (void)json_object_set_new(map, "flops_per_step", json_integer(job->flops_per_step));
    (void)json_object_set_new(map, "bytes_per_rank", json_integer(job->bytes_per_rank));
    (void)json_object_set_new(map, "job_dir", text_or_null(job->job_dir));
    (void)json_object_set_new(map, "owner_uid", json_integer(job->owner_uid));
    (void)json_object_set_new(map, "numeric_profile", profile_json(job->numeric_profile));
    if (with_epochs) {
        json_t *epochs = json_array();
        for (size_t i = 0; i < job->n_epochs_done; i++) {
            (void)json_array_append_new(epochs, epoch_json(job->epochs_done[i]));
        }
        (void)json_object_set_new(map, "epochs_done", epochs);
    }
    return map;
}

json_t *render_event_json(const Cam__Event *event)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:s, s:o, s:o, s:o}", "id", (json_int_t)event->id,
                     "job_id", (json_int_t)event->job_id, "at", time_or_null(event->at_ms),
                     "attempt", event->attempt > 0 ? json_integer(event->attempt) : json_null(),
                     "kind", event->kind, "from_state", text_or_null(event->from_state), "to_state",
                     text_or_null(event->to_state), "text", text_or_null(event->text));
}

json_t *render_status_json(const Cam__StatusReply *status)
{
    json_t *map =
        json_pack("{s:s, s:I, s:o, s:i, s:i, s:I, s:I, s:I}", "version", status->daemon_version,
                  "pid", (json_int_t)status->pid, "started_at", time_or_null(status->started_at_ms),
                  "slots", status->slots, "slots_free", status->slots_free, "jobs_queued",
                  (json_int_t)status->jobs_queued, "jobs_running", (json_int_t)status->jobs_running,
                  "jobs_ended", (json_int_t)status->jobs_ended);
    if (map == NULL) {
        return NULL;
    }
    (void)json_object_set_new(map, "state_dir", text_or_null(status->state_dir));
    (void)json_object_set_new(map, "jobs_dir", text_or_null(status->jobs_dir));
    (void)json_object_set_new(map, "database_bytes", json_integer(status->database_bytes));
    (void)json_object_set_new(map, "disk_free_bytes", json_integer(status->disk_free_bytes));
    (void)json_object_set_new(map, "schema_version", json_integer(status->schema_version));
    (void)json_object_set_new(map, "warning", text_or_null(status->warning));
    return map;
}
