#include "model/graph/op_rules.h"

#include <assert.h>

/* Tolerances: exact for what only moves or compares, some units in the last place (6e-8) for
 * arithmetic and the vector maths library, and room for another order of adding in sums. */
#define EXACT  0.0
#define CLOSE  2e-6
#define SUMMED 2e-5

#define LEAF(n, i)                                                                                 \
    {                                                                                              \
        .name = n, .class = OP_CLASS_LEAF, .infer = i, .gradient = op_none_gradient,               \
        .tolerance = EXACT                                                                         \
    }
#define RANDOM(n, t)                                                                               \
    {                                                                                              \
        .name = n, .class = OP_CLASS_RANDOM, .infer = op_random_infer,                             \
        .gradient = op_none_gradient, .tolerance = t                                               \
    }
#define ELEMENTWISE(n, inputs, g, t)                                                               \
    {                                                                                              \
        .name = n, .class = OP_CLASS_ELEMENTWISE, .input_count = inputs,                           \
        .infer = op_elementwise_infer, .gradient = g, .tolerance = t                               \
    }
#define FORM(n, c, inputs, prefix)                                                                 \
    {                                                                                              \
        .name = n, .class = c, .input_count = inputs, .infer = prefix##_infer,                     \
        .gradient = prefix##_gradient, .tolerance = EXACT                                          \
    }
#define PRODUCT(n, prefix)                                                                         \
    {                                                                                              \
        .name = n, .class = OP_CLASS_PRODUCT, .input_count = 2, .infer = prefix##_infer,           \
        .gradient = prefix##_gradient, .flops = prefix##_flops, .tolerance = SUMMED                \
    }

#define CHOICE(n, inputs, prefix, g, t)                                                            \
    {                                                                                              \
        .name = n, .class = OP_CLASS_CHOICE, .input_count = inputs, .infer = prefix##_infer,       \
        .gradient = g, .tolerance = t                                                              \
    }
/* A gradient macro has no gradient rule: its lowering is differentiated. */
#define MACRO(n, inputs, i, g, prefix, f)                                                          \
    {                                                                                              \
        .name = n, .class = OP_CLASS_MACRO, .input_count = inputs, .infer = i, .gradient = g,      \
        .lower = prefix##_lower, .flops = f, .tolerance = SUMMED                                   \
    }

static const struct op OPS[] = {
    [OP_PARAMETER] = LEAF("parameter", op_leaf_infer),
    [OP_BUFFER] = LEAF("buffer", op_leaf_infer),
    [OP_INPUT] = LEAF("input", op_leaf_infer),
    [OP_SCALAR] = LEAF("scalar", op_scalar_infer),
    [OP_CONSTANT] = LEAF("constant", op_leaf_infer),
    [OP_IOTA] = LEAF("iota", op_iota_infer),
    [OP_UNIFORM] = RANDOM("uniform", EXACT),
    [OP_NORMAL] = RANDOM("normal", CLOSE),
    [OP_ADD] = ELEMENTWISE("add", 2, op_add_gradient, CLOSE),
    [OP_SUB] = ELEMENTWISE("sub", 2, op_sub_gradient, CLOSE),
    [OP_MUL] = ELEMENTWISE("mul", 2, op_mul_gradient, CLOSE),
    [OP_DIV] = ELEMENTWISE("div", 2, op_div_gradient, CLOSE),
    [OP_MAX] = ELEMENTWISE("max", 2, op_max_gradient, EXACT),
    [OP_MIN] = ELEMENTWISE("min", 2, op_min_gradient, EXACT),
    [OP_GREATER] = ELEMENTWISE("greater", 2, op_none_gradient, EXACT),
    [OP_EQUAL] = ELEMENTWISE("equal", 2, op_none_gradient, EXACT),
    [OP_SELECT] = ELEMENTWISE("select", 3, op_select_gradient, EXACT),
    [OP_NEG] = ELEMENTWISE("neg", 1, op_neg_gradient, EXACT),
    [OP_ABS] = ELEMENTWISE("abs", 1, op_abs_gradient, EXACT),
    [OP_SIGN] = ELEMENTWISE("sign", 1, op_none_gradient, EXACT),
    [OP_EXP] = ELEMENTWISE("exp", 1, op_exp_gradient, CLOSE),
    [OP_LOG] = ELEMENTWISE("log", 1, op_log_gradient, CLOSE),
    [OP_SQRT] = ELEMENTWISE("sqrt", 1, op_sqrt_gradient, CLOSE),
    [OP_TANH] = ELEMENTWISE("tanh", 1, op_tanh_gradient, CLOSE),
    [OP_SIGMOID] = ELEMENTWISE("sigmoid", 1, op_sigmoid_gradient, CLOSE),
    [OP_SOFTPLUS] = ELEMENTWISE("softplus", 1, op_softplus_gradient, CLOSE),
    [OP_SIN] = ELEMENTWISE("sin", 1, op_sin_gradient, CLOSE),
    [OP_COS] = ELEMENTWISE("cos", 1, op_cos_gradient, CLOSE),
    [OP_ERF] = ELEMENTWISE("erf", 1, op_erf_gradient, CLOSE),
    [OP_FLOOR] = ELEMENTWISE("floor", 1, op_none_gradient, EXACT),
    [OP_STOP_GRADIENT] = ELEMENTWISE("stop_gradient", 1, op_none_gradient, EXACT),
    [OP_BROADCAST] = FORM("broadcast", OP_CLASS_VIEW, 1, op_broadcast),
    [OP_RESHAPE] = FORM("reshape", OP_CLASS_VIEW, 1, op_reshape),
    [OP_PERMUTE] = FORM("permute", OP_CLASS_VIEW, 1, op_permute),
    [OP_SLICE] = FORM("slice", OP_CLASS_VIEW, 1, op_slice),
    [OP_PAD] = FORM("pad", OP_CLASS_MOVE, 1, op_pad),
    [OP_CONCAT] = FORM("concat", OP_CLASS_MOVE, -1, op_concat),
    [OP_SUM] = {.name = "sum",
                .class = OP_CLASS_SUM,
                .input_count = 1,
                .infer = op_sum_infer,
                .gradient = op_sum_gradient,
                .tolerance = SUMMED},
    [OP_REDUCE_MAX] = CHOICE("reduce_max", 1, op_reduce_max, op_reduce_max_gradient, EXACT),
    [OP_GATHER] = CHOICE("gather", 2, op_gather, op_gather_gradient, EXACT),
    [OP_SCATTER_ADD] = CHOICE("scatter_add", 2, op_scatter_add, op_scatter_add_gradient, SUMMED),
    [OP_MAX_POOL_INDEX] = CHOICE("max_pool_index", 1, op_max_pool_index, op_none_gradient, EXACT),
    [OP_GATHER_POOL] = CHOICE("gather_pool", 2, op_gather_pool, op_gather_pool_gradient, EXACT),
    [OP_SCATTER_POOL] =
        CHOICE("scatter_pool", 2, op_scatter_pool, op_scatter_pool_gradient, SUMMED),
    [OP_MATMUL] = PRODUCT("matmul", op_matmul),
    [OP_CONV2D] = PRODUCT("conv2d", op_conv2d),
    [OP_CONV2D_GRAD_INPUT] = PRODUCT("conv2d_grad_input", op_conv2d_grad_input),
    [OP_CONV2D_GRAD_WEIGHT] = PRODUCT("conv2d_grad_weight", op_conv2d_grad_weight),
    [OP_STANDARDIZE] = MACRO("standardize", 1, op_standardize_infer, op_standardize_gradient,
                             op_standardize, NULL),
    [OP_STANDARDIZE_GRAD] =
        MACRO("standardize_grad", 2, op_standardize_infer, NULL, op_standardize_grad, NULL),
    [OP_SOFTMAX_XENT] = MACRO("softmax_xent", 2, op_softmax_xent_infer, op_softmax_xent_gradient,
                              op_softmax_xent, NULL),
    [OP_SOFTMAX_XENT_GRAD] =
        MACRO("softmax_xent_grad", 3, op_softmax_xent_infer, NULL, op_softmax_xent_grad, NULL),
    [OP_ATTENTION] = MACRO("attention", -1, op_attention_infer, op_attention_gradient, op_attention,
                           op_attention_flops),
    [OP_ATTENTION_GRAD] = MACRO("attention_grad", -1, op_attention_grad_infer, NULL,
                                op_attention_grad, op_attention_grad_flops),
    [OP_LSTM] = MACRO("lstm", 2, op_lstm_infer, op_lstm_gradient, op_lstm, op_recurrent_flops),
    [OP_LSTM_GRAD] =
        MACRO("lstm_grad", 3, op_lstm_grad_infer, NULL, op_lstm_grad, op_recurrent_flops),
    [OP_GRU] = MACRO("gru", 3, op_gru_infer, op_gru_gradient, op_gru, op_recurrent_flops),
    [OP_GRU_GRAD] = MACRO("gru_grad", 3, op_gru_grad_infer, NULL, op_gru_grad, op_recurrent_flops),
};
_Static_assert(sizeof OPS / sizeof OPS[0] == OP_COUNT, "a row for every operator");

const struct op *op_get(enum op_kind kind)
{
    assert((unsigned)kind < OP_COUNT);
    return &OPS[kind];
}
