#include "daemon/launcher.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/attempt_folder.h"
#include "daemon/jobs_folder.h"
#include "proto/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

enum { AGAIN_MS = 1000 };

/* An attempt from its launch (or adoption) to its proof of death. */
struct flight {
    struct flight *next;
    struct launcher *launcher;
    int64_t job_id;
    int attempt;
    char job_dir[CAM_PATH_SIZE];
    struct cam_arena *arena;
    struct launch_order order; /* of a launch; texts in the arena */
    const char *scratch;
    char **environment;
    char folder[CAM_PATH_SIZE];
    int64_t submitted_at_ms;   /* of the job: tells it from one of another database */
    bool foreign;              /* the folder under its name is not its own: it is not read */
    char said[JOBS_SAID_SIZE]; /* what was moved aside, or "" */
    bool adopting;
    bool kill_wanted;
    bool child;   /* process is ours and not yet reaped */
    bool cut_off; /* the shim, or a daemon before this one, was ended from outside */
    uv_process_t process;
    int pidfd; /* of an adopted shim, or -1 */
    uv_poll_t poll;
    uv_timer_t pause; /* before pool work that is tried again */
    loop_fn work;     /* of the pause */
    loop_fn done;
    enum attempt_finding finding;
    bool rebooted;
    bool proved;
    enum cam_code rc;
    struct cam_err err;
    struct post_mortem mortem;
};

struct launcher {
    struct launcher_options options;
    struct core *core;
    struct flight *flights;
};

static void bury(struct flight *flight);

enum cam_code launcher_create(const struct launcher_options *options, struct launcher **out,
                              struct cam_err *err)
{
    struct launcher *launcher = cam_alloc(1, sizeof *launcher);
    if (launcher == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the launcher");
    }
    launcher->options = *options;
    *out = launcher;
    return CAM_OK;
}

static void flight_free(struct flight *flight)
{
    if (flight->pidfd >= 0) {
        (void)close(flight->pidfd);
    }
    post_mortem_release(&flight->mortem);
    cam_arena_destroy(flight->arena);
    cam_free(flight);
}

void launcher_destroy(struct launcher *launcher)
{
    if (launcher == NULL) {
        return;
    }
    while (launcher->flights != NULL) {
        struct flight *flight = launcher->flights;
        launcher->flights = flight->next;
        flight_free(flight);
    }
    cam_free(launcher);
}

void launcher_set_core(struct launcher *launcher, struct core *core)
{
    launcher->core = core;
}

static void flight_end(struct flight *flight)
{
    for (struct flight **at = &flight->launcher->flights; *at != NULL; at = &(*at)->next) {
        if (*at == flight) {
            *at = flight->next;
            break;
        }
    }
    flight_free(flight);
}

static struct flight *flight_begin(struct launcher *launcher, int64_t job_id, int attempt,
                                   const char *scratch)
{
    struct cam_err ignored;
    struct flight *flight = cam_alloc(1, sizeof *flight);
    struct cam_arena *arena = cam_arena_create();
    if (flight == NULL || arena == NULL) {
        goto fail;
    }
    *flight = (struct flight){.launcher = launcher,
                              .job_id = job_id,
                              .attempt = attempt,
                              .arena = arena,
                              .pidfd = -1,
                              .scratch = cam_arena_strdup(arena, scratch)};
    if (flight->scratch == NULL ||
        cam_path(flight->job_dir, &ignored, "%s/%lld", launcher->options.jobs_dir,
                 (long long)job_id) != CAM_OK ||
        attempt_path(flight->job_dir, attempt, NULL, flight->folder, &ignored) != CAM_OK) {
        goto fail;
    }
    flight->next = launcher->flights;
    launcher->flights = flight;
    return flight;
fail:
    cam_arena_destroy(arena);
    cam_free(flight);
    return NULL;
}

static void pool(struct flight *flight, loop_fn work, loop_fn done);

static void pause_closed(uv_handle_t *handle)
{
    struct flight *flight = handle->data;
    pool(flight, flight->work, flight->done);
}

static void pause_over(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, pause_closed);
}

/* Pool work after a pause, which needs no memory. */
static void pool_later(struct flight *flight, loop_fn work, loop_fn done)
{
    flight->work = work;
    flight->done = done;
    (void)uv_timer_init(loop_uv(flight->launcher->options.loop), &flight->pause);
    flight->pause.data = flight;
    (void)uv_timer_start(&flight->pause, pause_over, AGAIN_MS, 0);
}

/* Pool work; a pool that takes none (memory is short) is asked again until it does: an attempt
 * is never forgotten, and its slots are its own until it is proved dead. */
static void pool(struct flight *flight, loop_fn work, loop_fn done)
{
    struct cam_err err;
    if (loop_work(flight->launcher->options.loop, work, done, flight, &err) != CAM_OK) {
        cam_log(CAM_LOG_ERROR, "launcher", "job=%lld attempt=%d waits: %s",
                (long long)flight->job_id, flight->attempt, err.text);
        pool_later(flight, work, done);
    }
}

/* ---------------------------------------------------------------- the end */

static void bury_work(void *context)
{
    struct flight *flight = context;
    flight->proved = flight->mortem.never_started ||
                     attempt_folder_prove(flight->job_dir, flight->attempt, flight->scratch);
    flight->mortem.job_id = flight->job_id;
    flight->mortem.attempt = flight->attempt;
    if (flight->proved && flight->cut_off && !flight->foreign) {
        flight->mortem.never_started = flight->mortem.never_started ||
                                       attempt_folder_never_began(flight->job_dir, flight->attempt);
    }
    if (flight->foreign) {
        flight->mortem.exit.exit_code = -1;
    } else if (flight->proved) {
        attempt_folder_read(flight->job_dir, &flight->mortem);
    }
}

static void bury_done(void *context)
{
    struct flight *flight = context;
    if (!flight->proved) {
        cam_log(CAM_LOG_WARN, "launcher", "job=%lld attempt=%d is not proved dead yet",
                (long long)flight->job_id, flight->attempt);
        pool_later(flight, bury_work, bury_done); /* the pool's few threads serve clients too */
        return;
    }
    struct post_mortem mortem = flight->mortem;
    struct core *core = flight->launcher->core;
    flight->mortem = (struct post_mortem){0};
    cam_log(CAM_LOG_INFO, "launcher", "job=%lld attempt=%d ended exit=%d signal=%d outcome=%s",
            (long long)flight->job_id, flight->attempt, mortem.exit.exit_code, mortem.exit.signal,
            mortem.outcome[0] == '\0' ? "none" : mortem.outcome);
    hold_at(HOLD_END_FOUND);
    flight_end(flight);
    core_ended(core, &mortem);
}

/* The shim has gone, or never was: proves the rest, reads what is left, tells the core. */
static void bury(struct flight *flight)
{
    pool(flight, bury_work, bury_done);
}

/* ---------------------------------------------------------------- launching */

static void shim_closed(uv_handle_t *handle)
{
    bury(handle->data);
}

static void shim_exited(uv_process_t *process, int64_t status, int signal)
{
    struct flight *flight = process->data;
    flight->child = false;
    flight->mortem.shim_status = signal == 0 ? status : 0;
    /* A shim that ends by itself, or crashes, would again: that counts. */
    flight->cut_off = signal == SIGKILL || signal == SIGTERM;
    if (status != 0 || signal != 0) {
        cam_log(CAM_LOG_WARN, "launcher", "job=%lld attempt=%d shim ended status=%lld signal=%d",
                (long long)flight->job_id, flight->attempt, (long long)status, signal);
    }
    uv_close((uv_handle_t *)process, shim_closed);
}

static void fail_launch(struct flight *flight, enum cam_code code, const char *text)
{
    flight->mortem.never_started = true;
    flight->mortem.launch_code = code;
    (void)snprintf(flight->mortem.launch_error, sizeof flight->mortem.launch_error, "%s", text);
    bury(flight);
}

static void spawn_failed(uv_handle_t *handle)
{
    struct flight *flight = handle->data;
    fail_launch(flight, flight->err.code, flight->err.text);
}

static void spawn_shim(struct flight *flight)
{
    char path[CAM_PATH_SIZE];
    char attempt[16];
    struct cam_err err = {0};
    int log_fd = -1;
    if (attempt_path(flight->job_dir, flight->attempt, "shim.log", path, &err) == CAM_OK) {
        log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    if (log_fd < 0) {
        (void)cam_fail_errno(&err, errno, "%s: cannot open", path);
        fail_launch(flight, err.code, err.text);
        return;
    }
    (void)snprintf(attempt, sizeof attempt, "%d", flight->attempt);
    hold_at(HOLD_FILES_WRITTEN);
    const char *shim = flight->launcher->options.shim;
    const char *const args[] = {shim, "--job-dir", flight->job_dir, "--attempt", attempt, NULL};
    /* Files, never pipes to this process: the shim outlives it. */
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = log_fd},
        {.flags = UV_INHERIT_FD, .data.fd = log_fd},
    };
    uv_process_options_t options = {
        .exit_cb = shim_exited,
        .file = shim,
        .args = (char **)(uintptr_t)args,
        .env = flight->environment,
        .cwd = flight->job_dir,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };
    flight->process.data = flight;
    int failed = uv_spawn(loop_uv(flight->launcher->options.loop), &flight->process, &options);
    (void)close(log_fd);
    if (failed != 0) {
        (void)cam_fail(&flight->err, CAM_IO, "%s: cannot start: %s", shim, uv_strerror(failed));
        uv_close((uv_handle_t *)&flight->process, spawn_failed);
        return;
    }
    flight->child = true;
    cam_log(CAM_LOG_INFO, "launcher", "job=%lld attempt=%d ranks=%d shim=%d",
            (long long)flight->job_id, flight->attempt, flight->order.ranks, flight->process.pid);
}

/* Whatever is in the job's folder is the job's own, or it is not read. */
static enum cam_code claim(struct flight *flight, bool first_start)
{
    struct jobs_claim wanted = {.queue = flight->launcher->options.queue,
                                .job_id = flight->job_id,
                                .submitted_at_ms = flight->submitted_at_ms,
                                .first_start = first_start};
    enum cam_code rc = jobs_folder_claim(flight->job_dir, &wanted, flight->said, &flight->err);
    flight->foreign = rc != CAM_OK;
    return rc;
}

static void tell_what_was_moved(const struct flight *flight)
{
    if (flight->said[0] != '\0') {
        cam_log(CAM_LOG_WARN, "launcher", "job=%lld attempt=%d: %s", (long long)flight->job_id,
                flight->attempt, flight->said);
        core_warned(flight->launcher->core, flight->job_id, flight->attempt, flight->said);
    }
}

static void launch_work(void *context)
{
    struct flight *flight = context;
    const struct launcher_options *options = &flight->launcher->options;
    struct attempt_surroundings around = {.queue = options->queue,
                                          .endpoint = options->endpoint,
                                          .mpirun = options->mpirun,
                                          .worker = options->worker,
                                          .cores = options->cores,
                                          .kill_grace_ms = options->kill_grace_ms,
                                          .log_bytes_max = options->log_bytes_max};
    flight->rc = claim(flight, flight->attempt == 1);
    if (flight->rc == CAM_OK) {
        flight->rc = attempt_folder_write(flight->job_dir, &flight->order, &around, flight->said,
                                          &flight->err);
    }
    flight->environment =
        attempt_folder_environment(flight->order.env_json, flight->scratch, flight->arena);
    if (flight->rc == CAM_OK && flight->environment == NULL) {
        flight->rc = cam_fail(&flight->err, CAM_NO_MEMORY, "the daemon is short of memory");
    }
}

static void launch_done(void *context)
{
    struct flight *flight = context;
    tell_what_was_moved(flight);
    if (flight->rc != CAM_OK) {
        fail_launch(flight, flight->err.code, flight->err.text);
    } else if (flight->kill_wanted) {
        flight->mortem.never_started = true;
        bury(flight);
    } else {
        spawn_shim(flight);
    }
}

static void launch(void *self, const struct launch_order *order)
{
    struct launcher *launcher = self;
    hold_at(HOLD_ROW_COMMITTED);
    struct flight *flight = flight_begin(launcher, order->job_id, order->attempt, order->scratch);
    if (flight == NULL) {
        struct post_mortem mortem = {.job_id = order->job_id,
                                     .attempt = order->attempt,
                                     .never_started = true,
                                     .exit.exit_code = -1};
        core_ended(launcher->core, &mortem);
        return;
    }
    struct cam_arena *arena = flight->arena;
    flight->order = *order;
    flight->order.scratch = flight->scratch;
    flight->submitted_at_ms = order->submitted_at_ms;
    flight->order.spec_text = cam_arena_strdup(arena, order->spec_text);
    flight->order.file_name = cam_arena_strdup(arena, order->file_name);
    flight->order.base_dir = cam_arena_strdup(arena, order->base_dir);
    flight->order.set_json = cam_arena_strdup(arena, order->set_json);
    flight->order.env_json = cam_arena_strdup(arena, order->env_json);
    if (flight->order.spec_text == NULL || flight->order.file_name == NULL ||
        flight->order.base_dir == NULL || flight->order.set_json == NULL ||
        flight->order.env_json == NULL) {
        fail_launch(flight, CAM_NO_MEMORY, "the daemon is short of memory");
        return;
    }
    pool(flight, launch_work, launch_done);
}

/* ---------------------------------------------------------------- adopting */

static void poll_closed(uv_handle_t *handle)
{
    bury(handle->data);
}

static void shim_gone(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_close((uv_handle_t *)poll, poll_closed); /* a pidfd is readable once its process has ended */
}

static void find_work(void *context)
{
    struct flight *flight = context;
    flight->rc = claim(flight, false);
    if (flight->rc == CAM_OK) {
        flight->rc = attempt_folder_find(flight->job_dir, flight->attempt, &flight->finding,
                                         &flight->pidfd, &flight->rebooted, &flight->err);
    }
    if (flight->rc == CAM_OK && flight->finding == ATTEMPT_LIVES) {
        flight->mortem.job_id = flight->job_id;
        flight->mortem.attempt = flight->attempt;
        attempt_folder_read(flight->job_dir, &flight->mortem);
        struct cam_err err;
        if (attempt_folder_point(flight->job_dir, flight->attempt,
                                 flight->launcher->options.endpoint, &err) != CAM_OK) {
            (void)snprintf(flight->mortem.warning, sizeof flight->mortem.warning,
                           "its ranks cannot be told where to report: %.900s", err.text);
        }
    }
}

static void find_done(void *context)
{
    struct flight *flight = context;
    flight->adopting = false;
    if (flight->rc != CAM_OK) {
        cam_log(CAM_LOG_ERROR, "launcher", "job=%lld attempt=%d: %s", (long long)flight->job_id,
                flight->attempt, flight->err.text);
        flight->finding = ATTEMPT_SHIM_DIED; /* its slots stay taken until it is proved dead */
    }
    tell_what_was_moved(flight);
    if (flight->foreign) {
        fail_launch(flight, flight->err.code, flight->err.text);
        return;
    }
    static const char *const FOUND[] = {[ATTEMPT_LIVES] = "runs",
                                        [ATTEMPT_ENDED] = "has ended",
                                        [ATTEMPT_SHIM_DIED] = "lost its shim",
                                        [ATTEMPT_NEVER_STARTED] = "never started"};
    cam_log(CAM_LOG_INFO, "launcher", "job=%lld attempt=%d of an earlier daemon %s",
            (long long)flight->job_id, flight->attempt, FOUND[flight->finding]);
    if (flight->finding != ATTEMPT_LIVES) {
        flight->mortem.never_started = flight->finding == ATTEMPT_NEVER_STARTED;
        flight->mortem.rebooted = flight->rebooted;
        bury(flight);
        return;
    }
    int failed =
        uv_poll_init(loop_uv(flight->launcher->options.loop), &flight->poll, flight->pidfd);
    if (failed != 0) {
        cam_log(CAM_LOG_ERROR, "launcher", "job=%lld attempt=%d cannot be watched yet: %s",
                (long long)flight->job_id, flight->attempt, uv_strerror(failed));
        (void)close(flight->pidfd);
        flight->pidfd = -1;
        post_mortem_release(&flight->mortem);
        flight->adopting = true;
        pool_later(flight, find_work, find_done);
        return;
    }
    struct post_mortem so_far = flight->mortem;
    flight->mortem = (struct post_mortem){0};
    flight->poll.data = flight;
    (void)uv_poll_start(&flight->poll, UV_READABLE, shim_gone);
    if (flight->kill_wanted) {
        (void)syscall(SYS_pidfd_send_signal, flight->pidfd, SIGTERM, NULL, 0);
    }
    core_adopted(flight->launcher->core, &so_far);
}

static void adopt(void *self, int64_t job_id, int attempt, const char *scratch,
                  int64_t submitted_at_ms)
{
    struct launcher *launcher = self;
    struct flight *flight = flight_begin(launcher, job_id, attempt, scratch);
    if (flight == NULL) {
        /* Its slots would be taken for ever; the next daemon finds it as this one did. */
        struct cam_err err;
        (void)cam_fail(&err, CAM_NO_MEMORY, "job %lld: too little memory to watch its attempt %d",
                       (long long)job_id, attempt);
        core_fatal(launcher->core, &err);
        return;
    }
    flight->submitted_at_ms = submitted_at_ms;
    flight->adopting = true;
    flight->cut_off = true;
    pool(flight, find_work, find_done);
}

static void kill_attempt(void *self, int64_t job_id, int attempt)
{
    struct launcher *launcher = self;
    for (struct flight *flight = launcher->flights; flight != NULL; flight = flight->next) {
        if (flight->job_id != job_id || flight->attempt != attempt) {
            continue;
        }
        flight->kill_wanted = true;
        if (flight->child) {
            (void)uv_process_kill(&flight->process, SIGTERM);
        } else if (flight->pidfd >= 0 && !flight->adopting) {
            (void)syscall(SYS_pidfd_send_signal, flight->pidfd, SIGTERM, NULL, 0);
        }
    }
}

struct launch_port launcher_port(struct launcher *launcher)
{
    return (struct launch_port){
        .self = launcher, .launch = launch, .adopt = adopt, .kill = kill_attempt};
}
