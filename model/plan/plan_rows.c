/*
 * Rows: reductions whose result later instructions of the same program read.  A node of one number
 * a row has the shape of the program's space with sizes of 1 in place of the row.
 */
#include "model/plan/plan_build.h"

#include <string.h>

/* The axes of a reduction that have more than one element. */
static uint32_t real_axes(const struct shape *space, uint32_t axes)
{
    for (int d = 0; d < space->rank; d++) {
        axes &= space->dim[d] > 1 ? ~0u : ~(1u << d);
    }
    return axes;
}

/* Elements of a row; 0 where the axes are not the last of the space that have a size. */
static int64_t row_size(const struct shape *space, uint32_t axes)
{
    int64_t size = 1;
    int d = space->rank - 1;
    for (; d >= 0 && ((axes >> d & 1u) != 0 || space->dim[d] == 1); d--) {
        size *= space->dim[d];
    }
    for (; d >= 0; d--) {
        size = (axes >> d & 1u) != 0 ? 0 : size;
    }
    return size;
}

bool plan_is_reduction(const struct plan_builder *b, int node)
{
    const struct node *n = plan_node(b, node);
    if (n->op != OP_REDUCE_MAX) {
        return plan_class(b, node) == OP_CLASS_SUM;
    }
    const struct shape *space = &plan_node(b, n->input[0])->shape;
    uint32_t axes = real_axes(space, n->attr.axes);
    int64_t size = row_size(space, axes);
    return (axes & (axes - 1)) == 0 && size > 1 && size <= PROGRAM_ROW_MAX;
}

/* Whether a map with these strides steps along the rows as along one axis. */
static bool one_run(const struct program *program, const int64_t *stride)
{
    int64_t next = 0;
    bool first = true;
    for (int d = program->space.rank - 1; d >= 0; d--) {
        if ((program->row_axes >> d & 1u) == 0) {
            continue;
        }
        if (!first && stride[d] != next) {
            return false;
        }
        first = false;
        next = stride[d] * program->space.dim[d];
    }
    return true;
}

bool plan_rows_hold(const struct program *program)
{
    const uint32_t row = program->row_axes;
    const uint32_t summed = program->sum_axes & row;
    bool holds = summed == 0 || summed == row;
    for (int i = 0; holds && i < program->load_count; i++) {
        holds = one_run(program, program->loads[i].stride);
    }
    for (int i = 0; holds && i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        holds = one_run(program, instruction->element_stride) &&
                one_run(program, instruction->row_stride) &&
                (instruction->op != OP_IOTA || (row >> instruction->axis & 1u) == 0 ||
                 row == 1u << instruction->axis);
    }
    return holds;
}

bool plan_rows_begin(struct program *program, uint32_t axes)
{
    const uint32_t before = program->row_axes;
    axes = real_axes(&program->space, axes);
    int64_t size = row_size(&program->space, axes);
    if (axes == 0 || size == 0 || size > PROGRAM_ROW_MAX || (before != 0 && before != axes)) {
        return false;
    }
    program->row_axes = axes;
    if (!plan_rows_hold(program)) {
        program->row_axes = before;
        return false;
    }
    return true;
}

static bool is_one_a_row(const struct program *program, const struct shape *shape)
{
    struct shape one = program->space;
    for (int d = 0; d < one.rank; d++) {
        one.dim[d] = (program->row_axes >> d & 1u) != 0 ? 1 : one.dim[d];
    }
    return program->row_axes != 0 && shape_equal(&one, shape);
}

bool plan_rows_host(const struct program *program, const struct shape *space)
{
    return shape_equal(&program->space, space) || is_one_a_row(program, space);
}

bool plan_rows_repeat(const struct plan_builder *b, const struct program *program,
                      const struct plan_operand *operand)
{
    const struct plan_view *view = &operand->view;
    const struct shape *base = &plan_node(b, view->base)->shape;
    if (!is_one_a_row(program, base) || view->offset != 0 ||
        !shape_equal(&view->shape, &program->space)) {
        return false;
    }
    const struct plan_view dense = plan_view_dense(view->base, base);
    return memcmp(dense.stride, view->stride, sizeof dense.stride) == 0;
}
