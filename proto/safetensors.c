#include "proto/safetensors.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH_BYTES = 8, HEADER_BYTES_MAX = 100 * 1000 * 1000 /* the format's own limit */ };

struct safetensors {
    struct cam_arena *arena;
    void *map;
    size_t map_bytes;
    struct safetensors_tensor *tensors; /* sorted by name */
    size_t count;
    struct safetensors_pair *metadata;
    size_t metadata_count;
};

size_t safetensors_dtype_bytes(const char *dtype)
{
    static const struct {
        const char *name;
        size_t bytes;
    } DTYPES[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                  {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U64", 8},  {"U32", 4},
                  {"U16", 2}, {"U8", 1},  {"BOOL", 1}};
    for (size_t i = 0; i < sizeof DTYPES / sizeof DTYPES[0]; i++) {
        if (strcmp(DTYPES[i].name, dtype) == 0) {
            return DTYPES[i].bytes;
        }
    }
    return 0;
}

bool safetensors_bytes(const struct safetensors_tensor *tensor, size_t *bytes_out)
{
    size_t bytes = safetensors_dtype_bytes(tensor->dtype);
    bool fits = bytes != 0;
    for (int i = 0; fits && i < tensor->rank; i++) {
        fits =
            tensor->dim[i] >= 0 && !__builtin_mul_overflow(bytes, (size_t)tensor->dim[i], &bytes);
    }
    *bytes_out = bytes;
    return fits;
}

int safetensors_by_name(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a;
    const struct safetensors_tensor *y = b;
    return strcmp(x->name, y->name);
}

static int by_bytes(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a;
    const struct safetensors_tensor *y = b;
    if (x->bytes != y->bytes) {
        return (const char *)x->bytes < (const char *)y->bytes ? -1 : 1;
    }
    return x->size_bytes < y->size_bytes ? -1 : x->size_bytes > y->size_bytes;
}

static enum cam_code bad_tensor(const char *path, const char *name, struct cam_err *err)
{
    return cam_fail(err, CAM_CORRUPT,
                    "%s: tensor '%.64s' has no valid dtype, shape and data_offsets", path, name);
}

/* One entry of the header; its bytes still count from the start of the data. */
static enum cam_code read_entry(struct safetensors *file, const char *path, const char *name,
                                json_t *entry, struct safetensors_tensor *out, struct cam_err *err)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    json_t *shape = json_object_get(entry, "shape");
    json_t *offsets = json_object_get(entry, "data_offsets");
    size_t rank = json_array_size(shape);
    if (dtype == NULL || !json_is_array(shape) || rank > SAFETENSORS_RANK_MAX ||
        json_array_size(offsets) != 2) {
        return bad_tensor(path, name, err);
    }
    *out = (struct safetensors_tensor){.name = cam_arena_strdup(file->arena, name),
                                       .dtype = cam_arena_strdup(file->arena, dtype),
                                       .rank = (int)rank};
    if (out->name == NULL || out->dtype == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory while reading it", path);
    }
    for (size_t i = 0; i < rank; i++) {
        json_t *dim = json_array_get(shape, i);
        out->dim[i] = json_is_integer(dim) ? json_integer_value(dim) : -1;
    }
    json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    json_int_t end = json_integer_value(json_array_get(offsets, 1));
    size_t expected = 0;
    if (begin < 0 || end < begin || (uintmax_t)end > file->map_bytes ||
        !safetensors_bytes(out, &expected) || expected != (size_t)(end - begin)) {
        return bad_tensor(path, name, err);
    }
    out->bytes = (const char *)file->map + begin;
    out->size_bytes = expected;
    return CAM_OK;
}

static enum cam_code read_metadata(struct safetensors *file, const char *path, json_t *map,
                                   struct cam_err *err)
{
    size_t size = json_object_size(map);
    file->metadata = cam_arena_alloc(file->arena, size + 1, sizeof *file->metadata);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(map, key, value)
    {
        if (!json_is_string(value) || file->metadata == NULL) {
            return cam_fail(err, CAM_CORRUPT, "%s: its metadata is no map of texts", path);
        }
        struct safetensors_pair *pair = &file->metadata[file->metadata_count++];
        pair->key = cam_arena_strdup(file->arena, key);
        pair->value = cam_arena_strdup(file->arena, json_string_value(value));
        if (pair->key == NULL || pair->value == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory while reading it", path);
        }
    }
    return CAM_OK;
}

static enum cam_code read_entries(struct safetensors *file, const char *path, json_t *header,
                                  struct cam_err *err)
{
    file->tensors =
        cam_arena_alloc(file->arena, json_object_size(header) + 1, sizeof *file->tensors);
    if (file->tensors == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory while reading it", path);
    }
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach(header, name, entry)
    {
        enum cam_code rc = CAM_OK;
        if (strcmp(name, "__metadata__") == 0) {
            rc = read_metadata(file, path, entry, err);
        } else {
            rc = read_entry(file, path, name, entry, &file->tensors[file->count], err);
            file->count += rc == CAM_OK ? 1 : 0;
        }
        if (rc != CAM_OK) {
            return rc;
        }
    }
    return CAM_OK;
}

/* The data must be covered from its first to its last byte, once.  Moves every tensor's bytes to
 * where they are. */
static enum cam_code place_data(struct safetensors *file, const char *path, size_t data_start,
                                struct cam_err *err)
{
    qsort(file->tensors, file->count, sizeof *file->tensors, by_bytes);
    size_t reached = 0;
    for (size_t i = 0; i < file->count; i++) {
        struct safetensors_tensor *tensor = &file->tensors[i];
        size_t begin = (size_t)((const char *)tensor->bytes - (const char *)file->map);
        if (begin != reached) {
            return cam_fail(err, CAM_CORRUPT,
                            "%s: tensor '%.64s' begins at byte %zu of the data, expected %zu", path,
                            tensor->name, begin, reached);
        }
        reached += tensor->size_bytes;
    }
    if (reached != file->map_bytes - data_start) {
        return cam_fail(err, CAM_CORRUPT, "%s: %zu bytes of data, its header names %zu", path,
                        file->map_bytes - data_start, reached);
    }
    for (size_t i = 0; i < file->count; i++) {
        file->tensors[i].bytes = (const char *)file->tensors[i].bytes + data_start;
    }
    qsort(file->tensors, file->count, sizeof *file->tensors, safetensors_by_name);
    return CAM_OK;
}

static enum cam_code read_header(struct safetensors *file, const char *path, struct cam_err *err)
{
    const uint8_t *bytes = file->map;
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; i++) {
        length |= (uint64_t)bytes[i] << (8 * i);
    }
    if (length > HEADER_BYTES_MAX || length > file->map_bytes - LENGTH_BYTES) {
        return cam_fail(err, CAM_CORRUPT,
                        "%s: a header of %" PRIu64 " bytes in a file of %zu: no safetensors file, "
                        "or one cut short",
                        path, length, file->map_bytes);
    }
    json_error_t error;
    json_t *header = json_loadb((const char *)bytes + LENGTH_BYTES, (size_t)length,
                                JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(header)) {
        json_decref(header);
        return cam_fail(err, CAM_CORRUPT, "%s: its header is no JSON object", path);
    }
    enum cam_code rc = read_entries(file, path, header, err);
    json_decref(header);
    return rc == CAM_OK ? place_data(file, path, LENGTH_BYTES + (size_t)length, err) : rc;
}

/* Read, not mapped: a file that is cut short under a map ends the process with SIGBUS. */
static enum cam_code read_whole(struct safetensors *file, int fd, const char *path,
                                struct cam_err *err)
{
    file->map =
        mmap(NULL, file->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (file->map == MAP_FAILED) {
        file->map = NULL;
        return cam_fail_errno(err, errno, "%s: %zu bytes", path, file->map_bytes);
    }
    for (size_t done = 0; done < file->map_bytes;) {
        ssize_t got = pread(fd, (char *)file->map + done, file->map_bytes - done, (off_t)done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return cam_fail_errno(err, errno, "%s: cannot read", path);
        }
        if (got == 0) {
            return cam_fail(err, CAM_CORRUPT, "%s: cut short to %zu of %zu bytes while it was read",
                            path, done, file->map_bytes);
        }
        done += (size_t)got;
    }
    return CAM_OK;
}

static enum cam_code map_file(struct safetensors *file, const char *path, struct cam_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "%s", path);
    }
    enum cam_code rc = CAM_OK;
    struct stat info;
    if (fstat(fd, &info) != 0) {
        rc = cam_fail_errno(err, errno, "%s", path);
    } else if (!S_ISREG(info.st_mode) || info.st_size <= LENGTH_BYTES) {
        rc = cam_fail(err, CAM_CORRUPT, "%s: no safetensors file: too short, or no file", path);
    } else {
        file->map_bytes = (size_t)info.st_size;
        rc = read_whole(file, fd, path, err);
    }
    (void)close(fd);
    return rc;
}

enum cam_code safetensors_open(const char *path, struct safetensors **out, struct cam_err *err)
{
    struct safetensors *file = cam_alloc(1, sizeof *file);
    if (file == NULL || (file->arena = cam_arena_create()) == NULL) {
        cam_free(file);
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory while reading it", path);
    }
    enum cam_code rc = map_file(file, path, err);
    if (rc == CAM_OK) {
        rc = read_header(file, path, err);
    }
    if (rc != CAM_OK) {
        safetensors_close(file);
        return rc;
    }
    *out = file;
    return CAM_OK;
}

void safetensors_close(struct safetensors *file)
{
    if (file == NULL) {
        return;
    }
    if (file->map != NULL) {
        (void)munmap(file->map, file->map_bytes);
    }
    cam_arena_destroy(file->arena);
    cam_free(file);
}

size_t safetensors_count(const struct safetensors *file)
{
    return file->count;
}

const struct safetensors_tensor *safetensors_at(const struct safetensors *file, size_t index)
{
    return index < file->count ? &file->tensors[index] : NULL;
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name)
{
    struct safetensors_tensor wanted = {.name = name};
    return bsearch(&wanted, file->tensors, file->count, sizeof wanted, safetensors_by_name);
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->metadata_count; i++) {
        if (strcmp(file->metadata[i].key, key) == 0) {
            return file->metadata[i].value;
        }
    }
    return NULL;
}

enum cam_code safetensors_digest(const char *path, char hex_out[CAM_DIGEST_HEX_SIZE],
                                 struct cam_err *err)
{
    struct safetensors *file = NULL;
    enum cam_code rc = safetensors_open(path, &file, err);
    if (rc == CAM_OK) {
        rc = safetensors_digest_of(file->tensors, file->count, hex_out, err);
    }
    safetensors_close(file);
    return rc;
}
