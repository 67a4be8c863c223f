#include "worker/train/engine.h"

#include "base/mem.h"
#include "proto/hold.h"
#include "worker/train/engine_tables.h"

#include <string.h>

/* ---------------------------------------------------------------- compute */

struct shard_task {
    struct engine *engine;
    const struct engine_phase *run;
    const struct schedule_round *round;
};

static void clear_gaps(const struct compiled_phase *phase, float *output)
{
    for (int i = 0; i < phase->gap_count; i++) {
        memset(output + phase->gaps[i].offset, 0, (size_t)phase->gaps[i].floats * sizeof(float));
    }
}

/* A test may ask that shard 0 sees images of the largest numbers there are. */
static void bind_inputs(const struct engine *engine, const struct engine_phase *run, int shard,
                        const void **inputs)
{
    const struct training *t = engine->training;
    int local = shard - engine->range.first;
    bool poison = run->poison && shard == 0 && run->phase == 0;
    for (int i = 0; i < t->input_count; i++) {
        int64_t floats = shape_count(&t->inputs[i].shape);
        const float *whole = engine->input_is_label[i] ? run->labels : run->values;
        inputs[i] = whole == NULL ? NULL : whole + local * floats;
        if (poison && !engine->input_is_label[i]) {
            inputs[i] = engine->poison;
        }
    }
}

enum cam_code engine_launch(struct engine *engine, const struct engine_phase *run,
                            const struct engine_launch *what, struct cam_err *err)
{
    const struct training *t = engine->training;
    struct engine_lane *own = &engine->lane[what->lane];
    bind_inputs(engine, run, what->shard, own->inputs);
    const struct bindings bindings = {
        .parameters = engine->parameters,
        .buffers = engine->buffers,
        .inputs = own->inputs,
        .activations = what->activations,
        .output = what->output,
    };
    const struct random_context random = {
        .seed = t->seed,
        .execution = (uint32_t)run->execution,
        .first_row = (uint32_t)(what->shard * t->rows),
    };
    return engine->compiled->backend->launch(what->executable, what->lane, &bindings, &random, err);
}

static enum cam_code shard_task(void *context, int lane, struct cam_err *err)
{
    const struct shard_task *task = context;
    struct engine *engine = task->engine;
    const struct compiled_phase *compiled = &engine->compiled->phases[task->run->phase];
    if (lane >= task->round->shard_count) {
        return CAM_OK;
    }
    const struct engine_launch what = {
        .executable = compiled->shard.executable,
        .shard = task->round->shard_first + lane,
        .lane = lane,
        .activations = engine->lane[lane].activations,
        .output = engine->partials + task->round->buffer[lane] * engine->stride,
    };
    if (what.shard == engine->training->shards - 1) {
        hold_at(HOLD_LANE_COMPUTES);
    }
    clear_gaps(compiled, what.output);
    return engine_launch(engine, task->run, &what, err);
}

/* Every lane adds a slice of all merges of the round. */
static enum cam_code merge_task(void *context, int lane, struct cam_err *err)
{
    (void)err;
    const struct shard_task *task = context;
    struct engine *engine = task->engine;
    int lanes = lanes_count(engine->lanes);
    int64_t blocks = engine->training->phases[task->run->phase].output_floats / BLOCK_FLOATS;
    int64_t first = blocks * lane / lanes * BLOCK_FLOATS;
    int64_t count = blocks * (lane + 1) / lanes * BLOCK_FLOATS - first;
    for (int i = 0; i < task->round->merge_count; i++) {
        const struct schedule_merge *merge = &task->round->merges[i];
        combine_add(engine->partials + merge->dst * engine->stride + first,
                    engine->partials + merge->src * engine->stride + first, count);
    }
    return CAM_OK;
}

static enum cam_code compute(struct engine *engine, const struct engine_phase *run,
                             struct cam_err *err)
{
    const struct bindings bindings = {.parameters = engine->parameters, .buffers = engine->buffers};
    enum cam_code rc = engine->compiled->backend->prepare(
        engine->compiled->phases[run->phase].shard.executable, &bindings, err);
    for (int i = 0; rc == CAM_OK && i < engine->schedule.round_count; i++) {
        struct shard_task task = {engine, run, &engine->schedule.rounds[i]};
        rc = lanes_run(engine->lanes, shard_task, &task, err);
        if (rc == CAM_OK && task.round->merge_count > 0) {
            rc = lanes_run(engine->lanes, merge_task, &task, err);
        }
    }
    return rc;
}

/* ---------------------------------------------------------------- what every rank does */

/* The sums that every rank wants; must be read before the share, which lets peers write again. */
static void sum_tail(struct engine *engine, const struct engine_phase *run)
{
    const struct phase *phase = &engine->training->phases[run->phase];
    const struct exchange *x = &engine->part[run->phase].exchange;
    const float *tail = combine_run(&engine->combine, x->tail_view, 0, x->tail_floats,
                                    engine->tail_scratch, engine->tail_stride);
    memcpy(engine->tail, tail, (size_t)x->tail_floats * sizeof(float));
    for (int i = 0; i < phase->metric_count; i++) {
        float sum = engine->tail[phase->metrics[i].offset - x->tail_first];
        run->metrics[i] = (double)sum / (double)engine->training->batch;
    }
}

static enum cam_code replicated(struct engine *engine, const struct engine_phase *run,
                                struct cam_err *err)
{
    const struct phase *phase = &engine->training->phases[run->phase];
    const struct compiled_phase *compiled = &engine->compiled->phases[run->phase];
    const struct backend *backend = engine->compiled->backend;
    if (compiled->replicated.executable == NULL) {
        return CAM_OK;
    }
    const void *inputs[1] = {engine->tail};
    const float scalars[1] = {1.0F / (float)engine->training->shards};
    const struct bindings bindings = {
        .parameters = engine->parameters,
        .buffers = engine->buffers,
        .inputs = inputs,
        .scalars = scalars,
        .activations = engine->lane[0].activations,
        .output = engine->replicated_output,
    };
    const struct random_context random = {.seed = engine->training->seed};
    enum cam_code rc = backend->prepare(compiled->replicated.executable, &bindings, err);
    if (rc == CAM_OK) {
        rc = backend->launch(compiled->replicated.executable, 0, &bindings, &random, err);
    }
    for (int i = 0; rc == CAM_OK && i < phase->replicated_count; i++) {
        const struct tensor_info *buffer = &engine->training->buffers[phase->replicated_buffers[i]];
        memcpy(engine->buffers + buffer->offset,
               engine->replicated_output + compiled->replicated_offsets[i],
               (size_t)shape_count(&buffer->shape) * sizeof(float));
    }
    return rc;
}

static void enter(struct engine *engine, const struct engine_phase *run, const char *stage)
{
    progress_enter(engine->progress, engine->training->phases[run->phase].name, stage, 0);
}

enum cam_code engine_run(struct engine *engine, struct engine_phase *run, struct cam_err *err)
{
    const struct engine_part *part = &engine->part[run->phase];
    enter(engine, run, "compute");
    enum cam_code rc = compute(engine, run, err);
    if (rc == CAM_OK) {
        enter(engine, run, "reduce");
        rc = engine_guard(engine, run, err);
    }
    if (rc == CAM_OK) {
        atomic_fetch_add_explicit(&engine->progress->collective, 1, memory_order_relaxed);
        rc = collectives_exchange(engine->collectives, &part->exchange, &run->control, err);
    }
    if (rc == CAM_OK) {
        enter(engine, run, "update");
        sum_tail(engine, run);
        rc = engine_guard_sums(engine, run, err);
    }
    if (rc == CAM_OK) {
        rc = engine_update(engine, run, err);
    }
    if (rc == CAM_OK) {
        enter(engine, run, "gather");
        atomic_fetch_add_explicit(&engine->progress->collective, 1, memory_order_relaxed);
        rc = collectives_share(engine->collectives, engine->parameters + part->parameter_first,
                               part->exchange.segment, err);
    }
    if (rc == CAM_OK) {
        rc = replicated(engine, run, err);
    }
    return rc;
}

/* ---------------------------------------------------------------- whole states */

enum cam_code engine_collect(struct engine *engine, float *const *whole, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    for (int i = 0; i < engine->training->phase_count; i++) {
        const struct engine_part *part = &engine->part[i];
        for (int k = 0; k < training_own_states(engine->training, i) && rc == CAM_OK; k++) {
            int index = engine_state_index(engine->training, i, k);
            rc = collectives_collect(engine->collectives, part->state[k], part->exchange.segment,
                                     whole == NULL ? NULL : whole[index], err);
        }
    }
    return rc;
}

enum cam_code engine_distribute(struct engine *engine, const float *const *whole,
                                struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    for (int i = 0; i < engine->training->phase_count; i++) {
        const struct engine_part *part = &engine->part[i];
        for (int k = 0; k < training_own_states(engine->training, i) && rc == CAM_OK; k++) {
            int index = engine_state_index(engine->training, i, k);
            rc = collectives_distribute(engine->collectives, whole == NULL ? NULL : whole[index],
                                        part->exchange.segment, part->state[k], err);
        }
    }
    return rc;
}

enum cam_code engine_publish(struct engine *engine, struct cam_err *err)
{
    const struct training *t = engine->training;
    enum cam_code rc =
        collectives_publish(engine->collectives, engine->parameters, t->parameter_floats, err);
    if (rc == CAM_OK && t->buffer_floats > 0) {
        rc = collectives_broadcast(engine->collectives, 0, engine->buffers,
                                   (size_t)t->buffer_floats * sizeof(float), err);
    }
    return rc;
}
