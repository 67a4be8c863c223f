#include "daemon/ask.h"

#include "base/clock.h"
#include "daemon/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
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

enum cam_code ask_program(const struct ask *ask, char *text, size_t size, int *status_out,
                          struct cam_err *err)
{
    int answer[2];
    pid_t pid = -1;
    int pidfd = -1;
    int signal = 0;
    struct owner self;
    owner_plain(geteuid(), getegid(), &self);
    text[0] = '\0';
    *status_out = 0;
    if (pipe2(answer, O_CLOEXEC) != 0) {
        return cam_fail_errno(err, errno, "cannot make a pipe");
    }
    struct child_request request = {.argv = ask->argv,
                                    .environment =
                                        ask->environment == NULL ? environ : ask->environment,
                                    .folder = "/",
                                    .output_fd = answer[1],
                                    .owner = ask->owner == NULL ? &self : ask->owner};
    enum cam_code rc = child_start(&request, &pid, &pidfd, err);
    (void)close(answer[1]);
    bool answered = rc == CAM_OK && read_answer(answer[0], text, size);
    (void)close(answer[0]);
    if (rc != CAM_OK) {
        return rc;
    }
    if (!answered) {
        (void)kill(pid, SIGKILL);
    }
    (void)close(pidfd);
    child_reap(pid, status_out, &signal);
    *status_out = signal != 0 ? 128 + signal : *status_out;
    return answered ? CAM_OK
                    : cam_fail(err, CAM_UNSUPPORTED, "%s %s: no answer within %d s", ask->argv[0],
                               ask->argv[1], ASK_LIMIT_MS / 1000);
}
