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
#define LOWER_ARGUMENTS    struct graph *graph, const struct node *node, const int *inputs
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
void op_erf_gradient(GRADIENT_ARGUMENTS);

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

/* op_choice.c */
enum cam_code op_reduce_max_infer(INFER_ARGUMENTS);
enum cam_code op_gather_infer(INFER_ARGUMENTS);
enum cam_code op_scatter_add_infer(INFER_ARGUMENTS);
enum cam_code op_max_pool_index_infer(INFER_ARGUMENTS);
enum cam_code op_gather_pool_infer(INFER_ARGUMENTS);
enum cam_code op_scatter_pool_infer(INFER_ARGUMENTS);
void op_reduce_max_gradient(GRADIENT_ARGUMENTS);
void op_gather_gradient(GRADIENT_ARGUMENTS);
void op_scatter_add_gradient(GRADIENT_ARGUMENTS);
void op_gather_pool_gradient(GRADIENT_ARGUMENTS);
void op_scatter_pool_gradient(GRADIENT_ARGUMENTS);

/* op_macro.c */
enum cam_code op_standardize_infer(INFER_ARGUMENTS);
enum cam_code op_softmax_xent_infer(INFER_ARGUMENTS);
void op_standardize_gradient(GRADIENT_ARGUMENTS);
void op_softmax_xent_gradient(GRADIENT_ARGUMENTS);
int op_standardize_lower(LOWER_ARGUMENTS);
int op_standardize_grad_lower(LOWER_ARGUMENTS);
int op_softmax_xent_lower(LOWER_ARGUMENTS);
int op_softmax_xent_grad_lower(LOWER_ARGUMENTS);

/* op_attention.c */
enum cam_code op_attention_infer(INFER_ARGUMENTS);
enum cam_code op_attention_grad_infer(INFER_ARGUMENTS);
void op_attention_gradient(GRADIENT_ARGUMENTS);
int op_attention_lower(LOWER_ARGUMENTS);
int op_attention_grad_lower(LOWER_ARGUMENTS);
int64_t op_attention_flops(FLOPS_ARGUMENTS);
int64_t op_attention_grad_flops(FLOPS_ARGUMENTS);

/* op_recurrent.c */
enum cam_code op_lstm_infer(INFER_ARGUMENTS);
enum cam_code op_lstm_grad_infer(INFER_ARGUMENTS);
enum cam_code op_gru_infer(INFER_ARGUMENTS);
enum cam_code op_gru_grad_infer(INFER_ARGUMENTS);
void op_lstm_gradient(GRADIENT_ARGUMENTS);
void op_gru_gradient(GRADIENT_ARGUMENTS);
int op_lstm_lower(LOWER_ARGUMENTS);
int op_lstm_grad_lower(LOWER_ARGUMENTS);
int op_gru_lower(LOWER_ARGUMENTS);
int op_gru_grad_lower(LOWER_ARGUMENTS);
int64_t op_recurrent_flops(FLOPS_ARGUMENTS);

#endif
