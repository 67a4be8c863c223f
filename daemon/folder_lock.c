#include "daemon/folder_lock.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { LOOK_AGAIN_MS = 50 };

int64_t folder_lock_pid(int fd)
{
    char text[32] = {0};
    return pread(fd, text, sizeof text - 1, 0) > 0 ? strtoll(text, NULL, 10) : 0;
}

enum cam_code folder_lock(const char *folder, int64_t wait_ms, int *fd_out, int64_t *holder_out,
                          struct cam_err *err)
{
    char lock[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(lock, err, "%s/lock", folder);
    if (rc != CAM_OK) {
        return rc;
    }
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "%s: cannot open", lock);
    }
    int64_t give_up_ns = cam_monotonic_ns() + wait_ms * 1000000;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            rc = cam_fail_errno(err, errno, "%s: cannot lock", lock);
        } else if (cam_monotonic_ns() >= give_up_ns) {
            *holder_out = folder_lock_pid(fd);
            rc = cam_fail(err, CAM_CONFLICT, "%s: another process has the lock", lock);
        }
        if (rc != CAM_OK) {
            (void)close(fd);
            return rc;
        }
        cam_sleep_ms(LOOK_AGAIN_MS);
    }
    *fd_out = fd;
    return CAM_OK;
}

enum cam_code folder_lock_sign(int fd, const char *folder, struct cam_err *err)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) == length
               ? CAM_OK
               : cam_fail_errno(err, errno, "%s/lock: cannot write", folder);
}
