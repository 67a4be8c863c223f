/*
 * The requests of clients: a table with one row and one function a request.
 * Loop thread; reads and job checks run in the thread pool.  docs/PROTOCOL.md tells the same from
 * the client's side.
 */
#ifndef API_H
#define API_H

#include "base/arena.h"
#include "base/status.h"
#include "daemon/admission.h"
#include "daemon/core.h"
#include "daemon/loop.h"
#include "daemon/stream.h"
#include "daemon/views.h"

#include <stdbool.h>
#include <stdint.h>

struct api;

struct api_options {
    struct loop *loop;
    struct core *core;
    struct store *store;
    struct views *views;
    struct admission *admission;
    const char *state_dir;
    const char *jobs_dir;
};

CAM_CHECKED enum cam_code api_create(const struct api_options *options, struct api **out,
                                     struct cam_err *err);
void api_destroy(struct api *api);

/* For the listener: a connection, an envelope, its end; self is a struct api. */
void api_accepted(void *self, struct stream *stream, int64_t uid, int64_t gid);
void api_received(void *self, struct stream *stream, const Cam__Envelope *envelope);
void api_closed(void *self, struct stream *stream);

/* A job has changed: its watchers and followers hear of it. */
void api_job_changed(struct api *api, int64_t job_id);

#endif
