/* Rules of leaves: parameters, buffers, inputs, constants and random numbers. */
#include "model/graph/op_rules.h"

enum cam_code op_leaf_infer(const struct node *inputs[], int input_count,
                            const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)inputs;
    (void)input_count;
    if (attr->slot < 0) {
        return cam_fail(err, CAM_INTERNAL, "a leaf has the slot %d", attr->slot);
    }
    *out = attr->shape;
    return CAM_OK;
}

enum cam_code op_scalar_infer(const struct node *inputs[], int input_count,
                              const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    if (attr->shape.rank != 0) {
        return cam_fail(err, CAM_INTERNAL, "a scalar of rank %d", attr->shape.rank);
    }
    return op_leaf_infer(inputs, input_count, attr, out, err);
}

enum cam_code op_iota_infer(const struct node *inputs[], int input_count,
                            const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)inputs;
    (void)input_count;
    if (attr->axis < 0 || attr->axis >= attr->shape.rank) {
        return cam_fail(err, CAM_INTERNAL, "iota along axis %d of rank %d", attr->axis,
                        attr->shape.rank);
    }
    *out = attr->shape;
    return CAM_OK;
}

enum cam_code op_random_infer(const struct node *inputs[], int input_count,
                              const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)inputs;
    (void)input_count;
    if (attr->by_row && attr->shape.rank == 0) {
        return cam_fail(err, CAM_INTERNAL, "random numbers by row of a rank 0 tensor");
    }
    *out = attr->shape;
    return CAM_OK;
}

void op_none_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    (void)graph;
    (void)node;
    (void)dy;
    (void)d_inputs;
}
