/*
 * Random vectors: Philox4x32-10 at eight counters at once, the same bits as base/philox.h, and
 * kernels/random.h's uniform and normal numbers from its words.
 */
#include "kernels/cpu/vector.h"

#include <immintrin.h>
#include <sleef.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Eight counters at once; the same bits as philox4x32_10. */
struct words8 {
    __m256i word[4];
};

/* Low and high halves of the eight 64-bit products m * c. */
INLINE void multiply8(__m256i c, uint32_t multiplier, __m256i *low, __m256i *high)
{
    __m256i m = _mm256_set1_epi32((int)multiplier);
    __m256i even = _mm256_mul_epu32(c, m);
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(c, 32), m);
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}

INLINE struct words8 philox8(struct words8 c, uint64_t seed)
{
    enum { ROUNDS = 10 };
    uint32_t k0 = (uint32_t)seed;
    uint32_t k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        __m256i low0;
        __m256i high0;
        __m256i low1;
        __m256i high1;
        multiply8(c.word[0], 0xD2511F53u, &low0, &high0);
        multiply8(c.word[2], 0xCD9E8D57u, &low1, &high1);
        c.word[0] =
            _mm256_xor_si256(_mm256_xor_si256(high1, c.word[1]), _mm256_set1_epi32((int)k0));
        c.word[1] = low1;
        c.word[2] =
            _mm256_xor_si256(_mm256_xor_si256(high0, c.word[3]), _mm256_set1_epi32((int)k1));
        c.word[3] = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* All ones in the lanes where bit `bit` of e is set. */
INLINE __m256i bit_mask8(__m256i e, int bit)
{
    return _mm256_srai_epi32(_mm256_slli_epi32(e, 31 - bit), 31);
}

/* (word >> 8) + plus, as float: exact. */
INLINE __m256 top24(__m256i word, int plus)
{
    return _mm256_cvtepi32_ps(
        _mm256_add_epi32(_mm256_srli_epi32(word, 8), _mm256_set1_epi32(plus)));
}

INLINE __m256 uniform8(const struct words8 *w, __m256i element)
{
    __m256i odd = bit_mask8(element, 0);
    __m256i low = _mm256_blendv_epi8(w->word[0], w->word[1], odd);
    __m256i high = _mm256_blendv_epi8(w->word[2], w->word[3], odd);
    __m256i word = _mm256_blendv_epi8(low, high, bit_mask8(element, 1));
    return _mm256_mul_ps(top24(word, 0), _mm256_set1_ps(0x1p-24f));
}

/* Box-Muller: the even and the odd element of a pair of words. */
struct pair8 {
    __m256 even;
    __m256 odd;
};

INLINE struct pair8 normal_pair8(__m256i first, __m256i second)
{
    __m256 u = _mm256_mul_ps(top24(first, 1), _mm256_set1_ps(0x1p-24f));
    __m256 log = Sleef_finz_logf8_u10avx2(u);
    __m256 radius = _mm256_sqrt_ps(_mm256_mul_ps(_mm256_set1_ps(-2.0f), log));
    /* The angle in units of pi: 2 v. */
    Sleef___m256_2 angle =
        Sleef_finz_sincospif8_u05avx2(_mm256_mul_ps(top24(second, 0), _mm256_set1_ps(0x1p-23f)));
    return (struct pair8){_mm256_mul_ps(radius, angle.y), _mm256_mul_ps(radius, angle.x)};
}

INLINE __m256 normal8(const struct words8 *w, __m256i element)
{
    __m256i second = bit_mask8(element, 1);
    __m256i a = _mm256_blendv_epi8(w->word[0], w->word[2], second);
    __m256i b = _mm256_blendv_epi8(w->word[1], w->word[3], second);
    struct pair8 pair = normal_pair8(a, b);
    return _mm256_blendv_ps(pair.even, pair.odd, _mm256_castsi256_ps(bit_mask8(element, 0)));
}

void vector_random(enum op_kind op, const struct random_context *random, uint32_t stream,
                   const uint32_t *row, const uint32_t *element, float *out, int count)
{
    for (int i = 0; i < count; i += VECTOR_WIDTH) {
        __m256i e = _mm256_loadu_si256((const __m256i *)(const void *)(element + i));
        __m256i r = _mm256_loadu_si256((const __m256i *)(const void *)(row + i));
        struct words8 words = {{_mm256_srli_epi32(e, 2), r,
                                _mm256_set1_epi32((int)random->execution),
                                _mm256_set1_epi32((int)stream)}};
        words = philox8(words, random->seed);
        _mm256_storeu_ps(out + i, op == OP_UNIFORM ? uniform8(&words, e) : normal8(&words, e));
    }
}

/* out[4 i + k] = word k of counter i: the transpose of four vectors. */
INLINE void store_transposed(const __m256 value[4], float *out)
{
    __m256 a = _mm256_unpacklo_ps(value[0], value[1]);
    __m256 b = _mm256_unpackhi_ps(value[0], value[1]);
    __m256 c = _mm256_unpacklo_ps(value[2], value[3]);
    __m256 d = _mm256_unpackhi_ps(value[2], value[3]);
    /* Counters 0 | 4, 1 | 5, 2 | 6, 3 | 7 in the halves. */
    __m256 r0 = _mm256_shuffle_ps(a, c, 0x44);
    __m256 r1 = _mm256_shuffle_ps(a, c, 0xEE);
    __m256 r2 = _mm256_shuffle_ps(b, d, 0x44);
    __m256 r3 = _mm256_shuffle_ps(b, d, 0xEE);
    _mm256_storeu_ps(out, _mm256_permute2f128_ps(r0, r1, 0x20));
    _mm256_storeu_ps(out + 8, _mm256_permute2f128_ps(r2, r3, 0x20));
    _mm256_storeu_ps(out + 16, _mm256_permute2f128_ps(r0, r1, 0x31));
    _mm256_storeu_ps(out + 24, _mm256_permute2f128_ps(r2, r3, 0x31));
}

INLINE void random_block32(enum op_kind op, const struct words8 *w, float *out)
{
    __m256 value[4];
    if (op == OP_UNIFORM) {
        for (int k = 0; k < 4; k++) {
            value[k] = _mm256_mul_ps(top24(w->word[k], 0), _mm256_set1_ps(0x1p-24f));
        }
    } else {
        for (int k = 0; k < 4; k += 2) {
            struct pair8 pair = normal_pair8(w->word[k], w->word[k + 1]);
            value[k] = pair.even;
            value[k + 1] = pair.odd;
        }
    }
    store_transposed(value, out);
}

void vector_random_run(enum op_kind op, const struct random_context *random, uint32_t stream,
                       const struct random_run *run, float *out)
{
    enum { BLOCK = 4 * VECTOR_WIDTH };
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (int i = 0; i < run->count; i += BLOCK) {
        uint32_t counter = (run->element + (uint32_t)i) / 4;
        struct words8 words = {{_mm256_add_epi32(_mm256_set1_epi32((int)counter), lanes),
                                _mm256_set1_epi32((int)run->row),
                                _mm256_set1_epi32((int)random->execution),
                                _mm256_set1_epi32((int)stream)}};
        float last[BLOCK];
        bool whole = run->count - i >= BLOCK;
        words = philox8(words, random->seed);
        random_block32(op, &words, whole ? out + i : last);
        if (!whole) {
            memcpy(out + i, last, (size_t)(run->count - i) * sizeof *out);
        }
    }
}
