/*
 * A file of text as tokens: its bytes, or its UTF-8 code points.  Read front to back, in pieces, so
 * that only what a caller keeps is held.  Private to data/; one thread at a time.
 */
#ifndef TEXT_TOKENS_H
#define TEXT_TOKENS_H

#include "base/status.h"
#include "proto/jobfile.h"

enum { CODE_POINTS = 0x110000 };

/* Takes the next `count` code points (or bytes); a failure ends the reading. */
typedef enum cam_code (*text_tokens_fn)(void *context, const uint32_t *points, int64_t count,
                                        struct cam_err *err);

/* Reads the whole file, gzipped or not.  CAM_CORRUPT names the byte that is not UTF-8;
 * CAM_NOT_FOUND and CAM_IO the file; else what `take` said. */
CAM_CHECKED enum cam_code text_tokens_read(const char *path, enum text_vocabulary vocabulary,
                                           text_tokens_fn take, void *context, struct cam_err *err);

/* A code point as UTF-8 with a zero behind it; returns its bytes. */
int text_tokens_utf8(uint32_t point, char out[5]);

#endif
