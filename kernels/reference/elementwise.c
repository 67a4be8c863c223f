#include "kernels/random.h"
#include "kernels/reference/kernel.h"

#include <math.h>

static double op_add(const double *a)
{
    return a[0] + a[1];
}
static double op_sub(const double *a)
{
    return a[0] - a[1];
}
static double op_mul(const double *a)
{
    return a[0] * a[1];
}
static double op_div(const double *a)
{
    return a[0] / a[1];
}
/* As the vector instructions: the second where the two do not compare, so that a NaN on the right
 * is kept. */
static double op_max(const double *a)
{
    return a[0] > a[1] ? a[0] : a[1];
}
static double op_min(const double *a)
{
    return a[0] < a[1] ? a[0] : a[1];
}
static double op_greater(const double *a)
{
    return a[0] > a[1] ? 1.0 : 0.0;
}
static double op_equal(const double *a)
{
    return a[0] == a[1] ? 1.0 : 0.0;
}
static double op_select(const double *a)
{
    return a[0] != 0.0 ? a[1] : a[2];
}
static double op_neg(const double *a)
{
    return -a[0];
}
static double op_abs(const double *a)
{
    return fabs(a[0]);
}
static double op_sign(const double *a)
{
    return (double)((a[0] > 0.0) - (a[0] < 0.0));
}
static double op_exp(const double *a)
{
    return exp(a[0]);
}
static double op_log(const double *a)
{
    return log(a[0]);
}
static double op_sqrt(const double *a)
{
    return sqrt(a[0]);
}
static double op_tanh(const double *a)
{
    return tanh(a[0]);
}
static double op_sigmoid(const double *a)
{
    return 1.0 / (1.0 + exp(-a[0]));
}
static double op_softplus(const double *a)
{
    return (a[0] > 0.0 ? a[0] : 0.0) + log1p(exp(-fabs(a[0])));
}
static double op_sin(const double *a)
{
    return sin(a[0]);
}
static double op_cos(const double *a)
{
    return cos(a[0]);
}
static double op_erf(const double *a)
{
    return erf(a[0]);
}
static double op_floor(const double *a)
{
    return floor(a[0]);
}
static double op_same(const double *a)
{
    return a[0];
}

static reference_scalar *const SCALARS[OP_COUNT] = {
    [OP_ADD] = op_add,
    [OP_SUB] = op_sub,
    [OP_MUL] = op_mul,
    [OP_DIV] = op_div,
    [OP_MAX] = op_max,
    [OP_MIN] = op_min,
    [OP_GREATER] = op_greater,
    [OP_EQUAL] = op_equal,
    [OP_SELECT] = op_select,
    [OP_NEG] = op_neg,
    [OP_ABS] = op_abs,
    [OP_SIGN] = op_sign,
    [OP_EXP] = op_exp,
    [OP_LOG] = op_log,
    [OP_SQRT] = op_sqrt,
    [OP_TANH] = op_tanh,
    [OP_SIGMOID] = op_sigmoid,
    [OP_SOFTPLUS] = op_softplus,
    [OP_SIN] = op_sin,
    [OP_COS] = op_cos,
    [OP_ERF] = op_erf,
    [OP_FLOOR] = op_floor,
    [OP_STOP_GRADIENT] = op_same,
};

reference_scalar *reference_scalar_of(enum op_kind op)
{
    return SCALARS[op];
}

void reference_elementwise(const struct kernel_call *call)
{
    reference_scalar *scalar = SCALARS[call->op];
    int64_t count = shape_count(&call->output.shape);
    for (int64_t i = 0; i < count; i++) {
        double arguments[3] = {0.0, 0.0, 0.0};
        for (int k = 0; k < call->input_count; k++) {
            arguments[k] = operand_get(&call->input[k], i);
        }
        operand_set(&call->output, i, scalar(arguments));
    }
}

void reference_copy(const struct kernel_call *call)
{
    int64_t count = shape_count(&call->output.shape);
    for (int64_t i = 0; i < count; i++) {
        operand_set(&call->output, i, operand_get(&call->input[0], i));
    }
}

void reference_constant(const struct kernel_call *call)
{
    int64_t count = shape_count(&call->output.shape);
    for (int64_t i = 0; i < count; i++) {
        operand_set(&call->output, i, call->attr->value);
    }
}

void reference_iota(const struct kernel_call *call)
{
    int64_t count = shape_count(&call->output.shape);
    for (int64_t i = 0; i < count; i++) {
        int64_t index[SHAPE_RANK_MAX];
        reference_unravel(&call->output.shape, i, index);
        operand_set(&call->output, i, (double)index[call->attr->axis]);
    }
}

double reference_random(enum op_kind op, const struct random_context *random, uint32_t stream,
                        uint32_t row, uint32_t element)
{
    const double two_pi = 6.283185307179586476925;
    uint32_t words[4];
    random_block(random, stream, row, element, words);
    if (op == OP_UNIFORM) {
        return (double)(words[element % 4] >> 8) * RANDOM_UNIT;
    }
    uint32_t pair = element % 4 / 2 * 2;
    double radius = sqrt(-2.0 * log((double)((words[pair] >> 8) + 1) * RANDOM_UNIT));
    double angle = two_pi * ((double)(words[pair + 1] >> 8) * RANDOM_UNIT);
    return radius * (element % 2 == 0 ? cos(angle) : sin(angle));
}

void reference_draw(const struct kernel_call *call)
{
    const struct shape *shape = &call->output.shape;
    int64_t count = shape_count(shape);
    bool by_row = call->attr->by_row;
    int64_t row_size = by_row && shape->dim[0] > 0 ? count / shape->dim[0] : count;
    for (int64_t i = 0; i < count; i++) {
        uint32_t row = by_row ? call->random->first_row + (uint32_t)(i / row_size) : 0;
        operand_set(&call->output, i,
                    reference_random(call->op, call->random, call->attr->stream, row,
                                     (uint32_t)(i % row_size)));
    }
}
