/*
 * A fused program made ready: axes merged, tiles chosen, registers given places.
 *
 * The space is walked tile by tile: a tile is `rows` times `inner` neighbouring elements of the
 * two innermost axes (at most PROGRAM_TILE), every instruction runs over a whole tile.  A register
 * is either a row of lane scratch, or no copy at all: a load that is dense within the tile is read
 * where it lies, one that is the same everywhere is one vector read again and again.
 *
 * A program with rows (program.h) has whole rows in its tiles, so that a reduction is one more
 * instruction.  What is one number a row is kept and computed as such, in a *column* of the tile,
 * and spread along the rows where other instructions read it.
 */
#ifndef CPU_PROGRAM_H
#define CPU_PROGRAM_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

enum { PROGRAM_TILE = 1024 };

/* How an instruction's row of a tile comes to be. */
enum fetch {
    FETCH_NOTHING,   /* its only reader computes it on the way */
    FETCH_COMPUTE,   /* by its vector function */
    FETCH_UNIFORM,   /* one number for the whole launch: a vector with step 0 */
    FETCH_INVARIANT, /* a row that every tile shares: filled once a launch */
    FETCH_DIRECT,    /* dense in memory: read in place */
    FETCH_SINGLE,    /* one number a tile */
    FETCH_ROWS,      /* dense inner axis, strided rows */
    FETCH_REPEAT,    /* one number a row */
    FETCH_GATHER,    /* any strides */
    FETCH_RAMP,      /* index along an axis */
    FETCH_RANDOM,
    FETCH_COLUMN, /* a load of one number a row */
    FETCH_STEPS,  /* index along an axis, one number a row */
    FETCH_REDUCE, /* each row of its source to one number */
};

struct cell {
    enum fetch fetch;
    vector_function *run;
    int source_count;
    int source[VECTOR_SOURCES_MAX];
    int slot;                       /* its row of scratch, or -1 */
    int column;                     /* one number a row: its column's place in scratch, or -1 */
    int load;                       /* index in the program's loads, or -1 */
    int64_t stride[SHAPE_RANK_MAX]; /* of a load, a ramp, a random element; merged axes */
    int64_t second[SHAPE_RANK_MAX]; /* of a random row */
    float value;                    /* FETCH_UNIFORM without a load */
};

enum sum_form {
    SUM_TOTAL,   /* the tile gives one number */
    SUM_ROWS,    /* each row of the tile gives one */
    SUM_COLUMNS, /* each column gives one */
    SUM_ADD,     /* each element is added to its own */
};

struct cpu_program {
    const struct program *program;
    int rank; /* of the merged space, at least 1 */
    int64_t dim[SHAPE_RANK_MAX];
    int64_t block[SHAPE_RANK_MAX]; /* of a tile, along each axis */
    bool row[SHAPE_RANK_MAX];      /* the row's axis: the innermost, or none */
    int slot_floats;
    int64_t dense[SHAPE_RANK_MAX]; /* row-major strides of the space */
    bool summed[SHAPE_RANK_MAX];
    int64_t sum_stride[SHAPE_RANK_MAX]; /* of the sums' outputs; 0 where summed */
    int64_t sum_size;                   /* elements of each sum's output */
    enum sum_form sum_form;
    int slot_count;
    struct cell cells[PROGRAM_INSTRUCTIONS_MAX];
};

/* Pure: chooses everything above. */
void program_layout(const struct program *program, struct cpu_program *out);

/* Of a lane. */
size_t program_scratch_bytes(const struct cpu_program *p);

/* step->state is the struct cpu_program. */
enum cam_code program_launch(const struct cpu_step *step, const struct lane_call *call,
                             struct cam_err *err);

#endif
