/*
 * cambrian-worker: one rank of one attempt.  Finds its own surroundings, takes the marks by which
 * its life and death are seen, starts MPI and hands over to train/session.c.
 */
#include "base/file.h"
#include "base/log.h"
#include "proto/hold.h"
#include "worker/collectives/mpi.h"
#include "worker/operators.h"
#include "worker/options.h"
#include "worker/report/records.h"
#include "worker/report/reporter.h"
#include "worker/show_profile.h"
#include "worker/train/prepare.h"
#include "worker/train/session.h"

#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile sig_atomic_t g_terminated;
static char g_failed_path[CAM_PATH_SIZE]; /* there: a mate has failed */

/*
 * A polite end is ours to make, but not in an attempt that a mate's failure ends: this rank then
 * waits in a collective that nobody will complete, until mpirun's SIGKILL.
 */
static void on_terminate(int signal_number)
{
    (void)signal_number;
    const int before = errno;
    if (access(g_failed_path, F_OK) == 0) {
        _exit(EXIT_FAILURE);
    }
    errno = before;
    g_terminated = 1;
}

/*
 * A rank must not outlive the mpirun that started it.  The kernel's signal covers every later
 * moment; a parent that died before it was armed shows as another parent: init, or the shim, which
 * is the attempt's subreaper.
 */
static bool parent_lives(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    char path[64];
    char name[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)getppid());
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        (void)!fgets(name, sizeof name, file);
        (void)fclose(file);
    }
    return getppid() != 1 && strncmp(name, "cambrian-shim", 13) != 0;
}

/* A number that Open MPI's launcher gives its children, or fallback. */
static int launcher_number(const char *name, int fallback)
{
    const char *text = getenv(name);
    return text == NULL ? fallback : (int)strtol(text, NULL, 10);
}

/* Held until the process ends: while anyone holds it, the attempt is not over. */
static enum cam_code hold_alive(const struct worker_options *options, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(options->job_dir, options->attempt, "alive", path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "cannot open %s", path);
    }
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        return cam_fail_errno(err, errno, "cannot lock %s: is the attempt given up?", path);
    }
    return CAM_OK;
}

/* A switch for tests: nothing but "1" turns it on. */
static bool test_switch(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && strcmp(value, "1") == 0;
}

/* Where the time of a start goes: rank 0 tells each of its stages. */
static void tell_stages(int rank)
{
    const char *level = getenv("CAMBRIAN_LOG");
    if (rank == 0 && level != NULL && strcmp(level, "debug") == 0) {
        cam_log_set_level(CAM_LOG_DEBUG);
    }
    cam_log(CAM_LOG_DEBUG, "main", "start: the worker runs");
}

/* A job whose environment has a hook of the tests says so in its log. */
static void tell_hooks(void)
{
    static const char *const HOOKS[] = {"CAMBRIAN_TEST_HOLD",    "CAMBRIAN_TEST_MEMORY",
                                        "CAMBRIAN_TEST_NAN",     "CAMBRIAN_TEST_NO_ALLOC",
                                        "CAMBRIAN_TEST_PROFILE", HOLD_VARIABLE};
    for (size_t i = 0; i < sizeof HOOKS / sizeof HOOKS[0]; i++) {
        const char *value = getenv(HOOKS[i]);
        if (value != NULL) {
            cam_log(CAM_LOG_WARN, "main", "%s=%s: this run is a test", HOOKS[i], value);
        }
    }
}

/* Tests stop ranks here, before MPI knows them. */
static void hold_for_tests(void)
{
    const char *hold = getenv("CAMBRIAN_TEST_HOLD");
    while (hold != NULL && strcmp(hold, "before_mpi_init") == 0) {
        (void)pause();
    }
    hold_at(HOLD_BEFORE_MPI_INIT);
}

/* A failure before there is a session. */
static void record_failure(const struct worker_options *options, int rank,
                           const struct cam_err *why)
{
    struct failure failure = {.code = why->code, .rank = rank, .step = -1};
    struct cam_err ignored;
    (void)snprintf(failure.text, sizeof failure.text, "%s", why->text);
    (void)snprintf(failure.phase, sizeof failure.phase, "start");
    if (records_write_failure(options->job_dir, options->attempt, &failure, &ignored) != CAM_OK) {
        cam_log(CAM_LOG_ERROR, "main", "the failure could not be recorded: %s", ignored.text);
    }
}

static enum cam_code run_session(const struct worker_options *options, struct prepared *prepared,
                                 struct collectives *collectives, struct cam_err *err)
{
    const char *poison = getenv("CAMBRIAN_TEST_NAN");
    const char *times = poison == NULL ? NULL : strchr(poison, 'x');
    const struct session_options session_options = {
        .job_dir = options->job_dir,
        .attempt = options->attempt,
        .prepared = prepared,
        .collectives = collectives,
        .terminated = &g_terminated,
        .poison_step = poison == NULL ? 0 : strtoll(poison, NULL, 10),
        .poison_times = times == NULL ? INT64_MAX : strtoll(times + 1, NULL, 10),
        .refuse_allocation = test_switch("CAMBRIAN_TEST_NO_ALLOC"),
    };
    struct session *session = NULL;
    enum cam_code rc = session_create(&session_options, &session, err);
    if (rc != CAM_OK) {
        record_failure(options, collectives->rank, err);
        return rc;
    }
    rc = session_run(session, err);
    if (rc != CAM_OK) {
        session_failed(session, err);
        return rc; /* MPI_Abort follows; threads may still be inside the session */
    }
    session_destroy(session);
    return CAM_OK;
}

/* Between MPI_Init and MPI_Finalize. */
static enum cam_code run_rank(const struct worker_options *options, struct prepare *prepare,
                              struct cam_err *err)
{
    const char *chosen = getenv("CAMBRIAN_COLLECTIVES");
    bool messages = chosen != NULL && strcmp(chosen, "messages") == 0;
    int rank = 0;
    struct prepared *prepared = NULL;
    struct collectives *collectives = NULL;
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    enum cam_code rc = collectives_mpi(messages, &collectives, err);
    if (rc == CAM_OK) {
        rc = prepare_finish(prepare, &prepared, err);
    }
    if (rc != CAM_OK) {
        record_failure(options, rank, err);
        return rc;
    }
    rc = run_session(options, prepared, collectives, err);
    if (rc == CAM_OK) {
        collectives_close(collectives);
        prepared_destroy(prepared);
    }
    return rc;
}

static int run(int argc, char **argv, const struct worker_options *options)
{
    struct cam_err err = {0};
    int rank = launcher_number("OMPI_COMM_WORLD_RANK", 0);
    struct prepare *prepare = NULL;
    const struct prepare_options prepare_options = {
        .job_dir = options->job_dir,
        .attempt = options->attempt,
        .backend_dir = options->backend_dir,
        .first_rank = rank == 0,
        .test_profile = getenv("CAMBRIAN_TEST_PROFILE"),
        .measure = test_switch("CAMBRIAN_TEST_MEMORY"),
    };
    tell_stages(rank);
    enum cam_code rc =
        attempt_path(options->job_dir, options->attempt, RECORDS_FAILED, g_failed_path, &err);
    if (rc == CAM_OK) {
        rc = hold_alive(options, &err);
    }
    if (rc == CAM_OK) {
        tell_hooks();
        hold_for_tests();
        rc = prepare_options.measure ? CAM_OK : prepare_start(&prepare_options, &prepare, &err);
    }
    if (rc != CAM_OK) {
        cam_log(CAM_LOG_ERROR, "main", "rank %d: %s", rank, err.text);
        record_failure(options, rank, &err);
        return EXIT_FAILURE;
    }
    int provided = 0;
    if (MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS ||
        provided < MPI_THREAD_FUNNELED) {
        (void)cam_fail(&err, CAM_INTERNAL, "MPI does not start with threads");
        record_failure(options, rank, &err);
        return EXIT_FAILURE;
    }
    cam_log(CAM_LOG_DEBUG, "main", "start: MPI_Init is over");
    /* MPI has its own handlers; ours come after. */
    const struct sigaction terminate = {.sa_handler = on_terminate, .sa_flags = SA_RESTART};
    (void)sigaction(SIGTERM, &terminate, NULL);
    if (prepare == NULL) {
        rc = prepare_start(&prepare_options, &prepare, &err);
    }
    if (rc == CAM_OK) {
        rc = run_rank(options, prepare, &err);
    }
    if (rc != CAM_OK) {
        cam_log(CAM_LOG_ERROR, "main", "rank %d: %s", rank, err.text);
        (void)MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
        return EXIT_FAILURE;
    }
    (void)MPI_Finalize();
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    bool parent = parent_lives(); /* armed before anything else; asked where a rank would start */
    struct worker_options options;
    struct cam_err err;
    enum cam_code rc = options_read(argc, argv, &options, &err);
    if (rc != CAM_OK) {
        (void)fprintf(stderr, "cambrian-worker: %s\n", err.text);
        return 2;
    }
    switch (options.action) {
    case WORKER_HELP:
        options_help(stdout);
        return EXIT_SUCCESS;
    case WORKER_VERSION:
        (void)printf("cambrian-worker " CAMBRIAN_VERSION "\n");
        return EXIT_SUCCESS;
    case WORKER_OPERATORS:
        operators_print(options.backend_dir, stdout);
        return EXIT_SUCCESS;
    case WORKER_PROFILE:
        rc = show_profile(&options, getenv("CAMBRIAN_TEST_PROFILE"), stdout, &err);
        if (rc != CAM_OK) {
            (void)fprintf(stderr, "cambrian-worker: %s\n", err.text);
        }
        return rc == CAM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
    case WORKER_RUN:
        break;
    }
    if (!parent) {
        (void)fprintf(stderr, "cambrian-worker: its mpirun is gone\n");
        return EXIT_FAILURE;
    }
    return run(argc, argv, &options);
}
