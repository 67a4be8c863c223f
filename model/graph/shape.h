/*
 * Shapes: what a value looks like, never its bytes.  Plain values.
 */
#ifndef SHAPE_H
#define SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHAPE_RANK_MAX = 6 };

struct shape {
    int64_t dim[SHAPE_RANK_MAX]; /* elements, outermost first; 0 past the rank */
    int rank;
};

/* The product of the sizes; 1 for rank 0. */
int64_t shape_count(const struct shape *shape);

/* Same rank and same sizes. */
bool shape_equal(const struct shape *a, const struct shape *b);

/* What one sample of a batch looks like: without the first size, which is of samples. */
struct shape shape_sample(const struct shape *batch);

/* "(64, 7, 7, 128)" into buffer; returns buffer. */
const char *shape_text(const struct shape *shape, char *buffer, size_t size);

/* Row-major strides in elements; the innermost is 1. */
void shape_strides(const struct shape *shape, int64_t stride_out[SHAPE_RANK_MAX]);

#endif
