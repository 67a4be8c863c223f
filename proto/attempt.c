#include "proto/attempt.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES_MAX = 1024 * 1024 };

enum cam_code attempt_path(const char *job_dir, int attempt, const char *file,
                           char out[CAM_PATH_SIZE], struct cam_err *err)
{
    return file == NULL ? cam_path(out, err, "%s/attempts/%d", job_dir, attempt)
                        : cam_path(out, err, "%s/attempts/%d/%s", job_dir, attempt, file);
}

typedef enum cam_code (*write_fn)(const char *path, const void *bytes, size_t size, mode_t mode,
                                  struct cam_err *err);

/* Writes record (which may be NULL after a failed allocation) and drops it. */
static enum cam_code write_record(write_fn write_file, const char *path, json_t *record,
                                  struct cam_err *err)
{
    char *text = record == NULL ? NULL : json_dumps(record, JSON_INDENT(2));
    json_decref(record);
    if (text == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    enum cam_code rc = write_file(path, text, strlen(text), 0600, err);
    free(text); /* jansson's, from malloc */
    return rc;
}

static enum cam_code read_record(const char *path, json_t **out, struct cam_err *err)
{
    char *text = NULL;
    size_t size = 0;
    enum cam_code rc = cam_file_read_plain(path, RECORD_BYTES_MAX, &text, &size, err);
    if (rc != CAM_OK) {
        return rc;
    }
    json_error_t where;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    cam_free(text);
    return *out == NULL ? cam_fail(err, CAM_CORRUPT, "%s:%d: %s", path, where.line, where.text)
                        : CAM_OK;
}

/* Unpacks with jansson's format language; a missing field is CAM_CORRUPT by name. */
static enum cam_code unpack(const char *path, json_t *record, struct cam_err *err,
                            const char *format, ...)
{
    json_error_t where;
    va_list args;
    va_start(args, format);
    int failed = json_vunpack_ex(record, &where, 0, format, args);
    va_end(args);
    return failed != 0 ? cam_fail(err, CAM_CORRUPT, "%s: %s", path, where.text) : CAM_OK;
}

static json_t *strings_to_json(const char *const *strings, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < count; i++) {
        if (json_array_append_new(list, json_string(strings[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static enum cam_code strings_from_json(const char *path, json_t *list, struct cam_arena *arena,
                                       const char *const **out, size_t *count_out,
                                       struct cam_err *err)
{
    size_t count = json_array_size(list);
    const char **strings = cam_arena_alloc(arena, count + 1, sizeof *strings);
    for (size_t i = 0; strings != NULL && i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL) {
            return cam_fail(err, CAM_CORRUPT, "%s: a list of texts holds something else", path);
        }
        strings[i] = cam_arena_strdup(arena, text);
        strings = strings[i] == NULL ? NULL : strings;
    }
    if (strings == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    *out = strings;
    *count_out = count;
    return CAM_OK;
}

enum cam_code attempt_write_job(const char *job_dir, const struct attempt_job *job,
                                struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(path, err, "%s/job.json", job_dir);
    if (rc != CAM_OK) {
        return rc;
    }
    return write_record(cam_file_replace, path,
                        json_pack("{sI ss ss so ss sI}", "id", (json_int_t)job->id, "file_name",
                                  job->file_name, "base_dir", job->base_dir, "set",
                                  strings_to_json(job->set, job->set_count), "queue",
                                  job->queue == NULL ? "" : job->queue, "submitted_at_ms",
                                  (json_int_t)job->submitted_at_ms),
                        err);
}

enum cam_code attempt_read_job(const char *job_dir, struct cam_arena *arena,
                               struct attempt_job *out, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    json_t *record = NULL;
    json_t *set = NULL;
    json_int_t id = 0;
    json_int_t submitted_at_ms = 0;
    const char *file_name = NULL;
    const char *base_dir = NULL;
    const char *queue = "";
    enum cam_code rc = cam_path(path, err, "%s/job.json", job_dir);
    if (rc == CAM_OK) {
        rc = read_record(path, &record, err);
    }
    if (rc == CAM_OK) {
        rc = unpack(path, record, err, "{sI ss ss so s?s s?I}", "id", &id, "file_name", &file_name,
                    "base_dir", &base_dir, "set", &set, "queue", &queue, "submitted_at_ms",
                    &submitted_at_ms);
    }
    if (rc == CAM_OK) {
        rc = strings_from_json(path, set, arena, &out->set, &out->set_count, err);
    }
    if (rc == CAM_OK) {
        out->id = id;
        out->submitted_at_ms = submitted_at_ms;
        out->queue = cam_arena_strdup(arena, queue);
        out->file_name = cam_arena_strdup(arena, file_name);
        out->base_dir = cam_arena_strdup(arena, base_dir);
        if (out->file_name == NULL || out->base_dir == NULL || out->queue == NULL) {
            rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
        }
    }
    json_decref(record);
    return rc;
}

enum cam_code attempt_write_queue(const char *jobs_dir, const char *queue, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(path, err, "%s/queue.json", jobs_dir);
    return rc == CAM_OK
               ? write_record(cam_file_replace, path, json_pack("{ss}", "queue", queue), err)
               : rc;
}

enum cam_code attempt_read_queue(const char *jobs_dir, char out[ATTEMPT_QUEUE_SIZE],
                                 struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    json_t *record = NULL;
    const char *queue = NULL;
    enum cam_code rc = cam_path(path, err, "%s/queue.json", jobs_dir);
    if (rc == CAM_OK) {
        rc = read_record(path, &record, err);
    }
    if (rc == CAM_OK) {
        rc = unpack(path, record, err, "{ss}", "queue", &queue);
    }
    if (rc == CAM_OK) {
        (void)snprintf(out, ATTEMPT_QUEUE_SIZE, "%s", queue);
    }
    json_decref(record);
    return rc;
}

enum cam_code attempt_write_order(const char *job_dir, const struct attempt_order *order,
                                  struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(job_dir, order->attempt, "attempt.json", path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    json_t *record = json_pack(
        "{sI si si si ss ss? sI sI sI so}", "job_id", (json_int_t)order->job_id, "attempt",
        order->attempt, "ranks", order->ranks, "lanes", order->lanes, "scratch", order->scratch,
        "resume_from", order->resume_from, "time_limit_ms", (json_int_t)order->time_limit_ms,
        "grace_ms", (json_int_t)order->grace_ms, "log_bytes_max", (json_int_t)order->log_bytes_max,
        "argv", strings_to_json(order->argv, order->argv_count));
    return write_record(cam_file_put, path, record, err);
}

enum cam_code attempt_read_order(const char *job_dir, int attempt, struct cam_arena *arena,
                                 struct attempt_order *out, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    json_t *record = NULL;
    json_t *argv = NULL;
    json_t *resume = NULL;
    const char *scratch = NULL;
    json_int_t job_id = 0;
    json_int_t limit = 0;
    json_int_t grace = 0;
    json_int_t log_max = 0;
    enum cam_code rc = attempt_path(job_dir, attempt, "attempt.json", path, err);
    if (rc == CAM_OK) {
        rc = read_record(path, &record, err);
    }
    if (rc == CAM_OK) {
        rc = unpack(path, record, err, "{sI si si si ss so sI sI sI so}", "job_id", &job_id,
                    "attempt", &out->attempt, "ranks", &out->ranks, "lanes", &out->lanes, "scratch",
                    &scratch, "resume_from", &resume, "time_limit_ms", &limit, "grace_ms", &grace,
                    "log_bytes_max", &log_max, "argv", &argv);
    }
    if (rc == CAM_OK) {
        rc = strings_from_json(path, argv, arena, &out->argv, &out->argv_count, err);
    }
    if (rc == CAM_OK) {
        const char *from = json_string_value(resume);
        out->job_id = job_id;
        out->time_limit_ms = limit;
        out->grace_ms = grace;
        out->log_bytes_max = log_max;
        out->scratch = cam_arena_strdup(arena, scratch);
        out->resume_from = from == NULL ? NULL : cam_arena_strdup(arena, from);
        if (out->scratch == NULL || (from != NULL && out->resume_from == NULL)) {
            rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
        }
    }
    json_decref(record);
    return rc;
}

enum cam_code attempt_write_shim(const char *job_dir, int attempt, const struct attempt_shim *shim,
                                 struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(job_dir, attempt, "shim.json", path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    return write_record(cam_file_replace, path,
                        json_pack("{sI sI ss}", "pid", (json_int_t)shim->pid, "start_ticks",
                                  (json_int_t)shim->start_ticks, "boot_id", shim->boot_id),
                        err);
}

enum cam_code attempt_read_shim(const char *job_dir, int attempt, struct attempt_shim *out,
                                struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    json_t *record = NULL;
    json_int_t pid = 0;
    json_int_t ticks = 0;
    const char *boot = NULL;
    enum cam_code rc = attempt_path(job_dir, attempt, "shim.json", path, err);
    if (rc == CAM_OK) {
        rc = read_record(path, &record, err);
    }
    if (rc == CAM_OK) {
        rc = unpack(path, record, err, "{sI sI ss}", "pid", &pid, "start_ticks", &ticks, "boot_id",
                    &boot);
    }
    if (rc == CAM_OK) {
        *out = (struct attempt_shim){.pid = pid, .start_ticks = ticks};
        (void)snprintf(out->boot_id, sizeof out->boot_id, "%s", boot);
    }
    json_decref(record);
    return rc;
}

enum cam_code attempt_write_exit(const char *job_dir, int attempt, const struct attempt_exit *exit,
                                 struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(job_dir, attempt, "exit.json", path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    return write_record(cam_file_replace, path,
                        json_pack("{si si sb sb sI sI ss ss}", "exit_code", exit->exit_code,
                                  "signal", exit->signal, "timed_out", (int)exit->timed_out,
                                  "stop_killed", (int)exit->stop_killed, "elapsed_ms",
                                  (json_int_t)exit->elapsed_ms, "ended_at_ms",
                                  (json_int_t)exit->ended_at_ms, "text", exit->text, "code",
                                  cam_code_name(exit->code)),
                        err);
}

enum cam_code attempt_read_exit(const char *job_dir, int attempt, struct attempt_exit *out,
                                struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    json_t *record = NULL;
    json_int_t elapsed = 0;
    json_int_t ended = 0;
    int timed_out = 0;
    int stop_killed = 0;
    const char *text = NULL;
    const char *code = cam_code_name(CAM_IO); /* of a release that wrote none */
    enum cam_code rc = attempt_path(job_dir, attempt, "exit.json", path, err);
    if (rc == CAM_OK) {
        rc = read_record(path, &record, err);
    }
    *out = (struct attempt_exit){0};
    if (rc == CAM_OK) {
        rc = unpack(path, record, err, "{si si sb sb sI sI ss s?s}", "exit_code", &out->exit_code,
                    "signal", &out->signal, "timed_out", &timed_out, "stop_killed", &stop_killed,
                    "elapsed_ms", &elapsed, "ended_at_ms", &ended, "text", &text, "code", &code);
    }
    if (rc == CAM_OK) {
        out->timed_out = timed_out != 0;
        out->stop_killed = stop_killed != 0;
        out->elapsed_ms = elapsed;
        out->ended_at_ms = ended;
        out->code = cam_code_from_name(code);
        (void)snprintf(out->text, sizeof out->text, "%s", text);
    }
    json_decref(record);
    return rc;
}
