/* Forms and sums: index maps between dense tensors. */
#include "kernels/reference/kernel.h"

void reference_unravel(const struct shape *shape, int64_t linear, int64_t index_out[])
{
    for (int d = shape->rank - 1; d >= 0; d--) {
        index_out[d] = linear % shape->dim[d];
        linear /= shape->dim[d];
    }
}

int64_t reference_dot(const int64_t *index, const int64_t *stride, int rank)
{
    int64_t sum = 0;
    for (int d = 0; d < rank; d++) {
        sum += index[d] * stride[d];
    }
    return sum;
}

/* out[index] = in[offset + index . stride] */
static void gather(const struct kernel_call *call, int64_t offset, const int64_t *stride)
{
    const struct shape *shape = &call->output.shape;
    int64_t count = shape_count(shape);
    for (int64_t i = 0; i < count; i++) {
        int64_t index[SHAPE_RANK_MAX];
        reference_unravel(shape, i, index);
        int64_t from = offset + reference_dot(index, stride, shape->rank);
        operand_set(&call->output, i, operand_get(&call->input[0], from));
    }
}

/* out[offset + index . stride] = in[index] */
static void scatter(const struct kernel_call *call, int input, int64_t offset,
                    const int64_t *stride)
{
    const struct shape *shape = &call->input[input].shape;
    int64_t count = shape_count(shape);
    for (int64_t i = 0; i < count; i++) {
        int64_t index[SHAPE_RANK_MAX];
        reference_unravel(shape, i, index);
        int64_t to = offset + reference_dot(index, stride, shape->rank);
        operand_set(&call->output, to, operand_get(&call->input[input], i));
    }
}

void reference_broadcast(const struct kernel_call *call)
{
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(&call->input[0].shape, stride);
    for (int d = 0; d < call->input[0].shape.rank; d++) {
        if (call->input[0].shape.dim[d] == 1) {
            stride[d] = 0;
        }
    }
    gather(call, 0, stride);
}

void reference_permute(const struct kernel_call *call)
{
    int64_t source[SHAPE_RANK_MAX];
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(&call->input[0].shape, source);
    for (int d = 0; d < call->output.shape.rank; d++) {
        stride[d] = source[call->attr->order[d]];
    }
    gather(call, 0, stride);
}

void reference_slice(const struct kernel_call *call)
{
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(&call->input[0].shape, stride);
    gather(call, reference_dot(call->attr->start, stride, call->output.shape.rank), stride);
}

void reference_pad(const struct kernel_call *call)
{
    int64_t stride[SHAPE_RANK_MAX];
    int64_t count = shape_count(&call->output.shape);
    for (int64_t i = 0; i < count; i++) {
        operand_set(&call->output, i, 0.0);
    }
    shape_strides(&call->output.shape, stride);
    scatter(call, 0, reference_dot(call->attr->start, stride, call->output.shape.rank), stride);
}

void reference_concat(const struct kernel_call *call)
{
    int64_t stride[SHAPE_RANK_MAX];
    int64_t start = 0;
    shape_strides(&call->output.shape, stride);
    for (int k = 0; k < call->input_count; k++) {
        scatter(call, k, start * stride[call->attr->axis], stride);
        start += call->input[k].shape.dim[call->attr->axis];
    }
}

void reference_sum(const struct kernel_call *call)
{
    const struct shape *in = &call->input[0].shape;
    struct shape kept = *in;   /* summed axes have size 1 */
    struct shape summed = *in; /* kept axes have size 1 */
    for (int d = 0; d < in->rank; d++) {
        bool is_summed = (call->attr->axes >> d & 1u) != 0;
        (is_summed ? &kept : &summed)->dim[d] = 1;
    }
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(in, stride);
    int64_t count = shape_count(&kept);
    int64_t terms = shape_count(&summed);
    for (int64_t i = 0; i < count; i++) {
        int64_t index[SHAPE_RANK_MAX];
        reference_unravel(&kept, i, index);
        int64_t base = reference_dot(index, stride, in->rank);
        double total = 0.0;
        for (int64_t t = 0; t < terms; t++) {
            reference_unravel(&summed, t, index);
            total += operand_get(&call->input[0], base + reference_dot(index, stride, in->rank));
        }
        operand_set(&call->output, i, total);
    }
}
