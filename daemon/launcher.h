/*
 * Turns a committed attempt into processes on this host: writes its folder, starts cambrian-shim
 * in a session of its own, and watches it to the proof of death; after a restart, finds out how
 * the attempts of the last daemon are.  It is the core's launch_port.  Loop thread; files are
 * written and read in the thread pool.
 *
 * Order of a launch: (row committed) -> files -> shim.  The shim takes the attempt's lock before
 * it starts anything, and respects `void` under that lock.  So a later daemon that finds the lock
 * free, and no record of a shim, writes `void` and knows that nothing was or will be started; the
 * same is done for a shim that was killed before its record.  Tests stop a launch between any two
 * of these (proto/hold.h).
 */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include "base/status.h"
#include "daemon/core.h"
#include "daemon/launch.h"
#include "daemon/loop.h"
#include "daemon/mpirun.h"

#include <stdint.h>

struct launcher;

struct launcher_options {
    struct loop *loop;
    const char *jobs_dir; /* absolute */
    const char *queue;    /* its identity */
    const char *endpoint; /* "unix:PATH": where ranks report */
    const struct mpirun *mpirun;
    const char *shim;   /* absolute */
    const char *worker; /* absolute */
    int cores;
    int64_t kill_grace_ms;
    int64_t log_bytes_max;
};

CAM_CHECKED enum cam_code launcher_create(const struct launcher_options *options,
                                          struct launcher **out, struct cam_err *err);
/* Lets go of all attempts; they go on. */
void launcher_destroy(struct launcher *launcher);

/* Where its answers go; before the first use of the port. */
void launcher_set_core(struct launcher *launcher, struct core *core);

struct launch_port launcher_port(struct launcher *launcher);

#endif
