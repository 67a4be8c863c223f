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

bool combine_finite(const float *floats, int64_t count)
{
    const uint32_t exponent = UINT32_C(0x7f800000);
    uint32_t bad = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &floats[i], sizeof bits);
        bad |= (bits & exponent) == exponent ? 1U : 0U;
    }
    return bad == 0;
}
