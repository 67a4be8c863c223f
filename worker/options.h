/*
 * cambrian-worker's command line.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base/file.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdio.h>

enum worker_action { WORKER_RUN, WORKER_HELP, WORKER_VERSION, WORKER_OPERATORS, WORKER_PROFILE };

struct worker_options {
    enum worker_action action;
    const char *job_dir;
    int attempt;
    const char *backend;             /* --profile: its name */
    bool native_isa;                 /* --profile: as jobs with train.isa native */
    char backend_dir[CAM_PATH_SIZE]; /* where backend modules are */
};

/*
 * Backend modules are looked for in --backend-dir; else beside the executable; else, in a build
 * tree, in ../kernels/cpu of the executable; else where `meson install` puts them.
 * CAM_INVALID names the argument.
 */
CAM_CHECKED enum cam_code options_read(int argc, char **argv, struct worker_options *out,
                                       struct cam_err *err);

void options_help(FILE *out);

#endif
