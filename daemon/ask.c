#include "daemon/ask.h"

#include "base/clock.h"
#include "daemon/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    return cam_monotonic_ns() / 1000000;
}

/* Waits until there is something to read, or the end; false when it takes too long. */
static bool wait_readable(int fd, int64_t deadline_ms)
{
    for (int64_t left_ms = deadline_ms - now_ms(); left_ms > 0; left_ms = deadline_ms - now_ms()) {
        struct pollfd watched = {.fd = fd, .events = POLLIN};
        int ready = poll(&watched, 1, (int)left_ms);
        if (ready > 0 || (ready < 0 && errno != EINTR)) {
            return ready > 0;
        }
    }
    return false;
}

/* Reads what fits until the pipe's end; false when it takes too long. */
static bool read_answer(int fd, int64_t deadline_ms, char *text, size_t size)
{
    size_t used = 0;
    while (wait_readable(fd, deadline_ms)) {
        char rest[512];
        bool full = used + 1 >= size;
        ssize_t got = read(fd, full ? rest : text + used, full ? sizeof rest : size - 1 - used);
        if (got <= 0) {
            return got == 0;
        }
        used += full ? 0 : (size_t)got;
        text[used] = '\0';
    }
    return false;
}

enum cam_code ask_program(const struct ask *ask, char *text, size_t size, int *status_out,
                          struct cam_err *err)
{
    int answer[2];
    pid_t pid = -1;
    int pidfd = -1;
    int signal = 0;
    struct owner self;
    int limit_ms = ask->limit_ms == 0 ? ASK_LIMIT_MS : ask->limit_ms;
    int64_t deadline_ms = now_ms() + limit_ms;
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
    /* Who closes its output may still live on. */
    bool answered = rc == CAM_OK && read_answer(answer[0], deadline_ms, text, size) &&
                    wait_readable(pidfd, deadline_ms);
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
                    : cam_fail(err, CAM_UNSUPPORTED, "%s %s: no answer within %g s", ask->argv[0],
                               ask->argv[1], limit_ms / 1000.0);
}
