/*
 * Starts a program as a job's owner, in a session of its own; libuv's uv_spawn would drop the
 * owner's supplementary groups.  Any thread; the child belongs to the caller, who waits for it.
 */
#ifndef CHILD_H
#define CHILD_H

#include "base/status.h"
#include "daemon/owner.h"

#include <sys/types.h>

struct child_request {
    const char *const *argv; /* NULL-terminated; argv[0] is the program's path */
    char *const *environment;
    const char *folder; /* to start in; entered with the owner's rights */
    int output_fd;      /* standard output and error; standard input is /dev/null */
    const struct owner *owner;
};

/* CAM_OK: the program runs (its exec has succeeded), and *pidfd_out is readable once it ended. */
CAM_CHECKED enum cam_code child_start(const struct child_request *request, pid_t *pid_out,
                                      int *pidfd_out, struct cam_err *err);

/* Reaps the child: its exit status, or the signal that ended it. */
void child_reap(pid_t pid, int *status_out, int *signal_out);

#endif
