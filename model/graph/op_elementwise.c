/*
 * Rules of elementwise operators.  Below, y is the node, a and b its inputs, dy the gradient that
 * arrives.  What a derivative is where it does not exist stands at its rule.
 */
#include "model/graph/op_rules.h"

enum cam_code op_elementwise_infer(const struct node *inputs[], int input_count,
                                   const struct op_attr *attr, struct shape *out,
                                   struct cam_err *err)
{
    (void)attr;
    for (int i = 1; i < input_count; i++) {
        if (!shape_equal(&inputs[0]->shape, &inputs[i]->shape)) {
            char first[96];
            char other[96];
            return cam_fail(err, CAM_INVALID, "shapes %s and %s do not match",
                            shape_text(&inputs[0]->shape, first, sizeof first),
                            shape_text(&inputs[i]->shape, other, sizeof other));
        }
    }
    *out = inputs[0]->shape;
    return CAM_OK;
}

static int input(const struct graph *graph, int node, int index)
{
    return graph_node(graph, node)->input[index];
}

static int mul(struct graph *graph, int a, int b)
{
    return graph_binary(graph, OP_MUL, a, b);
}

void op_add_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    (void)graph;
    (void)node;
    d_inputs[0] = dy;
    d_inputs[1] = dy;
}

void op_sub_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    (void)node;
    d_inputs[0] = dy;
    d_inputs[1] = graph_unary(graph, OP_NEG, dy);
}

void op_mul_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = mul(graph, dy, input(graph, node, 1));
    d_inputs[1] = mul(graph, dy, input(graph, node, 0));
}

/* da = dy / b, db = -y dy / b. */
void op_div_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = graph_binary(graph, OP_DIV, dy, input(graph, node, 1));
    d_inputs[1] = graph_unary(graph, OP_NEG, mul(graph, d_inputs[0], node));
}

/* At a tie all of dy goes to the second input: relu(x) = max(x, 0) has the derivative 0 at 0. */
void op_max_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    int first = graph_binary(graph, OP_GREATER, input(graph, node, 0), input(graph, node, 1));
    int zero = graph_constant(graph, 0.0, &graph_node(graph, node)->shape);
    d_inputs[0] = graph_select(graph, first, dy, zero);
    d_inputs[1] = graph_select(graph, first, zero, dy);
}

/* At a tie all of dy goes to the first input: min(x, 0) has the derivative 1 at 0, so that
 * max(x, 0) + s min(x, 0), the leaky relu, has s there, as PyTorch's. */
void op_min_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    int second = graph_binary(graph, OP_GREATER, input(graph, node, 0), input(graph, node, 1));
    int zero = graph_constant(graph, 0.0, &graph_node(graph, node)->shape);
    d_inputs[0] = graph_select(graph, second, zero, dy);
    d_inputs[1] = graph_select(graph, second, dy, zero);
}

/* Nothing flows to the condition. */
void op_select_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    int condition = input(graph, node, 0);
    int zero = graph_constant(graph, 0.0, &graph_node(graph, node)->shape);
    d_inputs[1] = graph_select(graph, condition, dy, zero);
    d_inputs[2] = graph_select(graph, condition, zero, dy);
}

void op_neg_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    (void)node;
    d_inputs[0] = graph_unary(graph, OP_NEG, dy);
}

/* 0 at 0, since sign(0) = 0. */
void op_abs_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = mul(graph, dy, graph_unary(graph, OP_SIGN, input(graph, node, 0)));
}

void op_exp_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = mul(graph, dy, node);
}

void op_log_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = graph_binary(graph, OP_DIV, dy, input(graph, node, 0));
}

/* Infinite at 0: whoever needs a finite one adds an epsilon below the root. */
void op_sqrt_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = graph_binary(graph, OP_DIV, graph_scale(graph, dy, 0.5), node);
}

/* dy (1 - y y) */
void op_tanh_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    int one = graph_constant(graph, 1.0, &graph_node(graph, node)->shape);
    d_inputs[0] = mul(graph, dy, graph_binary(graph, OP_SUB, one, mul(graph, node, node)));
}

/* dy y (1 - y) */
void op_sigmoid_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    int one = graph_constant(graph, 1.0, &graph_node(graph, node)->shape);
    int slope = mul(graph, node, graph_binary(graph, OP_SUB, one, node));
    d_inputs[0] = mul(graph, dy, slope);
}

void op_softplus_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = mul(graph, dy, graph_unary(graph, OP_SIGMOID, input(graph, node, 0)));
}

void op_sin_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = mul(graph, dy, graph_unary(graph, OP_COS, input(graph, node, 0)));
}

void op_cos_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    int sine = graph_unary(graph, OP_SIN, input(graph, node, 0));
    d_inputs[0] = graph_unary(graph, OP_NEG, mul(graph, dy, sine));
}

/* dy * 2 / sqrt(pi) * e^(-a^2) */
void op_erf_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const double two_over_root_pi = 1.12837916709551257390;
    int a = input(graph, node, 0);
    int bell = graph_unary(graph, OP_EXP, graph_unary(graph, OP_NEG, mul(graph, a, a)));
    d_inputs[0] = mul(graph, dy, graph_scale(graph, bell, two_over_root_pi));
}
