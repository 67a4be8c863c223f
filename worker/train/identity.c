#include "worker/train/identity.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/source.h"
#include "proto/profile.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES_MAX = 1024 * 1024 };

enum cam_code identity_of_job(const char *text, size_t size, const struct attempt_job *job,
                              char hex_out[CAM_DIGEST_HEX_SIZE], struct cam_err *err)
{
    struct cam_digest *digest = cam_digest_create();
    if (digest == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the job's digest: out of memory");
    }
    cam_digest_add(digest, text, size);
    for (size_t i = 0; i < job->set_count; i++) {
        cam_digest_add(digest, "", 1);
        cam_digest_add(digest, job->set[i], strlen(job->set[i]));
    }
    cam_digest_finish(digest, hex_out);
    cam_digest_destroy(digest);
    return CAM_OK;
}

/* The whole file as JSON; CAM_NOT_FOUND where there is none yet. */
static enum cam_code read_json(const char *path, json_t **out, char **text_out, struct cam_err *err)
{
    size_t size = 0;
    enum cam_code rc = cam_file_read(path, RECORD_BYTES_MAX, text_out, &size, err);
    if (rc != CAM_OK) {
        return rc;
    }
    json_error_t where;
    *out = json_loadb(*text_out, size, 0, &where);
    if (*out == NULL) {
        cam_free(*text_out);
        *text_out = NULL;
        return cam_fail(err, CAM_CORRUPT, "%s:%d: %s", path, where.line, where.text);
    }
    return CAM_OK;
}

/* A copy in which no file has its member. */
static json_t *without(json_t *identity, const char *member)
{
    json_t *copy = json_deep_copy(identity);
    json_t *files = json_object_get(copy, "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        (void)json_object_del(json_array_get(files, i), member);
    }
    return copy;
}

static bool same_without(json_t *left, json_t *right, const char *member)
{
    json_t *a = without(left, member);
    json_t *b = without(right, member);
    bool same = a != NULL && b != NULL && json_equal(a, b) != 0;
    json_decref(a);
    json_decref(b);
    return same;
}

static const char *text_member(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text == NULL ? "" : text;
}

/* Says which file differs, and in what. */
static enum cam_code blame_data(json_t *recorded, json_t *found, struct cam_err *err)
{
    json_t *old_files = json_object_get(recorded, "files");
    json_t *new_files = json_object_get(found, "files");
    for (size_t i = 0; i < json_array_size(new_files); i++) {
        json_t *was = json_array_get(old_files, i);
        json_t *is = json_array_get(new_files, i);
        long long old_size = json_integer_value(json_object_get(was, "size"));
        long long new_size = json_integer_value(json_object_get(is, "size"));
        const char *old_digest = text_member(was, "sha256");
        const char *new_digest = text_member(is, "sha256");
        if (old_size != new_size || strcmp(old_digest, new_digest) != 0) {
            return cam_fail(err, CAM_CHANGED,
                            "data file %s has changed since the job's first attempt: then %lld "
                            "bytes (sha256 %.12s), now %lld (%.12s); put it back or submit anew",
                            text_member(is, "path"), old_size, old_digest, new_size, new_digest);
        }
    }
    return cam_fail(err, CAM_CHANGED, "the data are not those of the job's first attempt");
}

static enum cam_code compare_data(json_t *recorded, const struct data_spec *data,
                                  struct cam_err *err)
{
    char *text = NULL;
    enum cam_code rc = source_identity(data, false, &text, err);
    json_t *quick = rc == CAM_OK ? json_loads(text, 0, NULL) : NULL;
    cam_free(text);
    if (rc != CAM_OK || same_without(recorded, quick, "sha256")) {
        json_decref(quick);
        return rc;
    }
    json_decref(quick);
    rc = source_identity(data, true, &text, err);
    json_t *whole = rc == CAM_OK ? json_loads(text, 0, NULL) : NULL;
    if (rc == CAM_OK && !same_without(recorded, whole, "mtime_ns")) {
        rc = blame_data(recorded, whole, err);
    }
    json_decref(whole);
    cam_free(text);
    return rc;
}

enum cam_code identity_keep_data(const char *job_dir, const struct data_spec *data,
                                 char hex_out[CAM_DIGEST_HEX_SIZE], struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    char *text = NULL;
    json_t *recorded = NULL;
    enum cam_code rc = cam_path(path, err, "%s/data.json", job_dir);
    if (rc == CAM_OK) {
        rc = read_json(path, &recorded, &text, err);
    }
    if (rc == CAM_OK) {
        rc = compare_data(recorded, data, err);
    } else if (rc == CAM_NOT_FOUND) {
        rc = source_identity(data, true, &text, err);
        if (rc == CAM_OK) {
            rc = cam_file_replace(path, text, strlen(text), 0600, err);
        }
    }
    if (rc == CAM_OK) {
        rc = cam_digest_of(text, strlen(text), hex_out, err);
    }
    json_decref(recorded);
    cam_free(text);
    return rc;
}

/* The backend's own members as an object, or NULL. */
static json_t *backend_members(const struct identity_numbers *numbers)
{
    struct cam_text own = {0};
    cam_text_add(&own, "{");
    numbers->backend->profile(numbers->instance, &own);
    cam_text_add(&own, "}");
    json_t *members = cam_text_ok(&own) ? json_loads(own.bytes, 0, NULL) : NULL;
    cam_text_release(&own);
    return members;
}

/* False when memory is short. */
static bool add_our_members(const struct identity_numbers *numbers, json_t *profile)
{
    bool good = json_object_set_new(profile, "engine", json_string(CAMBRIAN_VERSION)) == 0 &&
                json_object_set_new(profile, "backend", json_string(numbers->backend->name)) == 0;
    if (good && numbers->test != NULL) {
        good = json_object_set_new(profile, "test", json_string(numbers->test)) == 0;
    }
    if (numbers->shards == 0) {
        (void)json_object_del(profile, "threads_per_shard");
        return good;
    }
    return good && json_object_set_new(profile, "shards", json_integer(numbers->shards)) == 0 &&
           json_object_set_new(profile, "threads_per_shard",
                               json_integer(numbers->threads_per_shard)) == 0;
}

enum cam_code identity_profile(const struct identity_numbers *numbers, struct cam_text *out,
                               struct cam_err *err)
{
    json_t *profile = backend_members(numbers);
    char *text = NULL;
    if (profile != NULL && add_our_members(numbers, profile)) {
        text = json_dumps(profile, JSON_SORT_KEYS);
    }
    json_decref(profile);
    cam_text_add(out, "%s", text == NULL ? "" : text);
    bool ok = text != NULL && cam_text_ok(out);
    free(text); /* jansson's */
    return ok ? CAM_OK
              : cam_fail(err, CAM_INTERNAL, "the %s backend gives no numeric profile",
                         numbers->backend->name);
}

enum cam_code identity_keep_profile(const char *job_dir, const char *profile, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    char *text = NULL;
    size_t size = 0;
    enum cam_code rc = cam_path(path, err, "%s/profile.json", job_dir);
    if (rc == CAM_OK) {
        rc = cam_file_read(path, RECORD_BYTES_MAX, &text, &size, err);
    }
    if (rc == CAM_OK) {
        rc = profile_compare("here", profile, "the first attempt", text, err);
    } else if (rc == CAM_NOT_FOUND) {
        rc = cam_file_replace(path, profile, strlen(profile), 0600, err);
    }
    cam_free(text);
    return rc;
}
