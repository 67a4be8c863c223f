#include "daemon/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Between fork and exec, in a copy of a process with many threads: only what is async-signal-safe.
 * All signals are blocked, so that no handler of the daemon runs here; once the handlers are gone
 * the mask goes too.  Rights are given up before anything of the owner's is touched (its folder);
 * the output's descriptor was opened with the owner's rights already.
 */
static void become(const struct child_request *request, int report_fd)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int signal = 1; signal < NSIG; signal++) {
        (void)sigaction(signal, &plain, NULL); /* KILL, STOP and the C library's own refuse */
    }
    (void)sigemptyset(&none);
    if (setsid() >= 0 && null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 &&
        dup2(request->output_fd, STDOUT_FILENO) >= 0 &&
        dup2(request->output_fd, STDERR_FILENO) >= 0 && owner_become(request->owner) &&
        chdir(request->folder) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0) {
        (void)execve(request->argv[0], (char *const *)(uintptr_t)request->argv,
                     request->environment);
    }
    int failed = errno;
    ssize_t ignored = write(report_fd, &failed, sizeof failed);
    (void)ignored;
    _exit(127);
}

void child_reap(pid_t pid, int *status_out, int *signal_out)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    *status_out = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    *signal_out = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

enum cam_code child_start(const struct child_request *request, pid_t *pid_out, int *pidfd_out,
                          struct cam_err *err)
{
    int report[2];
    int failed = 0;
    int ignored = 0;
    sigset_t all;
    sigset_t before;
    if (pipe2(report, O_CLOEXEC) != 0) {
        return cam_fail_errno(err, errno, "cannot make a pipe");
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        become(request, report[1]);
    }
    failed = pid < 0 ? errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(report[1]);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pid > 0 && pidfd < 0) {
        failed = errno;
        (void)kill(pid, SIGKILL); /* our own child, not yet reaped: nobody else's pid */
    } else if (pid > 0) {
        int why = 0;
        ssize_t got = 0;
        do {
            got = read(report[0], &why, sizeof why);
        } while (got < 0 && errno == EINTR);
        failed = got == (ssize_t)sizeof why ? why : 0;
    }
    (void)close(report[0]);
    if (failed == 0) {
        *pid_out = pid;
        *pidfd_out = pidfd;
        return CAM_OK;
    }
    if (pid > 0) {
        child_reap(pid, &ignored, &ignored);
    }
    if (pidfd >= 0) {
        (void)close(pidfd);
    }
    return cam_fail_errno(err, failed, "%s: cannot start as user %lld in %s", request->argv[0],
                          (long long)request->owner->uid, request->folder);
}
