#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum cam_code cam_path(char out[CAM_PATH_SIZE], struct cam_err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(out, CAM_PATH_SIZE, format, args);
    va_end(args);
    return length < 0 || length >= CAM_PATH_SIZE
               ? cam_fail(err, CAM_INVALID, "path too long: %s", out)
               : CAM_OK;
}

static enum cam_code read_open(int fd, const char *path, size_t limit_bytes, char **out,
                               size_t *size_out, struct cam_err *err)
{
    enum { PIECE_BYTES = 64 * 1024 };
    enum cam_code rc = CAM_OK;
    char *bytes = NULL;
    size_t size = 0;
    size_t capacity = 0;
    for (;;) {
        if (capacity - size < PIECE_BYTES + 1) {
            size_t wanted = capacity * 2 + PIECE_BYTES + 1;
            char *grown = cam_grow(bytes, capacity, wanted, 1);
            if (grown == NULL) {
                rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
                goto out;
            }
            bytes = grown;
            capacity = wanted;
        }
        ssize_t got = read(fd, bytes + size, PIECE_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            rc = cam_fail_errno(err, errno, "%s: cannot read", path);
            goto out;
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
        if (size > limit_bytes) {
            rc = cam_fail(err, CAM_INVALID, "%s: larger than %zu bytes", path, limit_bytes);
            goto out;
        }
    }
    bytes[size] = '\0';
    *out = bytes;
    *size_out = size;
    bytes = NULL;
out:
    cam_free(bytes);
    return rc;
}

enum cam_code cam_file_read(const char *path, size_t limit_bytes, char **out, size_t *size_out,
                            struct cam_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "%s: cannot open", path);
    }
    enum cam_code rc = read_open(fd, path, limit_bytes, out, size_out, err);
    (void)close(fd);
    return rc;
}

enum cam_code cam_file_open_plain(const char *path, int *fd_out, struct cam_err *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "%s: cannot open", path);
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        (void)close(fd);
        return cam_fail(err, CAM_INVALID, "%s: no regular file", path);
    }
    *fd_out = fd;
    return CAM_OK;
}

enum cam_code cam_file_read_plain(const char *path, size_t limit_bytes, char **out,
                                  size_t *size_out, struct cam_err *err)
{
    int fd = -1;
    enum cam_code rc = cam_file_open_plain(path, &fd, err);
    if (rc == CAM_OK) {
        rc = read_open(fd, path, limit_bytes, out, size_out, err);
        (void)close(fd);
    }
    return rc;
}

enum cam_code cam_file_write_all(int fd, const void *bytes, size_t size,
                                 const char *path_for_errors, struct cam_err *err)
{
    const char *next = bytes;
    while (size > 0) {
        ssize_t put = write(fd, next, size);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return cam_fail_errno(err, errno, "%s: cannot write", path_for_errors);
        }
        next += put;
        size -= (size_t)put;
    }
    return CAM_OK;
}

enum cam_code cam_folder_sync(const char *path, struct cam_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "%s: cannot open", path);
    }
    int failed = fsync(fd) != 0 ? errno : 0;
    (void)close(fd);
    return failed != 0 ? cam_fail_errno(err, failed, "%s: cannot sync", path) : CAM_OK;
}

/* The folder of path, in a buffer of CAM_PATH_SIZE bytes. */
static void parent_of(const char *path, char *parent)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        (void)snprintf(parent, CAM_PATH_SIZE, ".");
    } else {
        int size = slash == path ? 1 : (int)(slash - path);
        (void)snprintf(parent, CAM_PATH_SIZE, "%.*s", size, path);
    }
}

static enum cam_code replace(const char *path, const void *bytes, size_t size, mode_t mode,
                             bool sync, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    char temporary[CAM_PATH_SIZE];
    char parent[CAM_PATH_SIZE];
    rc = cam_path(temporary, err, "%s.tmp", path);
    if (rc != CAM_OK) {
        return rc;
    }
    /* Whoever owns the folder may have put a link or a pipe there. */
    int fd =
        open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "%s: cannot create", temporary);
    }
    rc = cam_file_write_all(fd, bytes, size, temporary, err);
    if (rc == CAM_OK && sync && fsync(fd) != 0) {
        rc = cam_fail_errno(err, errno, "%s: cannot sync", temporary);
    }
    if (close(fd) != 0 && rc == CAM_OK) {
        rc = cam_fail_errno(err, errno, "%s: cannot close", temporary);
    }
    if (rc == CAM_OK && rename(temporary, path) != 0) {
        rc = cam_fail_errno(err, errno, "%s: cannot rename to %s", temporary, path);
    }
    if (rc != CAM_OK) {
        (void)unlink(temporary);
        return rc;
    }
    if (!sync) {
        return CAM_OK;
    }
    parent_of(path, parent);
    return cam_folder_sync(parent, err);
}

enum cam_code cam_file_replace(const char *path, const void *bytes, size_t size, mode_t mode,
                               struct cam_err *err)
{
    return replace(path, bytes, size, mode, true, err);
}

enum cam_code cam_file_put(const char *path, const void *bytes, size_t size, mode_t mode,
                           struct cam_err *err)
{
    return replace(path, bytes, size, mode, false, err);
}

enum cam_code cam_folder_create(const char *path, mode_t mode, struct cam_err *err)
{
    char part[CAM_PATH_SIZE];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part) {
        return cam_fail(err, CAM_INVALID, "'%s': not a usable path", path);
    }
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        (void)snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (mkdir(part, mode) != 0 && errno != EEXIST) {
            return cam_fail_errno(err, errno, "%s: cannot create", part);
        }
    }
    return CAM_OK;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path) != 0 && errno != ENOENT ? errno : 0;
}

enum cam_code cam_folder_remove(const char *path, struct cam_err *err)
{
    enum { OPEN_FOLDERS_MAX = 16 };
    int failed = nftw(path, remove_entry, OPEN_FOLDERS_MAX, FTW_DEPTH | FTW_PHYS);
    if (failed == -1) {
        failed = errno;
    }
    return failed != 0 && failed != ENOENT ? cam_fail_errno(err, failed, "%s: cannot remove", path)
                                           : CAM_OK;
}
