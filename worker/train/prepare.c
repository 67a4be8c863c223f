#include "worker/train/prepare.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "kernels/registry.h"
#include "worker/report/peak.h"
#include "worker/train/identity.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct prepare {
    struct prepare_options options;
    struct prepared *prepared;
    pthread_t thread;
    enum cam_code rc;
    struct cam_err err;
};

struct prepared_data {
    pthread_t thread;
    struct source *source;
    const struct job_file *job;
    enum cam_code rc;
    struct cam_err err;
};

static enum cam_code read_job(struct prepare *prepare, struct cam_err *err)
{
    const struct prepare_options *o = &prepare->options;
    struct prepared *p = prepare->prepared;
    char path[CAM_PATH_SIZE];
    char *text = NULL;
    size_t size = 0;
    enum cam_code rc = attempt_read_job(o->job_dir, p->arena, &p->attempt_job, err);
    if (rc == CAM_OK) {
        rc = attempt_read_order(o->job_dir, o->attempt, p->arena, &p->order, err);
    }
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/job.yaml", o->job_dir);
    }
    if (rc == CAM_OK) {
        rc = cam_file_read(path, JOBFILE_BYTES_MAX, &text, &size, err);
    }
    if (rc == CAM_OK) {
        rc = identity_of_job(text, size, &p->attempt_job, p->job_sha256, err);
    }
    if (rc == CAM_OK) {
        const struct job_text job_text = {
            .file_name = p->attempt_job.file_name,
            .base_dir = p->attempt_job.base_dir,
            .text = text,
            .size = size,
            .set = p->attempt_job.set,
            .set_count = p->attempt_job.set_count,
        };
        rc = jobfile_parse(&job_text, p->arena, &p->job, err);
    }
    cam_free(text);
    return rc;
}

/* The longest part of a start: a gzipped set is inflated, once a host. */
static void *data_main(void *argument)
{
    struct prepared_data *data = argument;
    data->rc = source_load_job(data->source, data->job, &data->err);
    cam_log(CAM_LOG_DEBUG, "train", "start: the data are there");
    return NULL;
}

/* Rank 0 compares with the first attempt's data. */
static enum cam_code keep_data(struct prepare *prepare, struct cam_err *err)
{
    struct prepared *p = prepare->prepared;
    if (!prepare->options.first_rank) {
        return CAM_OK;
    }
    enum cam_code rc =
        identity_keep_data(prepare->options.job_dir, &p->job.data, p->data_sha256, err);
    if (rc == CAM_CHANGED) {
        jobfile_place(&p->job, "data", err);
    }
    return rc;
}

static enum cam_code open_source(struct prepare *prepare, struct cam_err *err)
{
    struct prepared *p = prepare->prepared;
    enum cam_code rc = source_open_job(&p->job, &p->source, err);
    return rc == CAM_OK && p->order.scratch != NULL ? source_share(p->source, p->order.scratch, err)
                                                    : rc;
}

static enum cam_code build_training(struct prepare *prepare, struct cam_err *err)
{
    struct prepared *p = prepare->prepared;
    const struct source_info *info = source_info(p->source);
    const struct data_shape shape = {
        .count = info->count,
        .validation_count = info->validation_count,
        .height = info->height,
        .width = info->width,
        .channels = info->channels,
        .classes = info->classes,
        .length = info->length,
        .set_bytes = info->set_bytes,
    };
    return training_create(&p->job, &shape, &p->training, err);
}

/* "auto" is the CPU backend, or the reference where this build has none. */
static enum cam_code find_backend(struct prepare *prepare, struct cam_err *err)
{
    struct prepared *p = prepare->prepared;
    const char *dir = prepare->options.backend_dir;
    enum device_choice device = p->job.resources.device;
    const char *name = device == DEVICE_AUTO ? "cpu" : device_choice_name(device);
    enum cam_code rc = registry_find(name, dir, &p->backend, err);
    if (rc != CAM_OK && device == DEVICE_AUTO) {
        cam_log(CAM_LOG_WARN, "train", "no CPU backend, using the slow reference: %s", err->text);
        rc = registry_find("reference", dir, &p->backend, err);
    }
    return rc;
}

static enum cam_code open_backend(struct prepare *prepare, struct cam_err *err)
{
    struct prepared *p = prepare->prepared;
    p->backend_options = (struct backend_options){
        .lanes = p->order.lanes,
        .threads_per_shard = (int)p->job.train.threads_per_shard,
        .native_isa = p->job.train.isa == ISA_NATIVE,
    };
    enum cam_code rc = p->backend->open(&p->backend_options, &p->instance, err);
    if (rc != CAM_OK) {
        return rc;
    }
    /* Some libraries fix a kernel's threads when it is made: this thread counts as a lane. */
    p->backend->lane_begin(p->instance, 0);
    const struct identity_numbers numbers = {
        .backend = p->backend,
        .instance = p->instance,
        .shards = p->training->shards,
        .threads_per_shard = p->job.train.threads_per_shard,
        .test = prepare->options.test_profile,
    };
    return identity_profile(&numbers, &p->profile, err);
}

static enum cam_code compile(struct prepare *prepare, struct cam_err *err)
{
    struct prepared *p = prepare->prepared;
    return compiled_create(p->training, p->backend, p->instance, &p->compiled, err);
}

/* The values before step 0, unless they will come from a checkpoint or from rank 0.  Where none of
 * the checkpoints can be used, resume.c makes them. */
static enum cam_code compute_initial(struct prepare *prepare, struct cam_err *err)
{
    struct prepared *p = prepare->prepared;
    bool resumes = p->order.resume_from != NULL && !p->job.train.rollback;
    if (!prepare->options.first_rank || resumes) {
        return CAM_OK;
    }
    const struct training *t = p->training;
    p->initial_parameters = cam_alloc_aligned((size_t)t->parameter_floats * sizeof(float));
    p->initial_buffers = cam_alloc_aligned((size_t)t->buffer_floats * sizeof(float));
    if (p->initial_parameters == NULL || p->initial_buffers == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the initial values: out of memory");
    }
    return compiled_initial(p->compiled, p->initial_parameters, p->initial_buffers, err);
}

static enum cam_code start_data(struct prepare *prepare, struct cam_err *err)
{
    struct prepared *p = prepare->prepared;
    struct prepared_data *data = cam_alloc(1, sizeof *data);
    if (data == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the data's thread: out of memory");
    }
    data->source = p->source;
    data->job = &p->job;
    int failed = pthread_create(&data->thread, NULL, data_main, data);
    if (failed != 0) {
        cam_free(data);
        return cam_fail(err, CAM_UNAVAILABLE, "cannot start the data's thread: %s",
                        strerror(failed));
    }
    p->data = data;
    return CAM_OK;
}

enum cam_code prepared_wait_data(struct prepared *prepared, struct cam_err *err)
{
    struct prepared_data *data = prepared->data;
    if (data == NULL) {
        return CAM_OK;
    }
    (void)pthread_join(data->thread, NULL);
    prepared->data = NULL;
    enum cam_code rc = data->rc;
    if (rc != CAM_OK) {
        *err = data->err;
    }
    cam_free(data);
    return rc;
}

/* A measured start is the same in another order: memory before time. */
static enum cam_code start_data_early(struct prepare *prepare, struct cam_err *err)
{
    return prepare->options.measure ? CAM_OK : start_data(prepare, err);
}

static enum cam_code start_data_measured(struct prepare *prepare, struct cam_err *err)
{
    if (!prepare->options.measure) {
        return CAM_OK;
    }
    prepare->prepared->base_bytes = peak_bytes() - library_bytes();
    return start_data(prepare, err);
}

static void *prepare_main(void *argument)
{
    static const struct {
        const char *done;
        enum cam_code (*run)(struct prepare *, struct cam_err *);
    } stages[] = {
        {"the job is read", read_job},
        {"the data's headers are read", open_source},
        {NULL, start_data_early},
        {"the training is built", build_training},
        {NULL, find_backend},
        {"the backend is open", open_backend},
        {NULL, start_data_measured},
        {"the plans are compiled", compile},
        {"the initial values are there", compute_initial},
        {"the data's identity is known", keep_data},
    };
    struct prepare *prepare = argument;
    enum cam_code rc = CAM_OK;
    for (size_t i = 0; rc == CAM_OK && i < sizeof stages / sizeof stages[0]; i++) {
        rc = stages[i].run(prepare, &prepare->err);
        if (rc == CAM_OK && stages[i].done != NULL) {
            cam_log(CAM_LOG_DEBUG, "train", "start: %s", stages[i].done);
        }
    }
    prepare->rc = rc;
    return NULL;
}

enum cam_code prepare_start(const struct prepare_options *options, struct prepare **out,
                            struct cam_err *err)
{
    struct prepare *prepare = cam_alloc(1, sizeof *prepare);
    struct prepared *prepared = cam_alloc(1, sizeof *prepared);
    struct cam_arena *arena = cam_arena_create();
    if (prepare == NULL || prepared == NULL || arena == NULL) {
        cam_free(prepare);
        cam_free(prepared);
        cam_arena_destroy(arena);
        return cam_fail(err, CAM_NO_MEMORY, "the start of the worker: out of memory");
    }
    prepare->options = *options;
    prepare->prepared = prepared;
    prepared->arena = arena;
    int failed = pthread_create(&prepare->thread, NULL, prepare_main, prepare);
    if (failed != 0) {
        prepared_destroy(prepared);
        cam_free(prepare);
        return cam_fail(err, CAM_UNAVAILABLE, "cannot start a thread: %s", strerror(failed));
    }
    *out = prepare;
    return CAM_OK;
}

enum cam_code prepare_finish(struct prepare *prepare, struct prepared **out, struct cam_err *err)
{
    (void)pthread_join(prepare->thread, NULL);
    enum cam_code rc = prepare->rc;
    if (rc == CAM_OK) {
        *out = prepare->prepared;
    } else {
        *err = prepare->err;
        prepared_destroy(prepare->prepared);
    }
    cam_free(prepare);
    return rc;
}

void prepared_drop_initial(struct prepared *prepared)
{
    cam_free(prepared->initial_parameters);
    cam_free(prepared->initial_buffers);
    prepared->initial_parameters = NULL;
    prepared->initial_buffers = NULL;
}

void prepared_destroy(struct prepared *prepared)
{
    if (prepared == NULL) {
        return;
    }
    struct cam_err ignored; /* nobody needs the data any more */
    (void)!prepared_wait_data(prepared, &ignored);
    prepared_drop_initial(prepared);
    compiled_destroy(prepared->compiled);
    if (prepared->instance != NULL) {
        prepared->backend->close(prepared->instance);
    }
    cam_text_release(&prepared->profile);
    training_destroy(prepared->training);
    source_close(prepared->source);
    cam_arena_destroy(prepared->arena);
    cam_free(prepared);
}
