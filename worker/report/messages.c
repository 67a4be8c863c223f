#include "worker/report/messages.h"

#include "worker/report/peak.h"

#include "cambrian.pb-c.h"
#include <assert.h>

/* protobuf-c's structs hold char * where nothing is ever written. */
static char *text_of(const char *text)
{
    union {
        const char *in;
        char *out;
    } pun = {.in = text == NULL ? "" : text};
    return pun.out;
}

void messages_hello(Cam__Envelope *envelope, Cam__Hello *hello)
{
    cam__hello__init(hello);
    hello->protocol_version = PROTOCOL_VERSION;
    hello->program = text_of("cambrian-worker " CAMBRIAN_VERSION);
    cam__envelope__init(envelope);
    envelope->body_case = CAM__ENVELOPE__BODY_HELLO;
    envelope->hello = hello;
}

/* The envelope of one kind; parts of it stand in `room`, which outlives the sending. */
struct room {
    Cam__Epoch epoch;
    Cam__Metric metric[STATE_METRICS_MAX];
    Cam__Metric *metrics[STATE_METRICS_MAX];
    Cam__EpochReport epoch_report;
    Cam__CheckpointReport checkpoint;
    Cam__JobError error;
    Cam__FailureReport failure;
    Cam__OutcomeReport outcome;
};

static void pack_epoch(const struct message *message, struct room *room, Cam__Envelope *envelope)
{
    const struct epoch_row *row = &message->epoch;
    cam__epoch__init(&room->epoch);
    room->epoch.epoch = row->epoch;
    room->epoch.steps = row->steps;
    room->epoch.seconds = row->seconds;
    room->epoch.samples_per_s = row->samples_per_s;
    for (int i = 0; i < row->metric_count; i++) {
        cam__metric__init(&room->metric[i]);
        room->metric[i].name = text_of(row->metric_name[i]);
        room->metric[i].value = row->metric[i];
        room->metrics[i] = &room->metric[i];
    }
    room->epoch.metrics = room->metrics;
    room->epoch.n_metrics = (size_t)row->metric_count;
    cam__epoch_report__init(&room->epoch_report);
    room->epoch_report.epoch = &room->epoch;
    envelope->body_case = CAM__ENVELOPE__BODY_EPOCH_REPORT;
    envelope->epoch_report = &room->epoch_report;
}

static void pack_checkpoint(const struct message *message, struct room *room,
                            Cam__Envelope *envelope)
{
    cam__checkpoint_report__init(&room->checkpoint);
    room->checkpoint.step = message->step;
    room->checkpoint.folder = text_of(message->name);
    room->checkpoint.failed = message->failed;
    room->checkpoint.text = text_of(message->text);
    envelope->body_case = CAM__ENVELOPE__BODY_CHECKPOINT_REPORT;
    envelope->checkpoint_report = &room->checkpoint;
}

static void pack_failure(const struct message *message, struct room *room, Cam__Envelope *envelope)
{
    cam__job_error__init(&room->error);
    room->error.code = text_of(cam_code_name(message->failure.code));
    room->error.text = text_of(message->failure.text);
    room->error.rank = message->failure.rank;
    room->error.step = message->failure.step;
    cam__failure_report__init(&room->failure);
    room->failure.error = &room->error;
    room->failure.phase = text_of(message->failure.phase);
    envelope->body_case = CAM__ENVELOPE__BODY_FAILURE_REPORT;
    envelope->failure_report = &room->failure;
}

static void pack_outcome(const struct message *message, struct room *room, Cam__Envelope *envelope)
{
    cam__outcome_report__init(&room->outcome);
    room->outcome.outcome = text_of(message->name);
    room->outcome.weights_sha256 = text_of(message->text);
    room->outcome.step = message->step;
    envelope->body_case = CAM__ENVELOPE__BODY_OUTCOME_REPORT;
    envelope->outcome_report = &room->outcome;
}

static void (*const packers[])(const struct message *, struct room *, Cam__Envelope *) = {
    [MESSAGE_EPOCH] = pack_epoch,
    [MESSAGE_CHECKPOINT] = pack_checkpoint,
    [MESSAGE_FAILURE] = pack_failure,
    [MESSAGE_OUTCOME] = pack_outcome,
};
_Static_assert(sizeof packers / sizeof packers[0] == MESSAGE_KIND_COUNT, "one a kind");

enum cam_code messages_send(struct connection *connection, const struct message *message,
                            int64_t limit_ms, struct cam_err *err)
{
    struct room room;
    Cam__Envelope envelope;
    cam__envelope__init(&envelope);
    assert(message->kind < MESSAGE_KIND_COUNT);
    packers[message->kind](message, &room, &envelope);
    return connection_send(connection, &envelope, limit_ms, err);
}

enum cam_code messages_send_progress(struct connection *connection, struct progress *progress,
                                     int64_t limit_ms, struct cam_err *err)
{
    Cam__Metric metric[PROGRESS_METRICS_MAX];
    Cam__Metric *metrics[PROGRESS_METRICS_MAX];
    Cam__Progress report = CAM__PROGRESS__INIT;
    report.step = atomic_load(&progress->step);
    report.epoch = atomic_load(&progress->epoch);
    report.phase = text_of(atomic_load(&progress->phase));
    report.collective = atomic_load(&progress->collective);
    report.stage = text_of(atomic_load(&progress->stage));
    report.stage_limit_ms = atomic_load(&progress->stage_limit_ms);
    report.samples_per_s = atomic_load(&progress->samples_per_s);
    report.peak_bytes = peak_bytes();
    int count = atomic_load(&progress->metric_count);
    for (int i = 0; i < count; i++) {
        cam__metric__init(&metric[i]);
        metric[i].name = text_of(atomic_load(&progress->metric_name[i]));
        metric[i].value = atomic_load(&progress->metric[i]);
        metrics[i] = &metric[i];
    }
    report.metrics = metrics;
    report.n_metrics = (size_t)count;
    Cam__Envelope envelope;
    cam__envelope__init(&envelope);
    envelope.body_case = CAM__ENVELOPE__BODY_PROGRESS;
    envelope.progress = &report;
    return connection_send(connection, &envelope, limit_ms, err);
}
