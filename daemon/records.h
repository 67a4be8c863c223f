/*
 * What is written of a job, as functions on the writing connection: the bodies of store requests.
 * Store thread only.  The database is where transitions are decided (proto/job_state.h), in the
 * order of the commits; what the loop remembers is a copy that follows.
 */
#ifndef RECORDS_H
#define RECORDS_H

#include "base/arena.h"
#include "base/status.h"
#include "daemon/store_database.h"
#include "proto/job_state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A job as admitted (admission.h); text and lists belong to the caller. */
enum { JOB_AFTER_MAX = 64 }; /* jobs that one may wait for */

struct new_job {
    const char *request_key; /* NULL: none */
    int64_t owner_uid;
    int64_t owner_gid;
    const char *name;
    const char *kind;
    const char *spec_sha256;
    const char *spec_text;
    const char *file_name;
    const char *base_dir;
    const char *set_json;
    const char *env_json;
    bool hold;
    const int64_t *after;
    size_t after_count;
    int64_t ranks_min;
    int64_t ranks_max;
    int64_t shards;
    int64_t threads_per_shard;
    const char *isa; /* train.isa */
    int64_t epochs;
    int64_t batch;
    int64_t steps_per_epoch;
    int64_t parameters;
    int64_t flops_per_step;
    int64_t bytes_per_rank;
    int64_t retry_max;
    int64_t backoff_ms;
    int64_t time_limit_ms;
};

/* A job before and after a change; from == to where nothing moved. */
struct job_change {
    int64_t id;
    enum job_state from;
    enum job_state to;
    int attempt;
    int64_t not_before_ms;
    bool cancel_now;
};

/* Adds a job, or finds the one that the same owner's request key made (existed).  CAM_NOT_FOUND
 * names a job in after that does not exist; CAM_CONFLICT a key that was used for another text. */
CAM_CHECKED enum cam_code records_submit(struct database *db, const struct new_job *job,
                                         int64_t now_ms, int64_t *id_out, bool *existed_out,
                                         struct cam_err *err);

/* Applies an event that needs no more than its name: hold, release, cancel, resume, run.
 * CAM_NOT_FOUND, or CAM_CONFLICT naming the state.  text goes into the event's row. */
CAM_CHECKED enum cam_code records_change(struct database *db, int64_t id, enum job_event event,
                                         bool cancel_now, int64_t now_ms, const char *text,
                                         struct job_change *out, struct cam_err *err);

/* The next attempt's row; out->attempt is its number.  CAM_CONFLICT when no longer queued. */
CAM_CHECKED enum cam_code records_begin_attempt(struct database *db, int64_t id, int ranks,
                                                const char *scratch_prefix, int64_t now_ms,
                                                struct job_change *out, struct cam_err *err);

/* How an attempt ended, after its proof of death. */
struct attempt_end {
    int64_t job_id;
    int attempt;
    enum job_cause cause;
    int64_t elapsed_ms;
    int exit_code;
    int signal;
    int64_t checkpoint_step;    /* of the newest checkpoint; 0: none */
    const char *weights_sha256; /* "" unless succeeded */
    const char *model_path;
    int64_t step;             /* finished over the job, where known; else 0 */
    enum cam_code error_code; /* CAM_OK: no error to show */
    const char *error_text;
    int error_rank;
    int64_t error_step;
};

/*
 * Closes the attempt's row and moves its job: success, retry with backoff while the budget lasts
 * (it refills when a newer checkpoint exists), or an end.  An attempt that is closed already
 * changes nothing and leaves from == to.
 */
CAM_CHECKED enum cam_code records_end_attempt(struct database *db, const struct attempt_end *end,
                                              int64_t now_ms, struct job_change *out,
                                              struct cam_err *err);

struct epoch_row {
    int64_t epoch;
    int64_t steps;
    double seconds;
    double samples_per_s;
    const char *metrics_json; /* names sorted, 17 digits: equal text is equal values */
};

/* Inserts unless the epoch is there; there with other metrics it is a recorded event.  The job's
 * step and epochs_finished follow. */
CAM_CHECKED enum cam_code records_epoch(struct database *db, int64_t job_id, int attempt,
                                        const struct epoch_row *row, int64_t now_ms,
                                        bool *added_out, struct cam_err *err);

/* Stores the first attempt's numeric profile; a later one changes nothing. */
CAM_CHECKED enum cam_code records_profile(struct database *db, int64_t job_id, const char *profile,
                                          struct cam_err *err);

CAM_CHECKED enum cam_code records_event(struct database *db, int64_t job_id, int attempt,
                                        int64_t now_ms, const char *kind, const char *text,
                                        struct cam_err *err);

#endif
