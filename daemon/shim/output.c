#include "daemon/shim/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int open_file(const struct output *output, int flags)
{
    return open(output->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0600);
}

enum cam_code output_open(struct output *output, int pipe_fd, const char *path, int64_t limit,
                          struct cam_err *err)
{
    *output = (struct output){.pipe_fd = pipe_fd, .file_fd = -1, .limit = limit};
    enum cam_code rc = cam_path(output->path, err, "%s", path);
    if (rc != CAM_OK) {
        return rc;
    }
    output->file_fd = open_file(output, 0);
    if (output->file_fd < 0 || fcntl(pipe_fd, F_SETFL, O_NONBLOCK) != 0) {
        return cam_fail_errno(err, errno, "%s: cannot open", path);
    }
    off_t end = lseek(output->file_fd, 0, SEEK_END);
    output->written = end > 0 ? end : 0;
    return CAM_OK;
}

static void rotate(struct output *output)
{
    char old[CAM_PATH_SIZE];
    struct cam_err ignored;
    if (cam_path(old, &ignored, "%s.1", output->path) == CAM_OK) {
        (void)rename(output->path, old);
    }
    int fd = open_file(output, O_TRUNC);
    if (fd >= 0) {
        (void)close(output->file_fd);
        output->file_fd = fd;
    }
    output->written = 0;
}

bool output_copy(struct output *output)
{
    enum { PIECES_MAX = 16 }; /* of 64 KiB: a full pipe, of any size that a user may set */
    char bytes[64 * 1024];
    for (int i = 0; i < PIECES_MAX; i++) {
        ssize_t got = read(output->pipe_fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 && errno == EAGAIN;
        }
        if (output->limit > 0 && output->written > 0 && output->written + got > output->limit) {
            rotate(output);
        }
        struct cam_err ignored;
        if (cam_file_write_all(output->file_fd, bytes, (size_t)got, output->path, &ignored) ==
            CAM_OK) {
            output->written += got;
        }
    }
    return true;
}

void output_close(struct output *output)
{
    (void)close(output->pipe_fd);
    (void)close(output->file_fd);
}
