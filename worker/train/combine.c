#include "worker/train/combine.h"

#include <string.h>

void combine_add(float *restrict dst, const float *restrict src, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        dst[i] += src[i];
    }
}

/* out = a + b; out may be a or b. */
static void add_into(float *out, const float *a, const float *b, int64_t count)
{
    if (out == a) {
        combine_add(out, b, count);
    } else if (out == b) {
        combine_add(out, a, count);
    } else {
        for (int64_t i = 0; i < count; i++) {
            out[i] = a[i] + b[i];
        }
    }
}

const float *combine_run(const struct combine *combine, const float *const *views, int64_t offset,
                         int64_t count, float *scratch, int64_t scratch_stride)
{
    for (int i = 0; i < combine->step_count; i++) {
        const struct combine_step *step = &combine->steps[i];
        int partials = combine->partial_count;
        const float *left = step->left < partials
                                ? views[step->left] + offset
                                : scratch + (step->left - partials) * scratch_stride;
        const float *right = step->right < partials
                                 ? views[step->right] + offset
                                 : scratch + (step->right - partials) * scratch_stride;
        add_into(scratch + (step->out - partials) * scratch_stride, left, right, count);
    }
    return combine->result < combine->partial_count
               ? views[combine->result] + offset
               : scratch + (combine->result - combine->partial_count) * scratch_stride;
}

double combine_squares(const float *floats, int64_t count, float scale, float most)
{
    enum { SIDE = 8 };
    double sums[SIDE] = {0.0};
    for (int64_t i = 0; i < count; i += SIDE) {
        for (int k = 0; k < SIDE; k++) {
            float value = floats[i + k] * scale;
            value = value > most ? most : value;
            value = value < -most ? -most : value;
            sums[k] += (double)value * (double)value;
        }
    }
    for (int half = SIDE / 2; half >= 1; half /= 2) {
        for (int k = 0; k < half; k++) {
            sums[k] += sums[k + half];
        }
    }
    return sums[0];
}

/* The sign bit of magnitude + (2^31 - limit) tells whether the magnitude reaches the limit, for any
 * number of floats with one or; a float's bits without its sign are in the order of magnitudes. */
unsigned combine_check(const float *floats, int64_t count)
{
    enum { SIDE = 8 };
    const uint32_t sign = UINT32_C(1) << 31;
    const uint32_t to_infinity = sign - (UINT32_C(255) << 23);
    const uint32_t to_large = sign - ((UINT32_C(116) + 127) << 23);
    uint32_t spoiled[SIDE] = {0};
    uint32_t large[SIDE] = {0};
    for (int64_t i = 0; i < count; i += SIDE) {
        uint32_t bits[SIDE] = {0};
        if (count - i >= SIDE) {
            memcpy(bits, floats + i, sizeof bits);
        } else {
            memcpy(bits, floats + i, (size_t)(count - i) * sizeof(float));
        }
        for (int k = 0; k < SIDE; k++) {
            uint32_t magnitude = bits[k] & ~sign;
            spoiled[k] |= magnitude + to_infinity;
            large[k] |= magnitude + to_large;
        }
    }
    uint32_t all_spoiled = 0;
    uint32_t all_large = 0;
    for (int k = 0; k < SIDE; k++) {
        all_spoiled |= spoiled[k];
        all_large |= large[k];
    }
    return ((all_spoiled & sign) != 0 ? COMBINE_SPOILED : 0U) |
           ((all_large & sign) != 0 ? COMBINE_LARGE : 0U);
}
