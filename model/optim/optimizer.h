/*
 * Optimizers: elementwise updates, one row each.  The gradient that arrives is already the mean
 * over the batch, clipped where the job asks.
 *
 * What all have in common stands in update_info and is read by optimizer.c: the rate with its
 * schedule, clipping, weight decay.  What a tensor has of its own (does it decay? lars' rate) comes
 * as one number a block, so a graph that runs over neighbouring blocks needs no cut between
 * tensors.
 */
#ifndef OPTIMIZER_H
#define OPTIMIZER_H

#include "model/recipes/training.h"

enum { OPTIMIZER_KEYS_MAX = 16 };

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
    int keep;
    int decays; /* (blocks, 1), likewise trust */
    int trust;
    int new_parameter;
    int new_states[UPDATE_STATES_MAX];
};

struct optimizer {
    const char *name;
    const char *keys[OPTIMIZER_KEYS_MAX]; /* its own, then those of all */
    /* Fills rate.base, betas, weight_decay and decay_weights as defaults, options (in the arena)
     * and states; reads its own keys. */
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

/* gradient + weight_decay * parameter, where the tensor decays: the decay that is part of the
 * gradient (L2), as PyTorch's but for adamw. */
int optimizer_decayed(const struct update_info *info, const struct update_nodes *nodes);

/* a old + b new: a moving average's step. */
int optimizer_blend(const struct update_nodes *nodes, double a, int old, double b, int new);

/* adam.c, lars.c, rmsprop.c, sgd.c */
enum cam_code adam_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                        struct update_info *out, struct cam_err *err);
void adam_update(const struct update_info *info, struct update_nodes *nodes);
enum cam_code adamw_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                         struct update_info *out, struct cam_err *err);
void adamw_update(const struct update_info *info, struct update_nodes *nodes);
enum cam_code lars_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                        struct update_info *out, struct cam_err *err);
void lars_update(const struct update_info *info, struct update_nodes *nodes);
enum cam_code rmsprop_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                           struct update_info *out, struct cam_err *err);
void rmsprop_update(const struct update_info *info, struct update_nodes *nodes);
enum cam_code sgd_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                       struct update_info *out, struct cam_err *err);
void sgd_update(const struct update_info *info, struct update_nodes *nodes);

#endif
