#include "daemon/attempt_folder.h"

#include "base/mem.h"
#include "base/text.h"
#include "daemon/checkpoints.h"
#include "proto/hold.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { ARGV_MAX = MPIRUN_WORDS_MAX + 6, ENVIRONMENT_MAX = 512 };

/* ---------------------------------------------------------------- files */

/*
 * What only this attempt's processes read is put, not synced: they are gone after a power loss, the
 * next attempt gets its own, and a disk under checkpoints takes tens of milliseconds for each.
 */
static enum cam_code write_text(const char *job_dir, const char *file, const char *text,
                                struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(path, err, "%s/%s", job_dir, file);
    return rc == CAM_OK ? cam_file_put(path, text, strlen(text), 0600, err) : rc;
}

static enum cam_code write_job(const char *job_dir, const struct launch_order *order,
                               const char *queue, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    json_t *set = json_loads(order->set_json, 0, NULL);
    size_t count = json_array_size(set);
    const char **texts = cam_alloc(count + 1, sizeof *texts);
    if (set == NULL || texts == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", job_dir);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        texts[i] = json_string_value(json_array_get(set, i));
    }
    struct attempt_job job = {.id = order->job_id,
                              .file_name = order->file_name,
                              .base_dir = order->base_dir,
                              .set = texts,
                              .set_count = count,
                              .queue = queue,
                              .submitted_at_ms = order->submitted_at_ms};
    rc = write_text(job_dir, "job.yaml", order->spec_text, err);
    if (rc == CAM_OK) {
        rc = attempt_write_job(job_dir, &job, err);
    }
out:
    cam_free(texts);
    json_decref(set);
    return rc;
}

static enum cam_code write_token(const char *job_dir, int attempt, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    uint8_t token[ATTEMPT_TOKEN_BYTES];
    if (getrandom(token, sizeof token, 0) != (ssize_t)sizeof token) {
        return cam_fail_errno(err, errno, "no random numbers");
    }
    enum cam_code rc = attempt_path(job_dir, attempt, "token", path, err);
    return rc == CAM_OK ? cam_file_put(path, token, sizeof token, 0600, err) : rc;
}

static enum cam_code write_endpoint(const char *job_dir, int attempt, const char *endpoint,
                                    struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(job_dir, attempt, "endpoint", path, err);
    return rc == CAM_OK ? cam_file_put(path, endpoint, strlen(endpoint), 0600, err) : rc;
}

static size_t make_argv(const char *job_dir, const struct launch_order *order,
                        const struct attempt_surroundings *around, char numbers[2][16],
                        const char **argv)
{
    (void)snprintf(numbers[0], sizeof numbers[0], "%d", order->ranks);
    (void)snprintf(numbers[1], sizeof numbers[1], "%d", order->attempt);
    const char *const end[] = {around->worker, "--job-dir", job_dir, "--attempt", numbers[1]};
    size_t count = mpirun_words(around->mpirun, numbers[0], order->scratch, argv);
    if (geteuid() == 0 && !owner_is_other(order->owner_uid)) {
        argv[count++] = "--allow-run-as-root";
    }
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
        argv[count++] = end[i];
    }
    return count;
}

/* As many lanes as the rank's cores carry, and no more than it has shards. */
static int lanes_of(const struct launch_order *order, int cores)
{
    int64_t threads = order->threads_per_shard < 1 ? 1 : order->threads_per_shard;
    int64_t shards = (order->shards + order->ranks - 1) / order->ranks;
    int64_t lanes = cores / (order->ranks * threads);
    lanes = lanes < shards ? lanes : shards;
    return lanes < 1 ? 1 : (int)lanes;
}

static enum cam_code write_order(const char *job_dir, const struct launch_order *order,
                                 const struct attempt_surroundings *around, struct cam_err *err)
{
    char resume_from[CAM_PATH_SIZE];
    char numbers[2][16];
    const char *argv[ARGV_MAX];
    int64_t step = 0;
    checkpoints_newest(job_dir, order->attempt - 1, resume_from, &step);
    struct attempt_order record = {
        .job_id = order->job_id,
        .attempt = order->attempt,
        .ranks = order->ranks,
        .lanes = lanes_of(order, around->cores),
        .scratch = order->scratch,
        .resume_from = resume_from[0] == '\0' ? NULL : resume_from,
        .time_limit_ms = order->time_limit_ms,
        .grace_ms = around->kill_grace_ms,
        .log_bytes_max = around->log_bytes_max,
        .argv = argv,
        .argv_count = make_argv(job_dir, order, around, numbers, argv),
    };
    return attempt_write_order(job_dir, &record, err);
}

enum cam_code attempt_folder_write(const char *job_dir, const struct launch_order *order,
                                   const struct attempt_surroundings *around,
                                   char said[JOBS_SAID_SIZE], struct cam_err *err)
{
    enum cam_code rc = cam_folder_create(job_dir, 0700, err);
    if (rc == CAM_OK) {
        rc = write_job(job_dir, order, around->queue, err);
    }
    if (rc == CAM_OK) {
        rc = jobs_folder_new_attempt(job_dir, order->attempt, said, err);
    }
    if (rc == CAM_OK) {
        rc = write_token(job_dir, order->attempt, err);
    }
    if (rc == CAM_OK) {
        rc = write_endpoint(job_dir, order->attempt, around->endpoint, err);
    }
    return rc == CAM_OK ? write_order(job_dir, order, around, err) : rc;
}

/* ---------------------------------------------------------------- environment */

/* A daemon that was itself started inside an allocation or by mpirun must not hand that on. */
static const char *const KEPT_NAMES[] = {
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "CAMBRIAN_LIBEXEC",
    "ASAN_OPTIONS",
    "UBSAN_OPTIONS",
    "TSAN_OPTIONS",
    "LSAN_OPTIONS",
    "CUDA_VISIBLE_DEVICES",
    HOLD_VARIABLE,
    "CAMBRIAN_TEST_PROFILE", /* tests: a host that changes under the daemon */
};

/* What this process has under a name, or what stands for it with a job of somebody else. */
static const char *value_of(const char *name, const struct owner *owner)
{
    if (!owner_is_other(owner->uid)) {
        return getenv(name);
    }
    if (strcmp(name, "HOME") == 0) {
        return owner->home;
    }
    if (strcmp(name, "USER") == 0 || strcmp(name, "LOGNAME") == 0) {
        return owner->name[0] == '\0' ? NULL : owner->name;
    }
    return getenv(name);
}

char **attempt_folder_environment(const char *env_json, const struct owner *owner,
                                  const char *scratch, struct cam_arena *arena)
{
    size_t count = 0;
    char **list = cam_arena_alloc(arena, ENVIRONMENT_MAX + 1, sizeof *list);
    json_t *own = json_loads(env_json, 0, NULL);
    const char *name = NULL;
    json_t *value = NULL;
    bool good = list != NULL && own != NULL;
    for (size_t i = 0; good && i < sizeof KEPT_NAMES / sizeof KEPT_NAMES[0]; i++) {
        const char *kept = value_of(KEPT_NAMES[i], owner);
        if (kept != NULL && json_object_get(own, KEPT_NAMES[i]) == NULL) {
            list[count] = cam_arena_printf(arena, "%s=%s", KEPT_NAMES[i], kept);
            good = list[count++] != NULL;
        }
    }
    json_object_foreach(own, name, value)
    {
        if (good && count < ENVIRONMENT_MAX - 1 && strcmp(name, ATTEMPT_MARK) != 0) {
            list[count] = cam_arena_printf(arena, "%s=%s", name, json_string_value(value));
            good = list[count++] != NULL;
        }
    }
    json_decref(own);
    if (good && scratch != NULL) {
        list[count] = cam_arena_printf(arena, ATTEMPT_MARK "=%s", scratch);
        good = list[count] != NULL;
    }
    return good ? list : NULL;
}
