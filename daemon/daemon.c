#include "daemon/daemon.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/admission.h"
#include "daemon/api.h"
#include "daemon/core.h"
#include "daemon/host.h"
#include "daemon/host_profile.h"
#include "daemon/jobs_folder.h"
#include "daemon/launcher.h"
#include "daemon/listener.h"
#include "daemon/loop.h"
#include "daemon/mpirun.h"
#include "daemon/reports.h"
#include "daemon/scheduler.h"
#include "daemon/state_folder.h"
#include "daemon/store.h"
#include "daemon/views.h"
#include "proto/endpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
    LOCK_WAIT_MS = 5000, /* a restarted daemon waits so long for the one that ends */
    STALL_MS = 1000,     /* a loop that paused for longer judges nobody by it */
    PULSE_MS = 250,
};

struct daemon {
    struct settings *settings;
    struct loop *loop;
    struct store *store;
    struct views *views;
    struct admission *admission;
    struct core *core;
    struct launcher *launcher;
    struct host_profile *host_profile;
    struct reports *reports;
    struct api *api;
    struct listener *listener;
    struct loop_timer *wake;
    struct loop_timer *pulse;
    int64_t pulse_ms;
    uv_signal_t term;
    uv_signal_t interrupt;
    uv_signal_t drain;
    int lock_fd;
    int jobs_lock_fd;
    struct jobs_owner owner;
    bool draining;
    struct cam_err fatal;
    char database[CAM_PATH_SIZE];
    char reserve[CAM_PATH_SIZE];
    char report_socket[CAM_PATH_SIZE];
    char endpoint[CAM_PATH_SIZE];
    char scratch_prefix[CAM_PATH_SIZE];
    char shim[CAM_PATH_SIZE];
    char worker[CAM_PATH_SIZE];
    struct mpirun mpirun;
};

/* ---------------------------------------------------------------- the core's ports */

static int64_t port_monotonic_ms(void *self)
{
    (void)self;
    return cam_monotonic_ns() / 1000000;
}

static int64_t port_wall_ms(void *self)
{
    (void)self;
    return cam_wall_ms();
}

static void port_examine(void *self, const struct profile_question *question,
                         profile_answer_fn answer, void *context)
{
    struct daemon *daemon = self;
    host_profile_examine(daemon->host_profile, question, answer, context);
}

static bool port_ask_stop(void *self, int64_t job_id, int attempt, const char *reason)
{
    struct daemon *daemon = self;
    return reports_ask_stop(daemon->reports, job_id, attempt, reason);
}

static void port_wake_at(void *self, int64_t due_ms)
{
    struct daemon *daemon = self;
    if (due_ms == SCHED_NEVER) {
        loop_timer_clear(daemon->wake);
    } else {
        loop_timer_set(daemon->wake, due_ms - port_monotonic_ms(NULL));
    }
}

static void port_changed(void *self, int64_t job_id)
{
    struct daemon *daemon = self;
    if (daemon->api != NULL) {
        api_job_changed(daemon->api, job_id);
    }
    if (daemon->draining && core_idle(daemon->core)) {
        loop_stop(daemon->loop);
    }
}

static void port_note(void *self, int64_t job_id, const char *text)
{
    (void)self;
    cam_log(CAM_LOG_WARN, "core", "job=%lld: %s", (long long)job_id, text);
}

static void port_fatal(void *self, const struct cam_err *why)
{
    struct daemon *daemon = self;
    if (daemon->fatal.code == CAM_OK) {
        daemon->fatal = *why;
        daemon->fatal.code = why->code == CAM_OK ? CAM_IO : why->code;
        cam_log(CAM_LOG_ERROR, "main", "cannot go on, training does: %s", why->text);
    }
    loop_stop(daemon->loop);
}

/* ---------------------------------------------------------------- the loop's events */

static void store_woke(void *context)
{
    struct daemon *daemon = context;
    store_deliver(daemon->store);
}

static void wake_due(void *context)
{
    struct daemon *daemon = context;
    core_tick(daemon->core);
}

/* A pulse that comes late tells that the loop (or the machine) paused. */
static void pulse_due(void *context)
{
    struct daemon *daemon = context;
    int64_t now_ms = port_monotonic_ms(NULL);
    if (now_ms - daemon->pulse_ms > PULSE_MS + STALL_MS) {
        cam_log(CAM_LOG_WARN, "main", "the loop stalled ms=%lld",
                (long long)(now_ms - daemon->pulse_ms - PULSE_MS));
        core_forgive(daemon->core);
    }
    daemon->pulse_ms = now_ms;
    loop_timer_set(daemon->pulse, PULSE_MS);
}

static void term_came(uv_signal_t *handle, int signal)
{
    struct daemon *daemon = handle->data;
    cam_log(CAM_LOG_INFO, "main", "ends signal=%d; training goes on", signal);
    loop_stop(daemon->loop);
}

static void drain_came(uv_signal_t *handle, int signal)
{
    struct daemon *daemon = handle->data;
    (void)signal;
    cam_log(CAM_LOG_INFO, "main", "drains: running jobs save and end");
    daemon->draining = true;
    core_drain(daemon->core);
    if (core_idle(daemon->core)) {
        loop_stop(daemon->loop);
    }
}

static void watch_signals(struct daemon *daemon)
{
    uv_loop_t *uv = loop_uv(daemon->loop);
    (void)uv_signal_init(uv, &daemon->term);
    (void)uv_signal_init(uv, &daemon->interrupt);
    (void)uv_signal_init(uv, &daemon->drain);
    daemon->term.data = daemon;
    daemon->interrupt.data = daemon;
    daemon->drain.data = daemon;
    (void)uv_signal_start(&daemon->term, term_came, SIGTERM);
    (void)uv_signal_start(&daemon->interrupt, term_came, SIGINT);
    (void)uv_signal_start(&daemon->drain, drain_came, SIGUSR1);
}

/* ---------------------------------------------------------------- opening */

enum cam_code daemon_resolve(struct settings *settings, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    char absolute[CAM_PATH_SIZE];
    if (settings->users == USERS_ALL && geteuid() != 0) {
        return cam_fail(err, CAM_DENIED,
                        "--users all: only a daemon of root's can run jobs as their owners, this "
                        "one is user %lld's: --users own",
                        (long long)geteuid());
    }
    if (settings->state_dir[0] == '\0') {
        rc = endpoint_default_state_dir(settings->state_dir, err);
    }
    if (rc == CAM_OK && settings->socket[0] == '\0') {
        rc = endpoint_default(settings->socket, err);
    }
    /* Whoever has a state folder already may be taking over from the one that answers. */
    if (rc == CAM_OK && !settings->drain && access(settings->state_dir, F_OK) != 0 &&
        listener_answers(settings->socket)) {
        rc = cam_fail(err, CAM_CONFLICT, "%s: another cambriand listens there", settings->socket);
    }
    if (rc == CAM_OK) {
        rc = state_folder_prepare(settings->state_dir, settings->users == USERS_ALL, err);
    }
    if (rc == CAM_OK && realpath(settings->state_dir, absolute) == NULL) {
        rc = cam_fail_errno(err, errno, "%s", settings->state_dir);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    memcpy(settings->state_dir, absolute, sizeof absolute);
    if (settings->jobs_dir[0] == '\0') {
        rc = cam_path(settings->jobs_dir, err, "%.4000s/jobs", settings->state_dir);
    }
    if (rc == CAM_OK && settings->mpirun[0] == '\0') {
        rc = host_find_program("mpirun", settings->mpirun, err);
    }
    if (settings->slots == 0) {
        int gpus = host_gpus();
        settings->slots = gpus > 0 ? gpus : host_cores();
    }
    return rc;
}

/* Names that this daemon alone uses: two state folders never share a scratch folder. */
static enum cam_code name_places(struct daemon *daemon, struct cam_err *err)
{
    const struct settings *settings = daemon->settings;
    char digest[CAM_DIGEST_HEX_SIZE];
    enum cam_code rc = cam_digest_of(settings->state_dir, strlen(settings->state_dir), digest, err);
    if (rc == CAM_OK) {
        rc = cam_path(daemon->scratch_prefix, err, "%.4000s/cambrian-%ld-%.8s",
                      settings->scratch_dir, (long)getuid(), digest);
    }
    if (rc == CAM_OK) {
        rc = cam_path(daemon->database, err, "%.4000s/queue.db", settings->state_dir);
    }
    if (rc == CAM_OK) {
        rc = cam_path(daemon->reserve, err, "%.4000s/reserve", settings->state_dir);
    }
    if (rc == CAM_OK) {
        rc = cam_path(daemon->report_socket, err, "%.4000s/reports.sock", settings->state_dir);
    }
    if (rc == CAM_OK) {
        rc = cam_path(daemon->endpoint, err, "unix:%.4000s", daemon->report_socket);
    }
    if (rc == CAM_OK) {
        rc = host_find_own("cambrian-shim", daemon->shim, err);
    }
    if (rc == CAM_OK) {
        rc = host_find_own("cambrian-worker", daemon->worker, err);
    }
    return rc == CAM_OK ? mpirun_examine(settings->mpirun, &daemon->mpirun, err) : rc;
}

static enum cam_code read_owner(struct database *reader, struct jobs_owner *out,
                                struct cam_err *err)
{
    struct query q;
    enum cam_code rc = database_query(reader, &q, err, "SELECT queue FROM identity", "");
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        (void)snprintf(out->queue, sizeof out->queue, "%s", query_text(&q, 0));
    }
    query_end(&q);
    return rc == CAM_OK ? database_number(reader, 0, &out->last_id, err,
                                          "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")
                        : rc;
}

/* The jobs folder after the database: a daemon that is refused leaves no folder behind. */
static enum cam_code open_jobs(struct daemon *daemon, struct cam_err *err)
{
    struct database *reader = NULL;
    enum cam_code rc = database_open_reader(daemon->database, &reader, err);
    if (rc == CAM_OK) {
        rc = read_owner(reader, &daemon->owner, err);
    }
    database_close(reader);
    daemon->owner.everybody = daemon->settings->users == USERS_ALL;
    return rc == CAM_OK ? jobs_folder_take(daemon->settings->jobs_dir, &daemon->owner, LOCK_WAIT_MS,
                                           &daemon->jobs_lock_fd, err)
                        : rc;
}

static enum cam_code open_storage(struct daemon *daemon, struct cam_err *err)
{
    const struct settings *settings = daemon->settings;
    enum cam_code rc = state_folder_lock(settings->state_dir, LOCK_WAIT_MS, &daemon->lock_fd, err);
    if (rc == CAM_OK) {
        rc = loop_create(&daemon->loop, err);
    }
    if (rc == CAM_OK) {
        struct store_options options = {.path = daemon->database,
                                        .reserve_path = daemon->reserve,
                                        .wake = loop_wake,
                                        .wake_context = daemon->loop};
        loop_on_wake(daemon->loop, store_woke, daemon);
        rc = store_open(&options, &daemon->store, err);
    }
    if (rc == CAM_OK) {
        rc = open_jobs(daemon, err);
    }
    if (rc == CAM_OK) {
        rc = views_open(daemon->database, settings->jobs_dir, &daemon->views, err);
    }
    if (rc == CAM_OK) {
        rc = admission_create((int32_t)settings->slots, host_cores(), &daemon->admission, err);
    }
    return rc;
}

static enum cam_code open_core(struct daemon *daemon, struct cam_err *err)
{
    const struct settings *settings = daemon->settings;
    struct launcher_options launcher = {.loop = daemon->loop,
                                        .jobs_dir = settings->jobs_dir,
                                        .queue = daemon->owner.queue,
                                        .endpoint = daemon->endpoint,
                                        .mpirun = &daemon->mpirun,
                                        .shim = daemon->shim,
                                        .worker = daemon->worker,
                                        .cores = host_cores(),
                                        .kill_grace_ms = settings->kill_grace_ms,
                                        .log_bytes_max = settings->log_bytes_max};
    enum cam_code rc = launcher_create(&launcher, &daemon->launcher, err);
    if (rc == CAM_OK) {
        rc = host_profile_create(daemon->loop, daemon->worker, &daemon->host_profile, err);
    }
    if (rc == CAM_OK) {
        rc = loop_timer_create(daemon->loop, wake_due, daemon, &daemon->wake, err);
    }
    if (rc == CAM_OK) {
        rc = loop_timer_create(daemon->loop, pulse_due, daemon, &daemon->pulse, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    struct core_options options = {.store = daemon->store,
                                   .slots = (int32_t)settings->slots,
                                   .jobs_dir = settings->jobs_dir,
                                   .scratch_prefix = daemon->scratch_prefix,
                                   .stop_grace_ms = settings->stop_grace_ms,
                                   .silent_limit_ms = settings->silent_limit_ms,
                                   .attach_limit_ms = settings->attach_limit_ms};
    struct core_ports ports = {.launcher = launcher_port(daemon->launcher),
                               .self = daemon,
                               .monotonic_ms = port_monotonic_ms,
                               .wall_ms = port_wall_ms,
                               .examine = port_examine,
                               .ask_stop = port_ask_stop,
                               .wake_at = port_wake_at,
                               .changed = port_changed,
                               .note = port_note,
                               .fatal = port_fatal};
    rc = core_create(&options, &ports, &daemon->core, err);
    if (rc == CAM_OK) {
        launcher_set_core(daemon->launcher, daemon->core);
        struct reports_limits limits = {.frame_limit_ms = settings->frame_limit_ms,
                                        .everybody = settings->users == USERS_ALL};
        rc = reports_open(daemon->loop, daemon->core, daemon->report_socket, &limits,
                          &daemon->reports, err);
    }
    if (rc == CAM_OK) {
        rc = core_load(daemon->core, views_database(daemon->views), err);
    }
    return rc;
}

static enum cam_code open_api(struct daemon *daemon, struct cam_err *err)
{
    const struct settings *settings = daemon->settings;
    struct api_options options = {.loop = daemon->loop,
                                  .core = daemon->core,
                                  .store = daemon->store,
                                  .views = daemon->views,
                                  .admission = daemon->admission,
                                  .state_dir = settings->state_dir,
                                  .jobs_dir = settings->jobs_dir};
    enum cam_code rc = api_create(&options, &daemon->api, err);
    if (rc != CAM_OK) {
        return rc;
    }
    struct listener_options clients = {
        .path = settings->socket,
        .everybody = settings->users == USERS_ALL,
        .stream = {.loop = daemon->loop,
                   .handlers = {daemon->api, api_received, api_closed},
                   .frame_limit_ms = settings->frame_limit_ms},
        .accepted = api_accepted,
    };
    return listener_open(&clients, &daemon->listener, err);
}

enum cam_code daemon_run(struct settings *settings, void (*ready)(void *context), void *context,
                         struct cam_err *err)
{
    struct daemon *daemon = cam_alloc(1, sizeof *daemon);
    if (daemon == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the daemon");
    }
    daemon->settings = settings;
    daemon->lock_fd = -1;
    daemon->jobs_lock_fd = -1;
    enum cam_code rc = name_places(daemon, err);
    if (rc == CAM_OK) {
        rc = open_storage(daemon, err);
    }
    if (rc == CAM_OK) {
        rc = open_core(daemon, err);
    }
    if (rc == CAM_OK) {
        rc = open_api(daemon, err);
    }
    if (rc == CAM_OK) {
        watch_signals(daemon);
        daemon->pulse_ms = port_monotonic_ms(NULL);
        loop_timer_set(daemon->pulse, PULSE_MS);
        cam_log(CAM_LOG_INFO, "main", "cambriand %s serves socket=%s state=%s slots=%lld",
                CAMBRIAN_VERSION, settings->socket, settings->state_dir,
                (long long)settings->slots);
        ready(context);
        core_tick(daemon->core);
        loop_run(daemon->loop);
        rc = daemon->fatal.code;
        if (rc != CAM_OK) {
            *err = daemon->fatal;
        }
    }
    listener_close(daemon->listener);
    reports_close(daemon->reports);
    if (daemon->views != NULL) {
        views_stop(
            daemon->views); /* the last connection to close folds the log into the database */
    }
    /* Whatever was handed to the store is committed; its answers go with the process. */
    store_close(daemon->store);
    /* The process ends here: what the loop still holds (connections, requests in the pool) goes
     * with it, and waiting for the pool would only delay a restart. */
    return rc;
}
