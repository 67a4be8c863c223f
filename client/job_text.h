/*
 * The job file that a command line names, read whole, with the folder its paths start from.
 */
#ifndef JOB_TEXT_H
#define JOB_TEXT_H

#include "base/file.h"
#include "client/invocation.h"
#include "proto/jobfile.h"

struct job_source {
    struct job_text text; /* points into the rest */
    char *bytes;
    char base_dir[CAM_PATH_SIZE];
};

/* Reads argument 0 of the command; "-" is standard input, with the working folder as its base.
 * CAM_NOT_FOUND, CAM_DENIED, CAM_IO; CAM_INVALID where it is larger than a job file may be. */
CAM_CHECKED enum cam_code job_source_read(const struct invocation *in, struct job_source *out,
                                          struct cam_err *err);
void job_source_release(struct job_source *source);

#endif
