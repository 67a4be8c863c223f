/*
 * Inside the reference backend: what a kernel is called with, and the table of kernels.
 */
#ifndef REFERENCE_KERNEL_H
#define REFERENCE_KERNEL_H

#include "kernels/backend.h"

#include <stdbool.h>
#include <stddef.h>

/* A dense row-major tensor in memory, f32 or f64. */
struct operand {
    const void *data;
    void *target; /* the output only; else NULL */
    bool f64;
    struct shape shape;
};

static inline double operand_get(const struct operand *operand, int64_t index)
{
    return operand->f64 ? ((const double *)operand->data)[index]
                        : (double)((const float *)operand->data)[index];
}

static inline void operand_set(const struct operand *operand, int64_t index, double value)
{
    if (operand->f64) {
        ((double *)operand->target)[index] = value;
    } else {
        ((float *)operand->target)[index] = (float)value;
    }
}

struct kernel_call {
    enum op_kind op;
    const struct op_attr *attr;
    int input_count;
    struct operand input[NODE_INPUTS_MAX];
    struct operand output;
    const struct random_context *random;
};

typedef void reference_kernel(const struct kernel_call *call);

/* The kernel of an operator; NULL for none. */
reference_kernel *reference_kernel_of(enum op_kind op);

/* One element of an elementwise operator; NULL for other operators. */
typedef double reference_scalar(const double *arguments);
reference_scalar *reference_scalar_of(enum op_kind op);

/* One element of a random operator (kernels/random.h). */
double reference_random(enum op_kind op, const struct random_context *random, uint32_t stream,
                        uint32_t row, uint32_t element);

/* The value at a place of the plan. */
struct operand reference_operand(const struct plan *plan, int value,
                                 const struct bindings *bindings, bool f64);

/* What a launch gives each of its programs. */
struct reference_run {
    const struct plan *plan;
    const struct bindings *bindings;
    const struct random_context *random;
    bool f64;
    double *totals; /* reference_program_totals of them */
};

/* NULL has none. */
int64_t reference_program_totals(const struct program *program);
void reference_program(const struct program *program, const struct reference_run *call);

/* Splits a row-major index over shape into one index a dimension, and their weighted sum. */
void reference_unravel(const struct shape *shape, int64_t linear, int64_t index_out[]);
int64_t reference_dot(const int64_t *index, const int64_t *stride, int rank);

/* The kernels by file. */
reference_kernel reference_copy, reference_constant, reference_iota, reference_draw;
reference_kernel reference_elementwise;
reference_kernel reference_broadcast, reference_permute, reference_slice, reference_pad,
    reference_concat, reference_sum;
reference_kernel reference_reduce_max, reference_gather, reference_scatter_add,
    reference_max_pool_index, reference_gather_pool, reference_scatter_pool;
reference_kernel reference_standardize, reference_standardize_grad, reference_softmax_xent,
    reference_softmax_xent_grad, reference_attention, reference_attention_grad;
reference_kernel reference_lstm, reference_lstm_grad, reference_gru, reference_gru_grad;
reference_kernel reference_matmul, reference_conv2d, reference_conv2d_grad_input,
    reference_conv2d_grad_weight;

#endif
