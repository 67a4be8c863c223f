/* Rules of views, copies and sums. */
#include "model/graph/op_rules.h"

#include <inttypes.h>

static enum cam_code fail_shapes(const char *what, const struct shape *from, const struct shape *to,
                                 struct cam_err *err)
{
    char a[96];
    char b[96];
    return cam_fail(err, CAM_INVALID, "%s of %s to %s does not fit", what,
                    shape_text(from, a, sizeof a), shape_text(to, b, sizeof b));
}

enum cam_code op_broadcast_infer(const struct node *inputs[], int input_count,
                                 const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    const struct shape *from = &inputs[0]->shape;
    bool fits = from->rank == attr->shape.rank;
    for (int i = 0; fits && i < from->rank; i++) {
        fits = from->dim[i] == attr->shape.dim[i] || from->dim[i] == 1;
    }
    if (!fits) {
        return fail_shapes("broadcast", from, &attr->shape, err);
    }
    *out = attr->shape;
    return CAM_OK;
}

enum cam_code op_reshape_infer(const struct node *inputs[], int input_count,
                               const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    if (shape_count(&inputs[0]->shape) != shape_count(&attr->shape)) {
        return fail_shapes("reshape", &inputs[0]->shape, &attr->shape, err);
    }
    *out = attr->shape;
    return CAM_OK;
}

enum cam_code op_permute_infer(const struct node *inputs[], int input_count,
                               const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    const struct shape *from = &inputs[0]->shape;
    unsigned seen = 0;
    *out = (struct shape){.rank = from->rank};
    for (int i = 0; i < from->rank; i++) {
        int axis = attr->order[i];
        if (axis < 0 || axis >= from->rank || (seen >> axis & 1u) != 0) {
            return cam_fail(err, CAM_INTERNAL, "permute names axis %d of rank %d twice or not",
                            axis, from->rank);
        }
        seen |= 1u << axis;
        out->dim[i] = from->dim[axis];
    }
    return CAM_OK;
}

enum cam_code op_slice_infer(const struct node *inputs[], int input_count,
                             const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    const struct shape *from = &inputs[0]->shape;
    bool fits = from->rank == attr->shape.rank;
    for (int i = 0; fits && i < from->rank; i++) {
        fits = attr->start[i] >= 0 && attr->start[i] + attr->shape.dim[i] <= from->dim[i];
    }
    if (!fits) {
        return fail_shapes("slice", from, &attr->shape, err);
    }
    *out = attr->shape;
    return CAM_OK;
}

enum cam_code op_pad_infer(const struct node *inputs[], int input_count, const struct op_attr *attr,
                           struct shape *out, struct cam_err *err)
{
    (void)input_count;
    const struct shape *from = &inputs[0]->shape;
    bool fits = from->rank == attr->shape.rank;
    for (int i = 0; fits && i < from->rank; i++) {
        fits = attr->start[i] >= 0 && attr->start[i] + from->dim[i] <= attr->shape.dim[i];
    }
    if (!fits) {
        return fail_shapes("pad", from, &attr->shape, err);
    }
    *out = attr->shape;
    return CAM_OK;
}

enum cam_code op_concat_infer(const struct node *inputs[], int input_count,
                              const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    *out = inputs[0]->shape;
    int axis = attr->axis;
    if (axis < 0 || axis >= out->rank) {
        return cam_fail(err, CAM_INTERNAL, "concat along axis %d of rank %d", axis, out->rank);
    }
    for (int i = 1; i < input_count; i++) {
        struct shape same = inputs[i]->shape;
        int64_t size = same.dim[axis];
        if (same.rank == out->rank) {
            same.dim[axis] = out->dim[axis];
        }
        if (!shape_equal(&same, out)) {
            return fail_shapes("concat", &inputs[i]->shape, &inputs[0]->shape, err);
        }
        out->dim[axis] += size;
    }
    return CAM_OK;
}

enum cam_code op_sum_infer(const struct node *inputs[], int input_count, const struct op_attr *attr,
                           struct shape *out, struct cam_err *err)
{
    (void)input_count;
    *out = inputs[0]->shape;
    if (attr->axes >> out->rank != 0) {
        return cam_fail(err, CAM_INTERNAL, "sum over axes 0x%" PRIx32 " of rank %d", attr->axes,
                        out->rank);
    }
    for (int i = 0; i < out->rank; i++) {
        if ((attr->axes >> i & 1u) != 0) {
            out->dim[i] = 1;
        }
    }
    return CAM_OK;
}

static const struct shape *input_shape(const struct graph *graph, int node, int index)
{
    return &graph_node(graph, graph_node(graph, node)->input[index])->shape;
}

/* The adjoint of repeating is adding up. */
void op_broadcast_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct shape *from = input_shape(graph, node, 0);
    const struct shape *to = &graph_node(graph, node)->shape;
    uint32_t axes = 0;
    for (int i = 0; i < from->rank; i++) {
        if (from->dim[i] != to->dim[i]) {
            axes |= 1u << i;
        }
    }
    d_inputs[0] = graph_sum(graph, dy, axes);
}

void op_reshape_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = graph_reshape(graph, dy, input_shape(graph, node, 0));
}

void op_permute_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    int inverse[SHAPE_RANK_MAX] = {0};
    for (int i = 0; i < self->shape.rank; i++) {
        inverse[self->attr.order[i]] = i;
    }
    d_inputs[0] = graph_permute(graph, dy, inverse);
}

void op_slice_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] =
        graph_pad(graph, dy, graph_node(graph, node)->attr.start, input_shape(graph, node, 0));
}

void op_pad_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] =
        graph_slice(graph, dy, graph_node(graph, node)->attr.start, input_shape(graph, node, 0));
}

void op_concat_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    int64_t start[SHAPE_RANK_MAX] = {0};
    for (int i = 0; i < self->input_count; i++) {
        const struct shape *part = input_shape(graph, node, i);
        d_inputs[i] = graph_slice(graph, dy, start, part);
        start[self->attr.axis] += part->dim[self->attr.axis];
    }
}

void op_sum_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[0] = graph_broadcast(graph, dy, input_shape(graph, node, 0));
}
