/*
 * Optimizers: elementwise updates, one row each.  The gradient that arrives is already the mean
 * over the batch.
 */
#ifndef OPTIMIZER_H
#define OPTIMIZER_H

#include "model/recipes/training.h"

enum { OPTIMIZER_KEYS_MAX = 8 };

/* Above 0, at which nothing is learned, and a number that a float still tells from 0. */
#define LEARNING_RATE_LEAST 1e-30

/* Nodes of the update of `shape`: filled by the builder, outputs by the optimizer. */
struct update_nodes {
    struct graph *graph;
    struct shape shape;
    int parameter;
    int gradient;
    int states[UPDATE_STATES_MAX];
    int learning_rate; /* rank 0; likewise the corrections */
    int correction_1;
    int correction_2;
    int new_parameter;
    int new_states[UPDATE_STATES_MAX];
};

struct optimizer {
    const char *name;
    const char *keys[OPTIMIZER_KEYS_MAX];
    /* Fills learning_rate, betas, options (in the arena), states. */
    enum cam_code (*read)(const struct optimizer_spec *spec, struct cam_arena *arena,
                          struct update_info *out, struct cam_err *err);
    void (*update)(const struct update_info *info, struct update_nodes *nodes);
};

/* Reads and checks an optimizer of the job file; "FILE:LINE: ..." with the nearest name. */
CAM_CHECKED enum cam_code optimizer_read(const struct job_file *job,
                                         const struct optimizer_spec *spec, struct cam_arena *arena,
                                         struct update_info *out, struct cam_err *err);
const struct optimizer *optimizer_get(int index);
int optimizer_count(void);

/* adam.c, sgd.c */
enum cam_code adam_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                        struct update_info *out, struct cam_err *err);
void adam_update(const struct update_info *info, struct update_nodes *nodes);
enum cam_code sgd_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                       struct update_info *out, struct cam_err *err);
void sgd_update(const struct update_info *info, struct update_nodes *nodes);

#endif
