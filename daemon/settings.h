/*
 * The daemon's settings: one table (name, kind, default, range, unit, help) that is the parser of
 * the command line and of the settings file, --help, and the sample file.
 * A later source wins: defaults, then the file, then the command line.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "base/file.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Who may connect. */
enum settings_users { USERS_OWN, USERS_ALL };

struct settings {
    char state_dir[CAM_PATH_SIZE];   /* "": the default place */
    char jobs_dir[CAM_PATH_SIZE];    /* "": STATE/jobs */
    char socket[CAM_PATH_SIZE];      /* "": the default place */
    char scratch_dir[CAM_PATH_SIZE]; /* on tmpfs */
    char mpirun[CAM_PATH_SIZE];      /* "": found on PATH */
    int64_t users;                   /* enum settings_users */
    int64_t slots;                   /* 0: GPUs, else cores */
    int64_t stop_grace_ms;
    int64_t kill_grace_ms;
    int64_t silent_limit_ms;
    int64_t attach_limit_ms;
    int64_t frame_limit_ms;
    int64_t log_bytes_max;
    char config[CAM_PATH_SIZE]; /* the settings file, "": none */
    bool foreground;
    bool drain;
    bool help;
    bool version;
    bool sample;
};

void settings_defaults(struct settings *out);

/* Reads "name = value" lines; '#' begins a comment.  CAM_INVALID with "FILE:LINE: ...", the
 * nearest name where there is one; CAM_NOT_FOUND. */
CAM_CHECKED enum cam_code settings_read_file(struct settings *settings, const char *path,
                                             struct cam_err *err);

/* Reads "--name value", "--name=value" and "--flag".  CAM_INVALID names the option. */
CAM_CHECKED enum cam_code settings_read_args(struct settings *settings, int argc,
                                             const char *const *argv, struct cam_err *err);

void settings_print_help(FILE *out);
void settings_print_sample(FILE *out);

#endif
