/*
 * What this host has: cores, GPUs, and where the programs are that the daemon starts.
 */
#ifndef HOST_H
#define HOST_H

#include "base/file.h"
#include "base/status.h"

/* Cores that this process may run on. */
int host_cores(void);

/* NVIDIA devices, counted by their device files: the daemon loads no CUDA. */
int host_gpus(void);

/* An installed program of ours: in $CAMBRIAN_LIBEXEC, beside this executable, in the install's
 * libexec folder, or in the build tree.  CAM_NOT_FOUND lists where was looked. */
CAM_CHECKED enum cam_code host_find_own(const char *name, char out[CAM_PATH_SIZE],
                                        struct cam_err *err);

/* A program on PATH, as an absolute path.  CAM_NOT_FOUND. */
CAM_CHECKED enum cam_code host_find_program(const char *name, char out[CAM_PATH_SIZE],
                                            struct cam_err *err);

#endif
