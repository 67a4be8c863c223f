#include "daemon/launcher.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/attempt_folder.h"
#include "daemon/child.h"
#include "daemon/jobs_folder.h"
#include "daemon/owner.h"
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
    bool cut_off; /* the shim, or a daemon before this one, was ended from outside */
    struct owner owner;
    pid_t child; /* the shim, ours and not yet reaped; 0: none, or adopted */
    int log_fd;  /* shim.log, until it has started; else -1 */
    int pidfd;   /* of the shim, or -1 */
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
    if (flight->log_fd >= 0) {
        (void)close(flight->log_fd);
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

static struct flight *flight_begin(struct launcher *launcher, const struct launch_order *order)
{
    struct cam_err ignored;
    struct flight *flight = cam_alloc(1, sizeof *flight);
    struct cam_arena *arena = cam_arena_create();
    if (flight == NULL || arena == NULL) {
        goto fail;
    }
    *flight = (struct flight){.launcher = launcher,
                              .job_id = order->job_id,
                              .attempt = order->attempt,
                              .arena = arena,
                              .log_fd = -1,
                              .pidfd = -1,
                              .submitted_at_ms = order->submitted_at_ms,
                              .scratch = cam_arena_strdup(arena, order->scratch)};
    owner_plain(order->owner_uid, order->owner_gid, &flight->owner);
    if (flight->scratch == NULL ||
        cam_path(flight->job_dir, &ignored, "%s/%lld", launcher->options.jobs_dir,
                 (long long)order->job_id) != CAM_OK ||
        attempt_path(flight->job_dir, order->attempt, NULL, flight->folder, &ignored) != CAM_OK) {
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

/* What the attempt left, with its owner's rights. */
static void read_left(struct flight *flight)
{
    struct cam_err err;
    if (owner_enter(&flight->owner, &err) == CAM_OK) {
        if (flight->cut_off && !flight->mortem.never_started) {
            flight->mortem.never_started =
                attempt_folder_never_began(flight->job_dir, flight->attempt);
        }
        attempt_folder_read(flight->job_dir, &flight->mortem);
        owner_leave(&flight->owner);
    } else {
        flight->mortem.exit.exit_code = -1;
        (void)snprintf(flight->mortem.warning, sizeof flight->mortem.warning, "%.1000s", err.text);
    }
}

static void bury_work(void *context)
{
    struct flight *flight = context;
    flight->proved =
        flight->mortem.never_started ||
        attempt_folder_prove(flight->job_dir, flight->attempt, flight->scratch, &flight->owner);
    flight->mortem.job_id = flight->job_id;
    flight->mortem.attempt = flight->attempt;
    if (flight->foreign) {
        flight->mortem.exit.exit_code = -1;
    } else if (flight->proved) {
        read_left(flight);
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

static void poll_closed(uv_handle_t *handle)
{
    bury(handle->data);
}

static void reap(struct flight *flight)
{
    int status = 0;
    int signal = 0;
    child_reap(flight->child, &status, &signal);
    flight->child = 0;
    flight->mortem.shim_status = status;
    /* A shim that ends by itself, or crashes, would again: that counts. */
    flight->cut_off = signal == SIGKILL || signal == SIGTERM;
    if (status != 0 || signal != 0) {
        cam_log(CAM_LOG_WARN, "launcher", "job=%lld attempt=%d shim ended status=%d signal=%d",
                (long long)flight->job_id, flight->attempt, status, signal);
    }
}

static void shim_gone(uv_poll_t *poll, int status, int events)
{
    struct flight *flight = poll->data;
    (void)status;
    (void)events;
    if (flight->child > 0) {
        reap(flight);
    }
    uv_close((uv_handle_t *)poll, poll_closed); /* a pidfd is readable once its process has ended */
}

/* Fails where epoll takes no more. */
static int watch_shim(struct flight *flight)
{
    flight->poll.data = flight;
    int failed =
        uv_poll_init(loop_uv(flight->launcher->options.loop), &flight->poll, flight->pidfd);
    if (failed == 0) {
        (void)uv_poll_start(&flight->poll, UV_READABLE, shim_gone);
    }
    return failed;
}

static void fail_launch(struct flight *flight, enum cam_code code, const char *text)
{
    flight->mortem.never_started = true;
    flight->mortem.launch_code = code;
    (void)snprintf(flight->mortem.launch_error, sizeof flight->mortem.launch_error, "%s", text);
    bury(flight);
}

static void spawn_shim(struct flight *flight)
{
    char attempt[16];
    struct cam_err err = {0};
    hold_at(HOLD_FILES_WRITTEN);
    const char *shim = flight->launcher->options.shim;
    (void)snprintf(attempt, sizeof attempt, "%d", flight->attempt);
    const char *const argv[] = {shim, "--job-dir", flight->job_dir, "--attempt", attempt, NULL};
    /* Its output is a file, never a pipe to this process: the shim outlives it. */
    struct child_request request = {.argv = argv,
                                    .environment = flight->environment,
                                    .folder = flight->job_dir,
                                    .output_fd = flight->log_fd,
                                    .owner = &flight->owner};
    enum cam_code rc = child_start(&request, &flight->child, &flight->pidfd, &err);
    (void)close(flight->log_fd);
    flight->log_fd = -1;
    if (rc != CAM_OK) {
        fail_launch(flight, rc, err.text);
        return;
    }
    int failed = watch_shim(flight);
    if (failed != 0) {
        (void)syscall(SYS_pidfd_send_signal, flight->pidfd, SIGKILL, NULL, 0);
        reap(flight);
        flight->cut_off = true;
        (void)cam_fail(&err, CAM_IO, "%s: cannot be watched: %s", shim, uv_strerror(failed));
        cam_log(CAM_LOG_ERROR, "launcher", "%s", err.text);
        bury(flight);
        return;
    }
    cam_log(CAM_LOG_INFO, "launcher", "job=%lld attempt=%d ranks=%d user=%lld shim=%d",
            (long long)flight->job_id, flight->attempt, flight->order.ranks,
            (long long)flight->owner.uid, (int)flight->child);
}

/* Whatever is in the job's folder is the job's own, or it is not read. */
static enum cam_code claim(struct flight *flight, bool first_start)
{
    struct jobs_claim wanted = {.queue = flight->launcher->options.queue,
                                .job_id = flight->job_id,
                                .submitted_at_ms = flight->submitted_at_ms,
                                .owner_uid = flight->owner.uid,
                                .owner_gid = flight->owner.gid,
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

static enum cam_code open_log(struct flight *flight)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc =
        attempt_path(flight->job_dir, flight->attempt, "shim.log", path, &flight->err);
    if (rc != CAM_OK) {
        return rc;
    }
    flight->log_fd =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    return flight->log_fd < 0 ? cam_fail_errno(&flight->err, errno, "%s: cannot open", path)
                              : CAM_OK;
}

/* Everything below the job's folder, with its owner's rights. */
static enum cam_code write_folder(struct flight *flight)
{
    const struct launcher_options *options = &flight->launcher->options;
    struct attempt_surroundings around = {.queue = options->queue,
                                          .endpoint = options->endpoint,
                                          .mpirun = options->mpirun,
                                          .worker = options->worker,
                                          .cores = options->cores,
                                          .kill_grace_ms = options->kill_grace_ms,
                                          .log_bytes_max = options->log_bytes_max};
    enum cam_code rc = owner_enter(&flight->owner, &flight->err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = attempt_folder_write(flight->job_dir, &flight->order, &around, flight->said, &flight->err);
    if (rc == CAM_OK) {
        rc = open_log(flight);
    }
    owner_leave(&flight->owner);
    return rc;
}

static void launch_work(void *context)
{
    struct flight *flight = context;
    flight->rc = claim(flight, flight->attempt == 1);
    if (flight->rc == CAM_OK) {
        flight->rc = owner_resolve(flight->order.owner_uid, flight->order.owner_gid, &flight->owner,
                                   &flight->err);
    }
    if (flight->rc == CAM_OK) {
        flight->rc =
            jobs_folder_create(flight->job_dir, flight->owner.uid, flight->owner.gid, &flight->err);
    }
    if (flight->rc == CAM_OK) {
        flight->rc = write_folder(flight);
    }
    flight->environment = attempt_folder_environment(flight->order.env_json, &flight->owner,
                                                     flight->scratch, flight->arena);
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
    struct flight *flight = flight_begin(launcher, order);
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

/* With the owner's rights. */
static void find_in_folder(struct flight *flight)
{
    struct cam_err err;
    struct attempt_found found = {.pidfd = -1};
    flight->rc = attempt_folder_find(flight->job_dir, flight->attempt, flight->owner.uid, &found,
                                     &flight->err);
    flight->finding = found.finding;
    flight->pidfd = found.pidfd;
    flight->rebooted = found.rebooted;
    if (flight->rc != CAM_OK || flight->finding != ATTEMPT_LIVES) {
        return;
    }
    flight->mortem.job_id = flight->job_id;
    flight->mortem.attempt = flight->attempt;
    attempt_folder_read(flight->job_dir, &flight->mortem);
    if (attempt_folder_point(flight->job_dir, flight->attempt, flight->launcher->options.endpoint,
                             &err) != CAM_OK) {
        (void)snprintf(flight->mortem.warning, sizeof flight->mortem.warning,
                       "its ranks cannot be told where to report: %.900s", err.text);
    }
}

static void find_work(void *context)
{
    struct flight *flight = context;
    flight->rc = claim(flight, false);
    if (flight->rc == CAM_OK) {
        flight->rc =
            jobs_folder_create(flight->job_dir, flight->owner.uid, flight->owner.gid, &flight->err);
    }
    if (flight->rc == CAM_OK) {
        flight->rc = owner_enter(&flight->owner, &flight->err);
    }
    if (flight->rc == CAM_OK) {
        find_in_folder(flight);
        owner_leave(&flight->owner);
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
    int failed = watch_shim(flight);
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
    if (flight->kill_wanted) {
        (void)syscall(SYS_pidfd_send_signal, flight->pidfd, SIGTERM, NULL, 0);
    }
    core_adopted(flight->launcher->core, &so_far);
}

static void adopt(void *self, const struct launch_order *order)
{
    struct launcher *launcher = self;
    struct flight *flight = flight_begin(launcher, order);
    if (flight == NULL) {
        /* Its slots would be taken for ever; the next daemon finds it as this one did. */
        struct cam_err err;
        (void)cam_fail(&err, CAM_NO_MEMORY, "job %lld: too little memory to watch its attempt %d",
                       (long long)order->job_id, order->attempt);
        core_fatal(launcher->core, &err);
        return;
    }
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
        if (flight->pidfd >= 0 && !flight->adopting) {
            (void)syscall(SYS_pidfd_send_signal, flight->pidfd, SIGTERM, NULL, 0);
        }
    }
}

struct launch_port launcher_port(struct launcher *launcher)
{
    return (struct launch_port){
        .self = launcher, .launch = launch, .adopt = adopt, .kill = kill_attempt};
}
