/*
 * What is left to do once a program has all its nodes: instructions and loads that nothing needs
 * (their readers computed them again) go, and reductions of rows that no instruction reads become
 * sums, which need not hold a row at once.
 */
#include "model/plan/plan_build.h"

static int source_count(const struct program_instruction *instruction)
{
    return instruction->op == OP_INPUT ? 0 : op_get(instruction->op)->input_count;
}

static bool is_reduction(const struct program *program, int i)
{
    enum op_kind op = program->instructions[i].op;
    return op == OP_SUM || op == OP_REDUCE_MAX;
}

/* Whether rows are only summed into what the program leaves, and sums may be of these axes. */
static bool only_ends(const struct program *program)
{
    bool ends = program->sum_count == 0 || program->sum_axes == program->row_axes;
    int room = PROGRAM_STORES_MAX - program->sum_count;
    for (int i = 0; ends && i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        ends = instruction->op != OP_REDUCE_MAX;
        for (int k = 0; k < source_count(instruction); k++) {
            ends = ends && !is_reduction(program, instruction->source[k]);
        }
    }
    for (int i = 0; ends && i < program->store_count; i++) {
        const struct program_output *store = &program->stores[i];
        ends = store->row == is_reduction(program, store->source);
        room -= store->row ? 1 : 0;
    }
    return ends && room >= 0;
}

static void make_ends(struct program *program)
{
    int kept = 0;
    for (int i = 0; i < program->store_count; i++) {
        const struct program_output store = program->stores[i];
        if (store.row) {
            program->sums[program->sum_count++] = (struct program_output){
                .value = store.value, .source = program->instructions[store.source].source[0]};
        } else {
            program->stores[kept++] = store;
        }
    }
    program->store_count = kept;
    program->sum_axes = program->sum_count > 0 ? program->row_axes : 0;
    program->row_axes = 0;
}

static void mark_needed(const struct program *program, bool *needed)
{
    for (int i = 0; i < program->store_count; i++) {
        needed[program->stores[i].source] = true;
    }
    for (int i = 0; i < program->sum_count; i++) {
        needed[program->sums[i].source] = true;
    }
    for (int i = program->instruction_count - 1; i >= 0; i--) {
        for (int k = 0; needed[i] && k < source_count(&program->instructions[i]); k++) {
            needed[program->instructions[i].source[k]] = true;
        }
    }
}

static void drop_loads(struct program *program)
{
    int place[PROGRAM_LOADS_MAX];
    int kept = 0;
    for (int k = 0; k < program->load_count; k++) {
        place[k] = NONE;
    }
    for (int i = 0; i < program->instruction_count; i++) {
        if (program->instructions[i].op == OP_INPUT) {
            place[program->instructions[i].load] = 0;
        }
    }
    for (int k = 0; k < program->load_count; k++) {
        if (place[k] != NONE) {
            program->loads[kept] = program->loads[k];
            place[k] = kept++;
        }
    }
    program->load_count = kept;
    for (int i = 0; i < program->instruction_count; i++) {
        if (program->instructions[i].op == OP_INPUT) {
            program->instructions[i].load = place[program->instructions[i].load];
        }
    }
}

static void drop_instructions(struct program *program, const bool *needed)
{
    int place[PROGRAM_INSTRUCTIONS_MAX] = {0};
    int kept = 0;
    for (int i = 0; i < program->instruction_count; i++) {
        if (!needed[i]) {
            continue;
        }
        struct program_instruction instruction = program->instructions[i];
        for (int k = 0; k < source_count(&instruction); k++) {
            instruction.source[k] = place[instruction.source[k]];
        }
        place[i] = kept;
        program->instructions[kept++] = instruction;
    }
    program->instruction_count = kept;
    for (int i = 0; i < program->store_count; i++) {
        program->stores[i].source = place[program->stores[i].source];
    }
    for (int i = 0; i < program->sum_count; i++) {
        program->sums[i].source = place[program->sums[i].source];
    }
}

static void drop_unneeded(struct program *program)
{
    bool needed[PROGRAM_INSTRUCTIONS_MAX] = {false};
    mark_needed(program, needed);
    drop_instructions(program, needed);
    drop_loads(program);
}

void plan_tidy(struct program *program)
{
    drop_unneeded(program);
    if (program->row_axes != 0 && only_ends(program)) {
        make_ends(program);
        drop_unneeded(program);
    }
    bool rows = false;
    for (int i = 0; i < program->instruction_count; i++) {
        rows = rows || is_reduction(program, i);
    }
    for (int i = 0; i < program->store_count; i++) {
        rows = rows || program->stores[i].row;
    }
    for (int i = 0; i < program->sum_count; i++) {
        rows = rows || program->sums[i].row;
    }
    program->row_axes = rows ? program->row_axes : 0;
}
