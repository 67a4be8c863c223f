#include "model/plan/plan_step.h"

#include "model/graph/op.h"

#include <inttypes.h>

static int64_t bytes_of(const struct plan *plan, int value)
{
    return shape_count(&plan->values[value].shape) * (int64_t)sizeof(float);
}

static int64_t row_of(const struct program *program)
{
    return program->row_axes != 0 ? program->space.dim[program->space.rank - 1] : 1;
}

/* At most what the space walks over. */
static int64_t load_bytes(const struct plan *plan, const struct program *program, int index)
{
    const struct program_load *load = &program->loads[index];
    int64_t walked = (int64_t)sizeof(float);
    for (int d = 0; d < program->space.rank; d++) {
        walked *= load->stride[d] != 0 ? program->space.dim[d] : 1;
    }
    int64_t all = bytes_of(plan, load->value);
    return walked < all ? walked : all;
}

static bool is_arithmetic(enum op_kind op)
{
    return op == OP_SUM || op == OP_REDUCE_MAX || op_get(op)->class == OP_CLASS_ELEMENTWISE;
}

static struct step_cost program_cost(const struct plan *plan, const struct program *program)
{
    struct step_cost cost = {0};
    bool narrow[PROGRAM_INSTRUCTIONS_MAX];
    const int64_t space = shape_count(&program->space);
    program_is_narrow(program, narrow);
    for (int i = 0; i < program->load_count; i++) {
        bool again = false;
        for (int k = 0; k < i; k++) {
            again = again || program->loads[k].value == program->loads[i].value;
        }
        cost.read_bytes += again ? 0 : load_bytes(plan, program, i);
    }
    for (int i = 0; i < program->store_count; i++) {
        cost.written_bytes += bytes_of(plan, program->stores[i].value);
    }
    for (int i = 0; i < program->sum_count; i++) {
        cost.written_bytes += bytes_of(plan, program->sums[i].value);
        cost.flops += program->sums[i].row ? space / row_of(program) : space;
    }
    for (int i = 0; i < program->instruction_count; i++) {
        enum op_kind op = program->instructions[i].op;
        bool a_row = narrow[i] && op != OP_SUM && op != OP_REDUCE_MAX;
        cost.flops += !is_arithmetic(op) ? 0 : a_row ? space / row_of(program) : space;
    }
    return cost;
}

struct step_cost plan_step_cost(const struct plan *plan, const struct plan_step *step)
{
    if (step->kind == PLAN_PROGRAM) {
        return program_cost(plan, step->program);
    }
    struct step_cost cost = {.flops = step->flops, .written_bytes = bytes_of(plan, step->output)};
    for (int i = 0; i < step->input_count; i++) {
        bool again = false;
        for (int k = 0; k < i; k++) {
            again = again || step->input[k] == step->input[i];
        }
        cost.read_bytes += again ? 0 : bytes_of(plan, step->input[i]);
    }
    return cost;
}

static void add_operator(struct cam_text *out, enum op_kind op, int times, size_t first)
{
    if (times == 0) {
        return;
    }
    cam_text_add(out, "%s%s", out->size > first ? " " : "", op_get(op)->name);
    if (times > 1) {
        cam_text_add(out, " x%d", times);
    }
}

void plan_step_operators(const struct plan_step *step, struct cam_text *out)
{
    if (step->kind == PLAN_OPERATOR) {
        cam_text_add(out, "%s", op_get(step->op)->name);
        return;
    }
    const struct program *program = step->program;
    const size_t first = out->size;
    enum op_kind last = OP_INPUT;
    int times = 0;
    for (int i = 0; i < program->instruction_count; i++) {
        enum op_kind op = program->instructions[i].op;
        if (op == OP_INPUT || op == OP_CONSTANT) {
            continue;
        }
        if (op != last) {
            add_operator(out, last, times, first);
            times = 0;
        }
        last = op;
        times++;
    }
    add_operator(out, last, times, first);
    add_operator(out, OP_SUM, program->sum_count, first);
    if (out->size == first) {
        cam_text_add(out, "copy");
    }
}

void plan_step_shapes(const struct plan *plan, const struct plan_step *step, struct cam_text *out)
{
    char text[96];
    if (step->kind == PLAN_PROGRAM) {
        cam_text_add(out, "%s", shape_text(&step->program->space, text, sizeof text));
        if (step->program->row_axes != 0) {
            cam_text_add(out, " rows of %" PRId64, row_of(step->program));
        }
        return;
    }
    for (int i = 0; i < step->input_count; i++) {
        cam_text_add(out, "%s", shape_text(&plan->values[step->input[i]].shape, text, sizeof text));
    }
    cam_text_add(out, "->%s", shape_text(&plan->values[step->output].shape, text, sizeof text));
}
