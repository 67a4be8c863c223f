#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { WIDTH = 8, CHAINS = 4 };

/* Eight neighbouring elements of which the first `live` exist. */
struct lanes {
    __m256i mask;
    bool all;
};

INLINE struct lanes lanes_of(int64_t live)
{
    static const int MASKS[2 * WIDTH] = {-1, -1, -1, -1, -1, -1, -1, -1};
    int64_t n = live < WIDTH ? live : WIDTH;
    return (struct lanes){_mm256_loadu_si256((const __m256i *)(const void *)(MASKS + WIDTH - n)),
                          n == WIDTH};
}

INLINE __m256 get(const float *from, struct lanes lanes)
{
    return lanes.all ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, lanes.mask);
}

INLINE void put(float *to, struct lanes lanes, __m256 value)
{
    if (lanes.all) {
        _mm256_storeu_ps(to, value);
    } else {
        _mm256_maskstore_ps(to, lanes.mask, value);
    }
}

INLINE __m256 mul(__m256 a, __m256 b)
{
    return _mm256_mul_ps(a, b);
}

INLINE __m256 add(__m256 a, __m256 b)
{
    return _mm256_add_ps(a, b);
}

INLINE __m256 sub(__m256 a, __m256 b)
{
    return _mm256_sub_ps(a, b);
}

INLINE __m256 one(void)
{
    return _mm256_set1_ps(1.0f);
}

/* a (1 - a), 1 - a^2: slopes of sigmoid and tanh in their values. */
INLINE __m256 slope_sigmoid(__m256 a)
{
    return mul(a, sub(one(), a));
}

INLINE __m256 slope_tanh(__m256 a)
{
    return sub(one(), mul(a, a));
}

static float lane_sum(__m256 a)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

static float lane_max(__m256 a)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 pair = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)));
}

/* The largest; a NaN anywhere gives anything, and shows in the powers. */
static float row_max(const float *row, int64_t count)
{
    __m256 most = _mm256_set1_ps(row[0]);
    for (int64_t i = 0; i < count; i += WIDTH) {
        struct lanes lanes = lanes_of(count - i);
        __m256 value = _mm256_blendv_ps(most, get(row + i, lanes), _mm256_castsi256_ps(lanes.mask));
        most = _mm256_max_ps(value, most);
    }
    return lane_max(most);
}

void rows_softmax(float *row, int64_t count, int64_t padded)
{
    __m256 most = _mm256_set1_ps(row_max(row, count));
    __m256 chain[CHAINS] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                            _mm256_setzero_ps()};
    for (int64_t i = 0, k = 0; i < count; i += WIDTH, k = (k + 1) % CHAINS) {
        struct lanes lanes = lanes_of(count - i);
        __m256 power = exp8(sub(get(row + i, lanes), most));
        power = _mm256_and_ps(power, _mm256_castsi256_ps(lanes.mask));
        chain[k] = add(chain[k], power);
        put(row + i, lanes, power);
    }
    float total = lane_sum(add(add(chain[0], chain[1]), add(chain[2], chain[3])));
    __m256 share = _mm256_set1_ps(1.0f / total);
    for (int64_t i = 0; i < count; i += WIDTH) {
        struct lanes lanes = lanes_of(count - i);
        put(row + i, lanes, mul(get(row + i, lanes), share));
    }
    memset(row + count, 0, (size_t)(padded - count) * sizeof *row);
}

void rows_softmax_grad(const float *row, float *d_row, int64_t count, int64_t padded, float scale)
{
    __m256 chain[CHAINS] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                            _mm256_setzero_ps()};
    for (int64_t i = 0, k = 0; i < count; i += WIDTH, k = (k + 1) % CHAINS) {
        struct lanes lanes = lanes_of(count - i);
        chain[k] = add(chain[k], mul(get(row + i, lanes), get(d_row + i, lanes)));
    }
    __m256 along = _mm256_set1_ps(lane_sum(add(add(chain[0], chain[1]), add(chain[2], chain[3]))));
    __m256 factor = _mm256_set1_ps(scale);
    for (int64_t i = 0; i < count; i += WIDTH) {
        struct lanes lanes = lanes_of(count - i);
        __m256 rest = sub(get(d_row + i, lanes), along);
        put(d_row + i, lanes, mul(mul(get(row + i, lanes), rest), factor));
    }
    memset(d_row + count, 0, (size_t)(padded - count) * sizeof *d_row);
}

void rows_lstm(float *out, const float *before, int64_t size)
{
    for (int64_t u = 0; u < size; u += WIDTH) {
        struct lanes lanes = lanes_of(size - u);
        float *at = out + u;
        __m256 i = sigmoid8(get(at + 2 * size, lanes));
        __m256 f = sigmoid8(get(at + 3 * size, lanes));
        __m256 g = tanh8(get(at + 4 * size, lanes));
        __m256 o = sigmoid8(get(at + 5 * size, lanes));
        __m256 c = mul(i, g);
        if (before != NULL) {
            c = add(mul(f, get(before + size + u, lanes)), c);
        }
        put(at, lanes, mul(o, tanh8(c)));
        put(at + size, lanes, c);
        put(at + 2 * size, lanes, i);
        put(at + 3 * size, lanes, f);
        put(at + 4 * size, lanes, g);
        put(at + 5 * size, lanes, o);
    }
}

void rows_lstm_grad(const float *out, const float *before, const float *dh, float *dc, float *gates,
                    int64_t size)
{
    for (int64_t u = 0; u < size; u += WIDTH) {
        struct lanes lanes = lanes_of(size - u);
        const float *at = out + u;
        __m256 bent = tanh8(get(at + size, lanes));
        __m256 i = get(at + 2 * size, lanes);
        __m256 f = get(at + 3 * size, lanes);
        __m256 g = get(at + 4 * size, lanes);
        __m256 o = get(at + 5 * size, lanes);
        __m256 h = get(dh + u, lanes);
        __m256 c = add(mul(mul(h, o), slope_tanh(bent)), get(dc + u, lanes));
        __m256 earlier = before == NULL ? _mm256_setzero_ps() : get(before + size + u, lanes);
        put(gates + u, lanes, mul(mul(c, g), slope_sigmoid(i)));
        put(gates + size + u, lanes, mul(mul(c, earlier), slope_sigmoid(f)));
        put(gates + 2 * size + u, lanes, mul(mul(c, i), slope_tanh(g)));
        put(gates + 3 * size + u, lanes, mul(mul(h, bent), slope_sigmoid(o)));
        put(dc + u, lanes, mul(c, f));
    }
}

void rows_gru(const struct gru_row *row, int64_t size)
{
    for (int64_t u = 0; u < size; u += WIDTH) {
        struct lanes lanes = lanes_of(size - u);
        const float *x = row->x + u;
        const float *product = row->product + u;
        float *out = row->out + u;
        __m256 r = sigmoid8(add(get(x, lanes), get(product, lanes)));
        __m256 z = sigmoid8(add(get(x + size, lanes), get(product + size, lanes)));
        __m256 inner = add(get(product + 2 * size, lanes), get(row->bias + u, lanes));
        __m256 n = tanh8(add(get(x + 2 * size, lanes), mul(r, inner)));
        __m256 h = row->before == NULL ? _mm256_setzero_ps() : get(row->before + u, lanes);
        put(out, lanes, add(n, mul(z, sub(h, n))));
        put(out + size, lanes, r);
        put(out + 2 * size, lanes, z);
        put(out + 3 * size, lanes, n);
        put(out + 4 * size, lanes, inner);
    }
}

void rows_gru_grad(const float *out, const float *before, float *dh, float *gates, int64_t size)
{
    for (int64_t u = 0; u < size; u += WIDTH) {
        struct lanes lanes = lanes_of(size - u);
        const float *at = out + u;
        __m256 r = get(at + size, lanes);
        __m256 z = get(at + 2 * size, lanes);
        __m256 n = get(at + 3 * size, lanes);
        __m256 inner = get(at + 4 * size, lanes);
        __m256 h = before == NULL ? _mm256_setzero_ps() : get(before + u, lanes);
        __m256 d = get(dh + u, lanes);
        __m256 dn = mul(mul(d, sub(one(), z)), slope_tanh(n));
        put(gates + u, lanes, mul(mul(dn, inner), slope_sigmoid(r)));
        put(gates + size + u, lanes, mul(mul(d, sub(h, n)), slope_sigmoid(z)));
        put(gates + 2 * size + u, lanes, dn);
        put(gates + 3 * size + u, lanes, mul(dn, r));
        put(dh + u, lanes, mul(d, z));
    }
}
