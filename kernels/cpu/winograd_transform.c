#include "kernels/cpu/winograd.h"

#include <immintrin.h>

enum { WIDTH = 8, ZERO = 0, INFINITE = 1, ONE = 2, MINUS = 3 };

static inline __m256 get(const float *row, size_t i)
{
    return _mm256_loadu_ps(row + i);
}

static inline void put(float *row, size_t i, __m256 value)
{
    _mm256_storeu_ps(row + i, value);
}

static inline __m256 add(__m256 a, __m256 b)
{
    return _mm256_add_ps(a, b);
}

static inline __m256 sub(__m256 a, __m256 b)
{
    return _mm256_sub_ps(a, b);
}

static inline __m256 half(__m256 a)
{
    return _mm256_mul_ps(a, _mm256_set1_ps(0.5f));
}

void winograd_from_x(int size, const float *const *x, float *const *points, size_t count)
{
    for (size_t i = 0; i < count && size == 1; i += WIDTH) {
        put(points[ZERO], i, get(x[0], i));
        put(points[INFINITE], i, get(x[1], i));
    }
    for (size_t i = 0; i < count && size == 2; i += WIDTH) {
        __m256 middle = get(x[1], i);
        put(points[ZERO], i, sub(get(x[0], i), middle));
        put(points[INFINITE], i, sub(get(x[2], i), middle));
        put(points[ONE], i, middle);
    }
    for (size_t i = 0; i < count && size == 3; i += WIDTH) {
        __m256 x1 = get(x[1], i);
        __m256 x2 = get(x[2], i);
        put(points[ZERO], i, sub(get(x[0], i), x2));
        put(points[INFINITE], i, sub(get(x[3], i), x1));
        put(points[ONE], i, half(add(x1, x2)));
        put(points[MINUS], i, half(sub(x2, x1)));
    }
}

void winograd_to_x(int size, const float *const *points, float *const *x, bool add_first,
                   size_t count)
{
    for (size_t i = 0; i < count; i += WIDTH) {
        __m256 zero = get(points[ZERO], i);
        __m256 infinite = get(points[INFINITE], i);
        put(x[0], i, add_first ? add(get(x[0], i), zero) : zero);
        put(x[size], i, infinite);
        if (size == 2) {
            put(x[1], i, sub(get(points[ONE], i), add(zero, infinite)));
        } else if (size == 3) {
            __m256 one = get(points[ONE], i);
            __m256 minus = get(points[MINUS], i);
            put(x[1], i, sub(half(sub(one, minus)), infinite));
            put(x[2], i, sub(half(add(one, minus)), zero));
        }
    }
}

void winograd_from_y(int size, const float *const *y, float *const *points, size_t count)
{
    for (size_t i = 0; i < count; i += WIDTH) {
        __m256 first = get(y[0], i);
        __m256 last = get(y[size - 1], i);
        put(points[ZERO], i, first);
        put(points[INFINITE], i, last);
        if (size == 2) {
            put(points[ONE], i, add(first, last));
        } else if (size == 3) {
            __m256 middle = get(y[1], i);
            __m256 ends = add(first, last);
            put(points[ONE], i, add(ends, middle));
            put(points[MINUS], i, sub(ends, middle));
        }
    }
}

void winograd_to_y(int size, const float *const *points, float *const *y, size_t count)
{
    for (size_t i = 0; i < count; i += WIDTH) {
        __m256 zero = get(points[ZERO], i);
        __m256 infinite = get(points[INFINITE], i);
        if (size == 1) {
            put(y[0], i, add(zero, infinite));
        } else if (size == 2) {
            __m256 one = get(points[ONE], i);
            put(y[0], i, add(zero, one));
            put(y[1], i, add(infinite, one));
        } else {
            __m256 one = get(points[ONE], i);
            __m256 minus = get(points[MINUS], i);
            __m256 even = add(one, minus);
            put(y[0], i, add(zero, even));
            put(y[1], i, sub(one, minus));
            put(y[2], i, add(infinite, even));
        }
    }
}

void winograd_from_w(const float *const *w, float *const *points, size_t count)
{
    for (size_t i = 0; i < count; i += WIDTH) {
        __m256 first = get(w[0], i);
        __m256 second = get(w[1], i);
        put(points[ZERO], i, first);
        put(points[INFINITE], i, second);
        put(points[ONE], i, add(first, second));
        put(points[MINUS], i, sub(first, second));
    }
}

void winograd_to_w(const float *const *points, float *const *w, size_t count)
{
    for (size_t i = 0; i < count; i += WIDTH) {
        __m256 one = get(points[ONE], i);
        __m256 minus = get(points[MINUS], i);
        put(w[0], i, add(get(points[ZERO], i), add(one, minus)));
        put(w[1], i, add(get(points[INFINITE], i), sub(one, minus)));
    }
}
