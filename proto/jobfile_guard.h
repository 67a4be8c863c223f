/*
 * The job file's guard against values that are not finite: train.on_nan, train.anchor_every.
 * Private to proto/.
 */
#ifndef JOBFILE_GUARD_H
#define JOBFILE_GUARD_H

#include "proto/jobfile_value.h"

/* What train.on_nan may be, and the options of the last of them; returns how many there are. */
size_t jobfile_guard_names(const char *const **names_out, const char *const **options_out,
                           size_t *option_count_out);

/* Checks both keys as they were read and fills what they mean. */
CAM_CHECKED enum cam_code jobfile_read_guard(const struct reading *r, struct cam_err *err);

#endif
