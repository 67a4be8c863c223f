/*
 * Every process below the shim: it is their subreaper, so that whoever loses its parent becomes
 * its child.  When there is no child left (ECHILD), the attempt is proved dead.
 */
#ifndef FAMILY_H
#define FAMILY_H

#include "base/status.h"

#include <stdint.h>
#include <sys/types.h>

/* Makes this process the reaper of all its descendants. */
CAM_CHECKED enum cam_code family_adopt(struct cam_err *err);

/*
 * Kills children, and children of children as they become ours, until none is left.  status_out is
 * the wait status of watched, a child; or -1 where watched is -1 (reaped before, or never was).
 * Children are found in /proc.  While that cannot be read only watched is killed, which takes
 * along what asked to die with it; CAM_IO, saying why, when some child is still left after
 * blind_limit_ms of that: then nothing is proved.
 */
CAM_CHECKED enum cam_code family_end(pid_t watched, int64_t blind_limit_ms, int *status_out,
                                     struct cam_err *err);

#endif
