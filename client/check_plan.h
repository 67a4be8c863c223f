/*
 * `cambrian check --plan`: every step of every phase of a job, for people and as JSON.
 */
#ifndef CHECK_PLAN_H
#define CHECK_PLAN_H

#include "base/text.h"
#include "model/check.h"

#include <jansson.h>

/* Appends a table a phase. */
CAM_CHECKED enum cam_code check_plan_text(const struct job_file *job, const struct data_shape *data,
                                          struct cam_text *out, struct cam_err *err);

/* An array of phases, each with its steps; json_decref it. */
CAM_CHECKED enum cam_code check_plan_json(const struct job_file *job, const struct data_shape *data,
                                          json_t **out, struct cam_err *err);

#endif
