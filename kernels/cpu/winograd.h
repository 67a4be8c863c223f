/*
 * The transforms of winograd.c: rows of floats in, rows out, one axis at a time.
 *
 * A piece is `size` neighbouring outputs of a one-dimensional convolution with two taps.  As a
 * trilinear form in its size+1 inputs x, size outputs y and taps w,
 *     sum over i of y[i] (x[i] w[0] + x[i+1] w[1])  =  sum over points k of X[k] Y[k] W[k],
 * where X, Y, W are linear in x, y, w: polynomials multiplied by their values at the points 0,
 * infinity, 1 and -1 (Toom and Cook; Winograd 1980), size+1 of them.  Leaving out one of the three
 * gives the convolution (to_y) and its gradients (to_x, to_w).
 *
 * Compiled for AVX2; counts are multiples of 8 floats, pointers need no alignment, outputs do not
 * overlap inputs.  Every output element is a fixed sum of at most three terms.
 */
#ifndef CPU_WINOGRAD_H
#define CPU_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>

/* Points in the order 0, infinity, 1, -1: those of a smaller piece come first. */
enum { WINOGRAD_PIECE_MAX = 3, WINOGRAD_POINTS = 4, WINOGRAD_TAPS = 2 };

/* size+1 rows x, size+1 points. */
void winograd_from_x(int size, const float *const *x, float *const *points, size_t count);
/* add_first: the first row is added to what it holds, since the piece before reaches there too. */
void winograd_to_x(int size, const float *const *points, float *const *x, bool add_first,
                   size_t count);

/* size rows y, size+1 points. */
void winograd_from_y(int size, const float *const *y, float *const *points, size_t count);
void winograd_to_y(int size, const float *const *points, float *const *y, size_t count);

/* Two taps, all four points. */
void winograd_from_w(const float *const *w, float *const *points, size_t count);
void winograd_to_w(const float *const *points, float *const *w, size_t count);

#endif
