/*
 * The form of the job file's networks and optimizers: parts, layers with their names and inputs,
 * one optimizer a part.  What a layer or optimizer is called and takes is model/'s to say.
 */
#ifndef JOBFILE_MODEL_H
#define JOBFILE_MODEL_H

#include "proto/jobfile_value.h"

enum { JOBFILE_LAYERS_MAX = 1000 };

/* Fills job->parts from the map under `model`, in the order written. */
CAM_CHECKED enum cam_code jobfile_read_parts(const struct reading *r, struct cam_err *err);

/* Fills job->optimizers, one a part; parts come first. */
CAM_CHECKED enum cam_code jobfile_read_optimizers(const struct reading *r, struct cam_err *err);

#endif
