#include "daemon/admission.h"

#include "base/digest.h"
#include "base/mem.h"
#include "data/source.h"
#include "model/check.h"
#include "proto/jobfile.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_MAX = 64 };

/* The outcome of one check; everything it points to is in its arena. */
struct kept {
    char key[CAM_DIGEST_HEX_SIZE];
    char *identity; /* of the data when it was checked; cam_free */
    struct cam_arena *arena;
    struct data_spec data;
    struct new_job job;
    uint64_t used; /* larger: later */
};

struct admission {
    int32_t slots;
    int cores;
    pthread_mutex_t mutex; /* guards kept and clock */
    struct kept *kept[KEPT_MAX];
    uint64_t clock;
};

enum cam_code admission_create(int32_t slots, int cores, struct admission **out,
                               struct cam_err *err)
{
    struct admission *admission = cam_alloc(1, sizeof *admission);
    if (admission == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the check of job files");
    }
    admission->slots = slots;
    admission->cores = cores;
    (void)pthread_mutex_init(&admission->mutex, NULL);
    *out = admission;
    return CAM_OK;
}

static void kept_destroy(struct kept *kept)
{
    if (kept != NULL) {
        cam_arena_destroy(kept->arena);
        cam_free(kept->identity);
        cam_free(kept);
    }
}

void admission_destroy(struct admission *admission)
{
    if (admission == NULL) {
        return;
    }
    for (int i = 0; i < KEPT_MAX; i++) {
        kept_destroy(admission->kept[i]);
    }
    (void)pthread_mutex_destroy(&admission->mutex);
    cam_free(admission);
}

static void add_text(struct cam_digest *digest, const char *text)
{
    cam_digest_add(digest, text, strlen(text) + 1); /* with its end: "ab","c" is not "a","bc" */
}

/* key over all the job depends on; text_key over its text alone. */
static enum cam_code digests(const struct admission_request *request, char key[CAM_DIGEST_HEX_SIZE],
                             char text_key[CAM_DIGEST_HEX_SIZE], struct cam_err *err)
{
    enum cam_code rc = cam_digest_of(request->text, request->text_size, text_key, err);
    struct cam_digest *digest = cam_digest_create();
    if (rc == CAM_OK && digest == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", request->file_name);
    }
    if (rc == CAM_OK) {
        add_text(digest, CAMBRIAN_VERSION);
        add_text(digest, text_key);
        add_text(digest, request->file_name);
        add_text(digest, request->base_dir);
        cam_digest_add(digest, &request->owner->uid, sizeof request->owner->uid);
        cam_digest_add(digest, &request->owner->gid, sizeof request->owner->gid);
        cam_digest_add(digest, request->owner->groups,
                       (size_t)request->owner->group_count * sizeof request->owner->groups[0]);
        for (size_t i = 0; i < request->set_count; i++) {
            add_text(digest, request->set[i]);
        }
        cam_digest_finish(digest, key);
    }
    cam_digest_destroy(digest);
    return rc;
}

static const char *dump(struct cam_arena *arena, json_t *value)
{
    char *text = value == NULL ? NULL : json_dumps(value, JSON_COMPACT);
    const char *copy = text == NULL ? NULL : cam_arena_strdup(arena, text);
    free(text); /* jansson's, from malloc */
    json_decref(value);
    return copy;
}

static const char *set_json(struct cam_arena *arena, const struct admission_request *request)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < request->set_count; i++) {
        (void)json_array_append_new(list, json_string(request->set[i]));
    }
    return dump(arena, list);
}

static const char *env_json(struct cam_arena *arena, const struct job_file *job)
{
    json_t *object = json_object();
    for (int i = 0; object != NULL && i < job->env_count; i++) {
        (void)json_object_set_new(object, job->env[i].name, json_string(job->env[i].value));
    }
    return dump(arena, object);
}

static enum cam_code check_whole(const struct admission *admission, const struct job_file *job,
                                 struct job_figures *figures, struct cam_err *err)
{
    struct source *source = NULL;
    enum cam_code rc = source_open_job(job, &source, err);
    if (rc != CAM_OK) {
        return rc;
    }
    const struct source_info *info = source_info(source);
    struct data_shape shape = {.count = info->count,
                               .validation_count = info->validation_count,
                               .length = info->length,
                               .set_bytes = info->set_bytes,
                               .height = info->height,
                               .width = info->width,
                               .channels = info->channels,
                               .classes = info->classes};
    source_close(source);
    int64_t lanes = jobfile_lanes(job, job->resources.ranks_min, admission->cores);
    rc = model_check(job, &shape, (int)lanes, figures, err);
    if (rc == CAM_OK && job->resources.ranks_min > admission->slots) {
        rc = jobfile_fail(job, "resources.ranks", err,
                          "%lld ranks are asked for, no host has more than %d slots",
                          (long long)job->resources.ranks_min, admission->slots);
    }
    return rc;
}

static enum cam_code fill(struct kept *kept, const struct admission_request *request,
                          const struct job_file *job, const struct job_figures *figures,
                          struct cam_err *err)
{
    kept->data = job->data;
    kept->job = (struct new_job){
        .name = job->name,
        .kind = job_kind_name(job->kind),
        .set_json = set_json(kept->arena, request),
        .env_json = env_json(kept->arena, job),
        .ranks_min = job->resources.ranks_min,
        .ranks_max = job->resources.ranks_max,
        .shards = job->train.shards,
        .threads_per_shard = job->train.threads_per_shard,
        .isa = isa_choice_name(job->train.isa),
        .epochs = job->train.epochs,
        .batch = job->train.batch,
        .steps_per_epoch = figures->steps_per_epoch,
        .parameters = figures->parameters,
        .flops_per_step = figures->flops_per_step,
        .bytes_per_rank = figures->rank_bytes,
        .retry_max = job->retry.max,
        .backoff_ms = job->retry.backoff_ms,
        .time_limit_ms = job->resources.time_limit_ms,
    };
    return kept->job.set_json == NULL || kept->job.env_json == NULL
               ? cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", request->file_name)
               : source_identity(&job->data, false, &kept->identity, err);
}

static enum cam_code make_kept(const struct admission *admission,
                               const struct admission_request *request, const char *key,
                               struct kept **out, struct cam_err *err)
{
    struct job_file job = {0};
    struct job_figures figures = {0};
    struct kept *kept = cam_alloc(1, sizeof *kept);
    struct cam_arena *arena = cam_arena_create();
    if (kept == NULL || arena == NULL) {
        cam_arena_destroy(arena);
        cam_free(kept);
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", request->file_name);
    }
    kept->arena = arena;
    memcpy(kept->key, key, sizeof kept->key);
    /* What is kept must not point into the request, which goes. */
    char *text = cam_arena_alloc(arena, request->text_size + 1, 1);
    const char *file_name = cam_arena_strdup(arena, request->file_name);
    const char *base_dir = cam_arena_strdup(arena, request->base_dir);
    enum cam_code rc = CAM_OK;
    if (text == NULL || file_name == NULL || base_dir == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", request->file_name);
    } else {
        memcpy(text, request->text, request->text_size);
        rc = jobfile_parse(&(struct job_text){.file_name = file_name,
                                              .base_dir = base_dir,
                                              .text = text,
                                              .size = request->text_size,
                                              .set = request->set,
                                              .set_count = request->set_count},
                           arena, &job, err);
    }
    if (rc == CAM_OK) {
        rc = check_whole(admission, &job, &figures, err);
    }
    if (rc == CAM_OK) {
        rc = fill(kept, request, &job, &figures, err);
    }
    if (rc != CAM_OK) {
        kept_destroy(kept);
        return rc;
    }
    *out = kept;
    return CAM_OK;
}

/* Copies the kept job into the request's arena. */
static enum cam_code copy_out(const struct kept *kept, struct cam_arena *arena, struct new_job *out,
                              struct cam_err *err)
{
    struct new_job job = kept->job;
    job.name = cam_arena_strdup(arena, kept->job.name);
    job.kind = cam_arena_strdup(arena, kept->job.kind);
    job.set_json = cam_arena_strdup(arena, kept->job.set_json);
    job.env_json = cam_arena_strdup(arena, kept->job.env_json);
    job.request_key = out->request_key;
    job.owner_uid = out->owner_uid;
    job.owner_gid = out->owner_gid;
    job.hold = out->hold;
    job.after = out->after;
    job.after_count = out->after_count;
    *out = job;
    return job.name == NULL || job.kind == NULL || job.set_json == NULL || job.env_json == NULL
               ? cam_fail(err, CAM_NO_MEMORY, "a job: out of memory")
               : CAM_OK;
}

/* The kept outcome of this key, if the data is still what it was; copied while nobody can drop it.
 */
static bool find_kept(struct admission *admission, const char *key, struct cam_arena *arena,
                      struct new_job *out)
{
    struct cam_err ignored;
    bool found = false;
    (void)pthread_mutex_lock(&admission->mutex);
    for (int i = 0; i < KEPT_MAX && !found; i++) {
        struct kept *kept = admission->kept[i];
        char *identity = NULL;
        if (kept == NULL || strcmp(kept->key, key) != 0) {
            continue;
        }
        /* Sizes and times only: as cheap as the lock. */
        if (source_identity(&kept->data, false, &identity, &ignored) == CAM_OK &&
            strcmp(identity, kept->identity) == 0) {
            kept->used = ++admission->clock;
            found = copy_out(kept, arena, out, &ignored) == CAM_OK;
        } else {
            kept_destroy(kept);
            admission->kept[i] = NULL;
        }
        cam_free(identity);
    }
    (void)pthread_mutex_unlock(&admission->mutex);
    return found;
}

/* Keeps an outcome in the place of the one that was used longest ago. */
static void keep(struct admission *admission, struct kept *kept)
{
    int place = 0;
    (void)pthread_mutex_lock(&admission->mutex);
    for (int i = 0; i < KEPT_MAX; i++) {
        if (admission->kept[i] == NULL) {
            place = i;
            break;
        }
        place = admission->kept[i]->used < admission->kept[place]->used ? i : place;
    }
    kept_destroy(admission->kept[place]);
    kept->used = ++admission->clock;
    admission->kept[place] = kept;
    (void)pthread_mutex_unlock(&admission->mutex);
}

/* The costly part, or what is kept of it.  Data are opened here, so with the owner's rights. */
static enum cam_code check_as_owner(struct admission *admission,
                                    const struct admission_request *request, const char *key,
                                    struct cam_arena *arena, struct new_job *out,
                                    struct cam_err *err)
{
    struct kept *kept = NULL;
    enum cam_code rc = owner_enter(request->owner, err);
    if (rc != CAM_OK) {
        return rc;
    }
    if (!find_kept(admission, key, arena, out)) {
        rc = make_kept(admission, request, key, &kept, err);
        if (rc == CAM_OK) {
            rc = copy_out(kept, arena, out, err);
            keep(admission, kept);
        }
    }
    owner_leave(request->owner);
    return rc;
}

enum cam_code admission_check(struct admission *admission, const struct admission_request *request,
                              struct cam_arena *arena, struct new_job *out, struct cam_err *err)
{
    char key[CAM_DIGEST_HEX_SIZE];
    char text_key[CAM_DIGEST_HEX_SIZE];
    enum cam_code rc = digests(request, key, text_key, err);
    if (rc == CAM_OK) {
        rc = check_as_owner(admission, request, key, arena, out, err);
    }
    if (rc == CAM_OK) {
        out->spec_sha256 = cam_arena_strdup(arena, text_key);
        out->spec_text = request->text;
        out->file_name = request->file_name;
        out->base_dir = request->base_dir;
        if (out->spec_sha256 == NULL) {
            rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", request->file_name);
        }
    }
    return rc;
}
