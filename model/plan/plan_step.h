/*
 * What a step of a plan costs, and what a program is made of: for people who read plans.
 */
#ifndef PLAN_STEP_H
#define PLAN_STEP_H

#include "base/text.h"
#include "model/plan/plan.h"

struct step_cost {
    int64_t read_bytes;    /* of f32; a value that is loaded twice counts once */
    int64_t written_bytes; /* of f32 */
    int64_t flops; /* of products; of a program: its arithmetic, each instruction 1 an element, or 1
                      a row */
};

struct step_cost plan_step_cost(const struct plan *plan, const struct plan_step *step);

/* Appends the operator's name, or a program's instructions in their order: "sub mul x3 sum exp";
 * loads, constants and stores are not named. */
void plan_step_operators(const struct plan_step *step, struct cam_text *out);

/* Appends "(2,3)(3,4)->(2,4)": what an operator reads and makes; of a program its space, and the
 * size of its rows where it has them: "(8,64) rows of 64". */
void plan_step_shapes(const struct plan *plan, const struct plan_step *step, struct cam_text *out);

#endif
