/*
 * Merges neighbouring axes of a program's space wherever every index map steps through both as
 * through one, and drops sizes of 1.
 */
#include "model/plan/plan_build.h"

/* Moves axis `from` of every index map to axis `to`. */
static void move_axis(struct program *program, int from, int to)
{
    program->space.dim[to] = program->space.dim[from];
    uint32_t summed = program->sum_axes >> from & 1u;
    program->sum_axes = (program->sum_axes & ~(1u << to)) | summed << to;
    uint32_t row = program->row_axes >> from & 1u;
    program->row_axes = (program->row_axes & ~(1u << to)) | row << to;
    for (int i = 0; i < program->load_count; i++) {
        program->loads[i].stride[to] = program->loads[i].stride[from];
    }
    for (int i = 0; i < program->instruction_count; i++) {
        struct program_instruction *instruction = &program->instructions[i];
        instruction->element_stride[to] = instruction->element_stride[from];
        instruction->row_stride[to] = instruction->row_stride[from];
        if (instruction->op == OP_IOTA && instruction->axis == from) {
            instruction->axis = to;
        }
    }
}

static void clear_axis(struct program *program, int axis)
{
    program->space.dim[axis] = 0;
    program->sum_axes &= ~(1u << axis);
    program->row_axes &= ~(1u << axis);
    for (int i = 0; i < program->load_count; i++) {
        program->loads[i].stride[axis] = 0;
    }
    for (int i = 0; i < program->instruction_count; i++) {
        program->instructions[i].element_stride[axis] = 0;
        program->instructions[i].row_stride[axis] = 0;
    }
}

static bool one_run(const int64_t *stride, int outer, int64_t inner_size)
{
    return stride[outer] == stride[outer + 1] * inner_size;
}

/* Whether axes a and a + 1 can be one. */
static bool can_merge(const struct program *program, int a)
{
    int64_t inner = program->space.dim[a + 1];
    bool merge = (program->sum_axes >> a & 1u) == (program->sum_axes >> (a + 1) & 1u) &&
                 (program->row_axes >> a & 1u) == (program->row_axes >> (a + 1) & 1u);
    for (int i = 0; merge && i < program->load_count; i++) {
        merge = one_run(program->loads[i].stride, a, inner);
    }
    for (int i = 0; merge && i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        merge =
            one_run(instruction->element_stride, a, inner) &&
            one_run(instruction->row_stride, a, inner) &&
            !(instruction->op == OP_IOTA && (instruction->axis == a || instruction->axis == a + 1));
    }
    return merge;
}

static void remove_axis(struct program *program, int axis)
{
    for (int i = axis; i + 1 < program->space.rank; i++) {
        move_axis(program, i + 1, i);
    }
    program->space.rank--;
    clear_axis(program, program->space.rank);
}

/* An iota along an axis of size 1 is the constant 0. */
static void fix_iota(struct program *program, int axis)
{
    for (int i = 0; i < program->instruction_count; i++) {
        struct program_instruction *instruction = &program->instructions[i];
        if (instruction->op == OP_IOTA && instruction->axis == axis) {
            *instruction = (struct program_instruction){.op = OP_CONSTANT};
        }
    }
}

void plan_collapse(struct program *program)
{
    for (int a = program->space.rank - 1; a >= 0; a--) {
        if (program->space.dim[a] == 1) {
            fix_iota(program, a);
            remove_axis(program, a);
        }
    }
    for (int a = program->space.rank - 2; a >= 0; a--) {
        if (can_merge(program, a)) {
            int64_t merged = program->space.dim[a] * program->space.dim[a + 1];
            remove_axis(program, a); /* the inner axis' strides are the merged one's */
            program->space.dim[a] = merged;
        }
    }
    if (program->space.rank == 0) {
        program->space = (struct shape){.rank = 1, .dim = {1}};
    }
}
