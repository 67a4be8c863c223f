/*
 * All that a rank can do before it knows its peers, so that it happens while MPI starts: read the
 * job, open the data, build the training, open the backend, compile, compute the initial values.
 * Runs in a thread of its own with another for the data; the caller is meanwhile in MPI_Init.
 */
#ifndef PREPARE_H
#define PREPARE_H

#include "base/arena.h"
#include "base/status.h"
#include "base/text.h"
#include "data/source.h"
#include "proto/attempt.h"
#include "proto/jobfile.h"
#include "worker/checkpoint/state.h"
#include "worker/train/compiled.h"

#include <stdbool.h>

struct prepared_data; /* the thread that inflates */

struct prepared {
    struct cam_arena *arena; /* of the job file and its strings */
    struct attempt_job attempt_job;
    struct attempt_order order;
    struct job_file job;
    char job_sha256[CAM_DIGEST_HEX_SIZE];
    char data_sha256[CAM_DIGEST_HEX_SIZE];                         /* rank 0 only */
    struct source *source; /* readable after prepared_wait_data */ /* loaded */
    struct training *training;
    const struct backend *backend;
    struct backend_instance *instance;
    struct backend_options backend_options;
    struct compiled *compiled;
    float
        *initial_parameters; /* rank 0 only, NULL: not made, or prepared_drop_initial freed them */
    float *initial_buffers;
    int64_t base_bytes; /* measure: resident memory's high water with MPI and backend open, less
                         * library_bytes */
    struct prepared_data *data;
    struct cam_text profile; /* JSON */
};

struct prepare_options {
    const char *job_dir;
    int attempt;
    const char *backend_dir;
    bool first_rank;          /* this is rank 0, by the launcher's word */
    const char *test_profile; /* tests: a further member of the numeric profile; NULL: none */
    bool measure; /* tests: nothing of the training is taken before base_bytes is known */
};

struct prepare;

/* Starts the thread; options' strings outlive prepare_finish.  CAM_NO_MEMORY, CAM_UNAVAILABLE. */
CAM_CHECKED enum cam_code prepare_start(const struct prepare_options *options, struct prepare **out,
                                        struct cam_err *err);

/* Waits for all but the data, which take longest and are needed last; *out ends with
 * prepared_destroy. */
CAM_CHECKED enum cam_code prepare_finish(struct prepare *prepare, struct prepared **out,
                                         struct cam_err *err);

/* Waits until samples can be read; the source's errors.  Once only. */
CAM_CHECKED enum cam_code prepared_wait_data(struct prepared *prepared, struct cam_err *err);

void prepared_drop_initial(struct prepared *prepared);
void prepared_destroy(struct prepared *prepared);

#endif
