#include "kernels/cpu/program.h"

#include "model/graph/op.h"

#include <string.h>

/* The index maps of a program that must agree before two axes can be one. */
static void cells_begin(const struct program *program, struct cpu_program *out)
{
    for (int i = 0; i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        struct cell *cell = &out->cells[i];
        *cell = (struct cell){.fetch = FETCH_COMPUTE, .load = -1, .slot = -1, .column = -1};
        if (instruction->op == OP_INPUT) {
            cell->load = instruction->load;
            memcpy(cell->stride, program->loads[cell->load].stride, sizeof cell->stride);
        } else if (instruction->op == OP_IOTA) {
            cell->stride[instruction->axis] = 1;
        } else if (instruction->op == OP_UNIFORM || instruction->op == OP_NORMAL) {
            memcpy(cell->stride, instruction->element_stride, sizeof cell->stride);
            memcpy(cell->second, instruction->row_stride, sizeof cell->second);
        }
    }
}

static bool can_merge(const struct cpu_program *p, int a, int b, int cell_count)
{
    if (p->summed[a] != p->summed[b] || p->row[a] != p->row[b]) {
        return false;
    }
    for (int i = 0; i < cell_count; i++) {
        const struct cell *cell = &p->cells[i];
        if (cell->stride[a] != cell->stride[b] * p->dim[b] ||
            cell->second[a] != cell->second[b] * p->dim[b]) {
            return false;
        }
    }
    return true;
}

/* Axis `from` of every map becomes axis `to`. */
static void move_axis(struct cpu_program *p, int to, int from, int cell_count)
{
    p->dim[to] = p->dim[from];
    p->summed[to] = p->summed[from];
    p->row[to] = p->row[from];
    for (int i = 0; i < cell_count; i++) {
        p->cells[i].stride[to] = p->cells[i].stride[from];
        p->cells[i].second[to] = p->cells[i].second[from];
    }
}

/* Drops axes of size 1 and joins neighbours that every map walks as one. */
static void merge_axes(const struct program *program, struct cpu_program *p)
{
    int count = program->instruction_count;
    p->rank = 0;
    for (int d = 0; d < program->space.rank; d++) {
        p->dim[d] = program->space.dim[d];
        p->summed[d] = (program->sum_axes >> d & 1u) != 0;
        p->row[d] = (program->row_axes >> d & 1u) != 0;
    }
    for (int d = 0; d < program->space.rank; d++) {
        if (p->dim[d] == 1) {
            continue;
        }
        int last = p->rank - 1;
        if (last >= 0 && can_merge(p, last, d, count)) {
            int64_t joined = p->dim[last] * p->dim[d];
            move_axis(p, last, d, count);
            p->dim[last] = joined;
        } else {
            move_axis(p, p->rank, d, count);
            p->rank++;
        }
    }
    if (p->rank == 0) {
        p->rank = 1;
        p->dim[0] = 1;
        p->summed[0] = program->sum_axes != 0;
        for (int i = 0; i < count; i++) {
            p->cells[i].stride[0] = 0;
            p->cells[i].second[0] = 0;
        }
    }
}

/* Rows that make whole vectors where there are enough of them. */
static int64_t rows_of(int64_t inner)
{
    int64_t rows = PROGRAM_TILE / inner;
    int64_t even = VECTOR_WIDTH;
    for (int64_t n = inner; n % 2 == 0 && even > 1; n /= 2) {
        even /= 2;
    }
    return rows >= even ? rows / even * even : rows;
}

static void choose_tiles(struct cpu_program *p)
{
    int inner = p->rank - 1;
    int64_t dense = 1;
    p->sum_size = 1;
    for (int d = inner; d >= 0; d--) {
        p->block[d] = 1;
        p->dense[d] = dense;
        dense *= p->dim[d];
        p->sum_stride[d] = p->summed[d] ? 0 : p->sum_size;
        p->sum_size *= p->summed[d] ? 1 : p->dim[d];
    }
    p->block[inner] = p->dim[inner] < PROGRAM_TILE || p->row[inner] ? p->dim[inner] : PROGRAM_TILE;
    int64_t widest = p->block[inner] > PROGRAM_TILE ? p->block[inner] : PROGRAM_TILE;
    p->slot_floats = (int)((widest + 2 * VECTOR_WIDTH - 1) / VECTOR_WIDTH * VECTOR_WIDTH);
    bool rows = inner > 0 && p->dim[inner] < PROGRAM_TILE;
    if (rows) {
        int64_t most = rows_of(p->dim[inner]);
        p->block[inner - 1] = p->dim[inner - 1] < most ? p->dim[inner - 1] : most;
    }
    bool several = rows && p->block[inner - 1] > 1;
    if (p->summed[inner]) {
        p->sum_form = several && !p->summed[inner - 1] ? SUM_ROWS : SUM_TOTAL;
    } else {
        p->sum_form = several && p->summed[inner - 1] ? SUM_COLUMNS : SUM_ADD;
    }
}

static bool still(const int64_t *stride, int count)
{
    for (int d = 0; d < count; d++) {
        if (stride[d] != 0) {
            return false;
        }
    }
    return true;
}

static enum fetch load_fetch(const struct cpu_program *p, const struct cell *cell)
{
    int inner = p->rank - 1;
    int64_t row_stride = inner > 0 ? cell->stride[inner - 1] : 0;
    bool several = inner > 0 && p->block[inner - 1] > 1;
    if (still(cell->stride, p->rank)) {
        return FETCH_UNIFORM;
    }
    if (cell->stride[inner] == 1 && (!several || row_stride == p->dim[inner])) {
        return FETCH_DIRECT;
    }
    if (several && still(cell->stride, inner)) {
        return FETCH_INVARIANT;
    }
    if (cell->stride[inner] == 0) {
        return several ? FETCH_REPEAT : FETCH_SINGLE;
    }
    return cell->stride[inner] == 1 ? FETCH_ROWS : FETCH_GATHER;
}

/* How one number a row comes to be. */
static void choose_column(enum op_kind op, struct cell *cell)
{
    cell->column = 0;
    if (cell->load >= 0) {
        cell->fetch = FETCH_COLUMN;
    } else if (op == OP_IOTA) {
        cell->fetch = FETCH_STEPS;
    } else if (op == OP_SUM || op == OP_REDUCE_MAX) {
        cell->fetch = FETCH_REDUCE;
    }
}

static void choose_fetch(const struct program *program, struct cpu_program *p)
{
    bool narrow[PROGRAM_INSTRUCTIONS_MAX];
    program_is_narrow(program, narrow);
    for (int i = 0; i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        struct cell *cell = &p->cells[i];
        if (instruction->op == OP_INPUT) {
            cell->fetch = load_fetch(p, cell);
        } else if (instruction->op == OP_CONSTANT) {
            cell->fetch = FETCH_UNIFORM;
            cell->value = (float)instruction->value;
        } else if (instruction->op == OP_IOTA) {
            cell->fetch = FETCH_RAMP;
        } else if (instruction->op == OP_UNIFORM || instruction->op == OP_NORMAL) {
            cell->fetch = FETCH_RANDOM;
        } else {
            cell->run = vector_function_of(instruction->op);
            cell->source_count = op_get(instruction->op)->input_count;
            memcpy(cell->source, instruction->source, sizeof instruction->source);
        }
        if (narrow[i] && cell->fetch != FETCH_UNIFORM) {
            choose_column(instruction->op, cell);
        }
    }
}

static void count_uses(const struct program *program, const struct cpu_program *p, int *uses_out)
{
    for (int i = 0; i < program->instruction_count; i++) {
        uses_out[i] = 0;
        for (int k = 0; k < p->cells[i].source_count; k++) {
            uses_out[p->cells[i].source[k]]++;
        }
    }
    for (int k = 0; k < program->store_count; k++) {
        uses_out[program->stores[k].source]++;
    }
    for (int k = 0; k < program->sum_count; k++) {
        uses_out[program->sums[k].source]++;
    }
}

/* Whether source k of cell i is the operator `op`, as wide, and read by nobody else. */
static bool takes(const struct program *program, const struct cpu_program *p, const int *uses,
                  int i, int k, enum op_kind op)
{
    int from = p->cells[i].source[k];
    return program->instructions[from].op == op && uses[from] == 1 &&
           p->cells[from].source_count == 2 && p->cells[from].column == p->cells[i].column;
}

/* Cell i computes what its source k would, too: that one's two sources, then its own others. */
static void take(struct cpu_program *p, int i, int k, vector_function *run)
{
    struct cell *cell = &p->cells[i];
    struct cell *from = &p->cells[cell->source[k]];
    int sources[VECTOR_SOURCES_MAX] = {from->source[0], from->source[1]};
    int count = 2;
    for (int other = 0; other < cell->source_count; other++) {
        if (other != k) {
            sources[count++] = cell->source[other];
        }
    }
    memcpy(cell->source, sources, sizeof sources);
    cell->source_count = count;
    cell->run = run;
    *from = (struct cell){.fetch = FETCH_NOTHING, .load = -1, .slot = -1, .column = -1};
}

/* Pairs of operators that one pass can do: half of a short program's time is reading and writing
 * its rows. */
static void join_pairs(const struct program *program, struct cpu_program *p)
{
    int uses[PROGRAM_INSTRUCTIONS_MAX];
    count_uses(program, p, uses);
    for (int i = 0; i < program->instruction_count; i++) {
        enum op_kind op = program->instructions[i].op;
        if (op == OP_SELECT && takes(program, p, uses, i, 0, OP_GREATER)) {
            take(p, i, 0, vector_select_greater);
        } else if (op == OP_ADD && takes(program, p, uses, i, 0, OP_MUL)) {
            take(p, i, 0, vector_multiply_add);
        } else if (op == OP_ADD && takes(program, p, uses, i, 1, OP_MUL)) {
            take(p, i, 1, vector_multiply_add);
        }
    }
}

/* The last instruction that reads each register; stores and sums read at the end
 * of the tile, and rows filled once a launch are read by the next one. */
static void last_uses(const struct program *program, const struct cpu_program *p, int *last_out)
{
    int count = program->instruction_count;
    for (int i = 0; i < count; i++) {
        last_out[i] = i;
        for (int k = 0; k < p->cells[i].source_count; k++) {
            last_out[p->cells[i].source[k]] = i;
        }
    }
    for (int i = 0; i < count; i++) {
        bool kept = p->cells[i].fetch == FETCH_UNIFORM || p->cells[i].fetch == FETCH_INVARIANT;
        last_out[i] = kept ? count : last_out[i];
    }
    for (int k = 0; k < program->store_count; k++) {
        last_out[program->stores[k].source] = count;
    }
    for (int k = 0; k < program->sum_count; k++) {
        last_out[program->sums[k].source] = count;
    }
}

/* Whether something reads the cell as a row of a tile. */
static void mark_wide(const struct program *program, const struct cpu_program *p, bool *wide)
{
    for (int i = 0; i < program->instruction_count; i++) {
        wide[i] = wide[i] || p->cells[i].column < 0;
        bool reads = p->cells[i].column < 0 || p->cells[i].fetch == FETCH_REDUCE;
        for (int k = 0; k < p->cells[i].source_count && reads; k++) {
            wide[p->cells[i].source[k]] = true;
        }
    }
    for (int k = 0; k < program->store_count; k++) {
        wide[program->stores[k].source] |= !program->stores[k].row;
    }
    for (int k = 0; k < program->sum_count; k++) {
        wide[program->sums[k].source] |= !program->sums[k].row;
    }
}

static int take_slot(struct cpu_program *p, bool *taken)
{
    int slot = 0;
    while (slot < p->slot_count && taken[slot]) {
        slot++;
    }
    p->slot_count = slot == p->slot_count ? slot + 1 : p->slot_count;
    taken[slot] = true;
    return slot;
}

/* Rows of scratch: those filled once a launch keep theirs, others share. */
static void choose_slots(const struct program *program, struct cpu_program *p)
{
    int last[PROGRAM_INSTRUCTIONS_MAX];
    bool taken[2 * PROGRAM_INSTRUCTIONS_MAX] = {false};
    bool wide[PROGRAM_INSTRUCTIONS_MAX] = {false};
    last_uses(program, p, last);
    mark_wide(program, p, wide);
    p->slot_count = 0;
    for (int i = 0; i < program->instruction_count; i++) {
        if (p->cells[i].fetch == FETCH_UNIFORM || p->cells[i].fetch == FETCH_INVARIANT) {
            p->cells[i].slot = p->slot_count;
            taken[p->slot_count++] = true;
        }
    }
    for (int i = 0; i < program->instruction_count; i++) {
        if (p->cells[i].slot >= 0 || p->cells[i].fetch == FETCH_NOTHING) {
            continue;
        }
        p->cells[i].slot = wide[i] ? take_slot(p, taken) : -1;
        p->cells[i].column = p->cells[i].column >= 0 ? take_slot(p, taken) : -1;
        for (int k = 0; k <= i; k++) {
            if (last[k] == i && p->cells[k].slot >= 0) {
                taken[p->cells[k].slot] = false;
            }
            if (last[k] == i && p->cells[k].column >= 0) {
                taken[p->cells[k].column] = false;
            }
        }
    }
}

void program_layout(const struct program *program, struct cpu_program *out)
{
    memset(out, 0, sizeof *out);
    out->program = program;
    cells_begin(program, out);
    merge_axes(program, out);
    choose_tiles(out);
    choose_fetch(program, out);
    join_pairs(program, out);
    choose_slots(program, out);
}
