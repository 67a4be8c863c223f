/*
 * How far one set of samples is from another.  A set is (count, size) floats, row-major: features
 * of a network, or pixels.  Everything is computed in double but distances between samples, which
 * are float.  One thread; memory is the caller's or taken and given back within a call.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include "base/status.h"

#include <stdint.h>

struct sample_set {
    const float *values; /* (count, size) */
    int64_t count;
    int64_t size;
};

/*
 * The Frechet distance of the normal distributions that have the sets' means and covariances (the
 * unbiased ones), squared as is usual (Heusel 2017):
 *   |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1^1/2 C2 C1^1/2)^1/2,
 * with square roots by eigenvalues of symmetric matrices; those that rounding made negative are 0.
 * Sets of one size and of two samples at least.  CAM_NO_MEMORY; CAM_NON_FINITE where the values are
 * not finite.
 */
CAM_CHECKED enum cam_code measure_frechet(const struct sample_set *a, const struct sample_set *b,
                                          double *out, struct cam_err *err);

/*
 * The share of samples within the support of a set, which is the union of balls around its samples,
 * each as large as the distance to the k-th nearest other one (Kynkaanniemi 2019): precision is of
 * generated samples in real ones, recall the other way round.  k < count of the set.
 * CAM_NO_MEMORY.
 */
CAM_CHECKED enum cam_code measure_covered(const struct sample_set *samples,
                                          const struct sample_set *support, int k, double *out,
                                          struct cam_err *err);

/* The mean, over samples, of the Euclidean distance to the nearest of a set; a set can be compared
 * with itself, where none is its own neighbour.  CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code measure_nearest(const struct sample_set *samples,
                                          const struct sample_set *set, double *out,
                                          struct cam_err *err);

#endif
