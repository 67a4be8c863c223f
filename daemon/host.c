#include "daemon/host.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int host_cores(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    return count > 0 ? count : 1;
}

int host_gpus(void)
{
    enum { GPUS_MAX = 64 };
    int count = 0;
    for (int i = 0; i < GPUS_MAX; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "/dev/nvidia%d", i);
        count += access(path, R_OK | W_OK) == 0 ? 1 : 0;
    }
    return count;
}

enum cam_code host_find_own(const char *name, char out[CAM_PATH_SIZE], struct cam_err *err)
{
    char self[CAM_PATH_SIZE];
    char beside[CAM_PATH_SIZE];
    char built[CAM_PATH_SIZE];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0) {
        return cam_fail_errno(err, errno, "/proc/self/exe");
    }
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    (void)snprintf(beside, sizeof beside, "%.4000s", self);
    (void)snprintf(built, sizeof built, "%.4000s/../worker", self);
    const char *const folders[] = {getenv("CAMBRIAN_LIBEXEC"), beside, CAMBRIAN_LIBEXECDIR, built};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        enum cam_code rc =
            folders[i] == NULL ? CAM_NOT_FOUND : cam_path(out, err, "%s/%s", folders[i], name);
        if (rc == CAM_OK && access(out, X_OK) == 0) {
            return CAM_OK;
        }
    }
    return cam_fail(err, CAM_NOT_FOUND,
                    "%s: found neither in $CAMBRIAN_LIBEXEC, nor in %s, nor in %s", name, beside,
                    CAMBRIAN_LIBEXECDIR);
}

enum cam_code host_find_program(const char *name, char out[CAM_PATH_SIZE], struct cam_err *err)
{
    const char *path = getenv("PATH");
    path = path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path;
    for (const char *at = path; *at != '\0';) {
        size_t size = strcspn(at, ":");
        if (size > 0 && at[0] == '/' &&
            cam_path(out, err, "%.*s/%s", (int)size, at, name) == CAM_OK &&
            access(out, X_OK) == 0) {
            return CAM_OK;
        }
        at += size + (at[size] == ':' ? 1 : 0);
    }
    return cam_fail(err, CAM_NOT_FOUND, "%s: not found on PATH (%s)", name, path);
}
