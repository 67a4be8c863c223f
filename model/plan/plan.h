/*
 * A plan: a graph made ready to run.  Order, fusion, lifetimes and offsets are fixed here, before
 * the first step; nothing about memory is decided later.
 *
 * A value is a tensor that exists in memory.  Where it lives:
 *   PARAMETER  in the parameter arena, at the offset that the training's table gives (floats)
 *   BUFFER     in the buffer arena, likewise
 *   INPUT      at the pointer bound to its slot
 *   SCALAR     one float of the bound scalars
 *   ACTIVATION in the lane's activation arena, at `offset` (64-byte aligned)
 *   OUTPUT     in the bound output block, at `offset` (what the caller asked for)
 * A reshape is another value at the same place.
 */
#ifndef PLAN_H
#define PLAN_H

#include "model/graph/graph.h"
#include "model/plan/program.h"

enum storage {
    STORAGE_PARAMETER,
    STORAGE_BUFFER,
    STORAGE_INPUT,
    STORAGE_SCALAR,
    STORAGE_ACTIVATION,
    STORAGE_OUTPUT,
};

struct plan_value {
    enum storage storage;
    int slot;       /* parameter, buffer, input or scalar index; else -1 */
    int64_t offset; /* floats from the start of its arena or block; 0 for inputs */
    struct shape shape;
    int alias; /* the value at whose place this reshape is; else its own index */
};

enum plan_step_kind { PLAN_OPERATOR, PLAN_PROGRAM };

struct plan_step {
    enum plan_step_kind kind;
    enum op_kind op; /* PLAN_OPERATOR */
    struct op_attr attr;
    int input_count;
    int input[NODE_INPUTS_MAX];    /* values */
    int output;                    /* value */
    const struct program *program; /* PLAN_PROGRAM */
    const char *path;              /* of its first node, for errors and profiles */
    int64_t flops;                 /* PLAN_OPERATOR: of its products */
};

/* One thing that the caller wants, and where in the output block. */
struct plan_output {
    int node;
    int64_t offset; /* floats */
};

struct plan_request {
    const struct graph *graph;
    const struct plan_output *outputs;
    int output_count;
    const int64_t *parameter_offsets; /* floats, by slot */
    const int64_t *buffer_offsets;    /* floats, by slot */
    bool recompute;                   /* blocks, in the backward pass (replay.h) */
    bool fuse;                        /* false: every operator is a step of its own */
    const bool *macros;               /* by operator: what the backend has a kernel of, the rest is
                                         lowered first; NULL: none (plan_target, target.h) */
};

struct plan {
    int value_count;
    const struct plan_value *values;
    int step_count;
    const struct plan_step *steps;
    int64_t activation_floats; /* size of a lane's activation arena */
    int64_t output_floats;     /* end of the furthest output */
    int64_t flops;             /* of its products */
    int input_count;           /* highest input slot + 1; likewise below */
    int scalar_count;
    struct cam_arena *arena; /* all of the above lives here */
};

/* Builds a plan; end it with plan_destroy.  The graph is not needed afterwards.  CAM_NO_MEMORY, or
 * CAM_INVALID naming the node where a limit of ENGINE.md is passed (2^31 elements). */
CAM_CHECKED enum cam_code plan_create(const struct plan_request *request, struct plan **out,
                                      struct cam_err *err);
void plan_destroy(struct plan *plan);

#endif
