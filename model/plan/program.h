/*
 * A fused program: one pass over an iteration space that loads, computes elementwise in registers,
 * and stores or sums.  Made by the planner, run by kernels/cpu block by block, and printed by the
 * emitter as CUDA or C.
 *
 * Register i is the result of instruction i.  The iteration space is row-major over dim; loads
 * read `value` at offset + sum(index[d] * stride[d]) elements (0: broadcast).  Stores write the
 * whole space row-major.  Sums add a register over the axes of `sum_axes` (all sums of a program
 * have the same axes) into a dense value over the remaining axes.
 *
 * Rows.  `row_axes` are the last axes of the space, or none; a *row* is the elements that differ in
 * these alone, PROGRAM_ROW_MAX at most.  The instructions OP_SUM and OP_REDUCE_MAX reduce a
 * register over each row, and later instructions of the program read the result: a register is then
 * one number a row, as is a load that does not step along the row, and what is computed from such
 * registers alone (program_is_narrow).  A store with `row` writes that number, over the axes that
 * are left; a sum with `row` adds it once.  So layer norm, softmax and their gradients load once
 * and store once.  Every index map steps along a row as along one axis; sums are over whole rows or
 * not along them.
 *
 * The space has rank >= 1 and neighbouring axes are merged wherever every index map allows, so the
 * innermost run is as long as it can be; sizes of 1 are gone (but for a space of one element).
 *
 * Order of a sum: fixed by the program alone; each backend states and tests its own.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "model/graph/graph.h"

enum {
    PROGRAM_INSTRUCTIONS_MAX = 64,
    PROGRAM_LOADS_MAX = 16,
    PROGRAM_STORES_MAX = 8,
    PROGRAM_ROW_MAX = 16384, /* elements */
};

struct program_load {
    int value; /* index in the plan's values */
    int64_t offset;
    int64_t stride[SHAPE_RANK_MAX];
};

struct program_instruction {
    /* elementwise, OP_CONSTANT, OP_IOTA, OP_UNIFORM, OP_NORMAL; OP_SUM, OP_REDUCE_MAX: of each
     * row; OP_INPUT stands for a load */
    enum op_kind op;
    int load;      /* OP_INPUT: index in loads */
    int source[3]; /* registers */
    double value;  /* OP_CONSTANT */
    int axis;      /* OP_IOTA: an axis of the iteration space */
    /* OP_UNIFORM, OP_NORMAL.  The random tensor may be broadcast or permuted within the space:
     * row and element are the same kind of index map as a load's. */
    uint32_t stream;
    bool by_row;
    int64_t element_stride[SHAPE_RANK_MAX]; /* element within the row = sum(index * stride) */
    int64_t row_stride[SHAPE_RANK_MAX];     /* row - first row = sum(index * stride) */
};

struct program_output {
    int value;
    int source; /* register */
    bool row;   /* one number a row: stored, or added, once for each */
};

struct program {
    struct shape space;
    int load_count;
    struct program_load loads[PROGRAM_LOADS_MAX];
    int instruction_count;
    struct program_instruction instructions[PROGRAM_INSTRUCTIONS_MAX];
    int store_count;
    struct program_output stores[PROGRAM_STORES_MAX];
    int sum_count;
    uint32_t sum_axes;
    struct program_output sums[PROGRAM_STORES_MAX];
    uint32_t row_axes;
};

/* narrow_out[i]: whether register i is one number a row.  None is where the program has no rows. */
void program_is_narrow(const struct program *program, bool *narrow_out);

#endif
