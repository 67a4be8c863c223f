/*
 * Runs a graph on a backend, for tests: seeded values for its leaves, a plan, one lane.
 * Everything is held in double; values are multiples of 2^-12, so that f32 holds them too.
 */
#ifndef RIG_H
#define RIG_H

#include "kernels/backend.h"
#include "model/graph/graph.h"

enum { RIG_LEAVES_MAX = 16, RIG_OUTPUTS_MAX = 16 };

struct rig {
    struct graph *graph;
    int outputs[RIG_OUTPUTS_MAX];
    int output_count;
    uint64_t seed;
    double low; /* range of the leaves */
    double high;
    bool inputs_only; /* no leaf is a parameter */
    int nudged_slot;  /* input leaf with one element moved; -1: none */
    int64_t nudged_element;
    double nudge;
};

struct rig_place {
    const char *backend; /* "reference", "cpu" */
    bool f64;
    bool fuse;
    bool lowered;   /* macros too, where the backend has kernels of them */
    bool recompute; /* blocks, in the backward pass */
    int lanes;
    int threads;   /* of each lane; 0: one */
    bool together; /* all lanes run at once, several times; the last one's outputs count */
    int misalign;  /* floats by which every arena is shifted, in steps that keep 4-byte floats */
};

/* Leaves: OP_INPUT slots 0, 1, ... in order of creation, unless made as parameters. */
int rig_input(struct rig *rig, int slot, const struct shape *shape);
int rig_parameter(struct rig *rig, int slot, const struct shape *shape);
void rig_begin(struct rig *rig, uint64_t seed);
void rig_end(struct rig *rig);

/* Elements of all outputs. */
int64_t rig_output_count(const struct rig *rig);

/* Outputs one after another, on the heap (cam_free); fails the test on any error. */
double *rig_run(const struct rig *rig, const struct rig_place *place);

/* A seeded whole number in [low, high]; advances *state. */
int64_t rig_draw(uint64_t *state, int64_t low, int64_t high);

/* The module's folder, and whether the CPU backend can be opened here. */
bool rig_has_cpu(void);

/* The largest |a - b| over the largest |b| (1 where b is all zero). */
double rig_distance(const double *a, const double *b, int64_t count);

#endif
