#include "daemon/shim/family.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

/* The parent of a process, or -1 when it is gone. */
static pid_t parent_of(const char *pid_text)
{
    char path[64];
    char stat[512];
    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid_text);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
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

/* A child cannot be recycled under us: it stays until we wait for it. */
static void kill_children(void)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return;
    }
    const pid_t self = getpid();
    for (const struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            parent_of(entry->d_name) == self) {
            (void)kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL);
        }
    }
    (void)closedir(proc);
}

int family_end(pid_t watched)
{
    enum { LOOK_AGAIN_MS = 5 };
    int watched_status = -1;
    for (;;) {
        kill_children();
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        while (pid > 0) {
            watched_status = pid == watched ? status : watched_status;
            pid = waitpid(-1, &status, WNOHANG);
        }
        if (pid < 0 && errno == ECHILD) {
            return watched_status;
        }
        cam_sleep_ms(LOOK_AGAIN_MS);
    }
}
