/*
 * Samples for people: 64 generated images as one 8 x 8 PNG, or generated points as a CSV, a line
 * each.  Runs on its own instance of the backend, so that it never touches the lanes.  One thread
 * (the writer's) does everything.
 */
#ifndef GRID_H
#define GRID_H

#include "base/status.h"
#include "worker/train/compiled.h"

struct grid;

/* Opens the backend once more, with one lane, and compiles the sample graph. */
CAM_CHECKED enum cam_code grid_create(const struct compiled *compiled,
                                      const struct backend_options *options, struct grid **out,
                                      struct cam_err *err);
void grid_destroy(struct grid *grid);

/* How the samples' file ends: ".png" or ".csv". */
const char *grid_end(const struct grid *grid);

/* Generates from these parameters and buffers (arena layout) and replaces path with the samples. */
CAM_CHECKED enum cam_code grid_draw(struct grid *grid, const float *parameters,
                                    const float *buffers, const char *path, struct cam_err *err);

/* (count,H,W,C) floats in [-1, 1] as a square grid of 8-bit pixels, row-major; for tests too.
 * out holds count*H*W*C bytes; columns divides count. */
void grid_arrange(const float *images, const struct shape *shape, int columns, unsigned char *out);

#endif
