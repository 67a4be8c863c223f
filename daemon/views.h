/*
 * What is read of jobs, as the messages that answer requests.  Runs in the thread pool on the
 * read-only connection; one mutex, since every read here is one page.  Messages live in the
 * caller's arena and are packed, never freed.
 */
#ifndef VIEWS_H
#define VIEWS_H

#include "base/arena.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Cam__Job Cam__Job;
typedef struct Cam__QueueRequest Cam__QueueRequest;
typedef struct Cam__QueueReply Cam__QueueReply;
typedef struct Cam__EventsRequest Cam__EventsRequest;
typedef struct Cam__EventsReply Cam__EventsReply;
typedef struct Cam__StatusReply Cam__StatusReply;

struct views;
struct database;

enum { VIEWS_EPOCHS_MAX = 5000 }; /* of one answer, so that it fits a frame */

CAM_CHECKED enum cam_code views_open(const char *database_path, const char *jobs_dir,
                                     struct views **out, struct cam_err *err);
/* Nobody may be reading any more. */
void views_close(struct views *views);
/* Closes the connection alone: reads that come later are CAM_UNAVAILABLE.  Any thread. */
void views_stop(struct views *views);

/* The connection, for reads before the loop runs. */
struct database *views_database(struct views *views);

/* One job, with the first of its epochs that are later than after_epoch (negative: none).
 * CAM_NOT_FOUND. */
CAM_CHECKED enum cam_code views_job(struct views *views, int64_t id, int64_t after_epoch,
                                    struct cam_arena *arena, Cam__Job **out, struct cam_err *err);

/* A page: active jobs and those that ended within a day, or by state, or all. */
CAM_CHECKED enum cam_code views_queue(struct views *views, const Cam__QueueRequest *request,
                                      int64_t now_ms, struct cam_arena *arena, Cam__QueueReply *out,
                                      struct cam_err *err);

CAM_CHECKED enum cam_code views_events(struct views *views, const Cam__EventsRequest *request,
                                       struct cam_arena *arena, Cam__EventsReply *out,
                                       struct cam_err *err);

/* Counts and sizes. */
CAM_CHECKED enum cam_code views_status(struct views *views, Cam__StatusReply *out,
                                       struct cam_err *err);

/* Whose a job is.  CAM_NOT_FOUND. */
CAM_CHECKED enum cam_code views_owner(struct views *views, int64_t id, int64_t *uid_out,
                                      int64_t *gid_out, struct cam_err *err);

/* Where a job's weights are, relative to its folder; "" while it has none.  Its last attempt. */
CAM_CHECKED enum cam_code views_files(struct views *views, int64_t id, struct cam_arena *arena,
                                      const char **model_path_out, int *attempt_out,
                                      bool *ended_out, struct cam_err *err);

#endif
