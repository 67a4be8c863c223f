#include "daemon/api.h"

#include "base/mem.h"
#include "daemon/api_private.h"
#include "proto/job_state.h"

/* A watcher hears of changes at most this often. */
enum { UPDATE_EVERY_MS = 100 };

/* A client that watches one job, until it has ended or the client goes. */
struct watch {
    struct watch *next;
    struct api *api;
    struct stream *stream; /* held */
    uint64_t request_id;
    int64_t job_id;
    int64_t peer_uid;
    int64_t epoch_sent; /* epochs up to this one were sent */
    bool changed;
    bool busy; /* an update is being read or waits for the socket to drain */
    bool over; /* to be freed once not busy */
    struct cam_arena *arena;
    Cam__Job *job;
    enum cam_code rc;
    struct cam_err err;
};

static void free_if_over(struct watch *watch)
{
    if (!watch->over || watch->busy) {
        return;
    }
    for (struct watch **at = &watch->api->watches; *at != NULL; at = &(*at)->next) {
        if (*at == watch) {
            *at = watch->next;
            break;
        }
    }
    stream_drop(watch->stream);
    cam_free(watch);
}

static void update_read(void *context)
{
    struct watch *watch = context;
    watch->rc = api_admit(watch->api, watch->job_id, watch->peer_uid, &watch->err);
    if (watch->rc == CAM_OK) {
        watch->rc = views_job(watch->api->options.views, watch->job_id, watch->epoch_sent,
                              watch->arena, &watch->job, &watch->err);
    }
}

static void update_drained(void *context)
{
    struct watch *watch = context;
    watch->busy = false;
    watch->over = watch->over || !stream_is_open(watch->stream);
    free_if_over(watch);
}

static void update_send(void *context)
{
    struct watch *watch = context;
    if (watch->rc != CAM_OK) {
        stream_send_error(watch->stream, watch->request_id, watch->rc, watch->err.text);
        watch->over = true;
    } else {
        Cam__UpdateReply reply = CAM__UPDATE_REPLY__INIT;
        Cam__Envelope answer = CAM__ENVELOPE__INIT;
        api_overlay(watch->api, watch->job, watch->arena);
        reply.job = watch->job;
        bool more = watch->job->n_epochs_done == VIEWS_EPOCHS_MAX;
        reply.last = !more && job_state_ended((enum job_state)watch->job->state);
        answer.request_id = watch->request_id;
        answer.body_case = CAM__ENVELOPE__BODY_UPDATE_REPLY;
        answer.update_reply = &reply;
        stream_send(watch->stream, &answer);
        if (watch->job->n_epochs_done > 0) {
            watch->epoch_sent = watch->job->epochs_done[watch->job->n_epochs_done - 1]->epoch;
        }
        watch->over = watch->over || reply.last;
        watch->changed = watch->changed || more;
        if (more) {
            watches_wake(watch->api);
        }
    }
    cam_arena_destroy(watch->arena);
    watch->arena = NULL;
    watch->job = NULL;
    stream_when_drained(watch->stream, update_drained, watch);
}

static void start_update(struct watch *watch)
{
    struct cam_err err;
    watch->changed = false;
    watch->arena = cam_arena_create();
    watch->busy = true;
    if (watch->arena == NULL ||
        loop_work(watch->api->options.loop, update_read, update_send, watch, &err) != CAM_OK) {
        cam_arena_destroy(watch->arena);
        watch->arena = NULL;
        watch->busy = false;
        watch->changed = true; /* again with the next tick */
    }
}

void api_watch(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    struct watch *watch = cam_alloc(1, sizeof *watch);
    if (watch == NULL) {
        stream_send_error(stream, envelope->request_id, CAM_NO_MEMORY,
                          "the daemon is short of memory");
        return;
    }
    *watch = (struct watch){.next = api->watches,
                            .api = api,
                            .stream = stream,
                            .request_id = envelope->request_id,
                            .peer_uid = ((const struct api_peer *)stream_data(stream))->uid,
                            .job_id = envelope->watch_request->id};
    stream_hold(stream);
    api->watches = watch;
    start_update(watch);
}

void watches_changed(struct api *api, int64_t job_id)
{
    for (struct watch *watch = api->watches; watch != NULL; watch = watch->next) {
        if (watch->job_id == job_id) {
            watch->changed = true;
            watches_wake(api);
        }
    }
}

void watches_wake(struct api *api)
{
    if (!api->watch_timer_set) {
        api->watch_timer_set = true;
        loop_timer_set(api->watch_timer, UPDATE_EVERY_MS);
    }
}

void watches_fire(void *self)
{
    struct api *api = self;
    bool again = followers_poll(api);
    for (struct watch *watch = api->watches; watch != NULL; watch = watch->next) {
        if (watch->changed && !watch->busy && !watch->over) {
            start_update(watch);
        }
        again = again || watch->changed;
    }
    api->watch_timer_set = again;
    if (again) {
        loop_timer_set(api->watch_timer, UPDATE_EVERY_MS);
    }
}

void watches_closed(struct api *api, const struct stream *stream)
{
    struct watch *next = NULL;
    for (struct watch *watch = api->watches; watch != NULL; watch = next) {
        next = watch->next;
        if (watch->stream == stream) {
            watch->over = true;
            free_if_over(watch);
        }
    }
}
