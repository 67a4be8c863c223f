/* Matrix product, convolution and its two gradients, each output element as one sum. */
#include "kernels/reference/kernel.h"

void reference_matmul(const struct kernel_call *call)
{
    const struct operand *a = &call->input[0];
    const struct operand *b = &call->input[1];
    int row = call->output.shape.rank - 2;
    int64_t rows = call->output.shape.dim[row];
    int64_t columns = call->output.shape.dim[row + 1];
    bool ta = call->attr->transpose_a;
    bool tb = call->attr->transpose_b;
    int64_t depth = a->shape.dim[ta ? row : row + 1];
    for (int64_t i = 0; i < shape_count(&call->output.shape); i++) {
        int64_t n = i % columns;
        int64_t m = i / columns % rows;
        int64_t matrix = i / columns / rows;
        double sum = 0.0;
        for (int64_t k = 0; k < depth; k++) {
            sum +=
                operand_get(a, matrix * rows * depth + (ta ? k * rows + m : m * depth + k)) *
                operand_get(b, matrix * depth * columns + (tb ? n * depth + k : k * columns + n));
        }
        operand_set(&call->output, i, sum);
    }
}

/* The sizes of the three tensors that a convolution relates. */
struct geometry {
    const struct window *window;
    struct shape x;    /* (N,H,W,I) */
    struct shape w;    /* (KH,KW,I/groups,O) */
    struct shape y;    /* (N,H',W',O) */
    int64_t group_out; /* O of one group */
};

static struct geometry geometry_of(const struct kernel_call *call, const struct shape *x,
                                   const struct shape *w, const struct shape *y)
{
    return (struct geometry){.window = &call->attr->window,
                             .x = *x,
                             .w = *w,
                             .y = *y,
                             .group_out = w->dim[3] / call->attr->window.groups};
}

static int64_t at(const struct shape *shape, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return ((a * shape->dim[1] + b) * shape->dim[2] + c) * shape->dim[3] + d;
}

/* The place in x that output place p sees through tap k along axis a (0: height); may be outside.
 */
static int64_t place_in(const struct window *window, int a, int64_t p, int64_t k)
{
    return p * window->stride[a] + k * window->dilation[a] - window->pad_before[a];
}

static bool inside(int64_t place, int64_t size)
{
    return place >= 0 && place < size;
}

static double conv_element(const struct kernel_call *call, const struct geometry *g,
                           const int64_t index[4])
{
    double sum = 0.0;
    int64_t first = index[3] / g->group_out * g->w.dim[2];
    for (int64_t kh = 0; kh < g->w.dim[0]; kh++) {
        int64_t h = place_in(g->window, 0, index[1], kh);
        for (int64_t kw = 0; inside(h, g->x.dim[1]) && kw < g->w.dim[1]; kw++) {
            int64_t w = place_in(g->window, 1, index[2], kw);
            for (int64_t i = 0; inside(w, g->x.dim[2]) && i < g->w.dim[2]; i++) {
                sum += operand_get(&call->input[0], at(&g->x, index[0], h, w, first + i)) *
                       operand_get(&call->input[1], at(&g->w, kh, kw, i, index[3]));
            }
        }
    }
    return sum;
}

/* The output place along axis a that sees x's place through tap k, or -1. */
static int64_t place_out(const struct geometry *g, int a, int64_t place, int64_t k)
{
    int64_t t = place + g->window->pad_before[a] - k * g->window->dilation[a];
    if (t < 0 || t % g->window->stride[a] != 0 || t / g->window->stride[a] >= g->y.dim[1 + a]) {
        return -1;
    }
    return t / g->window->stride[a];
}

static double grad_input_element(const struct kernel_call *call, const struct geometry *g,
                                 const int64_t index[4])
{
    double sum = 0.0;
    int64_t group = index[3] / g->w.dim[2];
    int64_t i = index[3] % g->w.dim[2];
    for (int64_t kh = 0; kh < g->w.dim[0]; kh++) {
        int64_t p = place_out(g, 0, index[1], kh);
        for (int64_t kw = 0; p >= 0 && kw < g->w.dim[1]; kw++) {
            int64_t q = place_out(g, 1, index[2], kw);
            for (int64_t k = 0; q >= 0 && k < g->group_out; k++) {
                int64_t o = group * g->group_out + k;
                sum += operand_get(&call->input[0], at(&g->y, index[0], p, q, o)) *
                       operand_get(&call->input[1], at(&g->w, kh, kw, i, o));
            }
        }
    }
    return sum;
}

static double grad_weight_element(const struct kernel_call *call, const struct geometry *g,
                                  const int64_t index[4])
{
    double sum = 0.0;
    int64_t channel = index[3] / g->group_out * g->w.dim[2] + index[2];
    for (int64_t n = 0; n < g->x.dim[0]; n++) {
        for (int64_t p = 0; p < g->y.dim[1]; p++) {
            int64_t h = place_in(g->window, 0, p, index[0]);
            for (int64_t q = 0; inside(h, g->x.dim[1]) && q < g->y.dim[2]; q++) {
                int64_t w = place_in(g->window, 1, q, index[1]);
                if (inside(w, g->x.dim[2])) {
                    sum += operand_get(&call->input[0], at(&g->x, n, h, w, channel)) *
                           operand_get(&call->input[1], at(&g->y, n, p, q, index[3]));
                }
            }
        }
    }
    return sum;
}

static void fill(const struct kernel_call *call, const struct geometry *g,
                 double (*element)(const struct kernel_call *, const struct geometry *,
                                   const int64_t[4]))
{
    int64_t count = shape_count(&call->output.shape);
    for (int64_t i = 0; i < count; i++) {
        int64_t index[SHAPE_RANK_MAX];
        reference_unravel(&call->output.shape, i, index);
        operand_set(&call->output, i, element(call, g, index));
    }
}

void reference_conv2d(const struct kernel_call *call)
{
    struct geometry g =
        geometry_of(call, &call->input[0].shape, &call->input[1].shape, &call->output.shape);
    fill(call, &g, conv_element);
}

void reference_conv2d_grad_input(const struct kernel_call *call)
{
    struct geometry g =
        geometry_of(call, &call->output.shape, &call->input[1].shape, &call->input[0].shape);
    fill(call, &g, grad_input_element);
}

void reference_conv2d_grad_weight(const struct kernel_call *call)
{
    struct geometry g =
        geometry_of(call, &call->input[0].shape, &call->output.shape, &call->input[1].shape);
    fill(call, &g, grad_weight_element);
}
