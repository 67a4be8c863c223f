/*
 * The daemon with its outside: opens everything in order, runs the loop, closes in reverse.
 * main.c's; one a process.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include "base/status.h"
#include "daemon/settings.h"

/* Fills in the places that were not set: state and jobs folder, socket, mpirun, slots. */
CAM_CHECKED enum cam_code daemon_resolve(struct settings *settings, struct cam_err *err);

/* Creates what is missing, the jobs folder too (its path becomes absolute).  Runs until SIGTERM or
 * a drain has ended.  ready is called once clients may connect.  A broken store ends it with that
 * error; training goes on in every case. */
CAM_CHECKED enum cam_code daemon_run(struct settings *settings, void (*ready)(void *context),
                                     void *context, struct cam_err *err);

#endif
