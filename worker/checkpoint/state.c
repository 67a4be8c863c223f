#include "worker/checkpoint/state.h"

#include "base/file.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_BYTES_MAX = 1024 * 1024 };

static json_t *metrics_to_json(const struct run_state *state)
{
    json_t *metrics = json_object();
    for (int i = 0; metrics != NULL && i < state->metric_count; i++) {
        if (json_object_set_new(metrics, state->metric_name[i], json_real(state->metric_sum[i])) !=
            0) {
            json_decref(metrics);
            return NULL;
        }
    }
    return metrics;
}

static json_t *executions_to_json(const struct run_state *state)
{
    json_t *list = json_array();
    for (int i = 0; list != NULL && i < state->phase_count; i++) {
        if (json_array_append_new(list, json_integer(state->executions[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* The digest of a record as text with sorted keys, without its own "state_sha256": a state file
 * names what it holds, so that a changed byte is damage and never another truth. */
static enum cam_code record_digest(const char *path, json_t *record, char hex_out[],
                                   struct cam_err *err)
{
    (void)json_object_del(record, "state_sha256");
    char *text = json_dumps(record, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    if (text == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    enum cam_code rc = cam_digest_of(text, strlen(text), hex_out, err);
    free(text); /* jansson's */
    return rc;
}

enum cam_code state_write(const char *path, const struct run_state *state,
                          const struct state_identity *identity,
                          const struct state_digests *digests, struct cam_err *err)
{
    json_t *profile = json_loads(identity->profile == NULL ? "{}" : identity->profile, 0, NULL);
    json_t *record =
        json_pack("{si sI sI sI sf sI sf so so ss ss so ss ss}", "version", STATE_VERSION, "step",
                  (json_int_t)state->step, "epoch", (json_int_t)state->epoch, "epoch_step",
                  (json_int_t)state->epoch_step, "epoch_seconds", state->epoch_seconds, "rollbacks",
                  (json_int_t)state->rollbacks, "rate_factor", state->rate_factor, "executions",
                  executions_to_json(state), "metric_sums", metrics_to_json(state), "job_sha256",
                  identity->job_sha256, "data_sha256", identity->data_sha256, "profile",
                  profile == NULL ? json_object() : profile, "model_sha256", digests->model_sha256,
                  "optimizer_sha256", digests->optimizer_sha256);
    char digest[CAM_DIGEST_HEX_SIZE];
    if (record == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    enum cam_code rc = record_digest(path, record, digest, err);
    if (rc != CAM_OK) {
        json_decref(record);
        return rc;
    }
    char *text = json_object_set_new(record, "state_sha256", json_string(digest)) != 0
                     ? NULL
                     : json_dumps(record, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(record);
    if (text == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    rc = cam_file_replace(path, text, strlen(text), 0600, err);
    free(text); /* jansson's */
    return rc;
}

static enum cam_code read_metrics(const char *path, json_t *metrics, struct run_state *out,
                                  struct cam_err *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(metrics, name, value)
    {
        if (out->metric_count == STATE_METRICS_MAX || !json_is_number(value) ||
            strlen(name) >= STATE_NAME_SIZE) {
            return cam_fail(err, CAM_CORRUPT, "%s: metric_sums hold what was never written", path);
        }
        (void)snprintf(out->metric_name[out->metric_count], STATE_NAME_SIZE, "%s", name);
        out->metric_sum[out->metric_count++] = json_number_value(value);
    }
    return CAM_OK;
}

static enum cam_code read_executions(const char *path, json_t *list, struct run_state *out,
                                     struct cam_err *err)
{
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > STATE_PHASES_MAX) {
        return cam_fail(err, CAM_CORRUPT, "%s: executions are no list of at most %d", path,
                        STATE_PHASES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        out->executions[i] = json_integer_value(json_array_get(list, i));
    }
    out->phase_count = (int)count;
    return CAM_OK;
}

static enum cam_code check_identity(const char *path, const char *job, const char *data,
                                    const struct state_identity *identity, struct cam_err *err)
{
    if (strcmp(job, identity->job_sha256) != 0) {
        return cam_fail(err, CAM_CHANGED, "%s is of another job text (%.12s, this job's is %.12s)",
                        path, job, identity->job_sha256);
    }
    if (strcmp(data, identity->data_sha256) != 0) {
        return cam_fail(err, CAM_CHANGED, "%s was trained on other data (%.12s, now %.12s)", path,
                        data, identity->data_sha256);
    }
    return CAM_OK;
}

static enum cam_code unpack_state(const char *path, json_t *record,
                                  const struct state_identity *identity, struct run_state *out,
                                  struct state_digests *digests, struct cam_err *err)
{
    json_error_t where;
    int version = 0;
    json_int_t step = 0;
    json_int_t epoch = 0;
    json_int_t epoch_step = 0;
    json_int_t rollbacks = 0;
    json_t *executions = NULL;
    json_t *metrics = NULL;
    const char *job = NULL;
    const char *data = NULL;
    const char *model = NULL;
    const char *optimizer = NULL;
    *out = (struct run_state){0};
    if (json_unpack_ex(record, &where, 0, "{si sI sI sI sF sI sF so so ss ss ss ss}", "version",
                       &version, "step", &step, "epoch", &epoch, "epoch_step", &epoch_step,
                       "epoch_seconds", &out->epoch_seconds, "rollbacks", &rollbacks, "rate_factor",
                       &out->rate_factor, "executions", &executions, "metric_sums", &metrics,
                       "job_sha256", &job, "data_sha256", &data, "model_sha256", &model,
                       "optimizer_sha256", &optimizer) != 0) {
        return cam_fail(err, CAM_CORRUPT, "%s: %s", path, where.text);
    }
    if (version != STATE_VERSION || step < 0 || epoch < 0 || epoch_step < 0 || rollbacks < 0 ||
        !(out->rate_factor > 0.0) || strlen(model) != CAM_DIGEST_HEX_SIZE - 1 ||
        strlen(optimizer) != CAM_DIGEST_HEX_SIZE - 1) {
        return cam_fail(err, CAM_CORRUPT, "%s: version %d, step %lld do not make sense", path,
                        version, (long long)step);
    }
    out->step = step;
    out->epoch = epoch;
    out->epoch_step = epoch_step;
    out->rollbacks = rollbacks;
    memcpy(digests->model_sha256, model, CAM_DIGEST_HEX_SIZE);
    memcpy(digests->optimizer_sha256, optimizer, CAM_DIGEST_HEX_SIZE);
    enum cam_code rc = check_identity(path, job, data, identity, err);
    if (rc == CAM_OK) {
        rc = read_executions(path, executions, out, err);
    }
    return rc == CAM_OK ? read_metrics(path, metrics, out, err) : rc;
}

static enum cam_code check_digest(const char *path, json_t *record, struct cam_err *err)
{
    char stored[CAM_DIGEST_HEX_SIZE];
    char digest[CAM_DIGEST_HEX_SIZE];
    const char *text = json_string_value(json_object_get(record, "state_sha256"));
    (void)snprintf(stored, sizeof stored, "%s", text == NULL ? "" : text);
    enum cam_code rc = record_digest(path, record, digest, err);
    if (rc == CAM_OK && strcmp(stored, digest) != 0) {
        rc = cam_fail(err, CAM_CORRUPT, "%s: damaged: its digest is %.12s, it names %.12s", path,
                      digest, stored);
    }
    return rc;
}

enum cam_code state_read(const char *path, const struct state_identity *identity,
                         struct run_state *state_out, struct state_digests *digests_out,
                         struct cam_err *err)
{
    char *text = NULL;
    size_t size = 0;
    enum cam_code rc = cam_file_read(path, STATE_BYTES_MAX, &text, &size, err);
    if (rc != CAM_OK) {
        return rc;
    }
    json_error_t where;
    json_t *record = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    cam_free(text);
    if (record == NULL) {
        return cam_fail(err, CAM_CORRUPT, "%s:%d: %s", path, where.line, where.text);
    }
    rc = check_digest(path, record, err);
    if (rc == CAM_OK) {
        rc = unpack_state(path, record, identity, state_out, digests_out, err);
    }
    json_decref(record);
    return rc;
}
