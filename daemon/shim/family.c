#include "daemon/shim/family.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum cam_code family_adopt(struct cam_err *err)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0
               ? cam_fail_errno(err, errno, "cannot become the reaper of the ranks")
               : CAM_OK;
}

/* The parent of a process, or -1; *failed_out says why where the lack is on our side. */
static pid_t parent_of(const char *pid_text, int *failed_out)
{
    char path[64];
    char stat[512];
    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid_text);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        /* Whatever else it is, it is gone, or not ours to look at and so no child of ours. */
        bool short_of = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
        *failed_out = short_of ? errno : *failed_out;
        return -1;
    }
    ssize_t got = read(fd, stat, sizeof stat - 1);
    (void)close(fd);
    stat[got > 0 ? got : 0] = '\0';
    /* The name is in brackets and may hold brackets itself: the last one ends it. */
    const char *after_name = strrchr(stat, ')');
    return after_name == NULL || strlen(after_name) < 5 ? -1
                                                        : (pid_t)strtol(after_name + 4, NULL, 10);
}

/* A child cannot be recycled under us: it stays until we wait for it.  Returns 0, or why /proc
 * could not be read. */
static int kill_children(void)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return errno;
    }
    const pid_t self = getpid();
    int failed = 0;
    bool self_seen = false; /* else it is no /proc: not mounted, or of other processes */
    for (const struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for a word */
        self_seen = self_seen || pid == self;
        if (pid > 0 && parent_of(entry->d_name, &failed) == self) {
            (void)kill(pid, SIGKILL);
        }
    }
    (void)closedir(proc);
    return failed != 0 ? failed : self_seen ? 0 : ENOENT;
}

enum cam_code family_end(pid_t watched, int64_t blind_limit_ms, int *status_out,
                         struct cam_err *err)
{
    enum { LOOK_AGAIN_MS = 5 };
    int64_t blind_since_ns = 0; /* 0: /proc was read the last time */
    *status_out = -1;
    for (;;) {
        int blind = kill_children();
        if (blind != 0 && watched > 0) {
            (void)kill(watched, SIGKILL);
        }
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        for (; pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
            if (pid == watched) {
                *status_out = status;
                watched = -1; /* from here on the number may be somebody else's */
            }
        }
        if (pid < 0 && errno == ECHILD) {
            return CAM_OK;
        }
        int64_t now_ns = cam_monotonic_ns();
        blind_since_ns = blind == 0 ? 0 : blind_since_ns == 0 ? now_ns : blind_since_ns;
        if (blind != 0 && now_ns - blind_since_ns >= blind_limit_ms * 1000000) {
            return cam_fail_errno(err, blind,
                                  "/proc cannot be read, so that processes are left unfound");
        }
        cam_sleep_ms(LOOK_AGAIN_MS);
    }
}
