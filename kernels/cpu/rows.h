/*
 * Rows of attention weights and of recurrent gates: what stands between the matrix products of the
 * macro operators.  Compiled for AVX2 and FMA as vector.h, with the same arithmetic: IEEE
 * operations, SLEEF and vector_math.h, tails through masks, sums in an order that the count alone
 * decides.
 */
#ifndef CPU_ROWS_H
#define CPU_ROWS_H

#include <stdint.h>

/* A row of `count` scores becomes its softmax; `padded` >= count: the rest becomes 0. */
void rows_softmax(float *row, int64_t count, int64_t padded);

/* d_row[i] = row[i] * (d_row[i] - sum(row * d_row)) * scale over the first `count`; the rest, up to
 * `padded`, becomes 0. */
void rows_softmax_grad(const float *row, float *d_row, int64_t count, int64_t padded, float scale);

/* One sample's step of an LSTM: out holds [h | c | gates i f g o before their activations], `size`
 * numbers each; before is the step's before, NULL: zeros.  All of out is set. */
void rows_lstm(float *out, const float *before, int64_t size);

/* One sample's step backwards.  out, before: as above, made; dh (size): what arrives at h.
 * dc (size): what arrives at c from the step behind, becomes what goes to the step before.
 * gates (4 size): becomes what arrives at the gates. */
void rows_lstm_grad(const float *out, const float *before, const float *dh, float *dc, float *gates,
                    int64_t size);

/* One sample's step of a GRU: x (3 size), product = h w (3 size), bias (size); out is set to
 * [h | r | z | n | h w + b of n]. */
struct gru_row {
    const float *x;
    const float *product;
    const float *bias;
    const float *before; /* out of the step before; NULL: zeros */
    float *out;
};
void rows_gru(const struct gru_row *row, int64_t size);

/* One sample's step backwards: dh (size) becomes its part that goes through z; gates (4 size)
 * becomes what arrives at r, z, n and at h w + b of n. */
void rows_gru_grad(const float *out, const float *before, float *dh, float *gates, int64_t size);

#endif
