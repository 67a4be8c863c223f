/*
 * Which convolutions a backend may compute at points (kernels/cpu/winograd.c), and what that takes:
 * a rule over shapes alone, so that `check` knows and two runs agree.
 */
#ifndef PLAN_POINTS_H
#define PLAN_POINTS_H

#include "model/plan/plan.h"

/* Images and results of a chunk of samples, of a lane. */
enum { PLAN_POINTS_FLOATS = 393216 };

bool plan_at_points(const struct plan *plan, const struct plan_step *step);

/* Floats of all weights at the points: four times those that the step reads or makes. */
int64_t plan_points_weights(const struct plan *plan, const struct plan_step *step);

#endif
