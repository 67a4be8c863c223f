#include "data/source.h"

#include "base/mem.h"
#include "data/format.h"
#include "data/permutation.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct source_format *const FORMATS[] = {
    [DATA_GLYPHS] = &GLYPHS_FORMAT,
    [DATA_IDX] = &IDX_FORMAT,
    [DATA_TEXT] = &TEXT_FORMAT,
    [DATA_GAUSSIANS] = &GAUSSIANS_FORMAT,
};
_Static_assert(sizeof FORMATS / sizeof FORMATS[0] == DATA_FORMAT_COUNT, "every format needs a row");

/* Of the split by data.validation_fraction: which samples are kept out depends on how many there
 * are and on nothing else. */
#define SPLIT_SEED UINT64_C(0x76616c6964617465)

struct source {
    const struct source_format *format;
    void *state;
    void *validation; /* state of the files of data.validation, or NULL */
    struct source_info info;
    bool splits; /* samples are reached through `split` */
    struct permutation split;
    bool loaded;
};

/* Divided rather than multiplied by a rounded reciprocal, so that 0 and 255 are -1 and 1 exactly.
 */
float format_pixel(uint8_t value)
{
    return (float)(value * 2 - 255) / 255.0F;
}

/* The last of the samples in a keyed order are for validation. */
static enum cam_code split_samples(struct source *source, const struct data_spec *spec,
                                   const char **role_out, struct cam_err *err)
{
    int64_t whole = source->info.count;
    int64_t kept_out = (int64_t)((double)whole * spec->validation_fraction);
    if (kept_out < 1 || kept_out >= whole) {
        *role_out = "validation_fraction";
        return cam_fail(err, CAM_INVALID,
                        "data.validation_fraction %g of %" PRId64 " samples are %" PRId64
                        "; at least one is needed for validation and one for training",
                        spec->validation_fraction, whole, kept_out);
    }
    permutation_init(&source->split, (uint64_t)whole, SPLIT_SEED, 0);
    source->splits = true;
    source->info.count = whole - kept_out;
    source->info.validation_count = kept_out;
    return CAM_OK;
}

/* Files of their own, of images of the same size. */
static enum cam_code open_validation(struct source *source, const struct data_spec *spec,
                                     const char **role_out, struct cam_err *err)
{
    const char *role = NULL;
    struct source_info *info = &source->info;
    struct source_info found = {0};
    struct data_spec other = {.format = spec->format,
                              .images = spec->validation_images,
                              .labels = spec->validation_labels};
    enum cam_code rc = source->format->open(&other, &source->validation, &found, &role, err);
    *role_out =
        role != NULL && strcmp(role, "labels") == 0 ? "validation.labels" : "validation.images";
    if (rc != CAM_OK) {
        return rc;
    }
    if (found.height != info->height || found.width != info->width ||
        found.channels != info->channels) {
        return cam_fail(err, CAM_INVALID,
                        "data images %s: %" PRId64 " x %" PRId64 " x %" PRId64
                        ", those to train on are %" PRId64 " x %" PRId64 " x %" PRId64,
                        spec->validation_images, found.height, found.width, found.channels,
                        info->height, info->width, info->channels);
    }
    info->validation_count = found.count;
    info->classes = found.classes > info->classes ? found.classes : info->classes;
    info->set_bytes += found.set_bytes;
    return CAM_OK;
}

static enum cam_code open_spec(const struct data_spec *spec, struct source **out,
                               const char **role_out, struct cam_err *err)
{
    struct source *source = cam_alloc(1, sizeof *source);
    if (source == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "data source: out of memory");
    }
    source->format = FORMATS[spec->format];
    enum cam_code rc = source->format->open(spec, &source->state, &source->info, role_out, err);
    if (rc != CAM_OK) {
        cam_free(source);
        return rc;
    }
    if (spec->validation_images != NULL) {
        rc = open_validation(source, spec, role_out, err);
    } else if (spec->validation_fraction > 0) {
        rc = split_samples(source, spec, role_out, err);
    }
    if (rc != CAM_OK) {
        source_close(source);
        return rc;
    }
    *out = source;
    return CAM_OK;
}

enum cam_code source_open(const struct data_spec *spec, struct source **out, struct cam_err *err)
{
    const char *role = NULL;
    return open_spec(spec, out, &role, err);
}

/* Roles are the names of their keys. */
enum cam_code source_open_job(const struct job_file *job, struct source **out, struct cam_err *err)
{
    const char *role = NULL;
    struct cam_err plain = {0};
    char key[32];
    enum cam_code rc = open_spec(&job->data, out, &role, &plain);
    if (rc == CAM_OK) {
        return CAM_OK;
    }
    (void)cam_fail(err, rc, "%s", plain.text);
    if (role != NULL) {
        (void)snprintf(key, sizeof key, "data.%s", role);
        if (rc == CAM_NOT_FOUND) {
            (void)cam_fail(err, rc, "%s; --set %s=PATH names another file", plain.text, key);
        }
        jobfile_place(job, key, err);
    }
    return rc;
}

void source_close(struct source *source)
{
    if (source != NULL) {
        source->format->close(source->state);
        if (source->validation != NULL) {
            source->format->close(source->validation);
        }
        cam_free(source);
    }
}

const struct source_info *source_info(const struct source *source)
{
    return &source->info;
}

enum cam_code source_share(struct source *source, const char *folder, struct cam_err *err)
{
    assert(!source->loaded);
    return source->format->share == NULL ? CAM_OK
                                         : source->format->share(source->state, folder, err);
}

enum cam_code source_preload(struct source *source, const char *folder, struct cam_err *err)
{
    enum cam_code rc = source_share(source, folder, err);
    if (rc != CAM_OK) {
        return rc;
    }
    return source->format->preload == NULL
               ? cam_fail(err, CAM_UNSUPPORTED, "nothing of %s data is shared",
                          source->format->name)
               : source->format->preload(source->state, err);
}

enum cam_code source_load(struct source *source, struct cam_err *err)
{
    if (source->loaded) {
        return CAM_OK;
    }
    enum cam_code rc = source->format->load(source->state, err);
    if (rc == CAM_OK && source->validation != NULL) {
        rc = source->format->load(source->validation, err);
    }
    source->loaded = rc == CAM_OK;
    return rc;
}

enum cam_code source_load_job(struct source *source, const struct job_file *job,
                              struct cam_err *err)
{
    char key[32];
    enum cam_code rc = source_load(source, err);
    if (rc != CAM_OK && source->format->load_role != NULL) {
        (void)snprintf(key, sizeof key, "data.%s", source->format->load_role);
        jobfile_place(job, key, err);
    }
    return rc;
}

enum cam_code source_read(const struct source *source, int64_t index, float *values, float *labels,
                          struct cam_err *err)
{
    assert(source->loaded);
    const struct source_info *info = &source->info;
    if (index < 0 || index >= info->count + info->validation_count) {
        return cam_fail(err, CAM_INTERNAL, "sample %" PRId64 " of a source that has %" PRId64,
                        index, info->count + info->validation_count);
    }
    const void *state = source->state;
    if (source->validation != NULL && index >= info->count) {
        state = source->validation;
        index -= info->count;
    } else if (source->splits) {
        index = (int64_t)permutation_at(&source->split, (uint64_t)index);
    }
    source->format->read(state, index, values, labels);
    return CAM_OK;
}

enum cam_code source_vocabulary(const struct source *source, char **json_out, struct cam_err *err)
{
    *json_out = NULL;
    if (source->format->vocabulary == NULL) {
        return CAM_OK;
    }
    json_t *object = source->format->vocabulary(source->state);
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    *json_out = text != NULL ? cam_strdup(text) : NULL;
    free(text);
    return *json_out != NULL ? CAM_OK
                             : cam_fail(err, CAM_NO_MEMORY, "the vocabulary: out of memory");
}

/* Size and time are of the file whose bytes are digested, whatever its name means meanwhile. */
static enum cam_code describe_whole(const struct format_file *file, struct stat *info,
                                    char digest[CAM_DIGEST_HEX_SIZE], struct cam_err *err)
{
    struct stat after;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, info) != 0) {
        enum cam_code rc = cam_fail_errno(err, errno, "data %s %s", file->role, file->path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return rc;
    }
    enum cam_code rc = cam_digest_of_open_file(fd, file->path, digest, err);
    if (rc == CAM_OK && (fstat(fd, &after) != 0 || after.st_size != info->st_size ||
                         after.st_mtim.tv_sec != info->st_mtim.tv_sec ||
                         after.st_mtim.tv_nsec != info->st_mtim.tv_nsec)) {
        rc = cam_fail(err, CAM_CHANGED, "data %s %s is being written: it changed while it was read",
                      file->role, file->path);
    }
    (void)close(fd);
    return rc;
}

/* One file's line of the identity. */
static enum cam_code describe_file(const struct format_file *file, bool whole, json_t **out,
                                   struct cam_err *err)
{
    struct stat info;
    char digest[CAM_DIGEST_HEX_SIZE] = "";
    enum cam_code rc = CAM_OK;
    if (whole) {
        rc = describe_whole(file, &info, digest, err);
    } else if (stat(file->path, &info) != 0) {
        rc = cam_fail_errno(err, errno, "data %s %s", file->role, file->path);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    int64_t mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    *out = json_pack("{s:s, s:s, s:I, s:I}", "role", file->role, "path", file->path, "size",
                     (json_int_t)info.st_size, "mtime_ns", (json_int_t)mtime_ns);
    if (whole && *out != NULL) {
        (void)json_object_set_new(*out, "sha256", json_string(digest));
    }
    return *out != NULL ? CAM_OK
                        : cam_fail(err, CAM_INVALID, "data %s %s: its path is not UTF-8",
                                   file->role, file->path);
}

enum cam_code source_identity(const struct data_spec *spec, bool whole, char **json_out,
                              struct cam_err *err)
{
    const struct source_format *format = FORMATS[spec->format];
    struct format_file files[FORMAT_FILES_MAX];
    int count = format->files(spec, files);
    json_t *identity = format->describe(spec);
    json_t *list = json_array();
    enum cam_code rc = CAM_OK;
    for (int i = 0; rc == CAM_OK && i < count; i++) {
        json_t *file = NULL;
        rc = describe_file(&files[i], whole, &file, err);
        if (rc == CAM_OK && json_array_append_new(list, file) != 0) {
            rc = cam_fail(err, CAM_NO_MEMORY, "identity of the data: out of memory");
        }
    }
    (void)json_object_set_new(identity, "files", list);
    char *text = rc == CAM_OK ? json_dumps(identity, JSON_COMPACT) : NULL;
    json_decref(identity);
    if (rc != CAM_OK) {
        return rc;
    }
    *json_out = text != NULL ? cam_strdup(text) : NULL;
    free(text);
    return *json_out != NULL ? CAM_OK
                             : cam_fail(err, CAM_NO_MEMORY, "identity of the data: out of memory");
}
