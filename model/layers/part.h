/*
 * A part of a model (generator, discriminator): runs the list of its layers.
 */
#ifndef PART_H
#define PART_H

#include "model/layers/layer.h"

/* Appends the part's nodes to call->graph over `input`; the last layer's node.  CAM_INVALID with
 * "FILE:LINE: ...". */
CAM_CHECKED enum cam_code part_build(struct part_call *call, int input, int *node_out,
                                     struct cam_err *err);

#endif
