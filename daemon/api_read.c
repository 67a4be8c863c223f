#include "daemon/api.h"

#include "base/clock.h"
#include "daemon/api_private.h"
#include "daemon/owner.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static char *text_of(struct cam_arena *arena, const char *text)
{
    char *copy = cam_arena_strdup(arena, text);
    return copy == NULL ? (char *)(uintptr_t)protobuf_c_empty_string : copy;
}

static void overlay_metrics(Cam__Job *job, const struct live_progress *now, struct cam_arena *arena)
{
    Cam__Metric **list = cam_arena_alloc(arena, now->metric_count + 1, sizeof(Cam__Metric *));
    Cam__Metric *metrics = cam_arena_alloc(arena, now->metric_count + 1, sizeof *metrics);
    if (list == NULL || metrics == NULL || now->metric_count == 0) {
        return;
    }
    for (size_t i = 0; i < now->metric_count; i++) {
        cam__metric__init(&metrics[i]);
        metrics[i].name = text_of(arena, now->metrics[i].name);
        metrics[i].value = now->metrics[i].value;
        list[i] = &metrics[i];
    }
    job->metrics = list;
    job->n_metrics = now->metric_count;
}

void api_overlay(const struct api *api, Cam__Job *job, struct cam_arena *arena)
{
    char reason[256];
    const struct live *live = core_live_of_job(api->options.core, job->id);
    core_reason(api->options.core, job->id, reason, sizeof reason);
    if (live != NULL && live->attempt == job->attempts) {
        const struct live_rank *rank = &live->ranks[0];
        const struct live_progress *now = &rank->now;
        if (rank->reported) {
            job->step = now->step > job->step ? now->step : job->step;
            job->epoch = now->epoch > job->epoch ? now->epoch : job->epoch;
            job->samples_per_s = now->samples_per_s > 0 ? now->samples_per_s : job->samples_per_s;
            overlay_metrics(job, now, arena);
            (void)snprintf(reason, sizeof reason, "%s%s%s", now->phase,
                           now->phase[0] != '\0' && now->stage[0] != '\0' ? ": " : "", now->stage);
        } else if (job->state == CAM__JOB__STATE__STARTING) {
            (void)snprintf(reason, sizeof reason, "starting %d rank%s", live->rank_count,
                           live->rank_count == 1 ? "" : "s");
        }
        if (job->state == CAM__JOB__STATE__STOPPING) {
            (void)snprintf(reason, sizeof reason,
                           live->kill_asked ? "being ended" : "saving, then ends");
        }
    }
    job->reason = text_of(arena, reason);
    int64_t steps_left = job->epochs * job->steps_per_epoch - job->step;
    if (job->state == CAM__JOB__STATE__RUNNING && job->samples_per_s > 0 && steps_left >= 0) {
        job->eta_s = (double)steps_left * (double)job->batch / job->samples_per_s;
    }
}

/* ---------------------------------------------------------------- queue */

static void queue_work(struct api_call *call)
{
    Cam__QueueReply *reply = cam_arena_alloc(call->arena, 1, sizeof *reply);
    call->rc = reply == NULL ? cam_fail(&call->err, CAM_NO_MEMORY, "the daemon is short of memory")
                             : views_queue(call->api->options.views, call->request->queue_request,
                                           cam_wall_ms(), call->arena, reply, &call->err);
    call->answer.body_case = CAM__ENVELOPE__BODY_QUEUE_REPLY;
    call->answer.queue_reply = reply;
}

/* Of somebody else's job: that it is there, what it asks for and how far it is. */
static void hide(Cam__Job *job)
{
    job->weights_sha256 = (char *)(uintptr_t)protobuf_c_empty_string;
    job->job_dir = (char *)(uintptr_t)protobuf_c_empty_string;
    job->numeric_profile = (char *)(uintptr_t)protobuf_c_empty_string;
    job->n_metrics = 0;
    if (job->error != NULL) {
        job->error->text = (char *)(uintptr_t)protobuf_c_empty_string; /* it names files */
    }
}

static void queue_finish(struct api_call *call)
{
    const Cam__QueueReply *reply = call->answer.queue_reply;
    for (size_t i = 0; i < reply->n_jobs; i++) {
        api_overlay(call->api, reply->jobs[i], call->arena);
        if (!owner_admits(reply->jobs[i]->owner_uid, call->peer_uid)) {
            hide(reply->jobs[i]);
        }
    }
    call_send(call);
}

void api_queue(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    struct api_call *call = call_begin(api, stream, envelope);
    if (call != NULL) {
        call->work = queue_work;
        call->finish = queue_finish;
        call_work(call);
    }
}

/* ---------------------------------------------------------------- show */

static void show_work(struct api_call *call)
{
    Cam__ShowReply *reply = cam_arena_alloc(call->arena, 1, sizeof *reply);
    Cam__Job *job = NULL;
    call->rc = reply == NULL ? cam_fail(&call->err, CAM_NO_MEMORY, "the daemon is short of memory")
                             : api_admit(call->api, call->request->show_request->id, call->peer_uid,
                                         &call->err);
    if (call->rc == CAM_OK) {
        call->rc =
            views_job(call->api->options.views, call->request->show_request->id,
                      call->request->show_request->after_epoch, call->arena, &job, &call->err);
    }
    if (call->rc == CAM_OK) {
        cam__show_reply__init(reply);
        reply->job = job;
        call->answer.body_case = CAM__ENVELOPE__BODY_SHOW_REPLY;
        call->answer.show_reply = reply;
    }
}

static void show_finish(struct api_call *call)
{
    api_overlay(call->api, call->answer.show_reply->job, call->arena);
    call_send(call);
}

void api_show(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    struct api_call *call = call_begin(api, stream, envelope);
    if (call != NULL) {
        call->work = show_work;
        call->finish = show_finish;
        call_work(call);
    }
}

/* ---------------------------------------------------------------- events */

static void events_work(struct api_call *call)
{
    Cam__EventsReply *reply = cam_arena_alloc(call->arena, 1, sizeof *reply);
    call->rc = reply == NULL ? cam_fail(&call->err, CAM_NO_MEMORY, "the daemon is short of memory")
                             : api_admit(call->api, call->request->events_request->id,
                                         call->peer_uid, &call->err);
    if (call->rc == CAM_OK) {
        call->rc = views_events(call->api->options.views, call->request->events_request,
                                call->arena, reply, &call->err);
    }
    call->answer.body_case = CAM__ENVELOPE__BODY_EVENTS_REPLY;
    call->answer.events_reply = reply;
}

void api_events(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    struct api_call *call = call_begin(api, stream, envelope);
    if (call != NULL) {
        call->work = events_work;
        call_work(call);
    }
}

/* ---------------------------------------------------------------- status */

static void status_work(struct api_call *call)
{
    const struct api_options *options = &call->api->options;
    struct statvfs disk;
    Cam__StatusReply *reply = cam_arena_alloc(call->arena, 1, sizeof *reply);
    if (reply == NULL) {
        call->rc = cam_fail(&call->err, CAM_NO_MEMORY, "the daemon is short of memory");
        return;
    }
    cam__status_reply__init(reply);
    call->rc = views_status(options->views, reply, &call->err);
    reply->daemon_version = text_of(call->arena, CAMBRIAN_VERSION);
    reply->pid = getpid();
    reply->started_at_ms = call->api->started_at_ms;
    reply->state_dir = text_of(call->arena, options->state_dir);
    reply->jobs_dir = text_of(call->arena, options->jobs_dir);
    if (statvfs(options->state_dir, &disk) == 0) {
        reply->disk_free_bytes = (int64_t)(disk.f_bavail * disk.f_frsize);
    }
    call->answer.body_case = CAM__ENVELOPE__BODY_STATUS_REPLY;
    call->answer.status_reply = reply;
}

static void status_finish(struct api_call *call)
{
    Cam__StatusReply *reply = call->answer.status_reply;
    core_slots(call->api->options.core, &reply->slots, &reply->slots_free);
    if (store_disk_full(call->api->options.store)) {
        reply->warning = text_of(call->arena, "disk full: nothing new is accepted");
    }
    call_send(call);
}

void api_status(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    struct api_call *call = call_begin(api, stream, envelope);
    if (call != NULL) {
        call->work = status_work;
        call->finish = status_finish;
        call_work(call);
    }
}
