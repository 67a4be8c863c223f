/*
 * A folder that one daemon at a time works on: a lock on FOLDER/lock, which holds the daemon's pid
 * for whoever asks.  The descriptor stays open until the process ends.
 */
#ifndef FOLDER_LOCK_H
#define FOLDER_LOCK_H

#include "base/status.h"

#include <stdint.h>

/* Waits up to wait_ms for the lock.  CAM_CONFLICT where another process keeps it, whose pid (0:
 * unknown) is then in *holder_out; the words are the caller's. */
CAM_CHECKED enum cam_code folder_lock(const char *folder, int64_t wait_ms, int *fd_out,
                                      int64_t *holder_out, struct cam_err *err);

/* Writes this process' pid into a lock that it has. */
CAM_CHECKED enum cam_code folder_lock_sign(int fd, const char *folder, struct cam_err *err);

/* The pid in a lock's file; 0: none. */
int64_t folder_lock_pid(int fd);

#endif
