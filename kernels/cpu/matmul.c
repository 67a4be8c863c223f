/* Matrix products by oneDNN's sgemm. */
#include "kernels/cpu/cpu.h"

static enum cam_code matmul_launch(const struct cpu_step *step, const struct lane_call *call,
                                   struct cam_err *err)
{
    const struct plan_step *plan_step = step->step;
    const struct shape *a = &step->plan->values[plan_step->input[0]].shape;
    const struct shape *b = &step->plan->values[plan_step->input[1]].shape;
    const struct shape *c = &step->plan->values[plan_step->output].shape;
    bool ta = plan_step->attr.transpose_a;
    dnnl_status_t status = dnnl_sgemm(
        ta ? 'T' : 'N', plan_step->attr.transpose_b ? 'T' : 'N', c->dim[0], c->dim[1],
        a->dim[ta ? 0 : 1], 1.0f, cpu_source(step->plan, plan_step->input[0], call->bindings),
        a->dim[1], cpu_source(step->plan, plan_step->input[1], call->bindings), b->dim[1], 0.0f,
        cpu_target(step->plan, plan_step->output, call->bindings), c->dim[1]);
    return status == dnnl_success ? CAM_OK : dnn_fail(err, status, plan_step->path, "sgemm");
}

static const struct step_class MATMUL_CLASS = {.launch = matmul_launch};

enum cam_code matmul_step_create(struct cpu_step *step, struct cam_err *err)
{
    (void)err;
    step->class = &MATMUL_CLASS;
    return CAM_OK;
}
