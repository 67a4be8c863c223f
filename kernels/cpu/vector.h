/*
 * Vector arithmetic on short rows of floats: the inner loops of the fused programs.  Compiled for
 * AVX2 and FMA, and called only where backend.c has found both.  Results do not depend on the
 * processor: IEEE operations, no contraction, and SLEEF's fixed-instruction-set functions (an
 * error of 1.0 units in the last place; tanh 3.5).
 *
 * Counts are multiples of VECTOR_WIDTH unless said otherwise; pointers need no alignment.  An
 * output may be the same row as a source, not a shifted one.
 */
#ifndef CPU_VECTOR_H
#define CPU_VECTOR_H

#include "kernels/backend.h"

enum { VECTOR_WIDTH = 8, VECTOR_SOURCES_MAX = 4 };

/* source[k] advances by step[k]: VECTOR_WIDTH for a row, 0 for one vector used throughout. */
struct vector_call {
    float *out;
    const float *source[VECTOR_SOURCES_MAX];
    int step[VECTOR_SOURCES_MAX];
    int count;
};

typedef void vector_function(const struct vector_call *call);

/* The loop of an elementwise operator; NULL for other operators. */
vector_function *vector_function_of(enum op_kind op);

/* Two operators in one pass, with the bits of two: a * b + c rounded twice, and a > b ? c : d. */
vector_function vector_multiply_add, vector_select_greater;

/* out[i] = first + i * stride (any count). */
void vector_ramp(float *out, float first, float stride, int count);

/* out[i] = value (any count). */
void vector_fill(float *out, float value, int count);

/* out[i] += in[i] (any count). */
void vector_accumulate(float *out, const float *in, int count);

/* The random operator's element `element[i]` of row `row[i]` (kernels/random.h). */
void vector_random(enum op_kind op, const struct random_context *random, uint32_t stream,
                   const uint32_t *row, const uint32_t *element, float *out, int count);

/* The same for neighbouring elements of one row, at a quarter of the cost; the first is a multiple
 * of 4, the count is any. */
struct random_run {
    uint32_t row;
    uint32_t element;
    int count;
};
void vector_random_run(enum op_kind op, const struct random_context *random, uint32_t stream,
                       const struct random_run *run, float *out);

/* "3.5.1": the mathematics library that this was built with. */
const char *vector_library_version(void);

#endif
