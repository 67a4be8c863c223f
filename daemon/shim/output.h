/*
 * What mpirun and the ranks print: from a pipe into a file that becomes FILE.1 at its cap.
 * The shim's; one thread.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "base/file.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct output {
    int pipe_fd; /* non-blocking; closed by output_close */
    int file_fd;
    int64_t written;
    int64_t limit;
    char path[CAM_PATH_SIZE];
};

CAM_CHECKED enum cam_code output_open(struct output *output, int pipe_fd, const char *path,
                                      int64_t limit, struct cam_err *err);

/* Copies what is there, 1 MiB at most, so that who never stops printing does not keep the caller
 * from its signals; false at the pipe's end.  A disk that takes nothing costs the text, never
 * the training: it is dropped. */
bool output_copy(struct output *output);

void output_close(struct output *output);

#endif
