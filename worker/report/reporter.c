#include "worker/report/reporter.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "proto/attempt.h"
#include "worker/report/connection.h"
#include "worker/report/messages.h"

#include "cambrian.pb-c.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    QUEUE_MAX = 64,
    TICK_MS = 50,
    PERIOD_MS = 1000,
    PAUSE_MIN_MS = 100,
    PAUSE_MAX_MS = 2000,
    LIMIT_MS = 2000, /* of connecting, answering and sending */
};

struct reporter {
    struct reporter_options options;
    char *job_dir;
    char *profile;
    struct progress *progress;
    pthread_t thread;
    bool started;
    atomic_bool stop_asked;
    atomic_bool poked;
    atomic_bool ending;
    _Atomic int64_t flush_until_ms;

    pthread_mutex_t mutex;
    struct message queue[QUEUE_MAX]; /* ring; guarded by mutex */
    int queue_first;
    int queue_count;

    struct connection connection; /* the thread's own, as all below */
    int64_t next_progress_ms;
    int64_t next_connect_ms;
    int64_t pause_ms;
    struct message sending;
};

static int64_t now_ms(void)
{
    return cam_monotonic_ns() / 1000000;
}

/* ---------------------------------------------------------------- the queue */

static void post(struct reporter *reporter, const struct message *message)
{
    if (reporter == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&reporter->mutex);
    if (reporter->queue_count == QUEUE_MAX) {
        reporter->queue_first = (reporter->queue_first + 1) % QUEUE_MAX;
        reporter->queue_count--;
    }
    reporter->queue[(reporter->queue_first + reporter->queue_count++) % QUEUE_MAX] = *message;
    (void)pthread_mutex_unlock(&reporter->mutex);
}

static bool take(struct reporter *reporter, struct message *out)
{
    (void)pthread_mutex_lock(&reporter->mutex);
    bool any = reporter->queue_count > 0;
    if (any) {
        *out = reporter->queue[reporter->queue_first];
        reporter->queue_first = (reporter->queue_first + 1) % QUEUE_MAX;
        reporter->queue_count--;
    }
    (void)pthread_mutex_unlock(&reporter->mutex);
    return any;
}

/* Back to the front, after a send that failed; dropped where the queue is full meanwhile. */
static void put_back(struct reporter *reporter, const struct message *message)
{
    (void)pthread_mutex_lock(&reporter->mutex);
    if (reporter->queue_count < QUEUE_MAX) {
        reporter->queue_first = (reporter->queue_first + QUEUE_MAX - 1) % QUEUE_MAX;
        reporter->queue[reporter->queue_first] = *message;
        reporter->queue_count++;
    }
    (void)pthread_mutex_unlock(&reporter->mutex);
}

static bool queue_empty(struct reporter *reporter)
{
    (void)pthread_mutex_lock(&reporter->mutex);
    bool empty = reporter->queue_count == 0;
    (void)pthread_mutex_unlock(&reporter->mutex);
    return empty;
}

/* ---------------------------------------------------------------- the thread */

static void lost(struct reporter *reporter)
{
    connection_close(&reporter->connection);
    reporter->next_connect_ms = now_ms() + reporter->pause_ms;
    reporter->pause_ms =
        reporter->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : reporter->pause_ms * 2;
}

static void handle(struct reporter *reporter, Cam__Envelope *envelope)
{
    if (envelope->body_case == CAM__ENVELOPE__BODY_STOP_ORDER) {
        atomic_store(&reporter->stop_asked, true);
    } else if (envelope->body_case == CAM__ENVELOPE__BODY_WELCOME_REPLY &&
               envelope->welcome_reply->stop) {
        atomic_store(&reporter->stop_asked, true);
    }
    cam__envelope__free_unpacked(envelope, NULL);
}

/* Sends a greeting and waits for its answer. */
static bool greet(struct reporter *reporter, const Cam__Envelope *greeting,
                  Cam__Envelope__BodyCase answer)
{
    struct cam_err err;
    Cam__Envelope *reply = NULL;
    if (connection_send(&reporter->connection, greeting, LIMIT_MS, &err) != CAM_OK) {
        return false;
    }
    int64_t end = now_ms() + LIMIT_MS;
    while (reply == NULL && now_ms() < end) {
        if (connection_receive(&reporter->connection, TICK_MS, &reply, &err) != CAM_OK) {
            return false;
        }
    }
    bool answered = reply != NULL && reply->body_case == answer;
    if (reply != NULL) {
        handle(reporter, reply);
    }
    return answered;
}

/* The endpoint as it stands now: a restarted daemon may have written another. */
static bool read_small(const struct reporter *reporter, const char *file, char *out, size_t size,
                       size_t *size_out)
{
    char path[CAM_PATH_SIZE];
    char *text = NULL;
    struct cam_err err;
    if (attempt_path(reporter->job_dir, reporter->options.attempt, file, path, &err) != CAM_OK ||
        cam_file_read(path, size - 1, &text, size_out, &err) != CAM_OK) {
        return false;
    }
    memcpy(out, text, *size_out + 1);
    cam_free(text);
    return true;
}

static bool try_connect(struct reporter *reporter)
{
    char endpoint[512];
    uint8_t token[ATTEMPT_TOKEN_BYTES + 1];
    size_t size = 0;
    struct cam_err err;
    if (!read_small(reporter, "endpoint", endpoint, sizeof endpoint, &size)) {
        return false;
    }
    endpoint[strcspn(endpoint, "\r\n")] = '\0';
    if (!read_small(reporter, "token", (char *)token, sizeof token, &size) ||
        connection_open(&reporter->connection, endpoint, LIMIT_MS, &err) != CAM_OK) {
        return false;
    }
    Cam__Hello hello;
    Cam__Envelope envelope;
    messages_hello(&envelope, &hello);
    if (!greet(reporter, &envelope, CAM__ENVELOPE__BODY_HELLO_REPLY)) {
        return false;
    }
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    Cam__ReportHello report = CAM__REPORT_HELLO__INIT;
    report.job_id = reporter->options.job_id;
    report.attempt = reporter->options.attempt;
    report.token = (ProtobufCBinaryData){.len = size, .data = token};
    report.rank = reporter->options.rank;
    report.ranks = reporter->options.ranks;
    report.pid = getpid();
    report.host = host;
    report.numeric_profile = reporter->profile;
    cam__envelope__init(&envelope);
    envelope.body_case = CAM__ENVELOPE__BODY_REPORT_HELLO;
    envelope.report_hello = &report;
    return greet(reporter, &envelope, CAM__ENVELOPE__BODY_WELCOME_REPLY);
}

/* One look at everything; sleeps at most a tick, in waiting for the daemon's word. */
static void turn(struct reporter *reporter)
{
    struct cam_err err;
    if (reporter->connection.fd < 0) {
        if (now_ms() < reporter->next_connect_ms) {
            cam_sleep_ms(TICK_MS);
            return;
        }
        if (!try_connect(reporter)) {
            lost(reporter);
            return;
        }
        reporter->pause_ms = PAUSE_MIN_MS;
        reporter->next_progress_ms = 0;
    }
    while (take(reporter, &reporter->sending)) {
        if (messages_send(&reporter->connection, &reporter->sending, LIMIT_MS, &err) != CAM_OK) {
            put_back(reporter, &reporter->sending);
            lost(reporter);
            return;
        }
    }
    if (now_ms() >= reporter->next_progress_ms || atomic_exchange(&reporter->poked, false)) {
        reporter->next_progress_ms = now_ms() + PERIOD_MS;
        if (messages_send_progress(&reporter->connection, reporter->progress, LIMIT_MS, &err) !=
            CAM_OK) {
            lost(reporter);
            return;
        }
    }
    Cam__Envelope *envelope = NULL;
    if (connection_receive(&reporter->connection, TICK_MS, &envelope, &err) != CAM_OK) {
        lost(reporter);
    } else if (envelope != NULL) {
        handle(reporter, envelope);
    }
}

static void *reporter_main(void *argument)
{
    struct reporter *reporter = argument;
    while (!atomic_load(&reporter->ending)) {
        turn(reporter);
    }
    /* What is still queued gets one more try to connect, and the time that was granted. */
    bool again = true;
    while (again && now_ms() < atomic_load(&reporter->flush_until_ms) && !queue_empty(reporter)) {
        reporter->next_connect_ms = 0;
        turn(reporter);
        again = reporter->connection.fd >= 0;
    }
    connection_close(&reporter->connection);
    return NULL;
}

enum cam_code reporter_create(const struct reporter_options *options, struct progress *progress,
                              struct reporter **out, struct cam_err *err)
{
    struct reporter *reporter = cam_alloc(1, sizeof *reporter);
    char *job_dir = cam_strdup(options->job_dir);
    char *profile = cam_strdup(options->profile);
    if (reporter == NULL || job_dir == NULL || profile == NULL) {
        cam_free(reporter);
        cam_free(job_dir);
        cam_free(profile);
        return cam_fail(err, CAM_NO_MEMORY, "the reports: out of memory");
    }
    reporter->options = *options;
    reporter->job_dir = job_dir;
    reporter->profile = profile;
    reporter->progress = progress;
    reporter->pause_ms = PAUSE_MIN_MS;
    reporter->connection.fd = -1;
    (void)pthread_mutex_init(&reporter->mutex, NULL);
    int failed = pthread_create(&reporter->thread, NULL, reporter_main, reporter);
    if (failed != 0) {
        reporter_destroy(reporter, 0);
        return cam_fail(err, CAM_UNAVAILABLE, "cannot start the report thread: %s",
                        strerror(failed));
    }
    reporter->started = true;
    *out = reporter;
    return CAM_OK;
}

void reporter_destroy(struct reporter *reporter, int64_t flush_ms)
{
    if (reporter == NULL) {
        return;
    }
    if (reporter->started) {
        atomic_store(&reporter->flush_until_ms, now_ms() + flush_ms);
        atomic_store(&reporter->ending, true);
        (void)pthread_join(reporter->thread, NULL);
    }
    (void)pthread_mutex_destroy(&reporter->mutex);
    cam_free(reporter->job_dir);
    cam_free(reporter->profile);
    cam_free(reporter);
}

bool reporter_stop_asked(const struct reporter *reporter)
{
    return atomic_load_explicit(&reporter->stop_asked, memory_order_relaxed);
}

void reporter_poke(struct reporter *reporter)
{
    if (reporter != NULL) {
        atomic_store(&reporter->poked, true);
    }
}

void reporter_epoch(struct reporter *reporter, const struct epoch_row *row)
{
    struct message message = {.kind = MESSAGE_EPOCH, .epoch = *row};
    post(reporter, &message);
}

void reporter_checkpoint(struct reporter *reporter, int64_t step, const char *folder, bool failed,
                         const char *text)
{
    struct message message = {.kind = MESSAGE_CHECKPOINT, .step = step, .failed = failed};
    (void)snprintf(message.name, sizeof message.name, "%s", folder);
    (void)snprintf(message.text, sizeof message.text, "%s", text);
    post(reporter, &message);
}

void reporter_failure(struct reporter *reporter, const struct failure *failure)
{
    struct message message = {.kind = MESSAGE_FAILURE, .failure = *failure};
    post(reporter, &message);
}

void reporter_outcome(struct reporter *reporter, const char *outcome, const char *weights_sha256,
                      int64_t step)
{
    struct message message = {.kind = MESSAGE_OUTCOME, .step = step};
    (void)snprintf(message.name, sizeof message.name, "%s", outcome);
    (void)snprintf(message.text, sizeof message.text, "%s", weights_sha256);
    post(reporter, &message);
}
