/*
 * Eight numbers at a time: the functions that the vector files share, all inlined.  For files that
 * are compiled for AVX2 and FMA alone.
 */
#ifndef CPU_VECTOR_MATH_H
#define CPU_VECTOR_MATH_H

#include <immintrin.h>
#include <sleef.h>

#define INLINE static inline __attribute__((always_inline))

INLINE __m256 one8(void)
{
    return _mm256_set1_ps(1.0f);
}

INLINE __m256 sign_bit8(void)
{
    return _mm256_set1_ps(-0.0f);
}

INLINE __m256 abs8(__m256 a)
{
    return _mm256_andnot_ps(sign_bit8(), a);
}

INLINE __m256 neg8(__m256 a)
{
    return _mm256_xor_ps(a, sign_bit8());
}

INLINE __m256 exp8(__m256 a)
{
    return Sleef_finz_expf8_u10avx2(a);
}

INLINE __m256 sigmoid8(__m256 a)
{
    return _mm256_div_ps(one8(), _mm256_add_ps(one8(), exp8(neg8(a))));
}

/* 3.5 units in the last place: 6.3 ns where the variant of 1.0 takes 16.9. */
INLINE __m256 tanh8(__m256 a)
{
    return Sleef_finz_tanhf8_u35avx2(a);
}

INLINE __m256 erf8(__m256 a)
{
    return Sleef_finz_erff8_u10avx2(a);
}

#endif
