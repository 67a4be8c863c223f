/*
 * What the core and whatever launches attempts say to each other.  The launcher is a port: the
 * simulator has its own.
 */
#ifndef LAUNCH_H
#define LAUNCH_H

#include "base/arena.h"
#include "base/status.h"
#include "daemon/records.h"
#include "proto/attempt.h"

#include <stdbool.h>
#include <stdint.h>

/* An attempt whose row is committed.  Valid during the call only: the launcher copies. */
struct launch_order {
    int64_t job_id;
    int attempt;
    int ranks;
    const char *scratch;
    int64_t time_limit_ms; /* left; 0: none */
    const char *spec_text;
    const char *file_name;
    const char *base_dir;
    const char *set_json;
    const char *env_json;
    int64_t shards;
    int64_t threads_per_shard;
    int64_t submitted_at_ms;
    int64_t owner_uid; /* whose job it is: owner.h */
    int64_t owner_gid;
};

/* What was found when an attempt was proved dead. */
struct post_mortem {
    int64_t job_id;
    int attempt;
    struct cam_arena *arena; /* holds the rows; freed by the receiver with post_mortem_release */
    bool never_started;
    bool rebooted;       /* the machine went down under it */
    bool has_exit;       /* the shim left a record */
    int64_t shim_status; /* its own exit status, where this daemon saw it; else 0 */
    struct attempt_exit exit;
    enum cam_code launch_code;
    char launch_error[1016]; /* why it could not even be tried, or "" */
    char outcome[16];        /* of outcome.json: "succeeded", "stopped", or "" */
    char weights_sha256[72];
    char model_path[512];
    int64_t step;
    enum cam_code failure_code; /* CAM_OK: no rank left an account */
    char failure_text[1016];
    int failure_rank;
    int64_t failure_step;
    int64_t checkpoint_step; /* of the newest checkpoint of any attempt; 0: none */
    char profile[2048];      /* the job's numeric profile, as its first attempt wrote it, or "" */
    struct epoch_row *rows;
    size_t row_count;
    char warning[1016]; /* what could not be read, or "" */
};

struct launch_port {
    void *self;
    void (*launch)(void *self, const struct launch_order *order);
    /* Finds out how an attempt of an earlier daemon is; answers with core_adopted or core_ended.
     * Of the order: job_id, attempt, scratch, submitted_at_ms and the owner. */
    void (*adopt)(void *self, const struct launch_order *order);
    /* Ends it without asking; core_ended follows.  Harmless when it has ended. */
    void (*kill)(void *self, int64_t job_id, int attempt);
};

/* Frees what is in it. */
void post_mortem_release(struct post_mortem *mortem);

#endif
