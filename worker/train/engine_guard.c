/*
 * Numerical guards: no update is applied on any rank where a sum is not finite.
 *
 * NaN and infinity stay in a sum, so a rank looks at its partial sums alone, and its word travels
 * with the exchange.  Finite partial sums may still have an infinite sum; only where one is so
 * large that this can be (COMBINE_SAFE) do the owners look at the sums too.
 */
#include "worker/train/engine_tables.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* Above the caller's 32 bits of the control word. */
#define CONTROL_SPOILED (UINT64_C(1) << 32)
#define CONTROL_LARGE   (UINT64_C(1) << 33)

static const char ADVICE[] = "a smaller learning rate or clip_norm often helps";

static enum cam_code partials_task(void *context, int lane, struct cam_err *err)
{
    (void)err;
    const struct engine_pieces *task = context;
    struct engine *engine = task->engine;
    int lanes = lanes_count(engine->lanes);
    int64_t floats = engine->training->phases[task->run->phase].output_floats;
    int64_t first = floats * lane / lanes;
    int64_t count = floats * (lane + 1) / lanes - first;
    engine->lane[lane].guard = 0;
    for (int i = 0; i < engine->schedule.partial_count; i++) {
        const float *partial =
            engine->partials + engine->schedule.partial_buffer[i] * engine->stride;
        engine->lane[lane].guard |= combine_check(partial + first, count);
    }
    return CAM_OK;
}

static enum cam_code sum_piece(const struct engine_pieces *task, int lane, int64_t offset,
                               int64_t count, struct cam_err *err)
{
    (void)err;
    struct engine_lane *own = &task->engine->lane[lane];
    own->guard |= combine_check(engine_own_gradient(task, lane, offset, count), count);
    return CAM_OK;
}

static enum cam_code sums_task(void *context, int lane, struct cam_err *err)
{
    const struct engine_pieces *task = context;
    task->engine->lane[lane].guard = 0;
    return engine_each_piece(task, lane, sum_piece, err);
}

/* What the task saw on any lane. */
static enum cam_code check_all(struct engine *engine, const struct engine_phase *run,
                               lanes_task task, unsigned *out, struct cam_err *err)
{
    struct engine_pieces pieces = {.engine = engine, .run = run};
    enum cam_code rc = lanes_run(engine->lanes, task, &pieces, err);
    *out = 0;
    for (int i = 0; i < lanes_count(engine->lanes); i++) {
        *out |= engine->lane[i].guard;
    }
    return rc;
}

enum cam_code engine_guard(struct engine *engine, struct engine_phase *run, struct cam_err *err)
{
    unsigned seen = 0;
    enum cam_code rc = check_all(engine, run, partials_task, &seen, err);
    engine->spoiled = (seen & COMBINE_SPOILED) != 0;
    engine->spoiling.code = CAM_OK;
    run->control |= engine->spoiled ? CONTROL_SPOILED : 0;
    run->control |= (seen & COMBINE_LARGE) != 0 ? CONTROL_LARGE : 0;
    return rc;
}

enum cam_code engine_guard_sums(struct engine *engine, struct engine_phase *run,
                                struct cam_err *err)
{
    const struct phase *phase = &engine->training->phases[run->phase];
    uint64_t control = run->control;
    run->control &= UINT32_MAX;
    if ((control & CONTROL_SPOILED) != 0) {
        return cam_fail(err, CAM_NON_FINITE,
                        "step %lld, phase %s: a loss or gradient is not finite",
                        (long long)run->step, phase->name);
    }
    if ((control & CONTROL_LARGE) == 0) {
        return CAM_OK;
    }
    unsigned seen = 0;
    enum cam_code rc = check_all(engine, run, sums_task, &seen, err);
    if (rc != CAM_OK) {
        return rc;
    }
    int64_t floats = engine->part[run->phase].exchange.tail_floats;
    int64_t spoiled = ((seen | combine_check(engine->tail, floats)) & COMBINE_SPOILED) != 0 ? 1 : 0;
    if (spoiled != 0) {
        (void)cam_fail(
            &engine->spoiling, CAM_NON_FINITE,
            "step %lld, phase %s: losses or gradients are finite in every shard, but not "
            "once added (%s)",
            (long long)run->step, phase->name, ADVICE);
    }
    rc = collectives_agree(engine->collectives, &spoiled, err);
    return rc != CAM_OK || spoiled == 0
               ? rc
               : cam_fail(err, CAM_NON_FINITE, "step %lld, phase %s: a sum is not finite",
                          (long long)run->step, phase->name);
}
