#include "model/plan/plan_verify.h"

#include "base/mem.h"
#include "model/graph/op.h"

#include <inttypes.h>

/* For every float of the two written blocks: the value whose bytes it holds, plus 1. */
struct shadow {
    int32_t *owner[STORAGE_OUTPUT + 1];
    int64_t floats[STORAGE_OUTPUT + 1];
    int32_t *wrote[STORAGE_OUTPUT + 1]; /* the step that wrote it, plus 1 */
};

static bool is_written(enum storage storage)
{
    return storage == STORAGE_ACTIVATION || storage == STORAGE_OUTPUT;
}

static enum cam_code check_read(const struct plan *plan, const struct shadow *shadow, int value,
                                int step, struct cam_err *err)
{
    if (value < 0 || value >= plan->value_count) {
        return cam_fail(err, CAM_INTERNAL, "step %d reads value %d of %d", step, value,
                        plan->value_count);
    }
    const struct plan_value *v = &plan->values[value];
    for (int64_t i = 0; is_written(v->storage) && i < shape_count(&v->shape); i++) {
        int64_t at = v->offset + i;
        if (at >= shadow->floats[v->storage] || shadow->owner[v->storage][at] != v->alias + 1 ||
            shadow->wrote[v->storage][at] == step + 1) {
            return cam_fail(err, CAM_INTERNAL,
                            "step %d (%s) reads value %d, whose element %" PRId64 " is not there",
                            step, plan->steps[step].path, value, i);
        }
    }
    return CAM_OK;
}

static enum cam_code check_write(const struct plan *plan, struct shadow *shadow, int value,
                                 int step, struct cam_err *err)
{
    const struct plan_value *v = &plan->values[value];
    if (value < 0 || value >= plan->value_count || !is_written(v->storage) || v->offset < 0 ||
        (v->storage == STORAGE_ACTIVATION && v->offset % 16 != 0) || v->alias != value ||
        v->offset + shape_count(&v->shape) > shadow->floats[v->storage]) {
        return cam_fail(err, CAM_INTERNAL, "step %d writes value %d, which has no place", step,
                        value);
    }
    for (int64_t i = v->offset; i < v->offset + shape_count(&v->shape); i++) {
        if (shadow->wrote[v->storage][i] == step + 1) {
            return cam_fail(err, CAM_INTERNAL, "step %d writes float %" PRId64 " twice", step, i);
        }
        if (v->storage == STORAGE_OUTPUT && shadow->owner[v->storage][i] != 0) {
            return cam_fail(err, CAM_INTERNAL, "step %d writes over an output at %" PRId64, step,
                            i);
        }
        shadow->owner[v->storage][i] = value + 1;
        shadow->wrote[v->storage][i] = step + 1;
    }
    return CAM_OK;
}

/* A program or operator must not write what it reads: reads come before writes are marked, so the
 * floats it reads are looked at again after. */
static enum cam_code check_apart(const struct plan *plan, const struct shadow *shadow, int value,
                                 int step, struct cam_err *err)
{
    const struct plan_value *v = &plan->values[value];
    for (int64_t i = 0; is_written(v->storage) && i < shape_count(&v->shape); i++) {
        if (shadow->wrote[v->storage][v->offset + i] == step + 1) {
            return cam_fail(err, CAM_INTERNAL, "step %d (%s) writes over value %d that it reads",
                            step, plan->steps[step].path, value);
        }
    }
    return CAM_OK;
}

static enum cam_code check_load(const struct plan *plan, const struct program *program, int index,
                                int step, struct cam_err *err)
{
    const struct program_load *load = &program->loads[index];
    int64_t least = load->offset;
    int64_t most = load->offset;
    for (int d = 0; d < program->space.rank; d++) {
        int64_t reach = (program->space.dim[d] - 1) * load->stride[d];
        least += reach < 0 ? reach : 0;
        most += reach > 0 ? reach : 0;
    }
    if (least < 0 || most >= shape_count(&plan->values[load->value].shape)) {
        return cam_fail(err, CAM_INTERNAL, "step %d loads %" PRId64 "..%" PRId64 " of value %d",
                        step, least, most, load->value);
    }
    return CAM_OK;
}

/* Rows are the last axis, and short enough to be held at once. */
static bool has_sound_rows(const struct program *program)
{
    int last = program->space.rank - 1;
    return program->row_axes == 0 || (last >= 0 && program->row_axes == 1u << last &&
                                      program->space.dim[last] <= PROGRAM_ROW_MAX);
}

static bool is_reduction(enum op_kind op)
{
    return op == OP_SUM || op == OP_REDUCE_MAX;
}

static bool is_sound(const struct plan *plan, const struct program *program)
{
    int64_t space = shape_count(&program->space);
    int64_t left = 1;
    bool narrow[PROGRAM_INSTRUCTIONS_MAX];
    bool sound = program->space.rank >= 1 && program->load_count <= PROGRAM_LOADS_MAX &&
                 program->instruction_count <= PROGRAM_INSTRUCTIONS_MAX &&
                 program->store_count <= PROGRAM_STORES_MAX &&
                 program->sum_count <= PROGRAM_STORES_MAX &&
                 program->store_count + program->sum_count > 0 &&
                 program->sum_axes >> program->space.rank == 0 &&
                 (program->sum_count > 0) == (program->sum_axes != 0) && has_sound_rows(program);
    for (int d = 0; d < program->space.rank; d++) {
        left *= (program->sum_axes >> d & 1u) != 0 ? 1 : program->space.dim[d];
    }
    for (int i = 0; sound && i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        const struct op *op = op_get(instruction->op);
        sound = instruction->op != OP_INPUT || instruction->load < program->load_count;
        for (int k = 0; k < op->input_count; k++) {
            sound = sound && instruction->source[k] >= 0 && instruction->source[k] < i;
        }
        sound = sound && (op->input_count == 0 || op->class == OP_CLASS_ELEMENTWISE ||
                          (program->row_axes != 0 && is_reduction(instruction->op)));
        sound = sound && (instruction->op != OP_IOTA || instruction->axis < program->space.rank);
    }
    if (sound) {
        program_is_narrow(program, narrow);
    }
    for (int i = 0; sound && i < program->store_count; i++) {
        const struct program_output *store = &program->stores[i];
        int64_t row = store->row ? program->space.dim[program->space.rank - 1] : 1;
        sound = store->source < program->instruction_count &&
                (!store->row || narrow[store->source]) &&
                shape_count(&plan->values[store->value].shape) == space / row;
    }
    for (int i = 0; sound && i < program->sum_count; i++) {
        const struct program_output *sum = &program->sums[i];
        int64_t row = sum->row ? program->space.dim[program->space.rank - 1] : 1;
        sound = sum->source < program->instruction_count && (!sum->row || narrow[sum->source]) &&
                (!sum->row || (program->sum_axes & program->row_axes) == 0) &&
                shape_count(&plan->values[sum->value].shape) == left / row;
    }
    return sound;
}

static enum cam_code verify_program(const struct plan *plan, struct shadow *shadow, int step,
                                    struct cam_err *err)
{
    const struct program *program = plan->steps[step].program;
    enum cam_code rc = CAM_OK;
    if (!is_sound(plan, program)) {
        return cam_fail(err, CAM_INTERNAL, "the program of step %d (%s) is not sound", step,
                        plan->steps[step].path);
    }
    for (int i = 0; rc == CAM_OK && i < program->load_count; i++) {
        rc = check_read(plan, shadow, program->loads[i].value, step, err);
        rc = rc == CAM_OK ? check_load(plan, program, i, step, err) : rc;
    }
    for (int i = 0; rc == CAM_OK && i < program->store_count; i++) {
        rc = check_write(plan, shadow, program->stores[i].value, step, err);
    }
    for (int i = 0; rc == CAM_OK && i < program->sum_count; i++) {
        rc = check_write(plan, shadow, program->sums[i].value, step, err);
    }
    for (int i = 0; rc == CAM_OK && i < program->load_count; i++) {
        rc = check_apart(plan, shadow, program->loads[i].value, step, err);
    }
    return rc;
}

static enum cam_code verify_operator(const struct plan *plan, struct shadow *shadow, int step,
                                     struct cam_err *err)
{
    const struct plan_step *s = &plan->steps[step];
    enum cam_code rc = CAM_OK;
    for (int i = 0; rc == CAM_OK && i < s->input_count; i++) {
        rc = check_read(plan, shadow, s->input[i], step, err);
    }
    rc = rc == CAM_OK ? check_write(plan, shadow, s->output, step, err) : rc;
    for (int i = 0; rc == CAM_OK && i < s->input_count; i++) {
        rc = check_apart(plan, shadow, s->input[i], step, err);
    }
    return rc;
}

enum cam_code plan_verify(const struct plan *plan, struct cam_err *err)
{
    struct shadow shadow = {.floats = {[STORAGE_ACTIVATION] = plan->activation_floats,
                                       [STORAGE_OUTPUT] = plan->output_floats}};
    enum cam_code rc = CAM_OK;
    for (int k = STORAGE_ACTIVATION; k <= STORAGE_OUTPUT; k++) {
        shadow.owner[k] = cam_alloc((size_t)shadow.floats[k] + 1, sizeof(int32_t));
        shadow.wrote[k] = cam_alloc((size_t)shadow.floats[k] + 1, sizeof(int32_t));
        if (shadow.owner[k] == NULL || shadow.wrote[k] == NULL) {
            rc = cam_fail(err, CAM_NO_MEMORY, "no memory to verify a plan");
        }
    }
    for (int i = 0; rc == CAM_OK && i < plan->step_count; i++) {
        rc = (plan->steps[i].kind == PLAN_PROGRAM ? verify_program : verify_operator)(plan, &shadow,
                                                                                      i, err);
    }
    for (int k = STORAGE_ACTIVATION; k <= STORAGE_OUTPUT; k++) {
        cam_free(shadow.owner[k]);
        cam_free(shadow.wrote[k]);
    }
    return rc;
}
