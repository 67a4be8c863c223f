/*
 * Telling processes apart: a pid alone may be somebody else's after a while; with the time it
 * started and the boot it belongs to, it is one process for ever.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include "base/status.h"

#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_BOOT_ID_SIZE = 40 };

/* Field 22 of /proc/PID/stat: clock ticks between boot and the process's start.  CAM_NOT_FOUND
 * when there is no such process. */
CAM_CHECKED enum cam_code process_start_ticks(pid_t pid, int64_t *out, struct cam_err *err);

/* The running boot's id. */
CAM_CHECKED enum cam_code process_boot_id(char out[PROCESS_BOOT_ID_SIZE], struct cam_err *err);

#endif
