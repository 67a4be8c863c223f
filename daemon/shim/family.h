/*
 * Every process below the shim: it is their subreaper, so that whoever loses its parent becomes
 * its child.  When there is no child left (ECHILD), the attempt is proved dead.
 */
#ifndef FAMILY_H
#define FAMILY_H

#include "base/status.h"

#include <sys/types.h>

/* Makes this process the reaper of all its descendants. */
CAM_CHECKED enum cam_code family_adopt(struct cam_err *err);

/* Kills children, and children of children as they become ours, until none is left.  Returns the
 * wait status of watched (which may have been reaped before: -1). */
int family_end(pid_t watched);

#endif
