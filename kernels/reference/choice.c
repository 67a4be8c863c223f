/* Largest elements, and rows and pixels by index. */
#include "kernels/reference/kernel.h"

#include <math.h>

void reference_reduce_max(const struct kernel_call *call)
{
    const struct shape *in = &call->input[0].shape;
    const struct shape *out = &call->output.shape;
    int64_t count = shape_count(in);
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(out, stride);
    for (int d = 0; d < in->rank; d++) {
        stride[d] = (call->attr->axes >> d & 1u) != 0 ? 0 : stride[d];
    }
    for (int64_t i = 0; i < shape_count(out); i++) {
        operand_set(&call->output, i, -(double)INFINITY);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t index[SHAPE_RANK_MAX];
        reference_unravel(in, i, index);
        int64_t to = reference_dot(index, stride, in->rank);
        double value = operand_get(&call->input[0], i);
        if (!(value <= operand_get(&call->output, to))) {
            operand_set(&call->output, to, value);
        }
    }
}

/* The row that an index means: one outside of the table means its nearest row, so that nothing
 * outside is ever touched; what feeds indices checks them. */
static int64_t row_of(const struct operand *index, int64_t i, int64_t rows)
{
    double value = operand_get(index, i);
    if (!(value > 0.0)) {
        return 0;
    }
    return value < (double)rows ? (int64_t)value : rows - 1;
}

void reference_gather(const struct kernel_call *call)
{
    const struct operand *table = &call->input[0];
    const struct operand *index = &call->input[1];
    int64_t rows = table->shape.dim[0];
    int64_t width = shape_count(&table->shape) / rows;
    for (int64_t i = 0; i < shape_count(&index->shape); i++) {
        int64_t row = row_of(index, i, rows);
        for (int64_t k = 0; k < width; k++) {
            operand_set(&call->output, i * width + k, operand_get(table, row * width + k));
        }
    }
}

void reference_scatter_add(const struct kernel_call *call)
{
    const struct operand *index = &call->input[0];
    int64_t rows = call->output.shape.dim[0];
    int64_t width = shape_count(&call->output.shape) / rows;
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t k = 0; k < width; k++) {
            double sum = 0.0;
            for (int64_t i = 0; i < shape_count(&index->shape); i++) {
                sum += row_of(index, i, rows) == row ? operand_get(&call->input[1], i * width + k)
                                                     : 0.0;
            }
            operand_set(&call->output, row * width + k, sum);
        }
    }
}

/* The place of the largest pixel that one window sees. */
static int64_t largest_in(const struct kernel_call *call, const int64_t out[4])
{
    const struct window *window = &call->attr->window;
    const struct shape *in = &call->input[0].shape;
    int64_t best = -1;
    double most = 0.0;
    for (int64_t y = 0; y < window->size[0]; y++) {
        int64_t h = out[1] * window->stride[0] + y - window->pad_before[0];
        for (int64_t x = 0; h >= 0 && h < in->dim[1] && x < window->size[1]; x++) {
            int64_t w = out[2] * window->stride[1] + x - window->pad_before[1];
            if (w < 0 || w >= in->dim[2]) {
                continue;
            }
            int64_t at = ((out[0] * in->dim[1] + h) * in->dim[2] + w) * in->dim[3] + out[3];
            double value = operand_get(&call->input[0], at);
            if (best < 0 || value > most) {
                most = value;
                best = h * in->dim[2] + w;
            }
        }
    }
    return best;
}

void reference_max_pool_index(const struct kernel_call *call)
{
    for (int64_t i = 0; i < shape_count(&call->output.shape); i++) {
        int64_t index[SHAPE_RANK_MAX];
        reference_unravel(&call->output.shape, i, index);
        operand_set(&call->output, i, (double)largest_in(call, index));
    }
}

/* Where in an image (N,H,W,C) the pixel lies that pooled element i names. */
static int64_t pooled_place(const struct operand *index, int64_t i, const struct shape *image)
{
    int64_t place[SHAPE_RANK_MAX];
    int64_t pixels = image->dim[1] * image->dim[2];
    reference_unravel(&index->shape, i, place);
    return (place[0] * pixels + row_of(index, i, pixels)) * image->dim[3] + place[3];
}

void reference_gather_pool(const struct kernel_call *call)
{
    const struct operand *index = &call->input[1];
    for (int64_t i = 0; i < shape_count(&index->shape); i++) {
        int64_t at = pooled_place(index, i, &call->input[0].shape);
        operand_set(&call->output, i, operand_get(&call->input[0], at));
    }
}

void reference_scatter_pool(const struct kernel_call *call)
{
    const struct operand *index = &call->input[1];
    for (int64_t i = 0; i < shape_count(&call->output.shape); i++) {
        operand_set(&call->output, i, 0.0);
    }
    for (int64_t i = 0; i < shape_count(&index->shape); i++) {
        int64_t at = pooled_place(index, i, &call->output.shape);
        operand_set(&call->output, at,
                    operand_get(&call->output, at) + operand_get(&call->input[0], i));
    }
}
