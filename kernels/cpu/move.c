/* Pad and concat: boxes copied into a larger tensor. */
#include "kernels/cpu/cpu.h"

#include <string.h>

/* Copies the dense tensor `from` of `shape` to where its first element is `to`, in a tensor with
 * the given strides. */
static void copy_box(const float *from, const struct shape *shape, const int64_t *stride, float *to)
{
    int rank = shape->rank;
    int64_t run = rank > 0 ? shape->dim[rank - 1] : 1;
    int64_t rows = shape_count(shape) / run;
    int64_t index[SHAPE_RANK_MAX] = {0};
    for (int64_t row = 0; row < rows; row++, from += run) {
        int64_t offset = 0;
        for (int d = 0; d + 1 < rank; d++) {
            offset += index[d] * stride[d];
        }
        memcpy(to + offset, from, (size_t)run * sizeof *to);
        for (int d = rank - 2; d >= 0 && ++index[d] == shape->dim[d]; d--) {
            index[d] = 0;
        }
    }
}

static enum cam_code pad_launch(const struct cpu_step *step, const struct lane_call *call,
                                struct cam_err *err)
{
    (void)err;
    const struct plan_step *plan_step = step->step;
    const struct shape *in = &step->plan->values[plan_step->input[0]].shape;
    const struct shape *out = &step->plan->values[plan_step->output].shape;
    float *target = cpu_target(step->plan, plan_step->output, call->bindings);
    int64_t stride[SHAPE_RANK_MAX];
    int64_t first = 0;
    shape_strides(out, stride);
    for (int d = 0; d < out->rank; d++) {
        first += plan_step->attr.start[d] * stride[d];
    }
    memset(target, 0, (size_t)shape_count(out) * sizeof *target);
    copy_box(cpu_source(step->plan, plan_step->input[0], call->bindings), in, stride,
             target + first);
    return CAM_OK;
}

static enum cam_code concat_launch(const struct cpu_step *step, const struct lane_call *call,
                                   struct cam_err *err)
{
    (void)err;
    const struct plan_step *plan_step = step->step;
    const struct shape *out = &step->plan->values[plan_step->output].shape;
    float *target = cpu_target(step->plan, plan_step->output, call->bindings);
    int64_t stride[SHAPE_RANK_MAX];
    int axis = plan_step->attr.axis;
    shape_strides(out, stride);
    for (int k = 0; k < plan_step->input_count; k++) {
        const struct shape *in = &step->plan->values[plan_step->input[k]].shape;
        copy_box(cpu_source(step->plan, plan_step->input[k], call->bindings), in, stride, target);
        target += in->dim[axis] * stride[axis];
    }
    return CAM_OK;
}

static const struct step_class PAD_CLASS = {.launch = pad_launch};
static const struct step_class CONCAT_CLASS = {.launch = concat_launch};

enum cam_code move_step_create(struct cpu_step *step, struct cam_err *err)
{
    (void)err;
    step->class = step->step->op == OP_PAD ? &PAD_CLASS : &CONCAT_CLASS;
    return CAM_OK;
}
