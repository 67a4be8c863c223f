/* A fused program, one element of its space at a time; what reduces a row walks it first. */
#include "kernels/reference/kernel.h"
#include "model/graph/op.h"

struct evaluation {
    const struct program *program;
    const struct random_context *random;
    struct operand loads[PROGRAM_LOADS_MAX];
    struct operand stores[PROGRAM_STORES_MAX];
    double *totals; /* of each sum, left elements */
    int64_t left;
    int64_t row;                              /* elements of a row; 1 without rows */
    double reduced[PROGRAM_INSTRUCTIONS_MAX]; /* of this row */
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

static bool is_reduction(enum op_kind op)
{
    return op == OP_SUM || op == OP_REDUCE_MAX;
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
    if (is_reduction(instruction->op)) {
        return run->reduced[instruction - run->program->instructions];
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

/* The first `count` registers of one element. */
static void evaluate(const struct evaluation *run, int count, int64_t element, double *registers)
{
    int64_t index[SHAPE_RANK_MAX];
    reference_unravel(&run->program->space, element, index);
    for (int i = 0; i < count; i++) {
        registers[i] = evaluate_instruction(run, &run->program->instructions[i], index, registers);
    }
}

/* The reductions of the row that begins at `first`, each after those before it. */
static void reduce_row(struct evaluation *run, int64_t first)
{
    double registers[PROGRAM_INSTRUCTIONS_MAX];
    for (int i = 0; i < run->program->instruction_count; i++) {
        const struct program_instruction *instruction = &run->program->instructions[i];
        if (!is_reduction(instruction->op)) {
            continue;
        }
        double result = 0.0;
        for (int64_t e = 0; e < run->row; e++) {
            evaluate(run, i, first + e, registers);
            double value = registers[instruction->source[0]];
            if (instruction->op == OP_SUM) {
                result += value;
            } else if (e == 0 || !(value <= result)) {
                result = value;
            }
        }
        run->reduced[i] = result;
    }
}

static void run_element(struct evaluation *run, int64_t element)
{
    const struct program *program = run->program;
    double registers[PROGRAM_INSTRUCTIONS_MAX];
    int64_t index[SHAPE_RANK_MAX];
    int64_t left = 0;
    evaluate(run, program->instruction_count, element, registers);
    for (int k = 0; k < program->store_count; k++) {
        const struct program_output *store = &program->stores[k];
        operand_set(&run->stores[k], store->row ? element / run->row : element,
                    registers[store->source]);
    }
    reference_unravel(&program->space, element, index);
    for (int d = 0; d < program->space.rank; d++) {
        bool summed = (program->sum_axes >> d & 1u) != 0;
        left = summed ? left : left * program->space.dim[d] + index[d];
    }
    for (int k = 0; k < program->sum_count; k++) {
        const struct program_output *sum = &program->sums[k];
        if (!sum->row) {
            run->totals[k * run->left + left] += registers[sum->source];
        } else if (element % run->row == 0) {
            run->totals[k * run->left + left / run->row] += registers[sum->source];
        }
    }
}

/* Elements of each sum, as if none were of rows. */
static int64_t left_of(const struct program *program)
{
    int64_t left = 1;
    for (int d = 0; d < program->space.rank; d++) {
        left *= program->sum_axes >> d & 1u ? 1 : program->space.dim[d];
    }
    return left;
}

int64_t reference_program_totals(const struct program *program)
{
    return program == NULL || program->sum_count == 0 ? 0 : program->sum_count * left_of(program);
}

void reference_program(const struct program *program, const struct reference_run *call)
{
    struct evaluation run = {.program = program,
                             .random = call->random,
                             .totals = call->totals,
                             .left = left_of(program),
                             .row = 1};
    for (int k = 0; k < program->load_count; k++) {
        run.loads[k] =
            reference_operand(call->plan, program->loads[k].value, call->bindings, call->f64);
    }
    for (int k = 0; k < program->store_count; k++) {
        run.stores[k] =
            reference_operand(call->plan, program->stores[k].value, call->bindings, call->f64);
    }
    for (int d = 0; d < program->space.rank; d++) {
        run.row *= program->row_axes >> d & 1u ? program->space.dim[d] : 1;
    }
    for (int64_t i = 0; i < reference_program_totals(program); i++) {
        run.totals[i] = 0.0;
    }
    for (int64_t e = 0; e < shape_count(&program->space); e++) {
        if (e % run.row == 0) {
            reduce_row(&run, e);
        }
        run_element(&run, e);
    }
    for (int k = 0; k < program->sum_count; k++) {
        struct operand sum =
            reference_operand(call->plan, program->sums[k].value, call->bindings, call->f64);
        int64_t count = program->sums[k].row ? run.left / run.row : run.left;
        for (int64_t i = 0; i < count; i++) {
            operand_set(&sum, i, run.totals[k * run.left + i]);
        }
    }
}
