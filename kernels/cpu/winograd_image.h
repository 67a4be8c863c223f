/*
 * Images and weights to matrices at pairs of points, and back; for winograd.c.
 *
 * For each pair of points (one of each axis) there are matrices X (places, SH*SW*C), Y (places, O)
 * and W (SH*SW*C, O), one behind another.  A place is a sample and a piece of each axis that has
 * the point, in that order; `chunk` samples are held at once.
 */
#ifndef CPU_WINOGRAD_IMAGE_H
#define CPU_WINOGRAD_IMAGE_H

#include "kernels/cpu/winograd.h"

#include <stdint.h>

/* One spatial axis, cut into pieces: first those of 3 outputs, then of 2, then of 1. */
struct winograd_axis {
    int64_t x; /* size of the x end */
    int64_t y;
    int64_t stride;
    int64_t before; /* padding */
    int64_t threes;
    int64_t twos;
    int64_t pieces;
    int64_t with[WINOGRAD_POINTS]; /* how many pieces have the point */
};

struct winograd_shape {
    struct winograd_axis axis[2];
    int64_t chunk;
    int64_t channels;                                /* C */
    int64_t wide;                                    /* SH*SW*C */
    int64_t outs;                                    /* O */
    int64_t places;                                  /* of a sample, all pairs */
    int64_t first[WINOGRAD_POINTS][WINOGRAD_POINTS]; /* of them, before this pair's */
};

/* A lane's scratch; all of it begins as zeros, and only the functions below write it. */
struct winograd_work {
    float *zeros;   /* a row of x outside of the image */
    float *waste;   /* where such a row's gradient goes */
    float *x_lines; /* points * SH lines of x */
    float *y_lines; /* points lines of y */
    float *x;       /* all X of a chunk */
    float *y;
};

/* Fills everything but `chunk` from what the caller has set: x, y, stride and before of the axes,
 * channels and outs. */
void winograd_shape_complete(struct winograd_shape *shape);

int64_t winograd_line_floats(const struct winograd_shape *shape); /* of zeros, waste, an x line */

/* `sample` is its number in the chunk. */
void winograd_image_from_x(const struct winograd_shape *shape, const struct winograd_work *work,
                           const float *image, int64_t sample);
void winograd_image_to_x(const struct winograd_shape *shape, const struct winograd_work *work,
                         int64_t sample, float *image);
void winograd_image_from_y(const struct winograd_shape *shape, const struct winograd_work *work,
                           const float *image, int64_t sample);
void winograd_image_to_y(const struct winograd_shape *shape, const struct winograd_work *work,
                         int64_t sample, float *image);

/* Weights (KH,KW,C,O), and W of all 16 pairs.  From: in panels (panel.h), as the right hand side of
 * a forward product or, crosswise, of one to input.  To: from dense matrices. */
int64_t winograd_weight_floats(const int64_t kernel[4]);
void winograd_weights_from(const int64_t kernel[4], const float *weights, float *points);
void winograd_weights_from_crosswise(const int64_t kernel[4], const float *weights, float *points);
void winograd_weights_to(const int64_t kernel[4], const float *points, float *weights);

#endif
