/*
 * One command line, taken apart: the command, its options and arguments.  The tables of options
 * and commands yield the parser, --help and the check of the manual page.
 *
 * Owner: main.  The strings are argv's.
 */
#ifndef INVOCATION_H
#define INVOCATION_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a person's shell sees. */
enum exit_code { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_NO_DAEMON = 3 };

enum option {
    OPTION_JSON,
    OPTION_SET,
    OPTION_AFTER,
    OPTION_HOLD,
    OPTION_KEY,
    OPTION_ALL,
    OPTION_STATE,
    OPTION_FOLLOW,
    OPTION_ATTEMPT,
    OPTION_NOW,
    OPTION_OUTPUT,
    OPTION_EPOCH,
    OPTION_DIGEST,
    OPTION_MARKDOWN,
    OPTION_PLAN,
    OPTION_COUNT,
};

/* Options that may be given again and again keep at most so many values. */
enum { OPTION_VALUES_MAX = 256, ARGUMENTS_MAX = 256 };

struct option_row {
    const char *name;   /* "--set" */
    const char *letter; /* "-o", or NULL */
    const char *value;  /* what stands behind it ("KEY=VALUE"); NULL: nothing does */
    bool repeated;
    const char *help;
};

struct invocation {
    const char *socket_path; /* NULL: the default */
    const struct command *command;
    bool given[OPTION_COUNT];
    const char *values[OPTION_COUNT]; /* the last one */
    struct {
        const char *value[OPTION_VALUES_MAX];
        size_t count;
    } set, after, state; /* the repeated ones */
    const char *arguments[ARGUMENTS_MAX];
    int argument_count;
    int exit_code; /* enum exit_code; EXIT_DONE until a command wants another */
};

/* Runs one command.  CAM_OK: exit_code decides.  CAM_UNAVAILABLE and CAM_PEER_LOST: no daemon.
 * Any other code: refused or failed; err says why. */
typedef enum cam_code command_function(struct invocation *in, struct cam_err *err);

struct command {
    const char *name;
    const char *arguments; /* "ID...", or "" */
    int arguments_least;
    int arguments_most;
    unsigned options; /* bits 1 << enum option */
    command_function *run;
    const char *summary;
};

extern const struct option_row OPTIONS[OPTION_COUNT];

/* The table of commands, in the order of the help. */
const struct command *commands(size_t *count_out);

/* The command of a name, or NULL. */
const struct command *command_find(const char *name);

/* Takes argv apart.  CAM_STOPPED where --help or --version was asked for (*help_out or
 * *version_out then); CAM_INVALID with the text for a wrong command line. */
CAM_CHECKED enum cam_code invocation_parse(struct invocation *in, int argc, char **argv,
                                           bool *help_out, bool *version_out, struct cam_err *err);

/* Fails with CAM_INVALID and makes the exit code EXIT_USAGE: the command line itself is wrong. */
enum cam_code invocation_fail(struct invocation *in, struct cam_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Argument i as a job's id: a whole number from 1. */
CAM_CHECKED enum cam_code invocation_id(struct invocation *in, int i, int64_t *id_out,
                                        struct cam_err *err);

/* A text as a whole number from 1 to most; what names it in the error. */
CAM_CHECKED enum cam_code invocation_number(struct invocation *in, const char *what,
                                            const char *text, int64_t most, int64_t *out,
                                            struct cam_err *err);

/* One function a command, each in the file of its name. */
command_function command_submit;
command_function command_check;
command_function command_queue;
command_function command_show;
command_function command_events;
command_function command_logs;
command_function command_watch;
command_function command_wait;
command_function command_change; /* cancel, hold, release, resume */
command_function command_samples;
command_function command_weights;
command_function command_status;
command_function command_schema;

#endif
