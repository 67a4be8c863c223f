/*
 * Proves a plan sound by walking it: nothing is read that was not written (or was written over),
 * every index stays inside its tensor, limits hold.  For tests; linear in the bytes of the plan.
 */
#ifndef PLAN_VERIFY_H
#define PLAN_VERIFY_H

#include "model/plan/plan.h"

/* CAM_INTERNAL names the step and what is wrong with it. */
CAM_CHECKED enum cam_code plan_verify(const struct plan *plan, struct cam_err *err);

#endif
