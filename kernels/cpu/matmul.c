/* Matrix products by oneDNN's sgemm. */
#include "kernels/cpu/cpu.h"

static enum cam_code matmul_launch(const struct cpu_step *step, const struct lane_call *call,
                                   struct cam_err *err)
{
    const struct plan_step *plan_step = step->step;
    const struct shape *a = &step->plan->values[plan_step->input[0]].shape;
    const struct shape *b = &step->plan->values[plan_step->input[1]].shape;
    const struct shape *c = &step->plan->values[plan_step->output].shape;
    const float *left = cpu_source(step->plan, plan_step->input[0], call->bindings);
    const float *right = cpu_source(step->plan, plan_step->input[1], call->bindings);
    float *out = cpu_target(step->plan, plan_step->output, call->bindings);
    int row = c->rank - 2; /* of all three; what stands before counts matrices */
    bool ta = plan_step->attr.transpose_a;
    int64_t matrices = shape_count(c) / (c->dim[row] * c->dim[row + 1]);
    dnnl_status_t status = dnnl_success;
    for (int64_t i = 0; i < matrices && status == dnnl_success; i++) {
        status = dnnl_sgemm(ta ? 'T' : 'N', plan_step->attr.transpose_b ? 'T' : 'N', c->dim[row],
                            c->dim[row + 1], a->dim[ta ? row : row + 1], 1.0f, left,
                            a->dim[row + 1], right, b->dim[row + 1], 0.0f, out, c->dim[row + 1]);
        left += a->dim[row] * a->dim[row + 1];
        right += b->dim[row] * b->dim[row + 1];
        out += c->dim[row] * c->dim[row + 1];
    }
    return status == dnnl_success ? CAM_OK : dnn_fail(err, status, plan_step->path, "sgemm");
}

static const struct step_class MATMUL_CLASS = {.launch = matmul_launch};

enum cam_code matmul_step_create(struct cpu_step *step, struct cam_err *err)
{
    (void)err;
    step->class = &MATMUL_CLASS;
    return CAM_OK;
}
