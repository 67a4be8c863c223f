/*
 * Shared by the files of the API: api.c (table, submit, changes), api_read.c (queue, show,
 * events, status), api_files.c (logs, samples, weights), api_watch.c.
 */
#ifndef API_PRIVATE_H
#define API_PRIVATE_H

#include "daemon/api.h"

#include "cambrian.pb-c.h"

/* Of one connection. */
struct api_peer {
    int64_t uid;
    int64_t gid;
};

struct api {
    struct api_options options;
    int64_t started_at_ms;
    struct watch *watches; /* all of them, newest first; api_watch.c */
    struct loop_timer *watch_timer;
    bool watch_timer_set;
    struct file_sender *followers; /* of growing logs; api_files.c */
};

/* One request on its way to an answer; freed by call_end. */
struct api_call {
    struct api *api;
    struct stream *stream; /* held */
    uint64_t request_id;
    int64_t peer_uid;
    struct cam_arena *arena;
    Cam__Envelope *request; /* a copy of the request's envelope; owned */
    Cam__Envelope answer;   /* to be filled; its body lives in the arena */
    enum cam_code rc;
    struct cam_err err;
    struct new_job job;                    /* submit */
    void (*work)(struct api_call *call);   /* pool */
    void (*finish)(struct api_call *call); /* loop, after work succeeded; NULL: send answer */
};

/* NULL after having answered that memory is short. */
struct api_call *call_begin(struct api *api, struct stream *stream, const Cam__Envelope *envelope);
/* Runs call->work in the pool, then call->finish, or sends the answer or the error. */
void call_work(struct api_call *call);
void call_fail(struct api_call *call);
void call_send(struct api_call *call);
void call_end(struct api_call *call);

/* Pool.  CAM_DENIED unless the peer may see into the job (owner_admits); CAM_NOT_FOUND. */
CAM_CHECKED enum cam_code api_admit(const struct api *api, int64_t job_id, int64_t peer_uid,
                                    struct cam_err *err);

/* Adds to a job read from the database what only the loop knows. */
void api_overlay(const struct api *api, Cam__Job *job, struct cam_arena *arena);

void api_queue(struct api *api, struct stream *stream, const Cam__Envelope *envelope);
void api_show(struct api *api, struct stream *stream, const Cam__Envelope *envelope);
void api_events(struct api *api, struct stream *stream, const Cam__Envelope *envelope);
void api_status(struct api *api, struct stream *stream, const Cam__Envelope *envelope);
void api_logs(struct api *api, struct stream *stream, const Cam__Envelope *envelope);
void api_samples(struct api *api, struct stream *stream, const Cam__Envelope *envelope);
void api_weights(struct api *api, struct stream *stream, const Cam__Envelope *envelope);
void api_watch(struct api *api, struct stream *stream, const Cam__Envelope *envelope);

/* api_watch.c and api_files.c: of a job that changed; of a stream that closed. */
void watches_changed(struct api *api, int64_t job_id);
void watches_closed(struct api *api, const struct stream *stream);
void watches_fire(void *self);
void followers_changed(struct api *api, int64_t job_id);
/* Looks at every growing log again; true while there is one. */
bool followers_poll(struct api *api);
/* Has watches_fire called soon. */
void watches_wake(struct api *api);
void followers_closed(struct api *api, const struct stream *stream);

#endif
