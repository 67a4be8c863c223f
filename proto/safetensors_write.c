/* Writing safetensors files, and the digest of their tensors. */
#include "proto/safetensors.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LENGTH_BYTES = 8 };

/* A copy of the tensors, sorted by name and checked; ends with cam_free. */
static enum cam_code sort_tensors(const struct safetensors_tensor *tensors, size_t count,
                                  struct safetensors_tensor **out, struct cam_err *err)
{
    struct safetensors_tensor *sorted = cam_alloc(count + 1, sizeof *sorted);
    if (sorted == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "table of %zu tensors: out of memory", count);
    }
    if (count > 0) {
        memcpy(sorted, tensors, count * sizeof *sorted);
    }
    qsort(sorted, count, sizeof *sorted, safetensors_by_name);
    for (size_t i = 0; i < count; i++) {
        size_t expected = 0;
        if (!safetensors_bytes(&sorted[i], &expected) || expected != sorted[i].size_bytes ||
            (i > 0 && strcmp(sorted[i - 1].name, sorted[i].name) == 0)) {
            enum cam_code rc = cam_fail(err, CAM_INTERNAL,
                                        "tensor '%s' of %zu bytes: its shape asks for %zu, or its "
                                        "name comes twice",
                                        sorted[i].name, sorted[i].size_bytes, expected);
            cam_free(sorted);
            return rc;
        }
    }
    *out = sorted;
    return CAM_OK;
}

static json_t *entry_of(const struct safetensors_tensor *tensor, size_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++) {
        (void)json_array_append_new(shape, json_integer(tensor->dim[i]));
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor->dtype, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)begin + (json_int_t)tensor->size_bytes);
}

/* The header's JSON, padded so that the data begin on a multiple of eight; ends with free. */
static char *header_text(const struct safetensors_tensor *tensors, size_t count,
                         const struct safetensors_pair *metadata, size_t metadata_count)
{
    json_t *header = json_object();
    bool good = header != NULL;
    if (good && metadata_count > 0) {
        json_t *map = json_object();
        for (size_t i = 0; i < metadata_count; i++) {
            good = good &&
                   json_object_set_new(map, metadata[i].key, json_string(metadata[i].value)) == 0;
        }
        good = good && json_object_set_new(header, "__metadata__", map) == 0;
    }
    size_t begin = 0;
    for (size_t i = 0; good && i < count; i++) {
        good = json_object_set_new(header, tensors[i].name, entry_of(&tensors[i], begin)) == 0;
        begin += tensors[i].size_bytes;
    }
    char *text = good ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    return text;
}

static enum cam_code write_all(int fd, const char *path, const char *header,
                               const struct safetensors_tensor *tensors, size_t count,
                               struct cam_err *err)
{
    size_t length = strlen(header);
    size_t padding = (LENGTH_BYTES - length % LENGTH_BYTES) % LENGTH_BYTES;
    uint8_t bytes[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++) {
        bytes[i] = (uint8_t)((uint64_t)(length + padding) >> (8 * i));
    }
    enum cam_code rc = cam_file_write_all(fd, bytes, sizeof bytes, path, err);
    if (rc == CAM_OK) {
        rc = cam_file_write_all(fd, header, length, path, err);
    }
    if (rc == CAM_OK) {
        rc = cam_file_write_all(fd, "        ", padding, path, err);
    }
    for (size_t i = 0; rc == CAM_OK && i < count; i++) {
        rc = cam_file_write_all(fd, tensors[i].bytes, tensors[i].size_bytes, path, err);
    }
    if (rc == CAM_OK && fsync(fd) != 0) {
        rc = cam_fail_errno(err, errno, "%s", path);
    }
    return rc;
}

enum cam_code safetensors_write(const char *path, const struct safetensors_tensor *tensors,
                                size_t count, const struct safetensors_pair *metadata,
                                size_t metadata_count, struct cam_err *err)
{
    struct safetensors_tensor *sorted = NULL;
    char *header = NULL;
    int fd = -1;
    char temporary[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(temporary, err, "%s.tmp", path);
    if (rc == CAM_OK) {
        rc = sort_tensors(tensors, count, &sorted, err);
    }
    if (rc != CAM_OK) {
        goto out;
    }
    header = header_text(sorted, count, metadata, metadata_count);
    if (header == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "%s: its header: out of memory", path);
        goto out;
    }
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        rc = cam_fail_errno(err, errno, "%s", temporary);
        goto out;
    }
    rc = write_all(fd, temporary, header, sorted, count, err);
    if (close(fd) != 0 && rc == CAM_OK) {
        rc = cam_fail_errno(err, errno, "%s", temporary);
    }
    if (rc == CAM_OK && rename(temporary, path) != 0) {
        rc = cam_fail_errno(err, errno, "%s", path);
    }
    if (rc != CAM_OK) {
        (void)unlink(temporary);
    }
out:
    free(header);
    cam_free(sorted);
    return rc;
}

static void add_number(struct cam_digest *digest, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    cam_digest_add(digest, bytes, size);
}

enum cam_code safetensors_digest_of(const struct safetensors_tensor *tensors, size_t count,
                                    char hex_out[CAM_DIGEST_HEX_SIZE], struct cam_err *err)
{
    struct safetensors_tensor *sorted = NULL;
    struct cam_digest *digest = cam_digest_create();
    if (digest == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "digest of the weights: out of memory");
    }
    enum cam_code rc = sort_tensors(tensors, count, &sorted, err);
    for (size_t i = 0; rc == CAM_OK && i < count; i++) {
        const struct safetensors_tensor *tensor = &sorted[i];
        cam_digest_add(digest, tensor->name, strlen(tensor->name) + 1);
        cam_digest_add(digest, tensor->dtype, strlen(tensor->dtype) + 1);
        add_number(digest, (uint64_t)tensor->rank, 4);
        for (int d = 0; d < tensor->rank; d++) {
            add_number(digest, (uint64_t)tensor->dim[d], 8);
        }
        cam_digest_add(digest, tensor->bytes, tensor->size_bytes);
    }
    if (rc == CAM_OK) {
        cam_digest_finish(digest, hex_out);
    }
    cam_digest_destroy(digest);
    cam_free(sorted);
    return rc;
}
