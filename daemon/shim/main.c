/*
 * cambrian-shim --job-dir DIR --attempt N: the parent of one attempt.
 *
 * It outlives the daemon, so that training does.  Order: take the attempt's lock, respect `void`,
 * write shim.json, start mpirun and bring the data meanwhile, wait; end whatever is left, remove
 * the private folder, write exit.json.  That file is the proof of death.  SIGTERM means: end the
 * attempt now.  Should this process be killed, mpirun dies with it (PR_SET_PDEATHSIG) and the
 * daemon proves the rest by the ranks' own lock.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/shim/family.h"
#include "daemon/shim/output.h"
#include "daemon/shim/preload.h"
#include "proto/attempt.h"
#include "proto/hold.h"
#include "proto/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLIND_LIMIT_MS = 10000 };

struct shim {
    const char *job_dir;
    int attempt;
    struct attempt_order order;
    struct attempt_exit end;
    struct output output;
    sigset_t signals_before;
    int signal_fd;
    pid_t mpirun;
    bool mpirun_reaped; /* its number may be somebody else's */
    bool unproved;      /* something of the attempt may live on */
    int64_t started_ns;
    int64_t deadline_ns; /* of the time limit, or of the grace after it; 0: none */
    bool told_to_end;    /* SIGTERM was sent at the time limit */
};

/* The lock lives as long as this process: the descriptor is never closed. */
static enum cam_code take_lock(const struct shim *shim, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(shim->job_dir, shim->attempt, "lock", path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        return cam_fail_errno(err, errno, "%s: cannot lock", path);
    }
    return CAM_OK;
}

static bool exists(const struct shim *shim, const char *file)
{
    char path[CAM_PATH_SIZE];
    struct cam_err ignored;
    return attempt_path(shim->job_dir, shim->attempt, file, path, &ignored) == CAM_OK &&
           access(path, F_OK) == 0;
}

static enum cam_code write_identity(const struct shim *shim, struct cam_err *err)
{
    struct attempt_shim self = {.pid = getpid()};
    enum cam_code rc = process_start_ticks(getpid(), &self.start_ticks, err);
    if (rc == CAM_OK) {
        rc = process_boot_id(self.boot_id, err);
    }
    return rc == CAM_OK ? attempt_write_shim(shim->job_dir, shim->attempt, &self, err) : rc;
}

/* In the child: becomes mpirun, or writes errno to report_fd. */
static void become_mpirun(const struct shim *shim, pid_t parent, int output_fd, int report_fd)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Between fork and prctl the shim may have died: then nobody would end mpirun. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent && null_fd >= 0 &&
        dup2(null_fd, STDIN_FILENO) >= 0 && dup2(output_fd, STDOUT_FILENO) >= 0 &&
        dup2(output_fd, STDERR_FILENO) >= 0 &&
        sigprocmask(SIG_SETMASK, &shim->signals_before, NULL) == 0) {
        (void)execv(shim->order.argv[0], (char *const *)(uintptr_t)shim->order.argv);
    }
    int failed = errno;
    ssize_t ignored = write(report_fd, &failed, sizeof failed);
    (void)ignored;
    _exit(127);
}

/* Its parent is everybody's: what is there already must be ours. */
static enum cam_code make_scratch(const char *path, struct cam_err *err)
{
    struct stat found;
    if (mkdir(path, 0700) == 0) {
        return CAM_OK;
    }
    if (errno != EEXIST) {
        return cam_fail_errno(err, errno, "%s: cannot create", path);
    }
    if (lstat(path, &found) != 0) {
        return cam_fail_errno(err, errno, "%s: cannot look at it", path);
    }
    return S_ISDIR(found.st_mode) && found.st_uid == geteuid() && (found.st_mode & 077) == 0
               ? CAM_OK
               : cam_fail(err, CAM_DENIED, "%s: is there already, and not a private folder", path);
}

static enum cam_code start_mpirun(struct shim *shim, struct cam_err *err)
{
    int out[2];
    int report[2];
    char log_path[CAM_PATH_SIZE];
    int failed = 0;
    enum cam_code rc = attempt_path(shim->job_dir, shim->attempt, "log", log_path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = make_scratch(shim->order.scratch, err);
    if (rc != CAM_OK) {
        return rc;
    }
    preload_start(shim->job_dir, &shim->order);
    cam_log(CAM_LOG_DEBUG, "shim", "start: mpirun begins");
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0) {
        return cam_fail_errno(err, errno, "cannot make a pipe");
    }
    rc = output_open(&shim->output, out[0], log_path, shim->order.log_bytes_max, err);
    if (rc != CAM_OK) {
        return rc;
    }
    const pid_t parent = getpid();
    shim->mpirun = fork();
    if (shim->mpirun == 0) {
        hold_at(HOLD_MPIRUN_FORKED);
        become_mpirun(shim, parent, out[1], report[1]);
    }
    (void)close(out[1]);
    (void)close(report[1]);
    if (shim->mpirun < 0) {
        rc = cam_fail_errno(err, errno, "cannot fork");
    } else if (read(report[0], &failed, sizeof failed) == (ssize_t)sizeof failed) {
        rc = cam_fail_errno(err, failed, "%s: cannot start", shim->order.argv[0]);
    }
    (void)close(report[0]);
    return rc;
}

/* Reaps what ended; true when mpirun is among it. */
static bool reap(struct shim *shim)
{
    int status = 0;
    bool ended = false;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        if (pid == shim->mpirun) {
            shim->end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
            shim->end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            shim->mpirun_reaped = true;
            ended = true;
        }
    }
    return ended;
}

/* True when a signal asks for the end of the attempt, or mpirun has ended. */
static bool handle_signal(struct shim *shim)
{
    struct signalfd_siginfo info;
    bool over = false;
    while (read(shim->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGTERM) {
            shim->end.stop_killed = true;
            over = true;
        }
    }
    return reap(shim) || over;
}

/* The time limit has passed: first SIGTERM, after the grace the end.  True: end now. */
static bool handle_deadline(struct shim *shim)
{
    if (shim->told_to_end) {
        return true;
    }
    shim->end.timed_out = true;
    shim->told_to_end = true;
    shim->deadline_ns = cam_monotonic_ns() + shim->order.grace_ms * 1000000;
    (void)kill(shim->mpirun, SIGTERM);
    return false;
}

static void wait_for_end(struct shim *shim)
{
    struct pollfd watched[] = {
        {.fd = shim->signal_fd, .events = POLLIN},
        {.fd = shim->output.pipe_fd, .events = POLLIN},
    };
    for (bool over = false; !over;) {
        int timeout_ms = -1;
        if (shim->deadline_ns > 0) {
            int64_t left_ms = (shim->deadline_ns - cam_monotonic_ns() + 999999) / 1000000;
            timeout_ms = left_ms < 0 ? 0 : left_ms > 3600000 ? 3600000 : (int)left_ms;
        }
        if (poll(watched, 2, timeout_ms) < 0 && errno != EINTR) {
            return;
        }
        if ((watched[1].revents & (POLLIN | POLLHUP)) != 0 && !output_copy(&shim->output)) {
            watched[1].fd = -1;
        }
        if ((watched[0].revents & POLLIN) != 0) {
            over = handle_signal(shim);
        }
        if (!over && shim->deadline_ns > 0 && cam_monotonic_ns() >= shim->deadline_ns) {
            over = handle_deadline(shim);
        }
    }
}

static enum cam_code prepare(struct shim *shim, struct cam_arena *arena, struct cam_err *err)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &signals, &shim->signals_before) != 0) {
        return cam_fail_errno(err, errno, "cannot block signals");
    }
    shim->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (shim->signal_fd < 0) {
        return cam_fail_errno(err, errno, "cannot read signals");
    }
    enum cam_code rc = attempt_read_order(shim->job_dir, shim->attempt, arena, &shim->order, err);
    if (rc == CAM_OK && shim->order.argv_count == 0) {
        rc = cam_fail(err, CAM_CORRUPT, "attempt.json: nothing to run");
    }
    return rc == CAM_OK ? family_adopt(err) : rc;
}

/* Runs the attempt to its proof of death; the record says how it went. */
static enum cam_code run(struct shim *shim, struct cam_arena *arena, struct cam_err *err)
{
    struct cam_err why = {0};
    struct cam_err cleanup = {0};
    shim->started_ns = cam_monotonic_ns();
    shim->end.exit_code = -1;
    enum cam_code rc = prepare(shim, arena, &why);
    if (rc == CAM_OK) {
        rc = start_mpirun(shim, &why);
    }
    if (rc == CAM_OK) {
        if (shim->order.time_limit_ms > 0) {
            shim->deadline_ns = shim->started_ns + shim->order.time_limit_ms * 1000000;
        }
        wait_for_end(shim);
    } else {
        shim->end.code = why.code;
        (void)snprintf(shim->end.text, sizeof shim->end.text, "%.500s", why.text);
        cam_utf8_mend(shim->end.text); /* which may have cut a letter */
        cam_log(CAM_LOG_ERROR, "shim", "%s", why.text);
    }
    int status = -1;
    rc = family_end(shim->mpirun_reaped ? -1 : shim->mpirun, BLIND_LIMIT_MS, &status, err);
    if (rc != CAM_OK) {
        shim->unproved = true; /* no record then: the daemon has other means */
        return rc;
    }
    hold_at(HOLD_FAMILY_ENDED);
    if (status != -1) {
        shim->end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        shim->end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    if (shim->mpirun > 0) {
        (void)output_copy(&shim->output);
        output_close(&shim->output);
    }
    if (shim->order.scratch != NULL && cam_folder_remove(shim->order.scratch, &cleanup) != CAM_OK) {
        cam_log(CAM_LOG_WARN, "shim", "%s", cleanup.text);
    }
    shim->end.elapsed_ms = (cam_monotonic_ns() - shim->started_ns) / 1000000;
    shim->end.ended_at_ms = cam_wall_ms();
    return attempt_write_exit(shim->job_dir, shim->attempt, &shim->end, err);
}

/* Under the lock: the attempt, unless it must not start or was here before. */
static enum cam_code live(struct shim *shim, struct cam_arena *arena, struct cam_err *err)
{
    if (exists(shim, "void") || exists(shim, "exit.json")) {
        return CAM_OK;
    }
    hold_at(HOLD_VOID_CHECKED);
    enum cam_code rc = write_identity(shim, err);
    if (rc != CAM_OK) {
        return rc;
    }
    hold_at(HOLD_SHIM_RECORDED);
    rc = run(shim, arena, err);
    hold_at(HOLD_EXIT_RECORDED);
    return rc;
}

static bool parse(int argc, char **argv, struct shim *shim)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--job-dir") == 0) {
            shim->job_dir = argv[i + 1];
        } else if (strcmp(argv[i], "--attempt") == 0) {
            shim->attempt = (int)strtol(argv[i + 1], NULL, 10);
        }
    }
    return argc == 5 && shim->job_dir != NULL && shim->attempt > 0;
}

int main(int argc, char **argv)
{
    struct shim shim = {.mpirun = -1, .signal_fd = -1};
    struct cam_err err = {0};
    if (!parse(argc, argv, &shim)) {
        (void)fprintf(stderr, "usage: cambrian-shim --job-dir DIR --attempt N\n");
        return 2;
    }
    const char *level = getenv("CAMBRIAN_LOG");
    if (level != NULL && strcmp(level, "debug") == 0) {
        cam_log_set_level(CAM_LOG_DEBUG);
    }
    struct cam_arena *arena = cam_arena_create();
    enum cam_code rc = arena == NULL ? cam_fail(&err, CAM_NO_MEMORY, "out of memory") : CAM_OK;
    hold_at(HOLD_SHIM_SPAWNED);
    if (rc == CAM_OK) {
        rc = take_lock(&shim, &err);
    }
    if (rc == CAM_OK) {
        hold_at(HOLD_LOCK_TAKEN);
        rc = live(&shim, arena, &err);
    }
    if (rc != CAM_OK) {
        cam_log(CAM_LOG_ERROR, "shim", "%s", err.text);
    }
    cam_arena_destroy(arena);
    return rc == CAM_OK          ? 0
           : shim.unproved       ? ATTEMPT_SHIM_NO_PROOF
           : rc == CAM_DISK_FULL ? ATTEMPT_SHIM_DISK_FULL
                                 : 1;
}
