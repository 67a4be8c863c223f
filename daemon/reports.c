#include "daemon/reports.h"

#include "base/arena.h"
#include "base/mem.h"
#include "cambrian.pb-c.h"
#include "daemon/epoch_log.h"
#include "daemon/listener.h"
#include "daemon/owner.h"
#include "daemon/stream.h"

#include <stdio.h>
#include <string.h>

enum { METRICS_MAX = 256 };

/* A connected rank; peer is unknown until its token was right. */
struct rank_peer {
    struct rank_peer *next;
    int64_t uid;
    struct stream *stream;
    int64_t job_id; /* 0: has not shown its token */
    int attempt;
    int rank;
};

struct reports {
    struct core *core;
    struct listener *listener;
    struct rank_peer *peers;
};

static void accepted(void *self, struct stream *stream, int64_t uid, int64_t gid)
{
    struct reports *reports = self;
    (void)gid;
    struct rank_peer *peer = cam_alloc(1, sizeof *peer);
    if (peer == NULL) {
        stream_close(stream);
        return;
    }
    *peer = (struct rank_peer){.next = reports->peers, .uid = uid, .stream = stream};
    reports->peers = peer;
    stream_set_data(stream, peer);
}

static void closed(void *self, struct stream *stream)
{
    struct reports *reports = self;
    struct rank_peer *peer = stream_data(stream);
    for (struct rank_peer **at = &reports->peers; *at != NULL; at = &(*at)->next) {
        if (*at == peer) {
            *at = peer->next;
            break;
        }
    }
    cam_free(peer);
    stream_set_data(stream, NULL);
}

/* Takes the same time whatever differs: a token cannot be guessed byte by byte. */
static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint8_t differs = 0;
    for (size_t i = 0; i < size; i++) {
        differs |= (uint8_t)(a[i] ^ b[i]);
    }
    return differs == 0;
}

/* The attempt's token is on disk; a restarted daemon reads it when the first rank comes back. */
static bool token_is(struct live *live, const ProtobufCBinaryData *shown)
{
    if (!live->token_known) {
        char path[CAM_PATH_SIZE];
        struct cam_err ignored;
        struct owner owner;
        char *bytes = NULL;
        size_t size = 0;
        owner_plain(live->owner_uid, live->owner_gid, &owner);
        if (attempt_path(live->job_dir, live->attempt, "token", path, &ignored) == CAM_OK &&
            owner_enter(&owner, &ignored) == CAM_OK) {
            if (cam_file_read_plain(path, ATTEMPT_TOKEN_BYTES, &bytes, &size, &ignored) == CAM_OK &&
                size == ATTEMPT_TOKEN_BYTES) {
                memcpy(live->token, bytes, size);
                live->token_known = true;
            }
            owner_leave(&owner);
        }
        cam_free(bytes);
    }
    return live->token_known && shown->len == ATTEMPT_TOKEN_BYTES &&
           same_bytes(live->token, shown->data, ATTEMPT_TOKEN_BYTES);
}

static void take_hello(struct reports *reports, struct rank_peer *peer, uint64_t request_id,
                       const Cam__ReportHello *hello)
{
    struct live *live = core_live(reports->core, hello->job_id, hello->attempt);
    if (live == NULL || !owner_admits(live->owner_uid, peer->uid) ||
        !token_is(live, &hello->token) || hello->rank < 0 || hello->rank >= live->rank_count) {
        stream_send_error(peer->stream, request_id, CAM_DENIED,
                          "this token is not of a live attempt");
        stream_finish(peer->stream);
        return;
    }
    peer->job_id = live->job_id;
    peer->attempt = live->attempt;
    peer->rank = hello->rank;
    Cam__WelcomeReply reply = CAM__WELCOME_REPLY__INIT;
    Cam__Envelope answer = CAM__ENVELOPE__INIT;
    reply.stop = core_rank_attached(reports->core, live, peer->rank, hello->numeric_profile);
    answer.request_id = request_id;
    answer.body_case = CAM__ENVELOPE__BODY_WELCOME_REPLY;
    answer.welcome_reply = &reply;
    stream_send(peer->stream, &answer);
}

static void take_progress(struct reports *reports, struct live *live, const struct rank_peer *peer,
                          const Cam__Progress *message)
{
    struct live_progress progress = {
        .step = message->step,
        .epoch = message->epoch,
        .collective = message->collective,
        .samples_per_s = message->samples_per_s,
        .stage_limit_ms = message->stage_limit_ms,
    };
    (void)snprintf(progress.phase, sizeof progress.phase, "%s", message->phase);
    (void)snprintf(progress.stage, sizeof progress.stage, "%s", message->stage);
    for (size_t i = 0; i < message->n_metrics && i < LIVE_METRICS_MAX; i++) {
        struct live_metric *metric = &progress.metrics[progress.metric_count++];
        (void)snprintf(metric->name, sizeof metric->name, "%s", message->metrics[i]->name);
        metric->value = message->metrics[i]->value;
    }
    core_rank_progress(reports->core, live, peer->rank, &progress);
}

static void take_epoch(struct reports *reports, struct live *live, const Cam__Epoch *epoch)
{
    const char *names[METRICS_MAX];
    double values[METRICS_MAX];
    size_t count = 0;
    struct cam_arena *arena = cam_arena_create();
    if (arena == NULL || epoch == NULL || epoch->epoch < 1) {
        cam_arena_destroy(arena);
        return; /* the file has it */
    }
    for (; count < epoch->n_metrics && count < METRICS_MAX; count++) {
        names[count] = epoch->metrics[count]->name;
        values[count] = epoch->metrics[count]->value;
    }
    struct epoch_row row = {
        .epoch = epoch->epoch,
        .steps = epoch->steps,
        .seconds = epoch->seconds,
        .samples_per_s = epoch->samples_per_s,
        .metrics_json = epoch_metrics_json(arena, names, values, count),
    };
    if (row.metrics_json != NULL) {
        core_rank_epoch(reports->core, live, &row);
    }
    cam_arena_destroy(arena);
}

static void take_failure(struct reports *reports, struct live *live, const struct rank_peer *peer,
                         const Cam__FailureReport *report)
{
    if (report->error != NULL) {
        core_rank_failure(reports->core, live, cam_code_from_name(report->error->code),
                          report->error->text, peer->rank, report->error->step);
    }
}

static void received(void *self, struct stream *stream, const Cam__Envelope *envelope)
{
    struct reports *reports = self;
    struct rank_peer *peer = stream_data(stream);
    if (peer == NULL) {
        return;
    }
    if (envelope->body_case == CAM__ENVELOPE__BODY_REPORT_HELLO) {
        take_hello(reports, peer, envelope->request_id, envelope->report_hello);
        return;
    }
    struct live *live =
        peer->job_id == 0 ? NULL : core_live(reports->core, peer->job_id, peer->attempt);
    if (live == NULL) {
        stream_send_error(stream, envelope->request_id, CAM_DENIED,
                          "show the token of a live attempt first");
        stream_finish(stream);
    } else if (envelope->body_case == CAM__ENVELOPE__BODY_PROGRESS) {
        take_progress(reports, live, peer, envelope->progress);
    } else if (envelope->body_case == CAM__ENVELOPE__BODY_EPOCH_REPORT) {
        take_epoch(reports, live, envelope->epoch_report->epoch);
    } else if (envelope->body_case == CAM__ENVELOPE__BODY_CHECKPOINT_REPORT) {
        const Cam__CheckpointReport *report = envelope->checkpoint_report;
        core_rank_checkpoint(reports->core, live, report->step, report->failed,
                             report->failed ? report->text : report->folder);
    } else if (envelope->body_case == CAM__ENVELOPE__BODY_FAILURE_REPORT) {
        take_failure(reports, live, peer, envelope->failure_report);
    } else if (envelope->body_case != CAM__ENVELOPE__BODY_OUTCOME_REPORT) {
        /* An outcome is believed from outcome.json, once the attempt is proved dead. */
        stream_send_error(stream, envelope->request_id, CAM_PROTOCOL,
                          "this message is no report of a rank");
        stream_finish(stream);
    }
}

enum cam_code reports_open(struct loop *loop, struct core *core, const char *path,
                           const struct reports_limits *limits, struct reports **out,
                           struct cam_err *err)
{
    struct reports *reports = cam_alloc(1, sizeof *reports);
    if (reports == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    reports->core = core;
    struct listener_options options = {
        .path = path,
        .everybody = limits->everybody,
        .stream = {.loop = loop,
                   .handlers = {reports, received, closed},
                   .frame_limit_ms = limits->frame_limit_ms},
        .accepted = accepted,
    };
    enum cam_code rc = listener_open(&options, &reports->listener, err);
    if (rc != CAM_OK) {
        cam_free(reports);
        return rc;
    }
    *out = reports;
    return CAM_OK;
}

void reports_close(struct reports *reports)
{
    if (reports != NULL) {
        listener_close(reports->listener);
        reports->listener = NULL;
    }
}

bool reports_ask_stop(struct reports *reports, int64_t job_id, int attempt, const char *reason)
{
    for (struct rank_peer *peer = reports->peers; peer != NULL; peer = peer->next) {
        /* Rank 0 of the attempt before may not have been seen to hang up yet. */
        if (peer->job_id == job_id && peer->attempt == attempt && peer->rank == 0 &&
            stream_is_open(peer->stream)) {
            char text[128];
            Cam__StopOrder order = CAM__STOP_ORDER__INIT;
            Cam__Envelope envelope = CAM__ENVELOPE__INIT;
            (void)snprintf(text, sizeof text, "%s", reason);
            order.reason = text;
            envelope.body_case = CAM__ENVELOPE__BODY_STOP_ORDER;
            envelope.stop_order = &order;
            stream_send(peer->stream, &envelope);
            return true;
        }
    }
    return false;
}
