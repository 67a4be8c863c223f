/*
 * The update of a phase.  Stage (a), where the optimizer asks: sums of squares by block, shared,
 * and added by every rank over the block's index, so that norms have the same bits for any number
 * of ranks.  Stage (b): the owner adds gradients in tree order, checks and updates its blocks.
 */
#include "worker/train/engine_tables.h"

#include <math.h>
#include <string.h>

const float *engine_own_gradient(const struct engine_pieces *task, int lane, int64_t offset,
                                 int64_t count)
{
    const struct engine *engine = task->engine;
    return combine_run(&engine->combine, engine->part[task->run->phase].exchange.segment_view,
                       offset, count, engine->lane[lane].scratch, UPDATE_CHUNK_FLOATS);
}

static float *own_parameter(const struct engine_pieces *task, int64_t offset)
{
    const struct engine *engine = task->engine;
    const struct engine_part *part = &engine->part[task->run->phase];
    return engine->parameters + part->parameter_first +
           part->exchange.segment[engine->collectives->rank] + offset;
}

enum cam_code engine_each_piece(const struct engine_pieces *task, int lane, engine_piece *piece,
                                struct cam_err *err)
{
    const struct engine *engine = task->engine;
    const struct exchange *x = &engine->part[task->run->phase].exchange;
    int rank = engine->collectives->rank;
    int lanes = lanes_count(engine->lanes);
    int64_t blocks = (x->segment[rank + 1] - x->segment[rank]) / BLOCK_FLOATS;
    int64_t block = blocks * lane / lanes;
    int64_t end = blocks * (lane + 1) / lanes;
    enum cam_code rc = CAM_OK;
    while (block < end && rc == CAM_OK) {
        int64_t count = end - block >= UPDATE_CHUNK_BLOCKS ? UPDATE_CHUNK_BLOCKS : 1;
        rc = piece(task, lane, block * BLOCK_FLOATS, count * BLOCK_FLOATS, err);
        block += count;
    }
    return rc;
}

/* ---------------------------------------------------------------- stage (a) */

static enum cam_code squares_piece(const struct engine_pieces *task, int lane, int64_t offset,
                                   int64_t count, struct cam_err *err)
{
    (void)err;
    struct engine *engine = task->engine;
    const struct update_info *update = &engine->training->phases[task->run->phase].update;
    const struct engine_part *part = &engine->part[task->run->phase];
    const float *gradient = engine_own_gradient(task, lane, offset, count);
    const float *parameter = own_parameter(task, offset);
    const float scale = (float)(1.0 / (double)engine->training->batch);
    const float most = update->clip_value > 0.0 ? (float)update->clip_value : INFINITY;
    int64_t first = part->exchange.segment[engine->collectives->rank] + offset;
    for (int64_t i = 0; i < count; i += BLOCK_FLOATS) {
        const double squares[NORM_COUNT] = {
            [NORM_GRADIENT] = combine_squares(gradient + i, BLOCK_FLOATS, scale, most),
            [NORM_WEIGHT] = update->trust == 0.0
                                ? 0.0
                                : combine_squares(parameter + i, BLOCK_FLOATS, 1.0F, INFINITY),
        };
        memcpy(engine->norms + (first + i) / BLOCK_FLOATS * NORM_FLOATS, squares, sizeof squares);
    }
    return CAM_OK;
}

static enum cam_code squares_task(void *context, int lane, struct cam_err *err)
{
    return engine_each_piece(context, lane, squares_piece, err);
}

/* The norm over the part's blocks [node.first, node.end), squared, in the tree's order. */
static double squares_of(const struct engine *engine, enum engine_norm norm, struct tree_node node)
{
    if (node.end - node.first == 1) {
        double squares[NORM_COUNT];
        memcpy(squares, engine->norms + (int64_t)node.first * NORM_FLOATS, sizeof squares);
        return squares[norm];
    }
    int split = tree_split(node);
    return squares_of(engine, norm, (struct tree_node){node.first, split}) +
           squares_of(engine, norm, (struct tree_node){split, node.end});
}

/* Lars: every tensor's own rate, for the blocks that this rank owns. */
static void find_trust(struct engine *engine, const struct engine_phase *run,
                       const struct update_moment *moment)
{
    const struct training *t = engine->training;
    const struct phase *phase = &t->phases[run->phase];
    const struct part_info *info = &t->parts[phase->part];
    const struct engine_part *part = &engine->part[run->phase];
    int rank = engine->collectives->rank;
    int64_t own_first = part->exchange.segment[rank] / BLOCK_FLOATS;
    int64_t own_end = part->exchange.segment[rank + 1] / BLOCK_FLOATS;
    for (int i = 0; i < info->parameter_count; i++) {
        const struct tensor_info *tensor = &t->parameters[info->parameter_first + i];
        int64_t first = tensor->block_first - info->block_first;
        int64_t end = first + tensor->block_count;
        if (end <= own_first || first >= own_end) {
            continue;
        }
        const struct tree_node blocks = {(int)first, (int)end};
        float trust = update_trust(&phase->update, tensor, moment,
                                   sqrt(squares_of(engine, NORM_WEIGHT, blocks)),
                                   sqrt(squares_of(engine, NORM_GRADIENT, blocks)));
        first = first > own_first ? first : own_first;
        end = end < own_end ? end : own_end;
        for (int64_t block = first; block < end; block++) {
            part->trust[block - own_first] = trust;
        }
    }
}

static enum cam_code find_norms(const struct engine_pieces *task, struct update_moment *moment,
                                struct cam_err *err)
{
    struct engine *engine = task->engine;
    const struct phase *phase = &engine->training->phases[task->run->phase];
    const struct engine_part *part = &engine->part[task->run->phase];
    int64_t blocks = phase->gradient_floats / BLOCK_FLOATS;
    if (!update_needs_norms(&phase->update) || blocks == 0) {
        return CAM_OK;
    }
    struct engine_pieces own = *task;
    enum cam_code rc = lanes_run(engine->lanes, squares_task, &own, err);
    if (rc == CAM_OK) {
        atomic_fetch_add_explicit(&engine->progress->collective, 1, memory_order_relaxed);
        rc = collectives_share(engine->collectives, engine->norms, part->norm_segment, err);
    }
    if (rc == CAM_OK) {
        const struct tree_node all = {0, (int)blocks};
        moment->gradient_norm = sqrt(squares_of(engine, NORM_GRADIENT, all));
    }
    if (rc == CAM_OK && phase->update.trust > 0.0) {
        find_trust(engine, task->run, moment);
    }
    return rc;
}

/* ---------------------------------------------------------------- stage (b) */

/* Adds and updates `count` floats of the own segment, a chunk or a block. */
/* Adds and updates `count` floats of the own segment, a chunk or a block. */
static enum cam_code update_piece(const struct engine_pieces *task, int lane, int64_t offset,
                                  int64_t count, struct cam_err *err)
{
    struct engine *engine = task->engine;
    const struct engine_part *part = &engine->part[task->run->phase];
    const struct compiled_phase *compiled = &engine->compiled->phases[task->run->phase];
    struct engine_lane *own = &engine->lane[lane];
    const float *gradient = engine_own_gradient(task, lane, offset, count);
    float *parameter = own_parameter(task, offset);
    const void *inputs[UPDATE_INPUT_COUNT] = {
        [UPDATE_PARAMETER] = parameter,
        [UPDATE_GRADIENT] = gradient,
        [UPDATE_DECAYS] = part->decays + offset / BLOCK_FLOATS,
        [UPDATE_TRUST] = part->trust + offset / BLOCK_FLOATS,
    };
    for (int i = 0; i < part->state_count; i++) {
        inputs[UPDATE_STATES + i] = part->state[i] + offset;
    }
    const struct bindings bindings = {
        .parameters = engine->parameters,
        .buffers = engine->buffers,
        .inputs = inputs,
        .scalars = task->scalars,
        .activations = own->activations,
        .output = own->update_output,
    };
    const struct random_context random = {.seed = engine->training->seed};
    struct executable *executable = count == UPDATE_CHUNK_FLOATS
                                        ? compiled->update_chunk.executable
                                        : compiled->update_block.executable;
    enum cam_code rc = engine->compiled->backend->launch(executable, lane, &bindings, &random, err);
    if (rc == CAM_OK) {
        size_t bytes = (size_t)count * sizeof(float);
        memcpy(parameter, own->update_output, bytes);
        for (int i = 0; i < part->state_count; i++) {
            memcpy(part->state[i] + offset, own->update_output + (1 + i) * count, bytes);
        }
    }
    return rc;
}

static enum cam_code update_task(void *context, int lane, struct cam_err *err)
{
    return engine_each_piece(context, lane, update_piece, err);
}

enum cam_code engine_update(struct engine *engine, const struct engine_phase *run,
                            struct cam_err *err)
{
    const struct backend *backend = engine->compiled->backend;
    const struct compiled_phase *compiled = &engine->compiled->phases[run->phase];
    float scalars[UPDATE_SCALAR_COUNT];
    struct engine_pieces task = {engine, run, scalars};
    struct update_moment moment = {.execution = (int64_t)run->execution,
                                   .rate_factor = run->rate_factor};
    enum cam_code rc = find_norms(&task, &moment, err);
    training_update_scalars(engine->training, &engine->training->phases[run->phase].update, &moment,
                            scalars);
    const struct bindings bindings = {
        .parameters = engine->parameters, .buffers = engine->buffers, .scalars = scalars};
    if (rc == CAM_OK) {
        rc = backend->prepare(compiled->update_chunk.executable, &bindings, err);
    }
    if (rc == CAM_OK) {
        rc = backend->prepare(compiled->update_block.executable, &bindings, err);
    }
    return rc == CAM_OK ? lanes_run(engine->lanes, update_task, &task, err) : rc;
}
