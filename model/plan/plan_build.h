/*
 * What the planner's passes share while a plan is made; inside model/plan only.
 *
 *   plan_order.c    which nodes are reached, and how often each is used
 *   plan_view.c     a chain of views as one index map over the tensor below it
 *   plan_fuse.c     fused: which program or operator step makes each node, in which order
 *   plan_join.c     fused: adds one node to one program, within the limits
 *   plan_again.c    fused: computes a cheap node again rather than store and load it
 *   plan_rows.c     fused: reductions of rows, whose readers stay in the program
 *   plan_tidy.c     fused: drops what a program computes for nobody
 *   plan_plain.c    not fused: a step a node
 *   plan_values.c   values, program stores and step operands, once all steps are known
 *   plan_collapse.c merges the axes of a program's space
 *   plan_memory.c   lifetimes and offsets
 *
 * A node is *transparent* where it is its input (stop_gradient; a sum over sizes of 1): every pass
 * sees through it with plan_through.  Steps are only ever appended, and run in that order: a node
 * may use what a step of a lower number made.
 */
#ifndef PLAN_BUILD_H
#define PLAN_BUILD_H

#include "base/arena.h"
#include "model/graph/op.h"
#include "model/plan/plan.h"

enum { NONE = -1 };

/* Of one node. */
struct plan_note {
    bool reached;
    bool kept;  /* a product, copy, view or output reads it: it is in memory whatever programs do */
    int uses;   /* by reached nodes and outputs that do not (yet) find it in a register */
    int step;   /* that makes it; NONE: not made (yet), or a leaf */
    int source; /* its register in that step's program; NONE: an operator's, or a sum's end */
    int value;  /* NONE until plan_values */
    int output; /* the request's output that it is made in place for; NONE */
    bool read;  /* by a later step, or an output */
    bool wanted; /* an output of the request */
};

/* A step while its program may still grow. */
struct plan_draft {
    struct program *program; /* NULL: an operator */
    int node;                /* operator: what it computes.  Program: its first node */
    int stored;              /* registers that have uses outside of the program so far */
    int output;              /* a copy for this output of the request; NONE */
    int output_source;       /* ... of this register; operators (not fused): of its input */
};

/* What a join does to nodes of other programs, once it has succeeded. */
struct plan_effects {
    int held[PROGRAM_LOADS_MAX]; /* loaded once more */
    int held_count;
    int spared[NODE_INPUTS_MAX]; /* one use less, since it was computed again */
    int spared_count;
};

struct plan_builder {
    const struct plan_request *request;
    const struct graph *graph;
    struct cam_arena *scratch; /* dies with the builder */
    struct plan *plan;         /* its arena holds programs */
    struct plan_note *notes;   /* by node */
    int node_count;            /* up to the last output */
    struct plan_draft *drafts;
    int draft_count;
    int draft_capacity;
    int open_from; /* programs from this step on may still grow */
    struct plan_value *values;
    int value_count;
    int value_capacity;
    struct plan_effects effects; /* of the join that is under way */
    bool no_memory;
};

/* A tensor seen through views: element i of `shape` is at offset + sum(i[d] * stride[d]) of the
 * dense tensor `base`. */
struct plan_view {
    int base;
    struct shape shape;
    int64_t offset;
    int64_t stride[SHAPE_RANK_MAX];
};

static inline const struct node *plan_node(const struct plan_builder *b, int node)
{
    return graph_node(b->graph, node);
}

static inline enum op_class plan_class(const struct plan_builder *b, int node)
{
    return op_get(plan_node(b, node)->op)->class;
}

/* plan_order.c */
int plan_through(const struct plan_builder *b, int node);
bool plan_is_leaf(const struct plan_builder *b, int node); /* exists in memory before the plan */
bool plan_order(struct plan_builder *b);

/* plan_view.c */
struct plan_view plan_view_dense(int base, const struct shape *shape);
/* The view of `inner` that a view node makes; false where strides cannot say it. */
bool plan_view_apply(const struct node *node, const struct plan_view *inner, struct plan_view *out);
bool plan_view_is_dense(const struct plan_view *view, const struct shape *base_shape);

/* plan_fuse.c, plan_plain.c: make all drafts. */
void plan_fuse(struct plan_builder *b);
void plan_plain(struct plan_builder *b);
int plan_draft_add(struct plan_builder *b, int node, const struct shape *space);
/* The node as a view of something that is made, or of a constant or generator. */
struct plan_view plan_resolve(struct plan_builder *b, int node);

/* One operand of a node that is being placed. */
struct plan_operand {
    struct plan_view view;
    bool direct; /* through no view: a register where it is made in the same program */
    int node;    /* the operand itself, above all views */
};

/* plan_rows.c */
/* A sum, or a maximum over the last axis: what programs reduce.  Other maxima are operators. */
bool plan_is_reduction(const struct plan_builder *b, int node);
/* Makes a reduction over `axes` one of the program's rows; false, with nothing changed, where the
 * program's rows are others or its space is no such rows. */
bool plan_rows_begin(struct program *program, uint32_t axes);
/* Whether every index map of the program steps along its rows as along one axis. */
bool plan_rows_hold(const struct program *program);
/* Whether a node that walks `space` can be in the program: it is the program's, or one of one
 * number a row. */
bool plan_rows_host(const struct program *program, const struct shape *space);
/* Whether the operand repeats, along each row of the program, what its base has for the row. */
bool plan_rows_repeat(const struct plan_builder *b, const struct program *program,
                      const struct plan_operand *operand);

/* plan_join.c: adds the node (elementwise, reduction, random, iota; a view or constant: as a copy)
 * to the program of a step; false, with nothing changed, where a limit is passed. */
bool plan_join(struct plan_builder *b, int step, int node, const struct plan_operand *operands,
               int count);
bool plan_join_shares(const struct plan_builder *b, int step, const struct plan_operand *operands,
                      int count);
/* Whether the operand is a register of the program of the step that makes its base. */
bool plan_join_is_register(const struct plan_builder *b, const struct plan_operand *operand);
/* The register of an operand in the program of a step, appended where it is not there. */
int plan_join_register(struct plan_builder *b, int step, const struct plan_operand *operand);

/* Registers of a load, a constant and an instruction; each is appended where it is not there yet.
 * NONE where a limit is passed. */
int plan_join_load(struct program *program, const struct plan_view *view);
int plan_join_constant(struct program *program, double value);
int plan_join_instruction(struct program *program, enum op_kind op, const int *sources, int count);

/* plan_again.c: the register of an elementwise node of an earlier program, computed again in the
 * program of a step; NONE, with the program as it was, where loading it is better. */
int plan_again(struct plan_builder *b, int step, int node);

/* plan_tidy.c */
void plan_tidy(struct program *program);

/* plan_collapse.c */
void plan_collapse(struct program *program);

/* plan_values.c: values and steps from drafts. */
void plan_values(struct plan_builder *b);

/* plan_memory.c: offsets of the activation values; sets plan->activation_floats. */
void plan_memory(struct plan_builder *b);

#endif
