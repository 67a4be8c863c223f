#include "worker/train/resume.h"

#include "base/log.h"
#include "base/mem.h"
#include "worker/train/train.h"

#include <string.h>

/* The sums in the order of this program's metrics, whatever order the file has. */
static enum cam_code adopt_state(const struct training *training, const struct run_state *read,
                                 struct run_state *out, struct cam_err *err)
{
    train_begin(training, out);
    if (read->phase_count != out->phase_count || read->metric_count != out->metric_count) {
        return cam_fail(err, CAM_CORRUPT,
                        "state.json has %d phases and %d metrics, the job has %d and %d",
                        read->phase_count, read->metric_count, out->phase_count, out->metric_count);
    }
    out->step = read->step;
    out->epoch = read->epoch;
    out->epoch_step = read->epoch_step;
    out->epoch_seconds = read->epoch_seconds;
    out->rollbacks = read->rollbacks;
    out->rate_factor = read->rate_factor;
    memcpy(out->executions, read->executions, sizeof out->executions);
    for (int i = 0; i < out->metric_count; i++) {
        int k = 0;
        while (k < read->metric_count && strcmp(read->metric_name[k], out->metric_name[i]) != 0) {
            k++;
        }
        if (k == read->metric_count) {
            return cam_fail(err, CAM_CORRUPT, "state.json lacks the metric %s",
                            out->metric_name[i]);
        }
        out->metric_sum[i] = read->metric_sum[k];
    }
    return CAM_OK;
}

static enum cam_code try_folder(const struct resume_options *options, const char *folder,
                                struct snapshot *snapshot, struct run_state *state_out,
                                struct cam_err *err)
{
    struct run_state read;
    enum cam_code rc =
        checkpoint_read(options->job_dir, folder, options->identity, snapshot, &read, err);
    return rc == CAM_OK ? adopt_state(options->prepared->training, &read, state_out, err) : rc;
}

static void tell(const struct resume_options *options, const char *folder,
                 const struct cam_err *why)
{
    struct cam_err text = *why;
    cam_err_prefix(&text, "checkpoint %s cannot be used, looking for the one before", folder);
    cam_log(CAM_LOG_WARN, "train", "%s", text.text);
    reporter_checkpoint(options->reporter, 0, folder, true, text.text);
}

/* The newest whole one but `from`, which was tried; CAM_NOT_FOUND where there is none. */
static enum cam_code try_others(const struct resume_options *options, struct snapshot *snapshot,
                                struct run_state *state_out, struct cam_err *err)
{
    struct checkpoint_entry *entries = NULL;
    size_t count = 0;
    enum cam_code rc = checkpoint_list(options->job_dir, options->attempt, &entries, &count, err);
    bool found = false;
    for (size_t i = 0; rc == CAM_OK && i < count && !found; i++) {
        char folder[CAM_PATH_SIZE];
        rc = checkpoint_folder(&entries[i], folder, err);
        if (rc != CAM_OK || strcmp(folder, options->from) == 0) {
            continue;
        }
        struct cam_err why;
        enum cam_code tried = try_folder(options, folder, snapshot, state_out, &why);
        if (tried == CAM_OK) {
            found = true;
            cam_log(CAM_LOG_INFO, "train", "going on from %s", folder);
        } else if (tried == CAM_CHANGED) {
            *err = why;
            rc = tried;
        } else {
            tell(options, folder, &why);
        }
    }
    cam_free(entries);
    return rc != CAM_OK || found ? rc : cam_fail(err, CAM_NOT_FOUND, "no checkpoint can be used");
}

static void copy_arenas(const struct resume_options *options, const float *parameters,
                        const float *buffers)
{
    const struct training *t = options->prepared->training;
    memcpy(engine_parameters(options->engine), parameters,
           (size_t)t->parameter_floats * sizeof(float));
    memcpy(engine_buffers(options->engine), buffers, (size_t)t->buffer_floats * sizeof(float));
}

/* The calling thread is the engine's lane 0. */
static enum cam_code load_initial(const struct resume_options *options, struct run_state *state_out,
                                  struct cam_err *err)
{
    const struct prepared *p = options->prepared;
    train_begin(p->training, state_out);
    if (p->initial_parameters == NULL) {
        return compiled_initial(p->compiled, engine_parameters(options->engine),
                                engine_buffers(options->engine), err);
    }
    copy_arenas(options, p->initial_parameters, p->initial_buffers);
    return CAM_OK;
}

enum cam_code resume_load(const struct resume_options *options, struct snapshot *snapshot,
                          struct run_state *state_out, struct cam_err *err)
{
    enum cam_code rc = CAM_NOT_FOUND;
    if (options->from != NULL) {
        struct cam_err why;
        rc = try_folder(options, options->from, snapshot, state_out, &why);
        if (rc == CAM_CHANGED) {
            *err = why;
            return rc;
        }
        if (rc != CAM_OK) {
            tell(options, options->from, &why);
            rc = try_others(options, snapshot, state_out, err);
        }
    }
    if (rc == CAM_OK) {
        copy_arenas(options, snapshot->parameters, snapshot->buffers);
        return CAM_OK;
    }
    if (rc != CAM_NOT_FOUND) {
        return rc;
    }
    if (options->from != NULL) {
        cam_log(CAM_LOG_WARN, "train", "no checkpoint can be used: starting again from step 0");
    }
    return load_initial(options, state_out, err);
}

/* Its newest copy that is whole. */
static enum cam_code load_anchor(const struct resume_options *options, int64_t step,
                                 struct snapshot *snapshot, struct run_state *state_out,
                                 struct cam_err *err)
{
    struct checkpoint_entry *entries = NULL;
    size_t count = 0;
    bool found = false;
    enum cam_code rc = checkpoint_list(options->job_dir, options->attempt, &entries, &count, err);
    for (size_t i = 0; rc == CAM_OK && i < count && !found; i++) {
        char folder[CAM_PATH_SIZE];
        struct cam_err why;
        if (entries[i].step != step) {
            continue;
        }
        rc = checkpoint_folder(&entries[i], folder, err);
        if (rc == CAM_OK) {
            found = try_folder(options, folder, snapshot, state_out, &why) == CAM_OK;
        }
        if (rc == CAM_OK && !found) {
            tell(options, folder, &why);
        }
    }
    cam_free(entries);
    return rc != CAM_OK || found
               ? rc
               : cam_fail(err, CAM_NOT_FOUND, "the checkpoint of step %lld is not there",
                          (long long)step);
}

enum cam_code resume_back(const struct resume_options *options, int64_t step,
                          struct snapshot *snapshot, struct run_state *state_out,
                          struct cam_err *err)
{
    const struct training *t = options->prepared->training;
    enum cam_code rc = CAM_OK;
    if (step > 0) {
        rc = load_anchor(options, step, snapshot, state_out, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    if (step > 0) {
        copy_arenas(options, snapshot->parameters, snapshot->buffers);
    } else {
        rc = load_initial(options, state_out, err);
        for (int i = 0; i < t->phase_count; i++) {
            size_t bytes =
                (size_t)t->parts[t->phases[i].part].block_count * BLOCK_FLOATS * sizeof(float);
            for (int k = 0; k < training_own_states(t, i); k++) {
                memset(snapshot->state[engine_state_index(t, i, k)], 0, bytes);
            }
        }
    }
    return rc == CAM_OK ? checkpoint_forget(options->job_dir, options->attempt, step, err) : rc;
}
