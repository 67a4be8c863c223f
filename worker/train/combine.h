/*
 * The loops of the reduction: elementwise, so their order is the tree's and nothing else's.
 */
#ifndef COMBINE_H
#define COMBINE_H

#include "worker/train/schedule.h"

#include <stdint.h>

/* dst[i] += src[i]; they do not overlap. */
void combine_add(float *restrict dst, const float *restrict src, int64_t count);

/* The sum of views[k][offset ...] in the combine's order; in scratch (scratch_count blocks of
 * `scratch_stride` floats) or, where there is one partial, that partial itself. */
const float *combine_run(const struct combine *combine, const float *const *views, int64_t offset,
                         int64_t count, float *scratch, int64_t scratch_stride);

/* The sum of (floats[i] * scale)^2, each product first brought into [-most, most]; count is a
 * multiple of 8.  Added in double, eight sums side by side, then those by halves. */
double combine_squares(const float *floats, int64_t count, float scale, float most);

/* What is among some floats, as bits: one that is NaN or infinite; one so large (2^116) that finite
 * partial sums of all shards might have no finite sum.  What is not finite is large too. */
enum { COMBINE_LARGE = 1, COMBINE_SPOILED = 2 };
unsigned combine_check(const float *floats, int64_t count);

#endif
