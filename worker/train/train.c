#include "worker/train/train.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/hold.h"
#include "worker/data/loader.h"
#include "worker/train/evaluate.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Of stages that may be long: nobody is taken for hung within them. */
enum { CHECKPOINT_LIMIT_MS = 600000, LOAD_LIMIT_MS = 30000, EXPLAIN_LIMIT_MS = 600000 };

/* Bits of the control word. */
enum { CONTROL_STOP = 1, CONTROL_CHECKPOINT = 2 };

/* What one run of the loop holds besides the state. */
struct loop {
    const struct train_options *options;
    struct run_state *state;
    struct loader *loader;
    struct evaluate *evaluate; /* NULL: nothing to judge */
    struct anchors anchors;
    int64_t steps_per_epoch;
    int64_t steps_total;
    int64_t first_step;
    int64_t resumed_ns;    /* when the open epoch went on in this attempt */
    double seconds_before; /* of the open epoch in earlier attempts */
    int64_t last_checkpoint_ns;
    uint64_t control;
    double step_metric[STATE_METRICS_MAX];
    struct loader_batch batch;
    bool holds_batch;
    int culprit;       /* rank where a value was not finite */
    bool shares_batch; /* some phase reads a batch that another one took */
};

static void give_back(struct loop *loop)
{
    if (loop->holds_batch) {
        loader_give_back(loop->loader);
        loop->holds_batch = false;
    }
}

/* The place of a metric's name in the state, made where it is new. */
static int metric_place(struct run_state *state, const char *name)
{
    for (int i = 0; i < state->metric_count; i++) {
        if (strcmp(state->metric_name[i], name) == 0) {
            return i;
        }
    }
    assert(state->metric_count < STATE_METRICS_MAX);
    (void)snprintf(state->metric_name[state->metric_count], STATE_NAME_SIZE, "%s", name);
    return state->metric_count++;
}

/* The metric that tells a phase's learning rate where that has a schedule; "" for others. */
static void rate_name(const struct training *training, int phase, char out[STATE_NAME_SIZE])
{
    const struct phase *row = &training->phases[phase];
    bool alone = true;
    for (int i = 0; i < training->phase_count; i++) {
        alone &= training->phases[i].part == row->part;
    }
    const char *part = training->parts[row->part].name;
    out[0] = '\0';
    if (rate_changes(&row->update.rate)) {
        (void)snprintf(out, STATE_NAME_SIZE, "lr%s%s", alone ? "" : "_", alone ? "" : part);
    }
}

void train_begin(const struct training *training, struct run_state *state_out)
{
    char name[STATE_NAME_SIZE];
    *state_out = (struct run_state){.phase_count = training->phase_count, .rate_factor = 1.0};
    for (int i = 0; i < training->phase_count; i++) {
        for (int m = 0; m < training->phases[i].metric_count; m++) {
            (void)metric_place(state_out, training->phases[i].metrics[m].name);
        }
    }
    for (int i = 0; i < training->phase_count; i++) {
        rate_name(training, i, name);
        if (name[0] != '\0') {
            (void)metric_place(state_out, name);
        }
    }
}

/* Puts the learning rate that an execution had among the step's metrics. */
static void add_rate(struct loop *loop, const struct engine_phase *run, int64_t repeat)
{
    const struct training *t = loop->options->training;
    const struct update_moment moment = {.execution = (int64_t)run->execution,
                                         .rate_factor = run->rate_factor};
    char name[STATE_NAME_SIZE];
    rate_name(t, run->phase, name);
    if (name[0] != '\0') {
        loop->step_metric[metric_place(loop->state, name)] +=
            update_rate(&t->phases[run->phase].update, &moment) / (double)repeat;
    }
}

struct anchors train_anchors(const struct job_file *job, const struct training *training)
{
    const struct interval *every = &job->train.anchor_every;
    int64_t steps = every->unit == INTERVAL_STEPS ? every->count : training->steps_per_epoch;
    return (struct anchors){.steps_per_epoch = training->steps_per_epoch,
                            .every = job->train.rollback ? steps : 0};
}

/* Whether rank 0 wants a checkpoint after the step that is running. */
static bool checkpoint_due(const struct loop *loop)
{
    const struct interval *every = &loop->options->job->checkpoint.every;
    int64_t step = loop->state->step + 1;
    if (anchors_has(&loop->anchors, step)) {
        return true;
    }
    if (every->unit == INTERVAL_STEPS) {
        return step % every->count == 0;
    }
    if (every->unit == INTERVAL_EPOCHS) {
        return step % (every->count * loop->steps_per_epoch) == 0;
    }
    return cam_monotonic_ns() - loop->last_checkpoint_ns >= every->count * 1000000;
}

static uint64_t wishes(const struct loop *loop)
{
    const struct train_options *o = loop->options;
    bool stop = *o->terminated != 0 || reporter_stop_asked(o->reporter);
    bool checkpoint = o->writer != NULL && checkpoint_due(loop);
    return (stop ? (uint64_t)CONTROL_STOP : 0) | (checkpoint ? (uint64_t)CONTROL_CHECKPOINT : 0);
}

/* The batch stays until the step's end where a later phase reads it too. */
static enum cam_code take_batch(struct loop *loop, const struct phase *phase, struct cam_err *err)
{
    const struct train_options *o = loop->options;
    if (!phase->takes_batch) {
        return CAM_OK;
    }
    give_back(loop);
    progress_enter(o->progress, phase->name, "load", LOAD_LIMIT_MS);
    if (o->collectives->rank == o->collectives->size - 1) {
        hold_at(HOLD_RANK_LOADS);
    }
    enum cam_code rc = loader_take(loop->loader, &loop->batch, err);
    loop->holds_batch = rc == CAM_OK;
    return rc;
}

/* One execution of a phase in a step. */
struct turn {
    int phase;
    int64_t repeat; /* of the phase in this step */
    bool last;      /* of the step */
};

static int64_t sample_of(const void *context, int64_t row)
{
    return loader_sample(context, row);
}

/* Runs a phase once, or its variant; its metrics are added to the step's. */
static enum cam_code run_phase(struct loop *loop, const struct turn *turn, struct cam_err *err)
{
    const struct train_options *o = loop->options;
    struct run_state *state = loop->state;
    int64_t *execution = &state->executions[turn->phase];
    int index = training_variant(o->training, turn->phase, *execution);
    const struct phase *phase = &o->training->phases[index];
    double values[STATE_METRICS_MAX];
    enum cam_code rc = take_batch(loop, phase, err);
    if (rc != CAM_OK) {
        return rc;
    }
    bool sees = phase->takes_batch || phase->shares_batch;
    struct engine_phase run = {
        .phase = index,
        .execution = (uint64_t)*execution,
        .step = state->step + 1,
        .rate_factor = state->rate_factor,
        .values = sees ? loop->batch.values : NULL,
        .labels = sees ? loop->batch.labels : NULL,
        .sample_of = sees ? sample_of : NULL,
        .sample_context = loop->loader,
        .poison = state->step + 1 == o->poison_step && state->rollbacks < o->poison_times,
        .control = turn->last ? wishes(loop) : 0,
        .metrics = values,
    };
    rc = engine_run(o->engine, &run, err);
    if (rc == CAM_NON_FINITE) {
        cam_fault_after(-1); /* a step that has failed may allocate */
        progress_enter(o->progress, phase->name, "explain", EXPLAIN_LIMIT_MS);
        rc = engine_explain(o->engine, &run, &loop->culprit, err);
    }
    if (!loop->shares_batch) {
        give_back(loop);
    }
    if (rc == CAM_OK) {
        (*execution)++;
        loop->control = run.control;
        for (int m = 0; m < phase->metric_count; m++) {
            loop->step_metric[metric_place(state, phase->metrics[m].name)] +=
                values[m] / (double)turn->repeat;
        }
        add_rate(loop, &run, turn->repeat);
    }
    return rc;
}

static enum cam_code run_phases(struct loop *loop, struct cam_err *err)
{
    const struct training *t = loop->options->training;
    int last = t->phase_count - 1;
    while (last > 0 && t->phases[last].repeat == 0) {
        last--;
    }
    for (int i = 0; i <= last; i++) {
        struct turn turn = {.phase = i, .repeat = training_repeat(t, i, loop->state->step)};
        for (int64_t j = 0; j < turn.repeat; j++) {
            turn.last = i == last && j == turn.repeat - 1;
            enum cam_code rc = run_phase(loop, &turn, err);
            if (rc != CAM_OK) {
                return rc;
            }
        }
    }
    return CAM_OK;
}

static enum cam_code run_step(struct loop *loop, struct cam_err *err)
{
    memset(loop->step_metric, 0, sizeof loop->step_metric);
    enum cam_code rc = run_phases(loop, err);
    give_back(loop);
    if (rc != CAM_OK) {
        return rc;
    }
    for (int m = 0; m < loop->state->metric_count; m++) {
        loop->state->metric_sum[m] += loop->step_metric[m];
    }
    loop->state->step++;
    loop->state->epoch_step++;
    return CAM_OK;
}

static double epoch_seconds(const struct loop *loop)
{
    return loop->seconds_before + (double)(cam_monotonic_ns() - loop->resumed_ns) * 1e-9;
}

/* Real samples of the open epoch. */
static double epoch_samples(const struct loop *loop)
{
    const struct training *t = loop->options->training;
    const struct run_state *state = loop->state;
    int64_t batches = training_batches_before(t, state->step) -
                      training_batches_before(t, state->step - state->epoch_step);
    return (double)(batches * t->batch);
}

/* Lets watchers see the step that has ended. */
static void show_progress(const struct loop *loop)
{
    const struct run_state *state = loop->state;
    struct progress *progress = loop->options->progress;
    double seconds = epoch_seconds(loop);
    atomic_store_explicit(&progress->step, state->step, memory_order_relaxed);
    atomic_store_explicit(&progress->epoch, state->epoch, memory_order_relaxed);
    atomic_store_explicit(&progress->samples_per_s,
                          seconds > 0 ? epoch_samples(loop) / seconds : 0.0, memory_order_relaxed);
    if (loop->options->writer == NULL) {
        return;
    }
    for (int m = 0; m < state->metric_count; m++) {
        atomic_store_explicit(&progress->metric_name[m], loop->state->metric_name[m],
                              memory_order_relaxed);
        atomic_store_explicit(&progress->metric[m],
                              state->metric_sum[m] / (double)state->epoch_step,
                              memory_order_relaxed);
    }
    atomic_store_explicit(&progress->metric_count, state->metric_count, memory_order_relaxed);
}

/* Judges the parameters that the epoch ended with; rank 0 has the figures in the row. */
static enum cam_code judge(const struct loop *loop, struct epoch_row *row, struct cam_err *err)
{
    const struct evaluation *evaluation = &loop->options->training->evaluation;
    if (loop->evaluate == NULL) {
        return CAM_OK;
    }
    enum cam_code rc = evaluate_run(loop->evaluate, row->metric + row->metric_count, err);
    for (int m = 0; m < evaluation->metric_count; m++) {
        (void)snprintf(row->metric_name[row->metric_count++], STATE_NAME_SIZE, "%s",
                       evaluation->metrics[m].name);
    }
    return rc;
}

/* Rank 0: the row of the epoch that has ended, to the writer and to the log. Its time is that of
 * training alone. */
static enum cam_code end_epoch(struct loop *loop, struct cam_err *err)
{
    struct run_state *state = loop->state;
    double seconds = epoch_seconds(loop);
    struct epoch_row row = {
        .epoch = state->epoch + 1,
        .steps = state->epoch_step,
        .seconds = seconds,
        .samples_per_s = seconds > 0 ? epoch_samples(loop) / seconds : 0.0,
        .metric_count = state->metric_count,
    };
    for (int m = 0; m < state->metric_count; m++) {
        memcpy(row.metric_name[m], state->metric_name[m], STATE_NAME_SIZE);
        row.metric[m] = state->metric_sum[m] / (double)state->epoch_step;
        state->metric_sum[m] = 0.0;
    }
    enum cam_code rc = judge(loop, &row, err);
    if (rc != CAM_OK) {
        return rc;
    }
    state->epoch++;
    state->epoch_step = 0;
    state->epoch_seconds = 0.0;
    loop->seconds_before = 0.0;
    loop->resumed_ns = cam_monotonic_ns();
    atomic_store_explicit(&loop->options->progress->epoch, state->epoch, memory_order_relaxed);
    if (loop->options->writer == NULL) {
        return CAM_OK;
    }
    (void)printf("epoch %lld/%lld", (long long)row.epoch,
                 (long long)loop->options->job->train.epochs);
    for (int m = 0; m < row.metric_count; m++) {
        bool small = row.metric[m] < 0.01 && row.metric[m] > 0.0; /* a learning rate */
        (void)printf("  %s %.*f", row.metric_name[m], small ? 8 : 4, row.metric[m]);
    }
    (void)printf("  %.0f samples/s  %.1f s\n", row.samples_per_s, row.seconds);
    (void)fflush(stdout);
    return writer_row(loop->options->writer, &row, err);
}

/* Hands the writer a copy of everything; all ranks take part when states are gathered. */
static enum cam_code take_snapshot(struct loop *loop, bool sample, bool checkpoint,
                                   struct cam_err *err)
{
    const struct train_options *o = loop->options;
    struct snapshot *snapshot = o->snapshot;
    progress_enter(o->progress, "checkpoint", "checkpoint", CHECKPOINT_LIMIT_MS);
    if (o->writer != NULL) {
        writer_wait(o->writer);
        memcpy(snapshot->parameters, engine_parameters(o->engine),
               (size_t)o->training->parameter_floats * sizeof(float));
        memcpy(snapshot->buffers, engine_buffers(o->engine),
               (size_t)o->training->buffer_floats * sizeof(float));
    }
    enum cam_code rc = CAM_OK;
    if (checkpoint || training_ema_state(o->training) >= 0) {
        atomic_fetch_add_explicit(&o->progress->collective, 1, memory_order_relaxed);
        rc = engine_collect(o->engine, snapshot == NULL ? NULL : snapshot->state, err);
    }
    if (rc == CAM_OK && o->writer != NULL) {
        loop->state->epoch_seconds = loop->state->epoch_step == 0 ? 0.0 : epoch_seconds(loop);
        loop->last_checkpoint_ns = checkpoint ? cam_monotonic_ns() : loop->last_checkpoint_ns;
        writer_submit(o->writer, &(struct writer_order){.sample = sample,
                                                        .checkpoint = checkpoint,
                                                        .state = *loop->state});
    }
    return rc;
}

/* What follows a step: the epoch's end, a checkpoint, a stop. */
static enum cam_code after_step(struct loop *loop, bool *stop_out, struct cam_err *err)
{
    bool epoch_end = loop->state->epoch_step == loop->steps_per_epoch;
    bool stop = (loop->control & CONTROL_STOP) != 0 && loop->state->step < loop->steps_total;
    bool checkpoint = (loop->control & CONTROL_CHECKPOINT) != 0 || stop;
    const struct training *t = loop->options->training;
    bool sample = epoch_end && t->sample != NULL &&
                  (loop->options->writer != NULL || training_ema_state(t) >= 0);
    enum cam_code rc = CAM_OK;
    if (epoch_end) {
        rc = end_epoch(loop, err);
    }
    if (rc == CAM_OK && (checkpoint || sample)) {
        rc = take_snapshot(loop, sample, checkpoint, err);
    }
    *stop_out = stop;
    return rc;
}

static enum cam_code run_guarded_step(struct loop *loop, struct cam_err *err)
{
    bool guarded = loop->options->refuse_allocation && loop->state->step > loop->first_step;
    if (guarded) {
        if (loop->options->writer != NULL) {
            writer_wait(loop->options->writer);
        }
        cam_fault_after(0);
    }
    enum cam_code rc = run_step(loop, err);
    if (guarded) {
        cam_fault_after(-1);
    }
    return rc;
}

static enum cam_code make_loader(struct loop *loop, struct cam_err *err)
{
    const struct train_options *o = loop->options;
    if (training_batches_before(o->training, 1) == 0) {
        return CAM_OK;
    }
    struct loader_options options = {
        .source = o->source,
        .seed = o->training->seed,
        .batch = o->training->batch,
        .per_epoch = o->training->batches_per_pass,
        .batch_first = training_batches_before(o->training, loop->state->step),
        .batch_end = training_batches_before(o->training, loop->steps_total),
    };
    engine_rows(o->engine, &options.row_first, &options.row_count);
    return loader_create(&options, &loop->loader, err);
}

/* A value was not finite, and no way back: the rank where it was says so, the others wait for its
 * end. */
static enum cam_code give_up(const struct loop *loop, struct cam_err *err)
{
    struct collectives *c = loop->options->collectives;
    if (loop->state->rollbacks > 0) {
        cam_err_prefix(err, "after %lld rollbacks", (long long)loop->state->rollbacks);
    }
    return loop->culprit == c->rank ? CAM_NON_FINITE : collectives_barrier(c, err);
}

static void tell_rollback(const struct loop *loop, const struct cam_err *why)
{
    const struct train_options *o = loop->options;
    const struct run_state *state = loop->state;
    struct cam_err text;
    (void)cam_fail(&text, CAM_NON_FINITE,
                   "rollback %lld of %lld to step %lld, learning rates now times %g: %s",
                   (long long)state->rollbacks, (long long)o->job->train.rollback_most,
                   (long long)state->step, state->rate_factor, why->text);
    if (o->writer != NULL) {
        cam_log(CAM_LOG_WARN, "train", "%s", text.text);
        reporter_checkpoint(o->reporter, 0, "", true, text.text);
    }
}

/*
 * After a value that was not finite, on all ranks: back to the last anchor with lower rates, if the
 * job wants it.  Which anchor, how low and how often depend on steps and state alone, so any number
 * of ranks, and a run that was killed and resumed, do the same.
 */
static enum cam_code recover(struct loop *loop, struct cam_err *err)
{
    const struct train_options *o = loop->options;
    struct run_state *state = loop->state;
    const struct cam_err why = *err;
    int64_t rollbacks = state->rollbacks + 1;
    double rate_factor = state->rate_factor * o->job->train.rollback_factor;
    if (!o->job->train.rollback || rollbacks > o->job->train.rollback_most) {
        return give_up(loop, err);
    }
    give_back(loop);
    progress_enter(o->progress, "rollback", "load", CHECKPOINT_LIMIT_MS);
    int64_t step = anchors_before(&loop->anchors, state->step);
    enum cam_code rc = o->go_back(o->go_back_context, step, state, err);
    if (rc != CAM_OK) {
        cam_err_prefix(err, "going back to step %lld after: %s", (long long)step, why.text);
        return rc;
    }
    state->rollbacks = rollbacks;
    state->rate_factor = rate_factor;
    loop->first_step = state->step;
    loop->seconds_before = state->epoch_seconds;
    loop->resumed_ns = cam_monotonic_ns();
    tell_rollback(loop, &why);
    loader_destroy(loop->loader);
    loop->loader = NULL;
    return make_loader(loop, err);
}

static enum cam_code run_steps(struct loop *loop, bool *stopped_out, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    bool stop = false;
    while (rc == CAM_OK && !stop && loop->state->step < loop->steps_total) {
        rc = run_guarded_step(loop, err);
        if (rc == CAM_NON_FINITE) {
            rc = recover(loop, err);
        } else if (rc == CAM_OK) {
            show_progress(loop);
            if (loop->state->step == loop->first_step + 1) {
                reporter_poke(loop->options->reporter);
                cam_log(CAM_LOG_DEBUG, "train", "start: the first step is done");
            }
            rc = after_step(loop, &stop, err);
        }
    }
    *stopped_out = stop;
    return rc;
}

enum cam_code train_run(const struct train_options *options, struct run_state *state,
                        bool *stopped_out, struct cam_err *err)
{
    struct loop loop = {
        .options = options,
        .state = state,
        .anchors = train_anchors(options->job, options->training),
        .steps_per_epoch = options->training->steps_per_epoch,
        .first_step = state->step,
        .seconds_before = state->epoch_seconds,
        .resumed_ns = cam_monotonic_ns(),
        .last_checkpoint_ns = cam_monotonic_ns(),
    };
    *stopped_out = false;
    for (int i = 0; i < options->training->phase_count; i++) {
        loop.shares_batch |= options->training->phases[i].shares_batch;
    }
    loop.steps_total = loop.steps_per_epoch * options->job->train.epochs;
    enum cam_code rc = make_loader(&loop, err);
    if (rc == CAM_OK && options->training->evaluation.graph != NULL) {
        const struct evaluate_options judging = {
            .compiled = options->compiled,
            .source = options->source,
            .engine = options->engine,
            .collectives = options->collectives,
            .lanes = options->lanes,
            .progress = options->progress,
        };
        rc = evaluate_create(&judging, &loop.evaluate, err);
    }
    if (rc == CAM_OK) {
        rc = run_steps(&loop, stopped_out, err);
    }
    if (loop.loader != NULL) {
        cam_log(CAM_LOG_DEBUG, "train", "the loader made steps wait ms=%lld",
                (long long)(loader_waited_ns(loop.loader) / 1000000));
    }
    evaluate_destroy(loop.evaluate);
    loader_destroy(loop.loader);
    return rc;
}
