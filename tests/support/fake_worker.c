/*
 * cambrian-worker for tests of the daemon: real ranks under mpirun that report, save and end as
 * the real one does, and compute nothing.  The job's env steers it:
 *   FAKE_STEPS   steps in all (100)         FAKE_STEP_MS  time a step takes (10)
 *   FAKE_FAIL    "CODE:RANK:STEP" fails there with a code of base/status.h
 *   FAKE_EXIT    "RANK:STEP" ends there without a word     FAKE_STUCK  "RANK:STEP" stops moving
 *   CAMBRIAN_TEST_HOLD=before_mpi_init waits there
 * Epochs have 10 steps; a checkpoint is an empty folder every 5.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cambrian.pb-c.h"
#include "proto/attempt.h"
#include "proto/frame.h"

#include <fcntl.h>
#include <mpi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { EPOCH_STEPS = 10, CHECKPOINT_STEPS = 5, RETRY_MS = 200 };

#define PROFILE "{\"backend\": \"fake\"}"

struct fake {
    const char *job_dir;
    int attempt;
    struct attempt_order order;
    int rank;
    int fd; /* to the daemon, or -1 */
    int64_t tried_ms;
    struct frame_reader reader;
    bool stop;
};

static long number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtol(text, NULL, 10);
}

static void must(enum cam_code rc, const struct cam_err *err)
{
    if (rc != CAM_OK) {
        (void)fprintf(stderr, "fake worker: %s\n", err->text);
        _exit(70);
    }
}

static void path_of(const struct fake *fake, const char *file, char out[CAM_PATH_SIZE])
{
    struct cam_err err = {0};
    must(attempt_path(fake->job_dir, fake->attempt, file, out, &err), &err);
}

static void say(struct fake *fake, Cam__Envelope *envelope)
{
    struct cam_err err = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    must(frame_pack(envelope, &bytes, &size, &err), &err);
    if (fake->fd >= 0 && send(fake->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) {
        (void)close(fake->fd);
        fake->fd = -1;
    }
    cam_free(bytes);
}

static void dial(struct fake *fake)
{
    char path[CAM_PATH_SIZE];
    char *endpoint = NULL;
    char *token = NULL;
    size_t size = 0;
    struct cam_err err = {0};
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    fake->tried_ms = cam_monotonic_ns() / 1000000;
    path_of(fake, "endpoint", path);
    must(cam_file_read(path, 4096, &endpoint, &size, &err), &err);
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%.100s", endpoint + strlen("unix:"));
    path_of(fake, "token", path);
    must(cam_file_read(path, 64, &token, &size, &err), &err);
    fake->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fake->fd, (struct sockaddr *)&to, sizeof to) != 0) {
        (void)close(fake->fd);
        fake->fd = -1;
    }
    char program[] = "fake";
    char profile[] = PROFILE;
    Cam__Hello hello = CAM__HELLO__INIT;
    Cam__ReportHello report = CAM__REPORT_HELLO__INIT;
    Cam__Envelope first = CAM__ENVELOPE__INIT;
    Cam__Envelope second = CAM__ENVELOPE__INIT;
    hello.protocol_version = PROTOCOL_VERSION;
    hello.program = program;
    first.body_case = CAM__ENVELOPE__BODY_HELLO;
    first.hello = &hello;
    report.job_id = fake->order.job_id;
    report.attempt = fake->attempt;
    report.token = (ProtobufCBinaryData){size, (uint8_t *)token};
    report.rank = fake->rank;
    report.ranks = fake->order.ranks;
    report.numeric_profile = profile;
    second.body_case = CAM__ENVELOPE__BODY_REPORT_HELLO;
    second.report_hello = &report;
    say(fake, &first);
    say(fake, &second);
    cam_free(endpoint);
    cam_free(token);
}

static void listen_to_daemon(struct fake *fake)
{
    char bytes[4096];
    struct cam_err err = {0};
    Cam__Envelope *envelope = NULL;
    ssize_t got = fake->fd < 0 ? 0 : recv(fake->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got == 0 && fake->fd >= 0) {
        (void)close(fake->fd);
        fake->fd = -1;
        frame_reader_release(&fake->reader);
    }
    if (got > 0) {
        must(frame_reader_add(&fake->reader, bytes, (size_t)got, &err), &err);
    }
    while (frame_reader_next(&fake->reader, &envelope, &err) == CAM_OK && envelope != NULL) {
        fake->stop = fake->stop || envelope->body_case == CAM__ENVELOPE__BODY_STOP_ORDER ||
                     (envelope->body_case == CAM__ENVELOPE__BODY_WELCOME_REPLY &&
                      envelope->welcome_reply->stop);
        cam__envelope__free_unpacked(envelope, NULL);
    }
    if (fake->fd < 0 && cam_monotonic_ns() / 1000000 - fake->tried_ms > RETRY_MS) {
        dial(fake);
    }
}

static void progress(struct fake *fake, int64_t step, int64_t collective)
{
    char phase[] = "discriminator";
    char stage[] = "compute";
    Cam__Progress message = CAM__PROGRESS__INIT;
    Cam__Envelope envelope = CAM__ENVELOPE__INIT;
    message.step = step;
    message.epoch = step / EPOCH_STEPS;
    message.phase = phase;
    message.stage = stage;
    message.collective = collective;
    message.samples_per_s = 1000;
    envelope.body_case = CAM__ENVELOPE__BODY_PROGRESS;
    envelope.progress = &message;
    say(fake, &envelope);
}

static void end_epoch(struct fake *fake, int64_t epoch)
{
    char path[CAM_PATH_SIZE];
    char line[256];
    struct cam_err err = {0};
    must(cam_path(path, &err, "%s/epochs.jsonl", fake->job_dir), &err);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int size = snprintf(line, sizeof line,
                        "{\"epoch\": %lld, \"steps\": %d, \"seconds\": 0.1, \"samples_per_s\": "
                        "100.0, \"metrics\": {\"g_loss\": %.17g, \"d_loss\": 0.5}}\n",
                        (long long)epoch, EPOCH_STEPS, 1.0 / (double)epoch);
    must(cam_file_write_all(fd, line, (size_t)size, path, &err), &err);
    (void)fsync(fd);
    (void)close(fd);
    char names[2][8] = {"d_loss", "g_loss"};
    Cam__Metric metrics[2] = {CAM__METRIC__INIT, CAM__METRIC__INIT};
    Cam__Metric *list[2] = {&metrics[0], &metrics[1]};
    Cam__Epoch row = CAM__EPOCH__INIT;
    Cam__EpochReport report = CAM__EPOCH_REPORT__INIT;
    Cam__Envelope envelope = CAM__ENVELOPE__INIT;
    metrics[0].name = names[0];
    metrics[0].value = 0.5;
    metrics[1].name = names[1];
    metrics[1].value = 1.0 / (double)epoch;
    row.epoch = epoch;
    row.steps = EPOCH_STEPS;
    row.seconds = 0.1;
    row.samples_per_s = 100;
    row.n_metrics = 2;
    row.metrics = list;
    report.epoch = &row;
    envelope.body_case = CAM__ENVELOPE__BODY_EPOCH_REPORT;
    envelope.epoch_report = &report;
    say(fake, &envelope);
}

static void save(const struct fake *fake, int64_t step)
{
    char folder[CAM_PATH_SIZE];
    char name[64];
    struct cam_err err = {0};
    (void)snprintf(name, sizeof name, "checkpoints/step-%012lld", (long long)step);
    path_of(fake, name, folder);
    must(cam_folder_create(folder, 0700, &err), &err);
}

static void finish(const struct fake *fake, const char *outcome, int64_t step)
{
    char path[CAM_PATH_SIZE];
    char text[512];
    struct cam_err err = {0};
    char model[64];
    (void)snprintf(model, sizeof model, "attempts/%d/final/model.safetensors", fake->attempt);
    path_of(fake, "final", path);
    must(cam_folder_create(path, 0700, &err), &err);
    path_of(fake, "final/model.safetensors", path);
    must(cam_file_replace(path, "weights", 7, 0600, &err), &err);
    int size = snprintf(text, sizeof text,
                        "{\"outcome\": \"%s\", \"weights_sha256\": \"%064d\", \"step\": %lld, "
                        "\"model\": \"%s\"}",
                        outcome, 7, (long long)step, model);
    path_of(fake, "outcome.json", path);
    must(cam_file_replace(path, text, (size_t)size, 0600, &err), &err);
}

/* True where the variable says "RANK:STEP" of here. */
static bool is_here(const char *name, int rank, int64_t step)
{
    const char *text = getenv(name);
    char *end = NULL;
    return text != NULL && strtol(text, &end, 10) == rank && *end == ':' &&
           strtoll(end + 1, NULL, 10) == step;
}

static void fail_if_told(const struct fake *fake, int64_t step)
{
    const char *text = getenv("FAKE_FAIL");
    char code[32];
    char path[CAM_PATH_SIZE];
    char name[64];
    char record[256];
    int rank = 0;
    long long at = 0;
    struct cam_err err = {0};
    if (text == NULL || sscanf(text, "%31[^:]:%d:%lld", code, &rank, &at) != 3 ||
        rank != fake->rank || at != step) {
        return;
    }
    (void)snprintf(name, sizeof name, "failure-%d.json", rank);
    path_of(fake, name, path);
    int size = snprintf(record, sizeof record,
                        "{\"code\": \"%s\", \"text\": \"made to fail\", \"rank\": %d, \"step\": "
                        "%lld, \"phase\": \"discriminator\"}",
                        code, rank, (long long)step);
    must(cam_file_replace(path, record, (size_t)size, 0600, &err), &err);
    MPI_Abort(MPI_COMM_WORLD, 3);
}

static int64_t resume_step(const struct fake *fake)
{
    const char *from = fake->order.resume_from;
    const char *dash = from == NULL ? NULL : strrchr(from, '-');
    return dash == NULL ? 0 : strtoll(dash + 1, NULL, 10);
}

static void train(struct fake *fake)
{
    const long steps = number("FAKE_STEPS", 100);
    const long step_ms = number("FAKE_STEP_MS", 10);
    int64_t said_ms = 0;
    for (int64_t step = resume_step(fake); step < steps; step++) {
        fail_if_told(fake, step);
        if (is_here("FAKE_EXIT", fake->rank, step)) {
            _exit(9);
        }
        while (is_here("FAKE_STUCK", fake->rank, step)) {
            progress(fake, step, step);
            cam_sleep_ms(1000);
        }
        cam_sleep_ms(step_ms);
        listen_to_daemon(fake);
        int stop = fake->stop ? 1 : 0;
        MPI_Allreduce(MPI_IN_PLACE, &stop, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
        int64_t now_ms = cam_monotonic_ns() / 1000000;
        if (now_ms - said_ms > 500 || step == 0) {
            said_ms = now_ms;
            progress(fake, step + 1, step + 1);
        }
        if (fake->rank == 0 && (step + 1) % EPOCH_STEPS == 0) {
            end_epoch(fake, (step + 1) / EPOCH_STEPS);
        }
        if (fake->rank == 0 && ((step + 1) % CHECKPOINT_STEPS == 0 || stop != 0)) {
            save(fake, step + 1);
        }
        if (stop != 0) {
            if (fake->rank == 0) {
                finish(fake, "stopped", step + 1);
            }
            return;
        }
    }
    if (fake->rank == 0) {
        finish(fake, "succeeded", steps);
    }
}

int main(int argc, char **argv)
{
    struct fake fake = {.fd = -1};
    struct cam_err err = {0};
    char path[CAM_PATH_SIZE];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (argc > 1 && strcmp(argv[1], "--profile") == 0) {
        (void)printf("%s\n", PROFILE);
        return 0;
    }
    if (argc != 5 || getppid() == 1) {
        return 2;
    }
    fake.job_dir = argv[2];
    fake.attempt = (int)strtol(argv[4], NULL, 10);
    path_of(&fake, "alive", path);
    int alive = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (alive < 0 || flock(alive, LOCK_SH) != 0) {
        return 70;
    }
    while (getenv("CAMBRIAN_TEST_HOLD") != NULL) {
        cam_sleep_ms(100);
    }
    struct cam_arena *arena = cam_arena_create();
    must(attempt_read_order(fake.job_dir, fake.attempt, arena, &fake.order, &err), &err);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &fake.rank);
    (void)printf("rank %d of attempt %d starts at step %lld\n", fake.rank, fake.attempt,
                 (long long)resume_step(&fake));
    (void)fflush(stdout);
    dial(&fake);
    train(&fake);
    MPI_Finalize();
    cam_arena_destroy(arena);
    return 0;
}
