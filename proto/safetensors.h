/*
 * Safetensors files: named tensors behind a JSON header (github.com/huggingface/safetensors).
 * Checkpoints and exported weights are such files; Python's library reads what is written here.
 *
 * Reading:  safetensors_open reads the file and checks its whole header against its size; tensors
 *           then point into that memory until safetensors_close.  Any thread may read an open file.
 * Writing:  safetensors_write takes tensors that point at the caller's memory.
 */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include "base/digest.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SAFETENSORS_RANK_MAX = 6 };

struct safetensors_tensor {
    const char *name;
    const char *dtype; /* as the format spells it: "F32", "BF16", "I32", "U8", ... */
    int rank;          /* 0: one number */
    int64_t dim[SAFETENSORS_RANK_MAX];
    const void *bytes; /* row-major, little-endian */
    size_t size_bytes; /* product of the dims times the dtype's size */
};

/* Of the file's own "__metadata__" map. */
struct safetensors_pair {
    const char *key;
    const char *value;
};

/* Bytes of one element, or 0 for a dtype that is not known. */
size_t safetensors_dtype_bytes(const char *dtype);

/* The bytes that dtype and shape ask for; false where the dtype is not known or they overflow. */
bool safetensors_bytes(const struct safetensors_tensor *tensor, size_t *bytes_out);

/* qsort's order of struct safetensors_tensor: bytewise by name. */
int safetensors_by_name(const void *a, const void *b);

struct safetensors;

/* CAM_NOT_FOUND, CAM_DENIED, CAM_IO; CAM_CORRUPT where the bytes are not a safetensors file from
 * end to end: header, offsets without holes or overlaps, sizes that fit the shapes. */
CAM_CHECKED enum cam_code safetensors_open(const char *path, struct safetensors **out,
                                           struct cam_err *err);
void safetensors_close(struct safetensors *file);

/* Tensors in bytewise order of their names. */
size_t safetensors_count(const struct safetensors *file);
const struct safetensors_tensor *safetensors_at(const struct safetensors *file, size_t index);

/* NULL where there is none. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_metadata(const struct safetensors *file, const char *key);

/*
 * Writes path.tmp, fsyncs it and renames it over path (the folder's own fsync is the caller's,
 * who usually renames the folder next).  After any failure path is what it was.  Tensors may come
 * in any order and are stored by name; names must differ.  CAM_DISK_FULL, CAM_IO, CAM_NO_MEMORY;
 * CAM_INTERNAL where a size does not fit its shape or a name comes twice.
 */
CAM_CHECKED enum cam_code safetensors_write(const char *path,
                                            const struct safetensors_tensor *tensors, size_t count,
                                            const struct safetensors_pair *metadata,
                                            size_t metadata_count, struct cam_err *err);

/*
 * The digest that a job's record calls weights_sha256: SHA-256 over the tensors sorted bytewise by
 * name, of each its name and a zero byte, its dtype and a zero byte, its rank as u32, each
 * dimension as u64, then its bytes; all little-endian.  The file's metadata is not in it.
 */
CAM_CHECKED enum cam_code safetensors_digest_of(const struct safetensors_tensor *tensors,
                                                size_t count, char hex_out[CAM_DIGEST_HEX_SIZE],
                                                struct cam_err *err);
CAM_CHECKED enum cam_code safetensors_digest(const char *path, char hex_out[CAM_DIGEST_HEX_SIZE],
                                             struct cam_err *err);

#endif
