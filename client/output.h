/*
 * Standard output and files that commands write.  Consumes what it is given.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "base/file.h"
#include "base/text.h"

#include <jansson.h>
#include <stdbool.h>

/* Prints a text and releases it. */
CAM_CHECKED enum cam_code output_text(struct cam_text *text, struct cam_err *err);

/* Prints a JSON value with its end of line and drops it; NULL is memory that was short. */
CAM_CHECKED enum cam_code output_json(json_t *value, struct cam_err *err);

/* A file that appears whole or not at all: written as PATH.tmp, renamed by output_file_commit.
 * The path "-" is standard output. */
struct output_file {
    int fd;
    bool is_stdout;
    char path[CAM_PATH_SIZE];
    char temporary[CAM_PATH_SIZE];
};
CAM_CHECKED enum cam_code output_file_open(struct output_file *file, const char *path,
                                           struct cam_err *err);
/* As chunk_taker: context is the struct output_file. */
CAM_CHECKED enum cam_code output_file_take(void *context, const void *bytes, size_t size,
                                           struct cam_err *err);
CAM_CHECKED enum cam_code output_file_commit(struct output_file *file, struct cam_err *err);
/* Drops what was not committed; nothing after a commit. */
void output_file_close(struct output_file *file);

#endif
