#include "daemon/ask.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reads what fits until the pipe's end; false when it takes too long. */
static bool read_answer(int fd, char *text, size_t size)
{
    int64_t deadline_ms = cam_monotonic_ns() / 1000000 + ASK_LIMIT_MS;
    size_t used = 0;
    for (;;) {
        int64_t left_ms = deadline_ms - cam_monotonic_ns() / 1000000;
        struct pollfd watched = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0 || (poll(&watched, 1, (int)left_ms) < 0 && errno != EINTR)) {
            return false;
        }
        if (watched.revents == 0) {
            continue;
        }
        char rest[512];
        bool full = used + 1 >= size;
        ssize_t got = read(fd, full ? rest : text + used, full ? sizeof rest : size - 1 - used);
        if (got <= 0) {
            return got == 0;
        }
        used += full ? 0 : (size_t)got;
        text[used] = '\0';
    }
}

enum cam_code ask_program(const char *const *argv, char *const *environment, char *text,
                          size_t size, int *status_out, struct cam_err *err)
{
    int answer[2];
    pid_t pid = -1;
    posix_spawn_file_actions_t actions;
    text[0] = '\0';
    *status_out = 0;
    if (pipe2(answer, O_CLOEXEC) != 0) {
        return cam_fail_errno(err, errno, "cannot make a pipe");
    }
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed == 0) {
        failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
        failed = failed != 0 ? failed : posix_spawn_file_actions_adddup2(&actions, answer[1], 1);
        failed = failed != 0 ? failed : posix_spawn_file_actions_adddup2(&actions, answer[1], 2);
        failed = failed != 0
                     ? failed
                     : posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv,
                                   environment == NULL ? environ : environment);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    (void)close(answer[1]);
    if (failed != 0) {
        (void)close(answer[0]);
        return cam_fail_errno(err, failed, "%s: cannot start", argv[0]);
    }
    bool answered = read_answer(answer[0], text, size);
    (void)close(answer[0]);
    if (!answered) {
        (void)kill(pid, SIGKILL);
    }
    while (waitpid(pid, status_out, 0) < 0 && errno == EINTR) {
    }
    return answered ? CAM_OK
                    : cam_fail(err, CAM_UNSUPPORTED, "%s %s: no answer within %d s", argv[0],
                               argv[1], ASK_LIMIT_MS / 1000);
}
