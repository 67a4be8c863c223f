/*
 * The state folder: who may use it and where it may lie.
 */
#ifndef STATE_FOLDER_H
#define STATE_FOLDER_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Refuses a file system on which SQLite's locks and shared memory cannot be relied on (NFS, CIFS,
 * Lustre and their like), by the f_type of statfs.  Pure. */
CAM_CHECKED enum cam_code state_folder_check_type(const char *path, int64_t f_type,
                                                  struct cam_err *err);

/* Creates the folder (0700) where missing, and checks what it lies on.  everybody: 0711, since the
 * report socket and, by default, the jobs' folders are in it; its files stay 0600. */
CAM_CHECKED enum cam_code state_folder_prepare(const char *path, bool everybody,
                                               struct cam_err *err);

/* Takes the folder's lock for this process, waiting up to wait_ms, and writes the pid into it.
 * The descriptor stays open until the process ends.  CAM_CONFLICT names the daemon that has it. */
CAM_CHECKED enum cam_code state_folder_lock(const char *path, int64_t wait_ms, int *fd_out,
                                            struct cam_err *err);

/* The pid of the daemon that holds the lock.  CAM_NOT_FOUND when none does. */
CAM_CHECKED enum cam_code state_folder_owner(const char *path, int64_t *pid_out,
                                             struct cam_err *err);

#endif
