/* A fused program, one element of its space at a time. */
#include "kernels/reference/kernel.h"
#include "model/graph/op.h"

struct evaluation {
    const struct program *program;
    const struct random_context *random;
    struct operand loads[PROGRAM_LOADS_MAX];
};

static double evaluate_random(const struct evaluation *run,
                              const struct program_instruction *instruction, const int64_t *index)
{
    int rank = run->program->space.rank;
    int64_t element = reference_dot(index, instruction->element_stride, rank);
    int64_t row = reference_dot(index, instruction->row_stride, rank);
    return reference_random(instruction->op, run->random, instruction->stream,
                            instruction->by_row ? run->random->first_row + (uint32_t)row : 0,
                            (uint32_t)element);
}

static double evaluate_instruction(const struct evaluation *run,
                                   const struct program_instruction *instruction,
                                   const int64_t *index, const double *registers)
{
    if (instruction->op == OP_INPUT) {
        const struct program_load *load = &run->program->loads[instruction->load];
        return operand_get(&run->loads[instruction->load],
                           load->offset +
                               reference_dot(index, load->stride, run->program->space.rank));
    }
    if (instruction->op == OP_CONSTANT) {
        return instruction->value;
    }
    if (instruction->op == OP_IOTA) {
        return (double)index[instruction->axis];
    }
    if (instruction->op == OP_UNIFORM || instruction->op == OP_NORMAL) {
        return evaluate_random(run, instruction, index);
    }
    double arguments[3] = {0.0, 0.0, 0.0};
    for (int k = 0; k < op_get(instruction->op)->input_count; k++) {
        arguments[k] = registers[instruction->source[k]];
    }
    return reference_scalar_of(instruction->op)(arguments);
}

static void evaluate(const struct evaluation *run, const int64_t *index, double *registers)
{
    for (int i = 0; i < run->program->instruction_count; i++) {
        registers[i] = evaluate_instruction(run, &run->program->instructions[i], index, registers);
    }
}

void reference_program(const struct plan *plan, const struct program *program,
                       const struct bindings *bindings, const struct random_context *random,
                       bool f64)
{
    struct evaluation run = {.program = program, .random = random};
    struct operand stores[PROGRAM_STORES_MAX];
    struct operand sums[PROGRAM_STORES_MAX];
    for (int k = 0; k < program->load_count; k++) {
        run.loads[k] = reference_operand(plan, program->loads[k].value, bindings, f64);
    }
    for (int k = 0; k < program->store_count; k++) {
        stores[k] = reference_operand(plan, program->stores[k].value, bindings, f64);
    }
    for (int k = 0; k < program->sum_count; k++) {
        sums[k] = reference_operand(plan, program->sums[k].value, bindings, f64);
    }
    /* Outer: one element of the sums each; inner: its terms.  Without sums the axes are 0. */
    struct shape kept = program->space;
    struct shape summed = program->space;
    for (int d = 0; d < program->space.rank; d++) {
        (program->sum_axes >> d & 1u ? &kept : &summed)->dim[d] = 1;
    }
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(&program->space, stride);
    int64_t count = shape_count(&kept);
    int64_t terms = shape_count(&summed);
    for (int64_t i = 0; i < count; i++) {
        int64_t outer[SHAPE_RANK_MAX];
        double totals[PROGRAM_STORES_MAX] = {0.0};
        reference_unravel(&kept, i, outer);
        for (int64_t t = 0; t < terms; t++) {
            int64_t index[SHAPE_RANK_MAX];
            double registers[PROGRAM_INSTRUCTIONS_MAX];
            reference_unravel(&summed, t, index);
            for (int d = 0; d < program->space.rank; d++) {
                index[d] += outer[d];
            }
            evaluate(&run, index, registers);
            for (int k = 0; k < program->store_count; k++) {
                operand_set(&stores[k], reference_dot(index, stride, program->space.rank),
                            registers[program->stores[k].source]);
            }
            for (int k = 0; k < program->sum_count; k++) {
                totals[k] += registers[program->sums[k].source];
            }
        }
        for (int k = 0; k < program->sum_count; k++) {
            operand_set(&sums[k], i, totals[k]);
        }
    }
}
