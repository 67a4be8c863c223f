/*
 * The shape and gradient rules that the rows of the operator table (op.c) are made of, one file an
 * operator class.  Only op.c includes this.  Contracts: op.h.
 */
#ifndef OP_RULES_H
#define OP_RULES_H

#include "model/graph/op.h"

#define INFER_ARGUMENTS                                                                            \
    const struct node *inputs[], int input_count, const struct op_attr *attr, struct shape *out,   \
        struct cam_err *err
#define GRADIENT_ARGUMENTS struct graph *graph, int node, int dy, int *d_inputs
#define FLOPS_ARGUMENTS    const struct node *node, const struct node *inputs[]

/* op_leaf.c */
enum cam_code op_leaf_infer(INFER_ARGUMENTS);
enum cam_code op_scalar_infer(INFER_ARGUMENTS);
enum cam_code op_iota_infer(INFER_ARGUMENTS);
enum cam_code op_random_infer(INFER_ARGUMENTS);
void op_none_gradient(GRADIENT_ARGUMENTS);

/* op_elementwise.c */
enum cam_code op_elementwise_infer(INFER_ARGUMENTS);
void op_add_gradient(GRADIENT_ARGUMENTS);
void op_sub_gradient(GRADIENT_ARGUMENTS);
void op_mul_gradient(GRADIENT_ARGUMENTS);
void op_div_gradient(GRADIENT_ARGUMENTS);
void op_max_gradient(GRADIENT_ARGUMENTS);
void op_min_gradient(GRADIENT_ARGUMENTS);
void op_select_gradient(GRADIENT_ARGUMENTS);
void op_neg_gradient(GRADIENT_ARGUMENTS);
void op_abs_gradient(GRADIENT_ARGUMENTS);
void op_exp_gradient(GRADIENT_ARGUMENTS);
void op_log_gradient(GRADIENT_ARGUMENTS);
void op_sqrt_gradient(GRADIENT_ARGUMENTS);
void op_tanh_gradient(GRADIENT_ARGUMENTS);
void op_sigmoid_gradient(GRADIENT_ARGUMENTS);
void op_softplus_gradient(GRADIENT_ARGUMENTS);
void op_sin_gradient(GRADIENT_ARGUMENTS);
void op_cos_gradient(GRADIENT_ARGUMENTS);

/* op_form.c */
enum cam_code op_broadcast_infer(INFER_ARGUMENTS);
enum cam_code op_reshape_infer(INFER_ARGUMENTS);
enum cam_code op_permute_infer(INFER_ARGUMENTS);
enum cam_code op_slice_infer(INFER_ARGUMENTS);
enum cam_code op_pad_infer(INFER_ARGUMENTS);
enum cam_code op_concat_infer(INFER_ARGUMENTS);
enum cam_code op_sum_infer(INFER_ARGUMENTS);
void op_broadcast_gradient(GRADIENT_ARGUMENTS);
void op_reshape_gradient(GRADIENT_ARGUMENTS);
void op_permute_gradient(GRADIENT_ARGUMENTS);
void op_slice_gradient(GRADIENT_ARGUMENTS);
void op_pad_gradient(GRADIENT_ARGUMENTS);
void op_concat_gradient(GRADIENT_ARGUMENTS);
void op_sum_gradient(GRADIENT_ARGUMENTS);

/* op_product.c */
enum cam_code op_matmul_infer(INFER_ARGUMENTS);
enum cam_code op_conv2d_infer(INFER_ARGUMENTS);
enum cam_code op_conv2d_grad_input_infer(INFER_ARGUMENTS);
enum cam_code op_conv2d_grad_weight_infer(INFER_ARGUMENTS);
void op_matmul_gradient(GRADIENT_ARGUMENTS);
void op_conv2d_gradient(GRADIENT_ARGUMENTS);
void op_conv2d_grad_input_gradient(GRADIENT_ARGUMENTS);
void op_conv2d_grad_weight_gradient(GRADIENT_ARGUMENTS);
int64_t op_matmul_flops(FLOPS_ARGUMENTS);
int64_t op_conv2d_flops(FLOPS_ARGUMENTS);
int64_t op_conv2d_grad_input_flops(FLOPS_ARGUMENTS);
int64_t op_conv2d_grad_weight_flops(FLOPS_ARGUMENTS);

#endif
