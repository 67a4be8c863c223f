#include "kernels/cpu/vector.h"
#include "kernels/cpu/vector_math.h"

#include <stddef.h>

typedef __m256 unary8(__m256 a);
typedef __m256 binary8(__m256 a, __m256 b);

/* Inlined into each operator's function, where `apply` is known and disappears. */
INLINE void unary_loop(const struct vector_call *call, unary8 *apply)
{
    const float *a = call->source[0];
    int step = call->step[0];
    float *out = call->out;
    int count = call->count;
    for (int i = 0; i < count; i += VECTOR_WIDTH, a += step) {
        _mm256_storeu_ps(out + i, apply(_mm256_loadu_ps(a)));
    }
}

/* One loop a case: a vector used throughout stays in its register. */
INLINE void binary_loop(const struct vector_call *call, binary8 *apply)
{
    const float *a = call->source[0];
    const float *b = call->source[1];
    float *out = call->out;
    size_t count = (size_t)call->count;
    if (call->step[0] != 0 && call->step[1] != 0) {
        for (size_t i = 0; i < count; i += VECTOR_WIDTH) {
            __m256 value = apply(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
            _mm256_storeu_ps(out + i, value);
        }
    } else if (call->step[0] != 0) {
        __m256 all = _mm256_loadu_ps(b);
        for (size_t i = 0; i < count; i += VECTOR_WIDTH) {
            _mm256_storeu_ps(out + i, apply(_mm256_loadu_ps(a + i), all));
        }
    } else {
        __m256 all = _mm256_loadu_ps(a);
        size_t step = (size_t)call->step[1];
        for (size_t i = 0; i < count; i += VECTOR_WIDTH, b += step) {
            _mm256_storeu_ps(out + i, apply(all, _mm256_loadu_ps(b)));
        }
    }
}

INLINE __m256 add8(__m256 a, __m256 b)
{
    return _mm256_add_ps(a, b);
}
INLINE __m256 sub8(__m256 a, __m256 b)
{
    return _mm256_sub_ps(a, b);
}
INLINE __m256 mul8(__m256 a, __m256 b)
{
    return _mm256_mul_ps(a, b);
}
INLINE __m256 div8(__m256 a, __m256 b)
{
    return _mm256_div_ps(a, b);
}
INLINE __m256 max8(__m256 a, __m256 b)
{
    return _mm256_max_ps(a, b);
}
INLINE __m256 min8(__m256 a, __m256 b)
{
    return _mm256_min_ps(a, b);
}
INLINE __m256 greater8(__m256 a, __m256 b)
{
    return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ), one8());
}
INLINE __m256 equal8(__m256 a, __m256 b)
{
    return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ), one8());
}
INLINE __m256 sign8(__m256 a)
{
    __m256 zero = _mm256_setzero_ps();
    return _mm256_sub_ps(greater8(a, zero), greater8(zero, a));
}
INLINE __m256 sqrt8(__m256 a)
{
    return _mm256_sqrt_ps(a);
}
INLINE __m256 log8(__m256 a)
{
    return Sleef_finz_logf8_u10avx2(a);
}
INLINE __m256 sin8(__m256 a)
{
    return Sleef_finz_sinf8_u10avx2(a);
}
INLINE __m256 cos8(__m256 a)
{
    return Sleef_finz_cosf8_u10avx2(a);
}
INLINE __m256 softplus8(__m256 a)
{
    __m256 rest = Sleef_finz_log1pf8_u10avx2(exp8(neg8(abs8(a))));
    return _mm256_add_ps(_mm256_max_ps(a, _mm256_setzero_ps()), rest);
}
INLINE __m256 floor8(__m256 a)
{
    return _mm256_floor_ps(a);
}
INLINE __m256 same8(__m256 a)
{
    return a;
}

static void run_add(const struct vector_call *call)
{
    binary_loop(call, add8);
}
static void run_sub(const struct vector_call *call)
{
    binary_loop(call, sub8);
}
static void run_mul(const struct vector_call *call)
{
    binary_loop(call, mul8);
}
static void run_div(const struct vector_call *call)
{
    binary_loop(call, div8);
}
static void run_max(const struct vector_call *call)
{
    binary_loop(call, max8);
}
static void run_min(const struct vector_call *call)
{
    binary_loop(call, min8);
}
static void run_greater(const struct vector_call *call)
{
    binary_loop(call, greater8);
}
static void run_equal(const struct vector_call *call)
{
    binary_loop(call, equal8);
}
static void run_neg(const struct vector_call *call)
{
    unary_loop(call, neg8);
}
static void run_abs(const struct vector_call *call)
{
    unary_loop(call, abs8);
}
static void run_sign(const struct vector_call *call)
{
    unary_loop(call, sign8);
}
static void run_sqrt(const struct vector_call *call)
{
    unary_loop(call, sqrt8);
}
static void run_exp(const struct vector_call *call)
{
    unary_loop(call, exp8);
}
static void run_log(const struct vector_call *call)
{
    unary_loop(call, log8);
}
static void run_tanh(const struct vector_call *call)
{
    unary_loop(call, tanh8);
}
static void run_sigmoid(const struct vector_call *call)
{
    unary_loop(call, sigmoid8);
}
static void run_softplus(const struct vector_call *call)
{
    unary_loop(call, softplus8);
}
static void run_sin(const struct vector_call *call)
{
    unary_loop(call, sin8);
}
static void run_cos(const struct vector_call *call)
{
    unary_loop(call, cos8);
}
static void run_erf(const struct vector_call *call)
{
    unary_loop(call, erf8);
}
static void run_floor(const struct vector_call *call)
{
    unary_loop(call, floor8);
}
static void run_same(const struct vector_call *call)
{
    unary_loop(call, same8);
}

static void run_select(const struct vector_call *call)
{
    const float *condition = call->source[0];
    const float *b = call->source[1];
    const float *c = call->source[2];
    const int step[3] = {call->step[0], call->step[1], call->step[2]};
    float *out = call->out;
    int count = call->count;
    for (int i = 0; i < count; i += VECTOR_WIDTH) {
        __m256 chosen = _mm256_cmp_ps(_mm256_loadu_ps(condition), _mm256_setzero_ps(), _CMP_NEQ_UQ);
        __m256 value = _mm256_blendv_ps(_mm256_loadu_ps(c), _mm256_loadu_ps(b), chosen);
        _mm256_storeu_ps(out + i, value);
        condition += step[0];
        b += step[1];
        c += step[2];
    }
}

void vector_multiply_add(const struct vector_call *call)
{
    const float *a = call->source[0];
    const float *b = call->source[1];
    const float *c = call->source[2];
    const int step[3] = {call->step[0], call->step[1], call->step[2]};
    float *out = call->out;
    int count = call->count;
    for (int i = 0; i < count; i += VECTOR_WIDTH) {
        __m256 product = _mm256_mul_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b));
        _mm256_storeu_ps(out + i, _mm256_add_ps(product, _mm256_loadu_ps(c)));
        a += step[0];
        b += step[1];
        c += step[2];
    }
}

void vector_select_greater(const struct vector_call *call)
{
    const float *a = call->source[0];
    const float *b = call->source[1];
    const float *c = call->source[2];
    const float *d = call->source[3];
    const int step[4] = {call->step[0], call->step[1], call->step[2], call->step[3]};
    float *out = call->out;
    int count = call->count;
    for (int i = 0; i < count; i += VECTOR_WIDTH) {
        __m256 greater = _mm256_cmp_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), _CMP_GT_OQ);
        __m256 value = _mm256_blendv_ps(_mm256_loadu_ps(d), _mm256_loadu_ps(c), greater);
        _mm256_storeu_ps(out + i, value);
        a += step[0];
        b += step[1];
        c += step[2];
        d += step[3];
    }
}

static vector_function *const FUNCTIONS[OP_COUNT] = {
    [OP_ADD] = run_add,
    [OP_SUB] = run_sub,
    [OP_MUL] = run_mul,
    [OP_DIV] = run_div,
    [OP_MAX] = run_max,
    [OP_MIN] = run_min,
    [OP_GREATER] = run_greater,
    [OP_EQUAL] = run_equal,
    [OP_SELECT] = run_select,
    [OP_NEG] = run_neg,
    [OP_ABS] = run_abs,
    [OP_SIGN] = run_sign,
    [OP_EXP] = run_exp,
    [OP_LOG] = run_log,
    [OP_SQRT] = run_sqrt,
    [OP_TANH] = run_tanh,
    [OP_SIGMOID] = run_sigmoid,
    [OP_SOFTPLUS] = run_softplus,
    [OP_SIN] = run_sin,
    [OP_COS] = run_cos,
    [OP_ERF] = run_erf,
    [OP_FLOOR] = run_floor,
    [OP_STOP_GRADIENT] = run_same,
};

vector_function *vector_function_of(enum op_kind op)
{
    return FUNCTIONS[op];
}

void vector_ramp(float *out, float first, float stride, int count)
{
    for (int i = 0; i < count; i++) {
        out[i] = first + (float)i * stride;
    }
}

void vector_fill(float *out, float value, int count)
{
    int i = 0;
    __m256 all = _mm256_set1_ps(value);
    for (; i + VECTOR_WIDTH <= count; i += VECTOR_WIDTH) {
        _mm256_storeu_ps(out + i, all);
    }
    for (; i < count; i++) {
        out[i] = value;
    }
}

void vector_accumulate(float *out, const float *in, int count)
{
    int i = 0;
    for (; i + VECTOR_WIDTH <= count; i += VECTOR_WIDTH) {
        _mm256_storeu_ps(out + i, _mm256_add_ps(_mm256_loadu_ps(out + i), _mm256_loadu_ps(in + i)));
    }
    for (; i < count; i++) {
        out[i] += in[i];
    }
}

#define TEXT_OF(number)                   #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *vector_library_version(void)
{
    return VERSION_TEXT(SLEEF_VERSION_MAJOR, SLEEF_VERSION_MINOR, SLEEF_VERSION_PATCHLEVEL);
}
