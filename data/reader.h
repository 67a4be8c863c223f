/*
 * A data file being read from its start: gzipped or not is seen by its content, whatever it is
 * called.  Private to data/; one thread at a time.
 *
 *   reader_open → reader_take … → reader_close
 */
#ifndef READER_H
#define READER_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

struct reader {
    const char *role; /* "images": for the words of errors, as path */
    const char *path;
    gzFile gz;
};

enum reader_use { READER_HEADER, READER_WHOLE };

/* Fills reader, whose role and path are set.  CAM_NOT_FOUND, CAM_INVALID (no regular file), … */
CAM_CHECKED enum cam_code reader_open(struct reader *reader, enum reader_use use,
                                      struct cam_err *err);
/* One that was never opened is allowed, when it is zeroed. */
void reader_close(struct reader *reader);

bool reader_is_gzipped(struct reader *reader);

/* Reads size bytes, or up to the end: *read_out says how many.  A read past the end also makes
 * zlib compare the checksum.  CAM_CORRUPT: damaged gzip data; CAM_IO. */
CAM_CHECKED enum cam_code reader_take(struct reader *reader, void *bytes, int64_t size,
                                      int64_t *read_out, struct cam_err *err);

#endif
