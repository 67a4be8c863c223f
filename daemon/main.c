/*
 * cambriand: options, the background, and the exit code.  Everything else is daemon.c.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/settings.h"
#include "daemon/state_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, DRAIN_LOOK_MS = 100 };

struct background {
    const struct settings *settings;
    int report_fd; /* told when clients may connect; -1: in the foreground */
};

/* systemd's notification: one datagram (sd_notify(3) without its library). */
static void notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof to.sun_path) {
        return;
    }
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@') {
        to.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
        (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size);
        (void)close(fd);
    }
}

/* Standard error becomes STATE/cambriand.log; nothing holds the terminal or the working folder. */
static enum cam_code let_go(const struct settings *settings, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(path, err, "%.4000s/cambriand.log", settings->state_dir);
    if (rc != CAM_OK) {
        return rc;
    }
    int log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (log_fd < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(null_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0 || chdir("/") != 0) {
        return cam_fail_errno(err, errno, "%s: cannot log there", path);
    }
    (void)close(log_fd);
    (void)close(null_fd);
    return CAM_OK;
}

static void ready(void *context)
{
    const struct background *background = context;
    struct cam_err err;
    notify_systemd("READY=1");
    if (background->report_fd < 0) {
        return;
    }
    /* Only now: until here failures were for whoever started us. */
    if (let_go(background->settings, &err) != CAM_OK) {
        cam_log(CAM_LOG_WARN, "main", "%s", err.text);
    }
    ssize_t ignored = write(background->report_fd, "", 1);
    (void)ignored;
    (void)close(background->report_fd);
}

/*
 * Goes into the background: the parent waits until clients may connect, so that a script can go
 * on right after it, and passes on the failure otherwise.  Returns in the child only.
 */
static enum cam_code detach(struct background *background, struct cam_err *err)
{
    int report[2];
    char byte = 0;
    if (pipe2(report, O_CLOEXEC) != 0) {
        return cam_fail_errno(err, errno, "cannot make a pipe");
    }
    pid_t child = fork();
    if (child < 0) {
        return cam_fail_errno(err, errno, "cannot fork");
    }
    if (child > 0) {
        (void)close(report[1]);
        _exit(read(report[0], &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    (void)close(report[0]);
    background->report_fd = report[1];
    return setsid() < 0 ? cam_fail_errno(err, errno, "cannot leave the session") : CAM_OK;
}

/* --drain: asks the daemon of this state folder and waits for its end. */
static enum cam_code drain(const struct settings *settings, struct cam_err *err)
{
    int64_t pid = 0;
    enum cam_code rc = state_folder_owner(settings->state_dir, &pid, err);
    if (rc == CAM_OK && kill((pid_t)pid, SIGUSR1) != 0) {
        rc = cam_fail_errno(err, errno, "cambriand %lld", (long long)pid);
    }
    int64_t now = pid;
    while (rc == CAM_OK && now == pid) {
        struct cam_err ignored;
        cam_sleep_ms(DRAIN_LOOK_MS);
        if (state_folder_owner(settings->state_dir, &now, &ignored) != CAM_OK) {
            break;
        }
    }
    return rc;
}

static enum cam_code run(struct settings *settings, struct cam_err *err)
{
    struct background background = {.settings = settings, .report_fd = -1};
    enum cam_code rc = daemon_resolve(settings, err);
    if (rc == CAM_OK && settings->drain) {
        return drain(settings, err);
    }
    if (rc == CAM_OK && !settings->foreground) {
        rc = detach(&background, err);
    }
    /* A system service may have none, and Open MPI 5 starts nothing without. */
    if (rc == CAM_OK && setenv("HOME", "/", 0) != 0) {
        rc = cam_fail_errno(err, errno, "cannot set HOME");
    }
    if (rc == CAM_OK) {
        rc = daemon_run(settings, ready, &background, err);
    }
    return rc;
}

static enum cam_code read_settings(int argc, char **argv, struct settings *settings,
                                   struct cam_err *err)
{
    struct settings given;
    settings_defaults(&given);
    /* Once to find the file, once more on top of it: the command line wins. */
    enum cam_code rc = settings_read_args(&given, argc, (const char *const *)argv, err);
    settings_defaults(settings);
    if (rc == CAM_OK && given.config[0] != '\0') {
        rc = settings_read_file(settings, given.config, err);
    }
    return rc == CAM_OK ? settings_read_args(settings, argc, (const char *const *)argv, err) : rc;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct cam_err err = {0};
    if (read_settings(argc, argv, &settings, &err) != CAM_OK) {
        (void)fprintf(stderr, "cambriand: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (settings.help) {
        settings_print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (settings.version) {
        (void)printf("cambriand %s\n", CAMBRIAN_VERSION);
        return EXIT_SUCCESS;
    }
    if (settings.sample) {
        settings_print_sample(stdout);
        return EXIT_SUCCESS;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD,
                 SIG_DFL); /* ignored, as some parents leave it, shims are not waited for */
    (void)umask(0077);     /* job files, logs and weights are the user's own */
    /* Reads and checks of jobs share libuv's pool: four threads would let four slow ones (data on
     * a sleeping network disk) keep everybody waiting. */
    (void)setenv("UV_THREADPOOL_SIZE", "8", 0);
    enum cam_code rc = run(&settings, &err);
    notify_systemd("STOPPING=1");
    if (rc != CAM_OK) {
        (void)fprintf(stderr, "cambriand: %s\n", err.text);
    }
    return rc == CAM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
