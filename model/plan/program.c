#include "model/plan/program.h"

#include "model/graph/op.h"

static bool is_still(const struct program *program, const int64_t *stride)
{
    for (int d = 0; d < program->space.rank; d++) {
        if ((program->row_axes >> d & 1u) != 0 && stride[d] != 0) {
            return false;
        }
    }
    return true;
}

void program_is_narrow(const struct program *program, bool *narrow_out)
{
    for (int i = 0; i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        bool narrow = program->row_axes != 0;
        if (instruction->op == OP_INPUT) {
            narrow = narrow && is_still(program, program->loads[instruction->load].stride);
        } else if (instruction->op == OP_IOTA) {
            narrow = narrow && (program->row_axes >> instruction->axis & 1u) == 0;
        } else if (instruction->op == OP_UNIFORM || instruction->op == OP_NORMAL) {
            narrow = false;
        } else if (instruction->op != OP_SUM && instruction->op != OP_REDUCE_MAX) {
            for (int k = 0; k < op_get(instruction->op)->input_count; k++) {
                narrow = narrow && narrow_out[instruction->source[k]];
            }
        }
        narrow_out[i] = narrow;
    }
}
