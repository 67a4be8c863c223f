#include "worker/options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] =
    "cambrian-worker --job-dir DIR --attempt N [--backend-dir DIR]\n"
    "    One rank of a training attempt; started by mpirun, which cambriand starts.\n"
    "cambrian-worker --ops [--backend-dir DIR]\n"
    "    Prints which operator runs on which backend.\n"
    "cambrian-worker --profile [--backend NAME] [--isa avx2|native] [--backend-dir DIR]\n"
    "    Prints the numeric profile that jobs have here, as JSON.\n"
    "cambrian-worker --help | --version\n"
    "\n"
    "Environment, for tests and experts:\n"
    "  CAMBRIAN_LOG=debug                  shim and rank 0 tell each stage of the start\n"
    "  CAMBRIAN_COLLECTIVES=messages       MPI messages also between ranks of one host\n"
    "  CAMBRIAN_TEST_HOLD=before_mpi_init  wait there\n"
    "  CAMBRIAN_TEST_MEMORY=1              tell the memory held for training, at the end\n"
    "  CAMBRIAN_TEST_NAN=STEP[xTIMES]      the images of that step overflow, until the run has\n"
    "                                      gone back so many times\n"
    "  CAMBRIAN_TEST_NO_ALLOC=1            fail if a step asks for heap memory\n"
    "  CAMBRIAN_TEST_PROFILE=TEXT          a further member of the numeric profile\n";

void options_help(FILE *out)
{
    (void)fputs(HELP, out);
}

static enum cam_code read_attempt(const char *text, int *out, struct cam_err *err)
{
    char *end = NULL;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0' || number < 1 || number > INT_MAX) {
        return cam_fail(err, CAM_INVALID, "--attempt is \"%s\", allowed is a number from 1", text);
    }
    *out = (int)number;
    return CAM_OK;
}

static enum cam_code read_isa(const char *text, bool *native_out, struct cam_err *err)
{
    *native_out = strcmp(text, "native") == 0;
    return *native_out || strcmp(text, "avx2") == 0
               ? CAM_OK
               : cam_fail(err, CAM_INVALID, "--isa is \"%s\", allowed are avx2 and native", text);
}

/* The first of the known places that has a module; the last where none has. */
static enum cam_code find_backend_dir(char out[CAM_PATH_SIZE], struct cam_err *err)
{
    char executable[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", executable, sizeof executable - 1);
    if (size < 0) {
        return cam_fail_errno(err, errno, "cannot read /proc/self/exe");
    }
    executable[size] = '\0';
    *strrchr(executable, '/') = '\0';
    const char *const places[][2] = {
        {executable, ""}, {executable, "/../kernels/cpu"}, {CAMBRIAN_BACKEND_DIR, ""}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char module[CAM_PATH_SIZE];
        enum cam_code rc = cam_path(out, err, "%s%s", places[i][0], places[i][1]);
        if (rc == CAM_OK) {
            rc = cam_path(module, err, "%s/cambrian-backend-cpu.so", out);
        }
        if (rc != CAM_OK || access(module, R_OK) == 0) {
            return rc;
        }
    }
    return CAM_OK;
}

enum cam_code options_read(int argc, char **argv, struct worker_options *out, struct cam_err *err)
{
    *out = (struct worker_options){.action = WORKER_RUN, .backend = "cpu"};
    const char *backend_dir = NULL;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--help") == 0) {
            out->action = WORKER_HELP;
        } else if (strcmp(argv[i], "--version") == 0) {
            out->action = WORKER_VERSION;
        } else if (strcmp(argv[i], "--ops") == 0) {
            out->action = WORKER_OPERATORS;
        } else if (strcmp(argv[i], "--profile") == 0) {
            out->action = WORKER_PROFILE;
        } else if (value == NULL) {
            return cam_fail(err, CAM_INVALID, "\"%s\" is unknown or lacks its value; see --help",
                            argv[i]);
        } else if (strcmp(argv[i], "--job-dir") == 0) {
            out->job_dir = argv[++i];
        } else if (strcmp(argv[i], "--backend-dir") == 0) {
            backend_dir = argv[++i];
        } else if (strcmp(argv[i], "--backend") == 0) {
            out->backend = argv[++i];
        } else if (strcmp(argv[i], "--isa") == 0) {
            enum cam_code rc = read_isa(argv[++i], &out->native_isa, err);
            if (rc != CAM_OK) {
                return rc;
            }
        } else if (strcmp(argv[i], "--attempt") == 0) {
            enum cam_code rc = read_attempt(argv[++i], &out->attempt, err);
            if (rc != CAM_OK) {
                return rc;
            }
        } else {
            return cam_fail(err, CAM_INVALID, "\"%s\" is unknown; see --help", argv[i]);
        }
    }
    if (out->action == WORKER_RUN && (out->job_dir == NULL || out->attempt == 0)) {
        return cam_fail(err, CAM_INVALID, "--job-dir and --attempt are needed; see --help");
    }
    return backend_dir != NULL ? cam_path(out->backend_dir, err, "%s", backend_dir)
                               : find_backend_dir(out->backend_dir, err);
}
