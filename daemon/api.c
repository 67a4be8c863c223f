#include "daemon/api.h"

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/api_private.h"
#include "daemon/owner.h"
#include "proto/jobfile.h"

#include <stdio.h>
#include <string.h>

enum { KEY_BYTES_MAX = 128, SET_MAX = 256 };

/* ---------------------------------------------------------------- the life of a call */

struct api_call *call_begin(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    struct api_call *call = cam_alloc(1, sizeof *call);
    struct cam_arena *arena = cam_arena_create();
    /* A copy by way of its bytes: the original goes with the read that brought it. */
    size_t size = cam__envelope__get_packed_size(envelope);
    uint8_t *bytes = cam_alloc(1, size);
    Cam__Envelope *copy = NULL;
    if (bytes != NULL) {
        (void)cam__envelope__pack(envelope, bytes);
        copy = cam__envelope__unpack(NULL, size, bytes);
    }
    cam_free(bytes);
    if (call == NULL || arena == NULL || copy == NULL) {
        stream_send_error(stream, envelope->request_id, CAM_NO_MEMORY,
                          "the daemon is short of memory");
        if (copy != NULL) {
            cam__envelope__free_unpacked(copy, NULL);
        }
        cam_arena_destroy(arena);
        cam_free(call);
        return NULL;
    }
    *call = (struct api_call){.api = api,
                              .stream = stream,
                              .request_id = envelope->request_id,
                              .peer_uid = ((const struct api_peer *)stream_data(stream))->uid,
                              .arena = arena,
                              .request = copy,
                              .answer = CAM__ENVELOPE__INIT};
    stream_hold(stream);
    return call;
}

void call_end(struct api_call *call)
{
    stream_drop(call->stream);
    cam__envelope__free_unpacked(call->request, NULL);
    cam_arena_destroy(call->arena);
    cam_free(call);
}

void call_fail(struct api_call *call)
{
    stream_send_error(call->stream, call->request_id, call->rc, call->err.text);
    call_end(call);
}

void call_send(struct api_call *call)
{
    call->answer.request_id = call->request_id;
    stream_send(call->stream, &call->answer);
    call_end(call);
}

static void call_worker(void *context)
{
    struct api_call *call = context;
    call->work(call);
}

static void call_worked(void *context)
{
    struct api_call *call = context;
    if (call->rc != CAM_OK) {
        call_fail(call);
    } else if (call->finish != NULL) {
        call->finish(call);
    } else {
        call_send(call);
    }
}

void call_work(struct api_call *call)
{
    /* From here on rc and err are the worker's: it may be done before loop_work returns. */
    struct cam_err err;
    enum cam_code rc = loop_work(call->api->options.loop, call_worker, call_worked, call, &err);
    if (rc != CAM_OK) {
        call->rc = rc;
        call->err = err;
        call_fail(call);
    }
}

enum cam_code api_admit(const struct api *api, int64_t job_id, int64_t peer_uid,
                        struct cam_err *err)
{
    int64_t uid = -1; /* nobody's */
    int64_t gid = -1;
    if (owner_admits(uid, peer_uid)) {
        return CAM_OK; /* whosever it is; the one user of a daemon costs no look at the database */
    }
    enum cam_code rc = views_owner(api->options.views, job_id, &uid, &gid, err);
    if (rc == CAM_OK && !owner_admits(uid, peer_uid)) {
        rc = cam_fail(
            err, CAM_DENIED,
            "job %lld belongs to user %lld, you are user %lld: only its owner and root see "
            "what is in it",
            (long long)job_id, (long long)uid, (long long)peer_uid);
    }
    return rc;
}

/* ---------------------------------------------------------------- submit */

static enum cam_code check_form(const Cam__SubmitRequest *request, struct cam_err *err)
{
    if (strlen(request->request_key) > KEY_BYTES_MAX) {
        return cam_fail(err, CAM_INVALID, "request key of %zu bytes, at most %d are allowed",
                        strlen(request->request_key), KEY_BYTES_MAX);
    }
    if (strlen(request->job_text) > JOBFILE_BYTES_MAX) {
        return cam_fail(err, CAM_INVALID, "%s: %zu bytes, at most %d are allowed",
                        request->file_name, strlen(request->job_text), JOBFILE_BYTES_MAX);
    }
    if (request->base_dir[0] != '/') {
        return cam_fail(err, CAM_INVALID, "base folder '%s': an absolute path is needed",
                        request->base_dir);
    }
    if (request->n_set > SET_MAX || request->n_after > JOB_AFTER_MAX) {
        return cam_fail(err, CAM_INVALID, "%zu --set and %zu --after, at most %d and %d",
                        request->n_set, request->n_after, SET_MAX, JOB_AFTER_MAX);
    }
    return CAM_OK;
}

static void submit_work(struct api_call *call)
{
    const Cam__SubmitRequest *request = call->request->submit_request;
    struct owner owner;
    call->rc = check_form(request, &call->err);
    if (call->rc == CAM_OK) {
        call->rc = owner_resolve(call->job.owner_uid, call->job.owner_gid, &owner, &call->err);
    }
    if (call->rc == CAM_OK) {
        call->job.owner_gid = owner.gid;
        struct admission_request wanted = {
            .text = request->job_text,
            .text_size = strlen(request->job_text),
            .file_name = request->file_name[0] == '\0' ? "-" : request->file_name,
            .base_dir = request->base_dir,
            .set = (const char *const *)request->set,
            .set_count = request->n_set,
            .owner = &owner,
        };
        call->rc = admission_check(call->api->options.admission, &wanted, call->arena, &call->job,
                                   &call->err);
    }
}

static void submit_answer(void *context, enum cam_code rc, const struct cam_err *err, int64_t id,
                          bool existed)
{
    struct api_call *call = context;
    call->rc = rc;
    if (rc != CAM_OK) {
        call->err = *err;
        call_fail(call);
        return;
    }
    Cam__SubmitReply reply = CAM__SUBMIT_REPLY__INIT;
    reply.id = id;
    reply.existed = existed;
    call->answer.body_case = CAM__ENVELOPE__BODY_SUBMIT_REPLY;
    call->answer.submit_reply = &reply;
    call_send(call);
}

static void submit_finish(struct api_call *call)
{
    core_submit(call->api->options.core, &call->job, submit_answer, call);
}

static void api_submit(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    struct api_call *call = call_begin(api, stream, envelope);
    if (call == NULL) {
        return;
    }
    const Cam__SubmitRequest *request = call->request->submit_request;
    const struct api_peer *peer = stream_data(stream);
    call->job = (struct new_job){
        .request_key = request->request_key[0] == '\0' ? NULL : request->request_key,
        .owner_uid = peer->uid,
        .owner_gid = peer->gid,
        .hold = request->hold,
        .after = request->after,
        .after_count = request->n_after,
    };
    call->work = submit_work;
    call->finish = submit_finish;
    call_work(call);
}

/* ---------------------------------------------------------------- hold, release, cancel, resume */

static void change_read(struct api_call *call)
{
    Cam__ChangeReply *reply = cam_arena_alloc(call->arena, 1, sizeof *reply);
    Cam__Job *job = NULL;
    call->rc = reply == NULL ? cam_fail(&call->err, CAM_NO_MEMORY, "the daemon is short of memory")
                             : views_job(call->api->options.views, call->job.batch, -1, call->arena,
                                         &job, &call->err);
    if (call->rc == CAM_OK) {
        cam__change_reply__init(reply);
        reply->job = job;
        call->answer.body_case = CAM__ENVELOPE__BODY_CHANGE_REPLY;
        call->answer.change_reply = reply;
    }
}

static void change_finish(struct api_call *call)
{
    api_overlay(call->api, call->answer.change_reply->job, call->arena);
    call_send(call);
}

static void change_answer(void *context, enum cam_code rc, const struct cam_err *err,
                          const struct job_change *change)
{
    struct api_call *call = context;
    call->rc = rc;
    if (rc != CAM_OK) {
        call->err = *err;
        call_fail(call);
        return;
    }
    call->job.batch = change->id; /* the job to read back */
    call->work = change_read;
    call->finish = change_finish;
    call_work(call);
}

static void api_change(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    const struct api_peer *peer = stream_data(stream);
    struct core_wish wish = {.event = JOB_EVENT_CANCEL, .by_uid = peer->uid};
    if (envelope->body_case == CAM__ENVELOPE__BODY_CANCEL_REQUEST) {
        wish.id = envelope->cancel_request->id;
        wish.now = envelope->cancel_request->now;
    } else if (envelope->body_case == CAM__ENVELOPE__BODY_HOLD_REQUEST) {
        wish.event = JOB_EVENT_HOLD;
        wish.id = envelope->hold_request->id;
    } else if (envelope->body_case == CAM__ENVELOPE__BODY_RELEASE_REQUEST) {
        wish.event = JOB_EVENT_RELEASE;
        wish.id = envelope->release_request->id;
    } else {
        wish.event = JOB_EVENT_RESUME;
        wish.id = envelope->resume_request->id;
    }
    struct api_call *call = call_begin(api, stream, envelope);
    if (call != NULL) {
        core_change(api->options.core, &wish, change_answer, call);
    }
}

/* ---------------------------------------------------------------- the table */

static const struct api_row {
    Cam__Envelope__BodyCase body;
    void (*call)(struct api *api, struct stream *stream, const Cam__Envelope *envelope);
} ROWS[] = {
    {CAM__ENVELOPE__BODY_SUBMIT_REQUEST, api_submit},
    {CAM__ENVELOPE__BODY_QUEUE_REQUEST, api_queue},
    {CAM__ENVELOPE__BODY_SHOW_REQUEST, api_show},
    {CAM__ENVELOPE__BODY_EVENTS_REQUEST, api_events},
    {CAM__ENVELOPE__BODY_LOGS_REQUEST, api_logs},
    {CAM__ENVELOPE__BODY_WATCH_REQUEST, api_watch},
    {CAM__ENVELOPE__BODY_CANCEL_REQUEST, api_change},
    {CAM__ENVELOPE__BODY_HOLD_REQUEST, api_change},
    {CAM__ENVELOPE__BODY_RELEASE_REQUEST, api_change},
    {CAM__ENVELOPE__BODY_RESUME_REQUEST, api_change},
    {CAM__ENVELOPE__BODY_SAMPLES_REQUEST, api_samples},
    {CAM__ENVELOPE__BODY_WEIGHTS_REQUEST, api_weights},
    {CAM__ENVELOPE__BODY_STATUS_REQUEST, api_status},
};

void api_received(void *self, struct stream *stream, const Cam__Envelope *envelope)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (ROWS[i].body == envelope->body_case) {
            ROWS[i].call(self, stream, envelope);
            return;
        }
    }
    stream_send_error(stream, envelope->request_id, CAM_PROTOCOL,
                      "this message is no request that clients may send");
}

void api_accepted(void *self, struct stream *stream, int64_t uid, int64_t gid)
{
    (void)self;
    struct api_peer *peer = cam_alloc(1, sizeof *peer);
    if (peer == NULL) {
        stream_close(stream);
        return;
    }
    *peer = (struct api_peer){uid, gid};
    stream_set_data(stream, peer);
}

void api_closed(void *self, struct stream *stream)
{
    watches_closed(self, stream);
    followers_closed(self, stream);
    cam_free(stream_data(stream));
    stream_set_data(stream, NULL);
}

void api_job_changed(struct api *api, int64_t job_id)
{
    watches_changed(api, job_id);
    followers_changed(api, job_id);
}

enum cam_code api_create(const struct api_options *options, struct api **out, struct cam_err *err)
{
    struct api *api = cam_alloc(1, sizeof *api);
    if (api == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the daemon is short of memory");
    }
    api->options = *options;
    api->started_at_ms = cam_wall_ms();
    enum cam_code rc = loop_timer_create(options->loop, watches_fire, api, &api->watch_timer, err);
    if (rc != CAM_OK) {
        cam_free(api);
        return rc;
    }
    *out = api;
    return CAM_OK;
}

void api_destroy(struct api *api)
{
    if (api != NULL) {
        loop_timer_destroy(api->watch_timer);
        cam_free(api);
    }
}
