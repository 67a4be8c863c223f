/*
 * Files and folders: whole reads, writes that are on disk before they are seen, removal.
 * Blocking; never called on the daemon's loop thread for anything large.
 */
#ifndef CAM_FILE_H
#define CAM_FILE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CAM_PATH_SIZE = 4096 };

/* Formats a path; CAM_INVALID when it does not fit. */
CAM_CHECKED enum cam_code cam_path(char out[CAM_PATH_SIZE], struct cam_err *err, const char *format,
                                   ...) __attribute__((format(printf, 3, 4)));

/* Reads a whole file of at most limit_bytes; *out is zero-terminated past size and ends with
 * cam_free.  CAM_INVALID when larger than the limit; otherwise the system's reason. */
CAM_CHECKED enum cam_code cam_file_read(const char *path, size_t limit_bytes, char **out,
                                        size_t *size_out, struct cam_err *err);

/* The same for a path in a folder whose owner may have put anything there: waits for no pipe or
 * terminal, and takes regular files alone, CAM_INVALID otherwise.  Links are followed, as far as
 * the thread's rights go. */
CAM_CHECKED enum cam_code cam_file_read_plain(const char *path, size_t limit_bytes, char **out,
                                              size_t *size_out, struct cam_err *err);
CAM_CHECKED enum cam_code cam_file_open_plain(const char *path, int *fd_out, struct cam_err *err);

/* Writes path.tmp, fsyncs it, renames it over path and fsyncs the folder.  After any failure
 * path is what it was. */
CAM_CHECKED enum cam_code cam_file_replace(const char *path, const void *bytes, size_t size,
                                           mode_t mode, struct cam_err *err);

/* The same without the fsyncs: readers see the whole file, old or new, but after a power loss it
 * may be empty or missing.  For files that mean nothing to a host that was started again. */
CAM_CHECKED enum cam_code cam_file_put(const char *path, const void *bytes, size_t size,
                                       mode_t mode, struct cam_err *err);

/* Writes all bytes to fd, retrying short writes. */
CAM_CHECKED enum cam_code cam_file_write_all(int fd, const void *bytes, size_t size,
                                             const char *path_for_errors, struct cam_err *err);

/* fsyncs a folder, so that a rename or unlink in it is on disk. */
CAM_CHECKED enum cam_code cam_folder_sync(const char *path, struct cam_err *err);

/* Creates a folder and its missing parents; existing ones are fine. */
CAM_CHECKED enum cam_code cam_folder_create(const char *path, mode_t mode, struct cam_err *err);

/* Removes a folder and all below it, never following links; a missing one is fine. */
CAM_CHECKED enum cam_code cam_folder_remove(const char *path, struct cam_err *err);

#endif
