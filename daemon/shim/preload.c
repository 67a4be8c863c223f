#include "daemon/shim/preload.h"

#include "base/mem.h"
#include "data/source.h"
#include "proto/jobfile.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

/* As every rank does it: while it is held, the attempt is not over. */
static bool hold_alive(const char *job_dir, int attempt)
{
    char path[CAM_PATH_SIZE];
    struct cam_err ignored;
    if (attempt_path(job_dir, attempt, "alive", path, &ignored) != CAM_OK) {
        return false;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0;
}

static enum cam_code read_job(const char *job_dir, struct cam_arena *arena, struct job_file *out,
                              struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    char *text = NULL;
    size_t size = 0;
    struct attempt_job job;
    enum cam_code rc = attempt_read_job(job_dir, arena, &job, err);
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/job.yaml", job_dir);
    }
    if (rc == CAM_OK) {
        rc = cam_file_read(path, JOBFILE_BYTES_MAX, &text, &size, err);
    }
    if (rc == CAM_OK) {
        const struct job_text job_text = {
            .file_name = job.file_name,
            .base_dir = job.base_dir,
            .text = text,
            .size = size,
            .set = job.set,
            .set_count = job.set_count,
        };
        rc = jobfile_parse(&job_text, arena, out, err);
    }
    cam_free(text);
    return rc;
}

/* The child's whole life; it ends without releasing anything. */
static enum cam_code preload(const char *job_dir, const struct attempt_order *order,
                             struct cam_err *err)
{
    struct job_file job;
    struct source *source = NULL;
    struct cam_arena *arena = cam_arena_create();
    enum cam_code rc = arena == NULL ? cam_fail(err, CAM_NO_MEMORY, "out of memory")
                                     : read_job(job_dir, arena, &job, err);
    if (rc == CAM_OK) {
        rc = source_open(&job.data, &source, err);
    }
    return rc == CAM_OK ? source_preload(source, order->scratch, err) : rc;
}

void preload_start(const char *job_dir, const struct attempt_order *order)
{
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child != 0) {
        return;
    }
    struct cam_err ignored;
    bool wanted = prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent &&
                  close_range(STDERR_FILENO + 1, ~0U, 0) == 0 &&
                  hold_alive(job_dir, order->attempt);
    _exit(wanted && preload(job_dir, order, &ignored) == CAM_OK ? 0 : 1);
}
