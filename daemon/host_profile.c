#include "daemon/host_profile.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "daemon/ask.h"
#include "daemon/attempt_folder.h"
#include "proto/profile.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { KEPT_MAX = 8, KEPT_MS = 30000, ANSWER_SIZE = 2048, NAME_SIZE = 32 };

/* What the worker said a while ago. */
struct kept {
    char *key; /* NULL: free; cam_free */
    char profile[ANSWER_SIZE];
    int64_t asked_ms;
};

struct host_profile {
    struct loop *loop;
    const char *worker;
    pthread_mutex_t mutex; /* guards kept: examinations run on several threads */
    struct kept kept[KEPT_MAX];
    int next; /* the one that the next answer replaces */
};

struct examination {
    struct host_profile *host;
    struct profile_question question;
    profile_answer_fn answer;
    void *context;
    enum cam_code rc;
    struct cam_err err;
};

enum cam_code host_profile_create(struct loop *loop, const char *worker, struct host_profile **out,
                                  struct cam_err *err)
{
    struct host_profile *host = cam_alloc(1, sizeof *host);
    if (host == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the numeric profile of this host");
    }
    host->loop = loop;
    host->worker = worker;
    (void)pthread_mutex_init(&host->mutex, NULL);
    *out = host;
    return CAM_OK;
}

static int64_t now_ms(void)
{
    return cam_monotonic_ns() / 1000000;
}

static bool find_kept(struct host_profile *host, const char *key, char profile[ANSWER_SIZE])
{
    bool found = false;
    (void)pthread_mutex_lock(&host->mutex);
    for (int i = 0; i < KEPT_MAX && !found; i++) {
        struct kept *kept = &host->kept[i];
        if (kept->key != NULL && strcmp(kept->key, key) == 0 &&
            now_ms() - kept->asked_ms < KEPT_MS) {
            memcpy(profile, kept->profile, ANSWER_SIZE);
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&host->mutex);
    return found;
}

/* Short memory only means that it is asked again. */
static void keep(struct host_profile *host, const char *key, const char *profile)
{
    (void)pthread_mutex_lock(&host->mutex);
    struct kept *kept = &host->kept[host->next];
    host->next = (host->next + 1) % KEPT_MAX;
    cam_free(kept->key);
    kept->key = cam_strdup(key);
    kept->asked_ms = now_ms();
    (void)snprintf(kept->profile, sizeof kept->profile, "%s", profile);
    (void)pthread_mutex_unlock(&host->mutex);
}

/* The line that is JSON: sanitizers and libraries may have said something too. */
static char *find_line(char *text)
{
    char *line = text;
    while (line != NULL && *line != '{') {
        line = strchr(line, '\n');
        line += line == NULL ? 0 : 1;
    }
    if (line != NULL) {
        line[strcspn(line, "\n")] = '\0';
    }
    return line;
}

static enum cam_code ask_worker(const struct host_profile *host, const char *backend,
                                const struct profile_question *question, struct cam_arena *arena,
                                char profile[ANSWER_SIZE], struct cam_err *err)
{
    char text[ANSWER_SIZE];
    int status = 0;
    const char *const argv[] = {host->worker, "--profile",   "--backend", backend,
                                "--isa",      question->isa, NULL};
    struct owner owner;
    enum cam_code rc = owner_resolve(question->owner_uid, question->owner_gid, &owner, err);
    if (rc != CAM_OK) {
        return rc;
    }
    char **environment = attempt_folder_environment(question->env_json, &owner, NULL, arena);
    if (environment == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the daemon is short of memory");
    }
    /* The job's environment may name code to load: it runs with its owner's rights, or not. */
    struct ask ask = {.argv = argv, .environment = environment, .owner = &owner};
    rc = ask_program(&ask, text, sizeof text, &status, err);
    if (rc != CAM_OK) {
        return rc;
    }
    const char *line = status == 0 ? find_line(text) : NULL;
    if (line == NULL) {
        text[strcspn(text, "\n")] = '\0';
        return cam_fail(err, CAM_UNSUPPORTED, "%s --profile: %.500s", host->worker, text);
    }
    (void)snprintf(profile, ANSWER_SIZE, "%s", line);
    return CAM_OK;
}

/* The backend that the first attempt ran on. */
static enum cam_code read_backend(const char *wanted, char out[NAME_SIZE], struct cam_err *err)
{
    json_t *profile = json_loads(wanted, 0, NULL);
    const char *name = json_string_value(json_object_get(profile, "backend"));
    bool good = name != NULL && strlen(name) < NAME_SIZE;
    (void)snprintf(out, NAME_SIZE, "%s", good ? name : "");
    json_decref(profile);
    return good ? CAM_OK
                : cam_fail(err, CAM_CORRUPT, "the stored numeric profile names no backend: %.200s",
                           wanted);
}

static void examine_work(void *context)
{
    struct examination *examination = context;
    struct host_profile *host = examination->host;
    const struct profile_question *question = &examination->question;
    struct cam_err *err = &examination->err;
    char backend[NAME_SIZE];
    char profile[ANSWER_SIZE];
    struct cam_arena *arena = cam_arena_create();
    const char *key = NULL;
    enum cam_code rc = read_backend(question->wanted, backend, err);
    if (rc == CAM_OK) {
        key = arena == NULL
                  ? NULL
                  : cam_arena_printf(arena, "%lld %s %s %s", (long long)question->owner_uid,
                                     backend, question->isa, question->env_json);
        rc = key == NULL ? cam_fail(err, CAM_NO_MEMORY, "the daemon is short of memory") : CAM_OK;
    }
    if (rc == CAM_OK && !find_kept(host, key, profile)) {
        rc = ask_worker(host, backend, question, arena, profile, err);
        if (rc == CAM_OK) {
            keep(host, key, profile);
        }
    }
    examination->rc = rc == CAM_OK ? profile_compare_host(profile, question->wanted, err) : rc;
    cam_arena_destroy(arena);
}

static void examine_done(void *context)
{
    struct examination *examination = context;
    examination->answer(examination->context, examination->rc, &examination->err);
    cam_free(examination);
}

void host_profile_examine(struct host_profile *host, const struct profile_question *question,
                          profile_answer_fn answer, void *context)
{
    struct cam_err err;
    struct examination *examination = cam_alloc(1, sizeof *examination);
    enum cam_code rc = examination == NULL
                           ? cam_fail(&err, CAM_NO_MEMORY, "the daemon is short of memory")
                           : CAM_OK;
    if (rc == CAM_OK) {
        *examination = (struct examination){
            .host = host, .question = *question, .answer = answer, .context = context};
        rc = loop_work(host->loop, examine_work, examine_done, examination, &err);
    }
    if (rc != CAM_OK) {
        cam_free(examination);
        answer(context, rc, &err);
    }
}
