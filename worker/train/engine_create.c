#include "base/mem.h"
#include "worker/train/engine_tables.h"

#include <assert.h>
#include <float.h>
#include <string.h>

static enum cam_code short_of_memory(struct cam_err *err, const char *what)
{
    return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", what);
}

/* Zeroed floats that count as the training's; at least one block, so that none is NULL. */
static float *take_floats(struct engine *engine, int64_t floats)
{
    size_t bytes = (size_t)(floats == 0 ? BLOCK_FLOATS : floats) * sizeof(float);
    engine->bytes += (int64_t)bytes;
    return cam_alloc_aligned(bytes);
}

/* Schedules of all ranks: the own one is kept, of the others where their partials stand. */
static enum cam_code make_schedules(struct engine *engine, struct cam_err *err)
{
    int shards = (int)engine->training->shards;
    int ranks = engine->collectives->size;
    size_t most = (size_t)ranks * TREE_COVER_MAX;
    engine->partial_count = cam_alloc((size_t)ranks, sizeof *engine->partial_count);
    engine->partial_buffer = cam_alloc((size_t)ranks, sizeof *engine->partial_buffer);
    engine->partial_storage = cam_alloc(most, sizeof *engine->partial_storage);
    engine->partial_node = cam_alloc(most, sizeof *engine->partial_node);
    engine->segment_view = cam_alloc(most, sizeof *engine->segment_view);
    engine->tail_view = cam_alloc(most, sizeof *engine->tail_view);
    if (engine->partial_count == NULL || engine->partial_buffer == NULL ||
        engine->partial_storage == NULL || engine->partial_node == NULL ||
        engine->segment_view == NULL || engine->tail_view == NULL) {
        return short_of_memory(err, "the tables of the exchange");
    }
    for (int rank = 0; rank < ranks; rank++) {
        struct schedule schedule = {0};
        struct tree_node range = tree_range(shards, ranks, rank);
        enum cam_code rc = schedule_init(&schedule, shards, range, lanes_count(engine->lanes), err);
        if (rc != CAM_OK) {
            return rc;
        }
        engine->partial_count[rank] = schedule.partial_count;
        engine->partial_buffer[rank] = engine->partial_storage + engine->partial_total;
        for (int k = 0; k < schedule.partial_count; k++) {
            engine->partial_node[engine->partial_total] = schedule.partial[k];
            engine->partial_storage[engine->partial_total++] = schedule.partial_buffer[k];
        }
        if (rank == engine->collectives->rank) {
            engine->range = range;
            engine->schedule = schedule;
        } else {
            schedule_release(&schedule);
        }
    }
    return combine_init(&engine->combine, shards, engine->partial_node, engine->partial_total, err);
}

/* What the own blocks of a part have by the tensor they belong to. */
static enum cam_code make_tables(struct engine *engine, int index, struct cam_err *err)
{
    const struct training *t = engine->training;
    const struct phase *phase = &t->phases[index];
    const struct part_info *info = &t->parts[phase->part];
    struct engine_part *part = &engine->part[index];
    int ranks = engine->collectives->size;
    int64_t first = part->segment[engine->collectives->rank] / BLOCK_FLOATS;
    int64_t end = part->segment[engine->collectives->rank + 1] / BLOCK_FLOATS;
    part->decays = take_floats(engine, end - first);
    part->trust = take_floats(engine, end - first);
    part->norm_segment = cam_alloc((size_t)ranks + 1, sizeof *part->norm_segment);
    if (part->decays == NULL || part->trust == NULL || part->norm_segment == NULL) {
        return short_of_memory(err, "the table of blocks");
    }
    for (int r = 0; r <= ranks; r++) {
        part->norm_segment[r] = part->segment[r] / BLOCK_FLOATS * NORM_FLOATS;
    }
    for (int i = 0; i < info->parameter_count; i++) {
        const struct tensor_info *tensor = &t->parameters[info->parameter_first + i];
        float decays = update_decays(&phase->update, tensor) ? 1.0F : 0.0F;
        int64_t block = tensor->block_first - info->block_first;
        for (int64_t k = 0; k < tensor->block_count; k++, block++) {
            if (block >= first && block < end) {
                part->decays[block - first] = decays;
                part->trust[block - first] = 1.0F;
            }
        }
    }
    return CAM_OK;
}

static enum cam_code make_part(struct engine *engine, int index, struct cam_err *err)
{
    const struct phase *phase = &engine->training->phases[index];
    const struct part_info *info = &engine->training->parts[phase->part];
    struct engine_part *part = &engine->part[index];
    int ranks = engine->collectives->size;
    int rank = engine->collectives->rank;
    assert(phase->gradient_floats == info->block_count * BLOCK_FLOATS);
    part->parameter_first = info->block_first * BLOCK_FLOATS;
    part->segment = cam_alloc((size_t)ranks + 1, sizeof *part->segment);
    if (part->segment == NULL) {
        return short_of_memory(err, "the table of owners");
    }
    for (int r = 0; r <= ranks; r++) {
        part->segment[r] = info->block_count * r / ranks * BLOCK_FLOATS;
    }
    part->exchange = (struct exchange){
        .segment = part->segment,
        .tail_first = phase->gradient_floats,
        .tail_floats = phase->output_floats - phase->gradient_floats,
        .stride = engine->stride,
        .partial_count = engine->partial_count,
        .partial_buffer = (const int *const *)engine->partial_buffer,
        .segment_view = engine->segment_view,
        .tail_view = engine->tail_view,
    };
    part->state_count = phase->update.state_count;
    for (int k = 0; k < part->state_count && phase->base != index; k++) {
        part->state[k] = engine->part[phase->base].state[k];
    }
    for (int k = 0; k < training_own_states(engine->training, index); k++) {
        part->state[k] = take_floats(engine, part->segment[rank + 1] - part->segment[rank]);
        if (part->state[k] == NULL) {
            return short_of_memory(err, "the optimizer's state");
        }
    }
    enum cam_code rc = make_tables(engine, index, err);
    return rc == CAM_OK ? collectives_reserve(engine->collectives, &part->exchange, err) : rc;
}

static enum cam_code make_arenas(struct engine *engine, struct cam_err *err)
{
    const struct training *t = engine->training;
    int64_t tail = 0;
    int64_t norms = 0;
    for (int i = 0; i < t->phase_count; i++) {
        const struct phase *phase = &t->phases[i];
        int64_t squares = phase->gradient_floats / BLOCK_FLOATS * NORM_FLOATS;
        norms = update_needs_norms(&phase->update) && squares > norms ? squares : norms;
        int64_t floats = phase->output_floats - phase->gradient_floats;
        engine->stride =
            phase->output_floats > engine->stride ? phase->output_floats : engine->stride;
        tail = floats > tail ? floats : tail;
    }
    engine->tail_stride = tail;
    engine->tail = take_floats(engine, tail);
    engine->tail_scratch = take_floats(engine, tail * engine->combine.scratch_count);
    engine->replicated_output = take_floats(engine, engine->compiled->replicated_floats);
    engine->buffers = take_floats(engine, t->buffer_floats);
    if (engine->tail == NULL || engine->tail_scratch == NULL || engine->replicated_output == NULL ||
        engine->buffers == NULL) {
        return short_of_memory(err, "the training's buffers");
    }
    int64_t partials = engine->stride * engine->schedule.buffer_count;
    engine->bytes += (t->parameter_floats + partials) * (int64_t)sizeof(float);
    enum cam_code rc =
        collectives_replica(engine->collectives, t->parameter_floats, &engine->parameters, err);
    if (rc == CAM_OK && norms > 0) {
        engine->bytes += norms * (int64_t)sizeof(float);
        rc = collectives_replica(engine->collectives, norms, &engine->norms, err);
    }
    return rc != CAM_OK
               ? rc
               : collectives_partials(engine->collectives, partials, &engine->partials, err);
}

static enum cam_code make_lanes(struct engine *engine, struct cam_err *err)
{
    const struct training *t = engine->training;
    int lanes = lanes_count(engine->lanes);
    int states = 0;
    for (int i = 0; i < t->phase_count; i++) {
        int count = t->phases[i].update.state_count;
        states = count > states ? count : states;
    }
    engine->lane = cam_alloc((size_t)lanes, sizeof *engine->lane);
    for (int i = 0; engine->lane != NULL && i < lanes; i++) {
        struct engine_lane *lane = &engine->lane[i];
        lane->activations = take_floats(engine, engine->compiled->activation_floats);
        lane->update_output = take_floats(engine, (1 + states) * UPDATE_CHUNK_FLOATS);
        lane->scratch = take_floats(engine, engine->combine.scratch_count * UPDATE_CHUNK_FLOATS);
        lane->inputs = cam_alloc((size_t)t->input_count + 1, sizeof *lane->inputs);
        if (lane->activations == NULL || lane->update_output == NULL || lane->scratch == NULL ||
            lane->inputs == NULL) {
            return short_of_memory(err, "the activations of a lane");
        }
    }
    return engine->lane == NULL ? short_of_memory(err, "the lanes") : CAM_OK;
}

/* What the worker can bring: images or text, and labels, a row a sample. */
static enum cam_code check_inputs(struct engine *engine, struct cam_err *err)
{
    const struct training *t = engine->training;
    engine->input_is_label = cam_alloc((size_t)t->input_count + 1, sizeof *engine->input_is_label);
    if (engine->input_is_label == NULL) {
        return short_of_memory(err, "the inputs");
    }
    for (int i = 0; i < t->input_count; i++) {
        const char *name = t->inputs[i].name;
        engine->input_is_label[i] = strcmp(name, "label") == 0;
        if (!engine->input_is_label[i] && strcmp(name, "image") != 0 && strcmp(name, "text") != 0) {
            return cam_fail(err, CAM_UNSUPPORTED, "no data source gives the input %s", name);
        }
    }
    return CAM_OK;
}

/* Images of the largest numbers there are, for a shard. */
static enum cam_code make_poison(struct engine *engine, struct cam_err *err)
{
    const struct training *t = engine->training;
    int64_t most = 0;
    for (int i = 0; i < t->input_count; i++) {
        int64_t floats = shape_count(&t->inputs[i].shape);
        most = floats > most ? floats : most;
    }
    float *poison = cam_alloc_aligned((size_t)(most + BLOCK_FLOATS) * sizeof(float));
    if (poison == NULL) {
        return short_of_memory(err, "a test's images");
    }
    for (int64_t i = 0; i < most; i++) {
        poison[i] = FLT_MAX;
    }
    engine->poison = poison;
    return CAM_OK;
}

static enum cam_code begin_lane(void *context, int lane, struct cam_err *err)
{
    const struct engine *engine = context;
    (void)err;
    engine->compiled->backend->lane_begin(engine->compiled->instance, lane);
    return CAM_OK;
}

enum cam_code engine_create(const struct engine_options *options, struct engine **out,
                            struct cam_err *err)
{
    struct engine *engine = cam_alloc(1, sizeof *engine);
    if (engine == NULL) {
        return short_of_memory(err, "the engine");
    }
    engine->compiled = options->compiled;
    engine->training = options->compiled->training;
    engine->collectives = options->collectives;
    engine->lanes = options->lanes;
    engine->progress = options->progress;
    engine->part = cam_alloc((size_t)engine->training->phase_count, sizeof *engine->part);
    enum cam_code rc =
        engine->part == NULL ? short_of_memory(err, "the phases") : check_inputs(engine, err);
    if (rc == CAM_OK) {
        rc = make_schedules(engine, err);
    }
    if (rc == CAM_OK) {
        rc = make_arenas(engine, err);
    }
    for (int i = 0; rc == CAM_OK && i < engine->training->phase_count; i++) {
        rc = make_part(engine, i, err);
    }
    if (rc == CAM_OK) {
        rc = make_lanes(engine, err);
    }
    if (rc == CAM_OK && options->poison) {
        rc = make_poison(engine, err);
    }
    if (rc == CAM_OK) {
        rc = lanes_run(engine->lanes, begin_lane, engine, err);
    }
    if (rc != CAM_OK) {
        engine_destroy(engine);
        return rc;
    }
    *out = engine;
    return CAM_OK;
}

void engine_destroy(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    for (int i = 0; engine->part != NULL && i < engine->training->phase_count; i++) {
        for (int k = 0; k < training_own_states(engine->training, i); k++) {
            cam_free(engine->part[i].state[k]);
        }
        cam_free(engine->part[i].decays);
        cam_free(engine->part[i].trust);
        cam_free(engine->part[i].norm_segment);
        cam_free(engine->part[i].segment);
    }
    for (int i = 0; engine->lane != NULL && i < lanes_count(engine->lanes); i++) {
        cam_free(engine->lane[i].activations);
        cam_free(engine->lane[i].update_output);
        cam_free(engine->lane[i].scratch);
        cam_free(engine->lane[i].inputs);
    }
    schedule_release(&engine->schedule);
    combine_release(&engine->combine);
    cam_free(engine->part);
    cam_free(engine->lane);
    cam_free(engine->input_is_label);
    cam_free(engine->partial_node);
    cam_free(engine->partial_count);
    cam_free(engine->partial_buffer);
    cam_free(engine->partial_storage);
    cam_free(engine->segment_view);
    cam_free(engine->tail_view);
    cam_free(engine->buffers);
    cam_free(engine->tail);
    cam_free(engine->tail_scratch);
    cam_free(engine->replicated_output);
    cam_free(engine->poison);
    cam_free(engine);
}

void engine_rows(const struct engine *engine, int64_t *first_out, int64_t *count_out)
{
    *first_out = engine->range.first * engine->training->rows;
    *count_out = (engine->range.end - engine->range.first) * engine->training->rows;
}

float *engine_parameters(const struct engine *engine)
{
    return engine->parameters;
}

float *engine_buffers(const struct engine *engine)
{
    return engine->buffers;
}

float *engine_activations(const struct engine *engine, int lane)
{
    return engine->lane[lane].activations;
}

bool engine_input_is_label(const struct engine *engine, int input)
{
    return engine->input_is_label[input];
}

int engine_state_index(const struct training *training, int phase, int state)
{
    int index = state;
    for (int i = 0; i < phase; i++) {
        index += training_own_states(training, i);
    }
    return index;
}

int engine_state_count(const struct training *training)
{
    return engine_state_index(training, training->phase_count, 0);
}

int64_t engine_bytes(const struct engine *engine)
{
    return engine->bytes;
}
