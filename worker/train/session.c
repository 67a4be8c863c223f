#include "worker/train/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "proto/profile.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/checkpoint/writer.h"
#include "worker/report/peak.h"
#include "worker/report/records.h"
#include "worker/train/engine.h"
#include "worker/train/identity.h"
#include "worker/train/resume.h"
#include "worker/train/train.h"

#include <stdio.h>
#include <string.h>

enum { FLUSH_MS = 1000, COMPILE_LIMIT_MS = 600000 };

struct session {
    struct session_options options;
    struct progress progress;
    struct reporter *reporter;
    struct lanes *lanes;
    struct engine *engine;
    struct snapshot *snapshot; /* rank 0 */
    char *vocabulary;          /* rank 0; the snapshot's, or NULL */
    struct writer *writer;     /* rank 0 */
    struct state_identity identity;
    struct run_state state;
    bool training; /* state.step + 1 is being trained */
};

static bool first_rank(const struct session *s)
{
    return s->options.collectives->rank == 0;
}

enum cam_code session_create(const struct session_options *options, struct session **out,
                             struct cam_err *err)
{
    struct session *session = cam_alloc(1, sizeof *session);
    if (session == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the session: out of memory");
    }
    session->options = *options;
    progress_enter(&session->progress, "start", "compile", COMPILE_LIMIT_MS);
    *out = session;
    return CAM_OK;
}

void session_destroy(struct session *session)
{
    if (session == NULL) {
        return;
    }
    writer_destroy(session->writer);
    reporter_destroy(session->reporter, FLUSH_MS);
    engine_destroy(session->engine);
    lanes_destroy(session->lanes);
    snapshot_destroy(session->snapshot);
    cam_free(session->vocabulary);
    cam_free(session);
}

/* The launcher's word about the ranks must be MPI's. */
static enum cam_code check_ranks(const struct session *s, struct cam_err *err)
{
    const struct prepared *p = s->options.prepared;
    int size = s->options.collectives->size;
    if (size != p->order.ranks) {
        return cam_fail(err, CAM_INTERNAL, "MPI started %d ranks, attempt.json says %d", size,
                        p->order.ranks);
    }
    if (size > p->training->shards) {
        return cam_fail(err, CAM_INVALID, "%d ranks are more than the %lld shards of a batch", size,
                        (long long)p->training->shards);
    }
    return CAM_OK;
}

/* Every rank compares with rank 0's profile, which rank 0 compared with the first attempt's. */
static enum cam_code agree_on_profile(const struct session *s, struct cam_err *err)
{
    struct collectives *c = s->options.collectives;
    const char *profile = s->options.prepared->profile.bytes;
    enum cam_code rc = CAM_OK;
    if (first_rank(s)) {
        rc = identity_keep_profile(s->options.job_dir, profile, err);
    }
    if (rc != CAM_OK || c->size == 1) {
        return rc;
    }
    int64_t size = (int64_t)strlen(profile) + 1;
    rc = collectives_broadcast(c, 0, &size, sizeof size, err);
    char *others = rc == CAM_OK ? cam_alloc((size_t)size, 1) : NULL;
    if (others == NULL) {
        return rc != CAM_OK ? rc : cam_fail(err, CAM_NO_MEMORY, "the profile: out of memory");
    }
    if (first_rank(s)) {
        memcpy(others, profile, (size_t)size);
    }
    rc = collectives_broadcast(c, 0, others, (size_t)size, err);
    if (rc == CAM_OK && !first_rank(s)) {
        char whose[32];
        (void)snprintf(whose, sizeof whose, "on rank %d", c->rank);
        rc = profile_compare(whose, profile, "rank 0", others, err);
    }
    cam_free(others);
    return rc;
}

static enum cam_code start_reports(struct session *s, struct cam_err *err)
{
    const struct prepared *p = s->options.prepared;
    const struct reporter_options options = {
        .job_dir = s->options.job_dir,
        .attempt = s->options.attempt,
        .job_id = p->attempt_job.id,
        .rank = s->options.collectives->rank,
        .ranks = s->options.collectives->size,
        .profile = p->profile.bytes,
    };
    return reporter_create(&options, &s->progress, &s->reporter, err);
}

static enum cam_code take_memory(struct session *s, struct cam_err *err)
{
    const struct prepared *p = s->options.prepared;
    cam_give_back(); /* what the compiling and the initial values took on the way */
    enum cam_code rc = lanes_create(p->order.lanes, &s->lanes, err);
    if (rc == CAM_OK) {
        const struct engine_options options = {
            .compiled = p->compiled,
            .collectives = s->options.collectives,
            .lanes = s->lanes,
            .progress = &s->progress,
            .poison = s->options.poison_step > 0,
        };
        rc = engine_create(&options, &s->engine, err);
    }
    return rc;
}

static enum cam_code take_snapshot(struct session *s, struct cam_err *err)
{
    const struct prepared *p = s->options.prepared;
    if (!first_rank(s) || s->snapshot != NULL) {
        return CAM_OK;
    }
    enum cam_code rc = snapshot_create(p->training, &s->snapshot, err);
    if (rc == CAM_OK) {
        rc = source_vocabulary(p->source, &s->vocabulary, err);
        s->snapshot->vocabulary = s->vocabulary;
    }
    return rc;
}

/* A checkpoint is read into the snapshot, which is taken before the state then. */
static enum cam_code take_resumed(struct session *s, struct cam_err *err)
{
    return s->options.prepared->order.resume_from == NULL ? CAM_OK : take_snapshot(s, err);
}

/* Otherwise the initial values make room for it, unless training may go back to them. */
static enum cam_code take_rest(struct session *s, struct cam_err *err)
{
    struct prepared *p = s->options.prepared;
    if (!p->job.train.rollback) {
        prepared_drop_initial(p);
        cam_give_back();
    }
    return take_snapshot(s, err);
}

static struct resume_options resume_options_of(struct session *s)
{
    const struct prepared *p = s->options.prepared;
    return (struct resume_options){
        .job_dir = s->options.job_dir,
        .attempt = s->options.attempt,
        .from = p->order.resume_from,
        .identity = &s->identity,
        .prepared = p,
        .engine = s->engine,
        .reporter = s->reporter,
    };
}

/* What rank 0 has loaded becomes every rank's; `with_states`: the optimizer's too. */
static enum cam_code spread(struct session *s, bool with_states, struct run_state *state,
                            struct cam_err *err)
{
    enum cam_code rc = collectives_broadcast(s->options.collectives, 0, state, sizeof *state, err);
    if (rc == CAM_OK) {
        rc = engine_publish(s->engine, err);
    }
    if (rc == CAM_OK && with_states) {
        rc = engine_distribute(
            s->engine, s->snapshot == NULL ? NULL : (const float *const *)s->snapshot->state, err);
    }
    return rc;
}

/* Where training starts: a checkpoint's state or the initial values, the same on every rank. */
static enum cam_code start_state(struct session *s, struct cam_err *err)
{
    const struct prepared *p = s->options.prepared;
    enum cam_code rc = CAM_OK;
    int64_t resumed = 0;
    if (first_rank(s)) {
        memcpy(s->identity.job_sha256, p->job_sha256, CAM_DIGEST_HEX_SIZE);
        memcpy(s->identity.data_sha256, p->data_sha256, CAM_DIGEST_HEX_SIZE);
        s->identity.profile = p->profile.bytes;
        const struct resume_options options = resume_options_of(s);
        rc = resume_load(&options, s->snapshot, &s->state, err);
        resumed = s->state.step > 0 ? 1 : 0;
    }
    if (rc == CAM_OK) {
        rc = collectives_broadcast(s->options.collectives, 0, &resumed, sizeof resumed, err);
    }
    return rc == CAM_OK ? spread(s, resumed != 0, &s->state, err) : rc;
}

/* While training: everything as it was at an anchor. */
static enum cam_code go_back(void *context, int64_t step, struct run_state *state,
                             struct cam_err *err)
{
    struct session *s = context;
    enum cam_code rc = CAM_OK;
    if (first_rank(s)) {
        const struct resume_options options = resume_options_of(s);
        writer_wait(s->writer);
        rc = resume_back(&options, step, s->snapshot, state, err);
    }
    return rc == CAM_OK ? spread(s, true, state, err) : rc;
}

static enum cam_code start_writer(struct session *s, struct cam_err *err)
{
    const struct prepared *p = s->options.prepared;
    if (!first_rank(s)) {
        return CAM_OK;
    }
    const struct writer_options options = {
        .job_dir = s->options.job_dir,
        .attempt = s->options.attempt,
        .keep_last = p->job.checkpoint.keep_last,
        .anchors = train_anchors(&p->job, p->training),
        .identity = &s->identity,
        .compiled = p->compiled,
        .backend_options = p->backend_options,
        .snapshot = s->snapshot,
        .reporter = s->reporter,
    };
    return writer_create(&options, &s->writer, err);
}

/* Inflating takes longest of all that a start does; everything else is done by now. */
static enum cam_code wait_for_data(struct session *s, struct cam_err *err)
{
    return prepared_wait_data(s->options.prepared, err);
}

static void greet(const struct session *s)
{
    const struct prepared *p = s->options.prepared;
    if (!first_rank(s)) {
        return;
    }
    (void)printf(
        "%s: %lld epochs of %lld steps, batch %lld in %lld shards; %d ranks (%s) of %d "
        "lanes, backend %s; from step %lld\n",
        p->job.name, (long long)p->job.train.epochs, (long long)p->training->steps_per_epoch,
        (long long)p->training->batch, (long long)p->training->shards, s->options.collectives->size,
        s->options.collectives->name, p->order.lanes, p->backend->name, (long long)s->state.step);
    (void)fflush(stdout);
}

/* final/model.safetensors and its digest. */
static enum cam_code write_weights(struct session *s, char digest_out[CAM_DIGEST_HEX_SIZE],
                                   char relative_out[CAM_PATH_SIZE], struct cam_err *err)
{
    const struct training *t = s->options.prepared->training;
    char folder[CAM_PATH_SIZE];
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(s->options.job_dir, s->options.attempt, "final", folder, err);
    if (rc == CAM_OK) {
        rc = cam_folder_create(folder, 0700, err);
    }
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/model.safetensors", folder);
    }
    if (rc == CAM_OK) {
        memcpy(s->snapshot->parameters, engine_parameters(s->engine),
               (size_t)t->parameter_floats * sizeof(float));
        memcpy(s->snapshot->buffers, engine_buffers(s->engine),
               (size_t)t->buffer_floats * sizeof(float));
        rc = snapshot_export(s->snapshot, false, err);
    }
    if (rc == CAM_OK) {
        rc = snapshot_write_model(s->snapshot, path, digest_out, err);
    }
    if (rc == CAM_OK) {
        rc = snapshot_write_vocabulary(s->snapshot, folder, err);
    }
    if (rc == CAM_OK) {
        rc = cam_folder_sync(folder, err);
    }
    if (rc == CAM_OK) {
        rc = cam_path(relative_out, err, "attempts/%d/final/model.safetensors", s->options.attempt);
    }
    return rc;
}

/* Rank 0's last acts. */
static enum cam_code publish_outcome(struct session *s, bool stopped, struct cam_err *err)
{
    char digest[CAM_DIGEST_HEX_SIZE] = "";
    char model[CAM_PATH_SIZE] = "";
    progress_enter(&s->progress, "checkpoint", "save", COMPILE_LIMIT_MS);
    enum cam_code rc = writer_finish(s->writer, err);
    if (rc == CAM_OK && !stopped) {
        rc = write_weights(s, digest, model, err);
    }
    const struct outcome outcome = {
        .outcome = stopped ? "stopped" : "succeeded",
        .weights_sha256 = digest,
        .step = s->state.step,
        .model = model,
        .peak_bytes = peak_bytes(),
    };
    if (rc == CAM_OK) {
        rc = records_write_outcome(s->options.job_dir, s->options.attempt, &outcome, err);
    }
    if (rc == CAM_OK) {
        reporter_outcome(s->reporter, outcome.outcome, digest, s->state.step);
        (void)printf("%s at step %lld%s%s\n", outcome.outcome, (long long)s->state.step,
                     stopped ? "" : ", weights_sha256 ", digest);
        (void)fflush(stdout);
    }
    return rc;
}

static enum cam_code run_training(struct session *s, struct cam_err *err)
{
    const struct prepared *p = s->options.prepared;
    const struct train_options options = {
        .job = &p->job,
        .training = p->training,
        .source = p->source,
        .compiled = p->compiled,
        .lanes = s->lanes,
        .engine = s->engine,
        .collectives = s->options.collectives,
        .progress = &s->progress,
        .reporter = s->reporter,
        .writer = s->writer,
        .snapshot = s->snapshot,
        .terminated = s->options.terminated,
        .go_back = go_back,
        .go_back_context = s,
        .poison_step = s->options.poison_step,
        .poison_times = s->options.poison_times,
        .refuse_allocation = s->options.refuse_allocation,
    };
    bool stopped = false;
    s->training = true;
    enum cam_code rc = train_run(&options, &s->state, &stopped, err);
    s->training = rc != CAM_OK;
    if (rc == CAM_OK && !stopped && training_ema_state(p->training) >= 0) {
        if (first_rank(s)) {
            writer_wait(s->writer);
        }
        rc = engine_collect(s->engine, first_rank(s) ? s->snapshot->state : NULL, err);
    }
    if (rc == CAM_OK && first_rank(s)) {
        rc = publish_outcome(s, stopped, err);
    }
    /* Nobody leaves before the outcome is on disk: a rank that ends first would end the others. */
    return rc == CAM_OK ? collectives_barrier(s->options.collectives, err) : rc;
}

/* For tests: what training took beyond MPI and the backend, in the log of every rank.  Libraries'
 * own pages are left out: how many of them a step touches is theirs. */
static void tell_memory(const struct session *s)
{
    if (s->options.prepared->base_bytes > 0) {
        int64_t peak = peak_bytes();
        (void)printf("rank %d: peak memory %lld bytes, %lld of them for training\n",
                     s->options.collectives->rank, (long long)peak,
                     (long long)(peak - library_bytes() - s->options.prepared->base_bytes));
    }
}

enum cam_code session_run(struct session *session, struct cam_err *err)
{
    static const struct {
        const char *done;
        enum cam_code (*run)(struct session *, struct cam_err *);
    } stages[] = {
        {"reports are connected", start_reports},
        {"the memory is taken", take_memory},
        {NULL, take_resumed},
        {"the state is the same on every rank", start_state},
        {NULL, take_rest},
        {"the writer runs", start_writer},
        {"the first step begins", wait_for_data},
    };
    enum cam_code rc = check_ranks(session, err);
    if (rc == CAM_OK) {
        rc = agree_on_profile(session, err);
    }
    for (size_t i = 0; rc == CAM_OK && i < sizeof stages / sizeof stages[0]; i++) {
        rc = stages[i].run(session, err);
        if (rc == CAM_OK && stages[i].done != NULL) {
            cam_log(CAM_LOG_DEBUG, "train", "start: %s", stages[i].done);
        }
    }
    if (rc == CAM_OK) {
        greet(session);
        rc = run_training(session, err);
        tell_memory(session);
    }
    return rc;
}

void session_failed(struct session *session, const struct cam_err *err)
{
    struct failure failure = {
        .code = err->code,
        .rank = session->options.collectives->rank,
        .step = session->training ? session->state.step + 1 : -1,
    };
    struct cam_err ignored;
    (void)snprintf(failure.text, sizeof failure.text, "%s", err->text);
    (void)snprintf(failure.phase, sizeof failure.phase, "%s",
                   atomic_load(&session->progress.phase));
    if (records_write_failure(session->options.job_dir, session->options.attempt, &failure,
                              &ignored) != CAM_OK) {
        cam_log(CAM_LOG_ERROR, "train", "the failure could not be recorded: %s", ignored.text);
    }
    reporter_failure(session->reporter, &failure);
    reporter_destroy(session->reporter, FLUSH_MS);
    session->reporter = NULL;
}
