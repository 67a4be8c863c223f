/*
 * Rules of matrix products and convolutions.  The three convolution operators are one trilinear
 * form in (x, w, dy), each its derivative by one of the three: so their gradients are each other.
 */
#include "model/graph/op_rules.h"

#include <inttypes.h>

/* Whether all axes but the last two agree. */
static bool same_batch(const struct shape *a, const struct shape *b)
{
    struct shape first = *a;
    struct shape second = *b;
    first.rank -= 2;
    second.rank -= 2;
    return shape_equal(&first, &second);
}

enum cam_code op_matmul_infer(const struct node *inputs[], int input_count,
                              const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    const struct shape *a = &inputs[0]->shape;
    const struct shape *b = &inputs[1]->shape;
    int row = a->rank - 2; /* of both */
    int ta = attr->transpose_a ? 1 : 0;
    int tb = attr->transpose_b ? 1 : 0;
    if (a->rank < 2 || b->rank < 2 || !same_batch(a, b) ||
        a->dim[row + 1 - ta] != b->dim[row + tb]) {
        char first[96];
        char second[96];
        return cam_fail(err, CAM_INVALID, "matrix product of %s%s and %s%s does not fit",
                        shape_text(a, first, sizeof first), ta ? " transposed" : "",
                        shape_text(b, second, sizeof second), tb ? " transposed" : "");
    }
    *out = *a;
    out->dim[row] = a->dim[row + ta];
    out->dim[row + 1] = b->dim[row + 1 - tb];
    return CAM_OK;
}

void op_matmul_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    int a = graph_node(graph, node)->input[0];
    int b = graph_node(graph, node)->input[1];
    bool ta = graph_node(graph, node)->attr.transpose_a;
    bool tb = graph_node(graph, node)->attr.transpose_b;
    d_inputs[0] =
        ta ? graph_matmul(graph, b, dy, tb, true) : graph_matmul(graph, dy, b, false, !tb);
    d_inputs[1] =
        tb ? graph_matmul(graph, dy, a, true, ta) : graph_matmul(graph, a, dy, !ta, false);
}

int64_t op_matmul_flops(const struct node *node, const struct node *inputs[])
{
    const struct shape *a = &inputs[0]->shape;
    return 2 * shape_count(&node->shape) * a->dim[a->rank - (node->attr.transpose_a ? 2 : 1)];
}

static enum cam_code check_window(const struct window *window, struct cam_err *err)
{
    for (int i = 0; i < 2; i++) {
        if (window->stride[i] < 1 || window->dilation[i] < 1 || window->pad_before[i] < 0 ||
            window->pad_after[i] < 0) {
            return cam_fail(err, CAM_INVALID,
                            "a convolution's stride and dilation are at least 1 and its padding "
                            "at least 0, found stride %" PRId64 ", dilation %" PRId64
                            ", padding %" PRId64 " and %" PRId64,
                            window->stride[i], window->dilation[i], window->pad_before[i],
                            window->pad_after[i]);
        }
    }
    return CAM_OK;
}

/* The output shape of the convolution of x by w. */
static enum cam_code convolve(const struct shape *x, const struct shape *w,
                              const struct window *window, struct shape *out, struct cam_err *err)
{
    char image[96];
    char weight[96];
    struct shape sample = shape_sample(x);
    (void)shape_text(&sample, image, sizeof image);
    (void)shape_text(w, weight, sizeof weight);
    enum cam_code rc = check_window(window, err);
    if (rc != CAM_OK) {
        return rc;
    }
    int64_t groups = window->groups;
    if (x->rank != 4 || w->rank != 4 || groups < 1 || w->dim[2] * groups != x->dim[3] ||
        w->dim[3] % groups != 0) {
        return cam_fail(err, CAM_INVALID,
                        "convolution of %s by weights %s in %" PRId64 " groups does not fit", image,
                        weight, groups);
    }
    *out = (struct shape){.rank = 4, .dim = {x->dim[0], 0, 0, w->dim[3]}};
    for (int i = 0; i < 2; i++) {
        int64_t padded = x->dim[1 + i] + window->pad_before[i] + window->pad_after[i];
        int64_t reach = window->dilation[i] * (w->dim[i] - 1) + 1;
        if (reach > padded) {
            return cam_fail(err, CAM_INVALID,
                            "a kernel that spans %" PRId64 " is larger than the image %s", reach,
                            image);
        }
        out->dim[1 + i] = (padded - reach) / window->stride[i] + 1;
    }
    return CAM_OK;
}

enum cam_code op_conv2d_infer(const struct node *inputs[], int input_count,
                              const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    return convolve(&inputs[0]->shape, &inputs[1]->shape, &attr->window, out, err);
}

static enum cam_code check_inverse(const struct shape *x, const struct shape *w,
                                   const struct shape *dy, const struct op_attr *attr,
                                   struct cam_err *err)
{
    struct shape expected;
    enum cam_code rc = convolve(x, w, &attr->window, &expected, err);
    if (rc == CAM_OK && !shape_equal(&expected, dy)) {
        char found[96];
        char wanted[96];
        struct shape given = shape_sample(dy);
        struct shape made = shape_sample(&expected);
        return cam_fail(
            err, CAM_INVALID, "the transposed convolution of %s does not fit: its window makes %s",
            shape_text(&given, found, sizeof found), shape_text(&made, wanted, sizeof wanted));
    }
    return rc;
}

enum cam_code op_conv2d_grad_input_infer(const struct node *inputs[], int input_count,
                                         const struct op_attr *attr, struct shape *out,
                                         struct cam_err *err)
{
    (void)input_count;
    *out = attr->shape;
    return check_inverse(&attr->shape, &inputs[1]->shape, &inputs[0]->shape, attr, err);
}

enum cam_code op_conv2d_grad_weight_infer(const struct node *inputs[], int input_count,
                                          const struct op_attr *attr, struct shape *out,
                                          struct cam_err *err)
{
    (void)input_count;
    *out = attr->shape;
    return check_inverse(&inputs[0]->shape, &attr->shape, &inputs[1]->shape, attr, err);
}

/* y(x, w): dx and dw. */
void op_conv2d_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    int x = self->input[0];
    int w = self->input[1];
    d_inputs[0] =
        graph_conv2d_grad_input(graph, dy, w, &self->attr.window, &graph_node(graph, x)->shape);
    d_inputs[1] =
        graph_conv2d_grad_weight(graph, x, dy, &self->attr.window, &graph_node(graph, w)->shape);
}

/* x(y, w), so the arriving gradient has x's shape. */
void op_conv2d_grad_input_gradient(struct graph *graph, int node, int dx, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    int y = self->input[0];
    int w = self->input[1];
    d_inputs[0] = graph_conv2d(graph, dx, w, &self->attr.window);
    d_inputs[1] =
        graph_conv2d_grad_weight(graph, dx, y, &self->attr.window, &graph_node(graph, w)->shape);
}

/* w(x, y), so the arriving gradient has w's shape. */
void op_conv2d_grad_weight_gradient(struct graph *graph, int node, int dw, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    int x = self->input[0];
    int y = self->input[1];
    d_inputs[0] =
        graph_conv2d_grad_input(graph, y, dw, &self->attr.window, &graph_node(graph, x)->shape);
    d_inputs[1] = graph_conv2d(graph, x, dw, &self->attr.window);
}

/* Every element of y meets one group's window of x once, in each of the three. */
static int64_t window_flops(const struct shape *y, const struct shape *w)
{
    return 2 * shape_count(y) * w->dim[0] * w->dim[1] * w->dim[2];
}

int64_t op_conv2d_flops(const struct node *node, const struct node *inputs[])
{
    return window_flops(&node->shape, &inputs[1]->shape);
}

int64_t op_conv2d_grad_input_flops(const struct node *node, const struct node *inputs[])
{
    (void)node;
    return window_flops(&inputs[0]->shape, &inputs[1]->shape);
}

int64_t op_conv2d_grad_weight_flops(const struct node *node, const struct node *inputs[])
{
    return window_flops(&inputs[1]->shape, &node->shape);
}
