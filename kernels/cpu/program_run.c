/* Runs a laid-out program over its tiles.  One thread, no memory but the lane's scratch. */
#include "kernels/cpu/program.h"
#include "kernels/cpu/reduce.h"

#include <string.h>

struct row {
    const float *data;
    int step; /* VECTOR_WIDTH, or 0 where one vector is all */
};

struct tile {
    /* Of its first element.  Not a copy: reading 8-byte stores back as wider words would wait for
     * every store before them, and those go to memory. */
    const int64_t *index;
    int64_t linear; /* the same, row-major */
    int rows;
    int inner;
    int count;  /* rows * inner */
    int padded; /* count, in whole vectors */
};

struct run {
    const struct cpu_program *p;
    const struct lane_call *call;
    float *slots;
    float *spare;      /* one more slot */
    uint32_t *row_ids; /* of random elements in a tile */
    uint32_t *element_ids;
    double *sums;
    const float *loads[PROGRAM_LOADS_MAX]; /* with the load's offset */
    float *stores[PROGRAM_STORES_MAX];
    bool in_place[PROGRAM_STORES_MAX];  /* computed straight into the store's memory */
    int home[PROGRAM_INSTRUCTIONS_MAX]; /* the store that a register lies in, or -1 */
    struct row rows[PROGRAM_INSTRUCTIONS_MAX];
    struct row columns[PROGRAM_INSTRUCTIONS_MAX]; /* of what is one number a row, or everywhere */
};

static size_t slots_bytes(const struct cpu_program *p)
{
    return cpu_align((size_t)(p->slot_count + 1) * (size_t)p->slot_floats * sizeof(float));
}

static size_t ids_bytes(const struct cpu_program *p)
{
    return cpu_align(2 * (size_t)p->slot_floats * sizeof(uint32_t));
}

static float *slot_of(const struct run *run, int register_index)
{
    return run->slots + (size_t)run->p->cells[register_index].slot * (size_t)run->p->slot_floats;
}

static float *column_of(const struct run *run, int register_index)
{
    return run->slots + (size_t)run->p->cells[register_index].column * (size_t)run->p->slot_floats;
}

static int64_t dot(const int64_t *a, const int64_t *b, int rank)
{
    int64_t sum = 0;
    for (int d = 0; d < rank; d++) {
        sum += a[d] * b[d];
    }
    return sum;
}

/* The strides of a map along the tile's rows and within them. */
static int64_t row_stride(const struct cpu_program *p, const int64_t *stride)
{
    return p->rank > 1 ? stride[p->rank - 2] : 0;
}

static int64_t inner_stride(const struct cpu_program *p, const int64_t *stride)
{
    return stride[p->rank - 1];
}

static void gather(const float *from, const struct tile *tile, int64_t across, int64_t along,
                   float *out)
{
    for (int r = 0; r < tile->rows; r++) {
        for (int i = 0; i < tile->inner; i++) {
            out[r * tile->inner + i] = from[r * across + i * along];
        }
    }
}

static void copy_rows(const float *from, const struct tile *tile, int64_t across, float *out)
{
    for (int r = 0; r < tile->rows; r++) {
        memcpy(out + r * tile->inner, from + r * across, (size_t)tile->inner * sizeof *out);
    }
}

/* Copies of short rows need no call each. */
static void repeat_rows(const float *from, const struct tile *tile, int64_t across, float *out)
{
    for (int r = 0; r < tile->rows; r++) {
        vector_fill(out + r * tile->inner, from[r * across], tile->inner);
    }
}

static void fetch_ramp(const struct run *run, const struct cell *cell, const struct tile *tile,
                       float *out)
{
    int64_t first = dot(tile->index, cell->stride, run->p->rank);
    int64_t across = row_stride(run->p, cell->stride);
    float along = (float)inner_stride(run->p, cell->stride);
    for (int r = 0; r < tile->rows; r++) {
        vector_ramp(out + r * tile->inner, (float)(first + r * across), along, tile->inner);
    }
}

static void fill_ids(const struct run *run, const int64_t *stride, uint32_t base,
                     const struct tile *tile, uint32_t *ids)
{
    uint32_t first = base + (uint32_t)dot(tile->index, stride, run->p->rank);
    uint32_t across = (uint32_t)row_stride(run->p, stride);
    uint32_t along = (uint32_t)inner_stride(run->p, stride);
    for (int r = 0; r < tile->rows; r++) {
        uint32_t id = first + (uint32_t)r * across;
        for (int i = 0; i < tile->inner; i++, id += along) {
            ids[r * tile->inner + i] = id;
        }
    }
}

/* Whether the tile's elements, or those of each of its rows, are neighbours of one random row that
 * begin at a multiple of 4; their number. */
static int neighbours(const struct cpu_program *p, const struct cell *cell, const struct tile *tile)
{
    int64_t across = row_stride(p, cell->stride);
    if (inner_stride(p, cell->stride) != 1 || inner_stride(p, cell->second) != 0 ||
        dot(tile->index, cell->stride, p->rank) % 4 != 0) {
        return 0;
    }
    if (tile->rows == 1 || (across == tile->inner && row_stride(p, cell->second) == 0)) {
        return tile->count;
    }
    return across % 4 == 0 ? tile->inner : 0;
}

static void fetch_random(const struct run *run, int index, const struct tile *tile, float *out)
{
    const struct cpu_program *p = run->p;
    const struct program_instruction *instruction = &p->program->instructions[index];
    const struct random_context *random = run->call->random;
    const struct cell *cell = &p->cells[index];
    uint32_t base = instruction->by_row ? random->first_row : 0;
    int count = neighbours(p, cell, tile);
    if (count == 0) {
        fill_ids(run, cell->stride, 0, tile, run->element_ids);
        fill_ids(run, cell->second, base, tile, run->row_ids);
        vector_random(instruction->op, random, instruction->stream, run->row_ids, run->element_ids,
                      out, tile->padded);
        return;
    }
    struct random_run part = {
        .row = base + (uint32_t)dot(tile->index, cell->second, p->rank),
        .element = (uint32_t)dot(tile->index, cell->stride, p->rank),
        .count = count,
    };
    for (int done = 0; done < tile->count; done += count) {
        vector_random_run(instruction->op, random, instruction->stream, &part, out + done);
        part.row += (uint32_t)row_stride(p, cell->second);
        part.element += (uint32_t)row_stride(p, cell->stride);
    }
}

/* A load's row of this tile. */
static struct row fetch_load(const struct run *run, int index, const struct tile *tile)
{
    const struct cpu_program *p = run->p;
    const struct cell *cell = &p->cells[index];
    const float *from = run->loads[cell->load] + dot(tile->index, cell->stride, p->rank);
    int64_t across = row_stride(p, cell->stride);
    float *out = slot_of(run, index);
    switch (cell->fetch) {
    case FETCH_DIRECT:
        /* Whole vectors only: the last elements must not be read past their end. */
        if (tile->padded == tile->count) {
            return (struct row){from, VECTOR_WIDTH};
        }
        memcpy(out, from, (size_t)tile->count * sizeof *out);
        break;
    case FETCH_SINGLE:
        vector_fill(out, *from, VECTOR_WIDTH);
        return (struct row){out, 0};
    case FETCH_ROWS:
        copy_rows(from, tile, across, out);
        break;
    case FETCH_REPEAT:
        repeat_rows(from, tile, across, out);
        break;
    case FETCH_NOTHING:
    case FETCH_COMPUTE:
    case FETCH_UNIFORM:
    case FETCH_INVARIANT:
    case FETCH_GATHER:
    case FETCH_RAMP:
    case FETCH_RANDOM:
    case FETCH_COLUMN:
    case FETCH_STEPS:
    case FETCH_REDUCE:
        gather(from, tile, across, inner_stride(p, cell->stride), out);
        break;
    }
    return (struct row){out, VECTOR_WIDTH};
}

static void compute(struct run *run, int index, const struct tile *tile)
{
    const struct cell *cell = &run->p->cells[index];
    int home = run->home[index];
    float *out = home >= 0 && run->in_place[home] && tile->padded == tile->count
                     ? run->stores[home] + tile->linear
                     : slot_of(run, index);
    struct vector_call call = {.out = out, .count = tile->padded};
    for (int k = 0; k < cell->source_count; k++) {
        call.source[k] = run->rows[cell->source[k]].data;
        call.step[k] = run->rows[cell->source[k]].step;
    }
    cell->run(&call);
    run->rows[index] = (struct row){out, VECTOR_WIDTH};
}

/* A row, or a column, as `count` dense floats. */
static const float *dense(const struct run *run, struct row row, int count)
{
    if (row.step != 0) {
        return row.data;
    }
    vector_fill(run->spare, row.data[0], count);
    return run->spare;
}

static const float *dense_row(const struct run *run, int index, const struct tile *tile)
{
    return dense(run, run->rows[index], tile->padded);
}

static void reduce_rows(const struct run *run, int index, const struct tile *tile, float *out)
{
    const struct program_instruction *instruction = &run->p->program->instructions[index];
    const float *row = dense_row(run, instruction->source[0], tile);
    for (int r = 0; r < tile->rows; r++, row += tile->inner) {
        out[r] = instruction->op == OP_SUM ? (float)reduce_total(row, tile->inner)
                                           : reduce_largest(row, tile->inner);
    }
}

/* One number for each row of the tile; repeated up to a whole vector, so that nothing undefined is
 * computed with.  Then rows of it, for those who read rows. */
static void run_column(struct run *run, int index, const struct tile *tile)
{
    const struct cpu_program *p = run->p;
    const struct cell *cell = &p->cells[index];
    const int padded = (tile->rows + VECTOR_WIDTH - 1) / VECTOR_WIDTH * VECTOR_WIDTH;
    const int64_t first = dot(tile->index, cell->stride, p->rank);
    const int64_t across = row_stride(p, cell->stride);
    float *out = column_of(run, index);
    struct vector_call call = {.out = out, .count = padded};
    if (cell->fetch == FETCH_COLUMN) {
        const float *from = run->loads[cell->load] + first;
        for (int r = 0; r < tile->rows; r++) {
            out[r] = from[r * across];
        }
    } else if (cell->fetch == FETCH_STEPS) {
        vector_ramp(out, (float)first, (float)across, tile->rows);
    } else if (cell->fetch == FETCH_REDUCE) {
        reduce_rows(run, index, tile, out);
    } else {
        for (int k = 0; k < cell->source_count; k++) {
            call.source[k] = run->columns[cell->source[k]].data;
            call.step[k] = run->columns[cell->source[k]].step;
        }
        cell->run(&call);
    }
    if (cell->fetch != FETCH_COMPUTE) {
        vector_fill(out + tile->rows, out[0], padded - tile->rows);
    }
    run->columns[index] = (struct row){out, VECTOR_WIDTH};
    if (cell->slot < 0) {
        return;
    }
    if (tile->rows == 1) {
        vector_fill(out, out[0], VECTOR_WIDTH);
        run->rows[index] = (struct row){out, 0};
        return;
    }
    repeat_rows(out, tile, 1, slot_of(run, index));
    run->rows[index] = (struct row){slot_of(run, index), VECTOR_WIDTH};
}

/* The number of each row, once a row: at the place of the row's first element, of which the row's
 * axis is left out. */
static void add_column(const struct run *run, int source, const struct tile *tile, double *sums)
{
    const struct cpu_program *p = run->p;
    const int inner = p->rank - 1;
    const float *column = dense(run, run->columns[source], tile->rows);
    double *to = sums + dot(tile->index, p->sum_stride, p->rank) / p->dim[inner];
    if (inner > 0 && !p->summed[inner - 1]) {
        reduce_add(column, tile->rows, to);
    } else {
        *to += reduce_total(column, tile->rows);
    }
}

static void add_to_sums(const struct run *run, const float *row, const struct tile *tile,
                        double *sums)
{
    const struct cpu_program *p = run->p;
    double *to = sums + dot(tile->index, p->sum_stride, p->rank);
    switch (p->sum_form) {
    case SUM_TOTAL:
        *to += reduce_total(row, tile->count);
        break;
    case SUM_ROWS:
        for (int r = 0; r < tile->rows; r++) {
            to[r * p->sum_stride[p->rank - 2]] += reduce_total(row + r * tile->inner, tile->inner);
        }
        break;
    case SUM_COLUMNS:
        reduce_columns(row, tile->rows, tile->inner, to);
        break;
    case SUM_ADD:
        reduce_add(row, tile->count, to);
        break;
    }
}

static void run_tile(struct run *run, const struct tile *tile)
{
    const struct cpu_program *p = run->p;
    const struct program *program = p->program;
    for (int i = 0; i < program->instruction_count; i++) {
        const struct cell *cell = &p->cells[i];
        if (cell->column >= 0) {
            run_column(run, i, tile);
        } else if (cell->fetch == FETCH_COMPUTE) {
            compute(run, i, tile);
        } else if (cell->fetch == FETCH_RAMP) {
            fetch_ramp(run, cell, tile, slot_of(run, i));
            run->rows[i] = (struct row){slot_of(run, i), VECTOR_WIDTH};
        } else if (cell->fetch == FETCH_RANDOM) {
            fetch_random(run, i, tile, slot_of(run, i));
            run->rows[i] = (struct row){slot_of(run, i), VECTOR_WIDTH};
        } else if (cell->load >= 0 && cell->fetch != FETCH_UNIFORM &&
                   cell->fetch != FETCH_INVARIANT) {
            run->rows[i] = fetch_load(run, i, tile);
        }
    }
    for (int k = 0; k < program->sum_count; k++) {
        double *sums = run->sums + (size_t)k * (size_t)p->sum_size;
        if (program->sums[k].row) {
            add_column(run, program->sums[k].source, tile, sums);
        } else {
            add_to_sums(run, dense_row(run, program->sums[k].source, tile), tile, sums);
        }
    }
    for (int k = 0; k < program->store_count; k++) {
        if (program->stores[k].row) {
            memcpy(run->stores[k] + tile->linear / tile->inner,
                   dense(run, run->columns[program->stores[k].source], tile->rows),
                   (size_t)tile->rows * sizeof(float));
            continue;
        }
        float *to = run->stores[k] + tile->linear;
        const float *from = dense_row(run, program->stores[k].source, tile);
        if (from != to) {
            memcpy(to, from, (size_t)tile->count * sizeof *to);
        }
    }
}

/* Rows that no tile changes. */
static void fill_still_rows(struct run *run)
{
    const struct cpu_program *p = run->p;
    int inner = p->rank - 1;
    struct tile whole = {.inner = (int)p->block[inner],
                         .rows = inner > 0 ? (int)p->block[inner - 1] : 1};
    for (int i = 0; i < p->program->instruction_count; i++) {
        const struct cell *cell = &p->cells[i];
        float *out = slot_of(run, i);
        if (cell->fetch == FETCH_UNIFORM) {
            vector_fill(out, cell->load >= 0 ? *run->loads[cell->load] : cell->value, VECTOR_WIDTH);
            run->rows[i] = (struct row){out, 0};
            run->columns[i] = run->rows[i];
        } else if (cell->fetch == FETCH_INVARIANT) {
            gather(run->loads[cell->load], &whole, 0, cell->stride[inner], out);
            run->rows[i] = (struct row){out, VECTOR_WIDTH};
        }
    }
}

/* The tile at index, cut where the space ends. */
static struct tile tile_at(const struct cpu_program *p, const int64_t *index)
{
    struct tile tile = {.index = index};
    int inner = p->rank - 1;
    int64_t left = p->dim[inner] - index[inner];
    tile.inner = (int)(left < p->block[inner] ? left : p->block[inner]);
    tile.rows = 1;
    if (inner > 0) {
        left = p->dim[inner - 1] - index[inner - 1];
        tile.rows = (int)(left < p->block[inner - 1] ? left : p->block[inner - 1]);
    }
    tile.linear = dot(index, p->dense, p->rank);
    tile.count = tile.rows * tile.inner;
    tile.padded = (tile.count + VECTOR_WIDTH - 1) / VECTOR_WIDTH * VECTOR_WIDTH;
    return tile;
}

static void run_tiles(struct run *run)
{
    const struct cpu_program *p = run->p;
    int64_t index[SHAPE_RANK_MAX] = {0};
    int d = 0;
    while (d >= 0) {
        struct tile tile = tile_at(p, index);
        run_tile(run, &tile);
        for (d = p->rank - 1; d >= 0; d--) {
            index[d] += p->block[d];
            if (index[d] < p->dim[d]) {
                break;
            }
            index[d] = 0;
        }
    }
}

/* A store may be computed in place unless it overlaps what the program still reads: then each tile
 * is finished in scratch first, which is right where load and store walk alike. */
static bool overlaps_loads(const struct run *run, const struct plan *plan, int store)
{
    const struct program *program = run->p->program;
    const float *begin = run->stores[store];
    const float *end = begin + shape_count(&program->space);
    for (int k = 0; k < program->load_count; k++) {
        const float *load = cpu_source(plan, program->loads[k].value, run->call->bindings);
        const float *load_end = load + shape_count(&plan->values[program->loads[k].value].shape);
        if (load < end && begin < load_end) {
            return true;
        }
    }
    return false;
}

static void bind(struct run *run, const struct plan *plan)
{
    const struct program *program = run->p->program;
    const struct bindings *bindings = run->call->bindings;
    for (int i = 0; i < program->instruction_count; i++) {
        run->home[i] = -1;
    }
    for (int k = 0; k < program->load_count; k++) {
        run->loads[k] =
            cpu_source(plan, program->loads[k].value, bindings) + program->loads[k].offset;
    }
    for (int k = 0; k < program->store_count; k++) {
        run->stores[k] = cpu_target(plan, program->stores[k].value, bindings);
    }
    for (int k = 0; k < program->store_count; k++) {
        run->in_place[k] = !overlaps_loads(run, plan, k);
        if (!program->stores[k].row) {
            run->home[program->stores[k].source] = k;
        }
    }
}

size_t program_scratch_bytes(const struct cpu_program *p)
{
    size_t sums = (size_t)p->program->sum_count * (size_t)p->sum_size * sizeof(double);
    return slots_bytes(p) + ids_bytes(p) + cpu_align(sums);
}

enum cam_code program_launch(const struct cpu_step *step, const struct lane_call *call,
                             struct cam_err *err)
{
    (void)err;
    const struct cpu_program *p = step->state;
    struct run run = {.p = p, .call = call};
    char *scratch = call->scratch;
    run.slots = (float *)(void *)scratch;
    run.spare = run.slots + (size_t)p->slot_count * (size_t)p->slot_floats;
    scratch += slots_bytes(p);
    run.row_ids = (uint32_t *)(void *)scratch;
    run.element_ids = run.row_ids + p->slot_floats;
    run.sums = (double *)(void *)(scratch + ids_bytes(p));
    size_t sum_count = (size_t)p->program->sum_count * (size_t)p->sum_size;
    memset(run.sums, 0, sum_count * sizeof *run.sums);
    bind(&run, step->plan);
    fill_still_rows(&run);
    run_tiles(&run);
    for (int k = 0; k < p->program->sum_count; k++) {
        int64_t row = p->program->sums[k].row ? p->dim[p->rank - 1] : 1;
        reduce_store(run.sums + (size_t)k * (size_t)p->sum_size, (long)(p->sum_size / row),
                     cpu_target(step->plan, p->program->sums[k].value, call->bindings));
    }
    return CAM_OK;
}
