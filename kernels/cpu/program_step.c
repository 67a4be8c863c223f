/* Steps that run as programs: fused ones as they are, single operators as a program of one. */
#include "kernels/cpu/program.h"

#include "model/graph/op.h"

#include "base/mem.h"

#include <string.h>

/* `layout` comes first: the state that program_run.c sees.  `own` is used by single operators. */
struct program_state {
    struct cpu_program layout;
    struct program own;
};

static const struct shape *shape_of(const struct cpu_step *step, int value)
{
    return &step->plan->values[value].shape;
}

/* Adds a load with row-major strides over `shape`; returns its register. */
static int add_load(struct program *program, int value, const struct shape *shape)
{
    int index = program->load_count++;
    int result = program->instruction_count++;
    program->loads[index].value = value;
    shape_strides(shape, program->loads[index].stride);
    program->instructions[result] = (struct program_instruction){.op = OP_INPUT, .load = index};
    return result;
}

static void single_random(const struct cpu_step *step, struct program_instruction *instruction)
{
    const struct shape *shape = shape_of(step, step->step->output);
    shape_strides(shape, instruction->element_stride);
    instruction->stream = step->step->attr.stream;
    instruction->by_row = step->step->attr.by_row;
    if (instruction->by_row) {
        instruction->element_stride[0] = 0;
        instruction->row_stride[0] = 1;
    }
}

/* Changes the strides of the only load into those of a view. */
static void single_view(const struct cpu_step *step, struct program_load *load)
{
    const struct plan_step *plan_step = step->step;
    const struct shape *in = shape_of(step, plan_step->input[0]);
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(in, stride);
    for (int d = 0; d < in->rank; d++) {
        if (plan_step->op == OP_PERMUTE) {
            load->stride[d] = stride[plan_step->attr.order[d]];
        } else {
            bool repeated = plan_step->op == OP_BROADCAST && in->dim[d] == 1;
            load->stride[d] = repeated ? 0 : stride[d];
            load->offset += plan_step->op == OP_SLICE ? plan_step->attr.start[d] * stride[d] : 0;
        }
    }
}

/* The program of one operator. */
static void single_build(const struct cpu_step *step, struct program *program)
{
    const struct plan_step *plan_step = step->step;
    bool sum = plan_step->op == OP_SUM;
    program->space = *shape_of(step, sum ? plan_step->input[0] : plan_step->output);
    for (int k = 0; k < plan_step->input_count; k++) {
        add_load(program, plan_step->input[k], &program->space);
    }
    int result = program->instruction_count - 1;
    bool view =
        plan_step->op == OP_BROADCAST || plan_step->op == OP_PERMUTE || plan_step->op == OP_SLICE;
    if (view) {
        single_view(step, &program->loads[0]);
    } else if (plan_step->input_count == 0 || vector_function_of(plan_step->op) != NULL) {
        result = program->instruction_count++;
        struct program_instruction *instruction = &program->instructions[result];
        *instruction = (struct program_instruction){.op = plan_step->op,
                                                    .source = {0, 1, 2},
                                                    .value = plan_step->attr.value,
                                                    .axis = plan_step->attr.axis};
        if (plan_step->op == OP_UNIFORM || plan_step->op == OP_NORMAL) {
            single_random(step, instruction);
        }
    }
    struct program_output output = {.value = plan_step->output, .source = result};
    if (sum) {
        program->sum_axes = plan_step->attr.axes;
        program->sums[program->sum_count++] = output;
    } else {
        program->stores[program->store_count++] = output;
    }
}

static void program_destroy(struct cpu_step *step)
{
    cam_free(step->state);
}

static const struct step_class PROGRAM_CLASS = {.launch = program_launch,
                                                .destroy = program_destroy};

enum cam_code program_step_create(struct cpu_step *step, struct cam_err *err)
{
    bool fused = step->step->kind == PLAN_PROGRAM;
    struct program_state *state = cam_alloc(1, sizeof *state);
    step->class = &PROGRAM_CLASS;
    step->state = state;
    if (state == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: no memory to compile a program", step->step->path);
    }
    if (!fused) {
        single_build(step, &state->own);
    }
    program_layout(fused ? step->step->program : &state->own, &state->layout);
    step->scratch_bytes = program_scratch_bytes(&state->layout);
    return CAM_OK;
}
