#include "kernels/reference/reference.h"

#include "base/mem.h"
#include "kernels/reference/kernel.h"

struct backend_instance {
    struct backend_options options;
};

struct executable {
    const struct plan *plan;
    bool f64;
    double *totals; /* of the sums of one program, for each lane */
    int64_t totals_size;
};

/* Leaves are steps only where the caller asked for one as an output: a copy. */
static reference_kernel *const KERNELS[OP_COUNT] = {
    [OP_PARAMETER] = reference_copy,
    [OP_BUFFER] = reference_copy,
    [OP_INPUT] = reference_copy,
    [OP_SCALAR] = reference_copy,
    [OP_CONSTANT] = reference_constant,
    [OP_IOTA] = reference_iota,
    [OP_UNIFORM] = reference_draw,
    [OP_NORMAL] = reference_draw,
    [OP_ADD] = reference_elementwise,
    [OP_SUB] = reference_elementwise,
    [OP_MUL] = reference_elementwise,
    [OP_DIV] = reference_elementwise,
    [OP_MAX] = reference_elementwise,
    [OP_MIN] = reference_elementwise,
    [OP_GREATER] = reference_elementwise,
    [OP_EQUAL] = reference_elementwise,
    [OP_SELECT] = reference_elementwise,
    [OP_NEG] = reference_elementwise,
    [OP_ABS] = reference_elementwise,
    [OP_SIGN] = reference_elementwise,
    [OP_EXP] = reference_elementwise,
    [OP_LOG] = reference_elementwise,
    [OP_SQRT] = reference_elementwise,
    [OP_TANH] = reference_elementwise,
    [OP_SIGMOID] = reference_elementwise,
    [OP_SOFTPLUS] = reference_elementwise,
    [OP_SIN] = reference_elementwise,
    [OP_COS] = reference_elementwise,
    [OP_ERF] = reference_elementwise,
    [OP_FLOOR] = reference_elementwise,
    [OP_STOP_GRADIENT] = reference_copy,
    [OP_BROADCAST] = reference_broadcast,
    [OP_RESHAPE] = reference_copy,
    [OP_PERMUTE] = reference_permute,
    [OP_SLICE] = reference_slice,
    [OP_PAD] = reference_pad,
    [OP_CONCAT] = reference_concat,
    [OP_SUM] = reference_sum,
    [OP_REDUCE_MAX] = reference_reduce_max,
    [OP_GATHER] = reference_gather,
    [OP_SCATTER_ADD] = reference_scatter_add,
    [OP_MAX_POOL_INDEX] = reference_max_pool_index,
    [OP_GATHER_POOL] = reference_gather_pool,
    [OP_SCATTER_POOL] = reference_scatter_pool,
    [OP_MATMUL] = reference_matmul,
    [OP_CONV2D] = reference_conv2d,
    [OP_CONV2D_GRAD_INPUT] = reference_conv2d_grad_input,
    [OP_CONV2D_GRAD_WEIGHT] = reference_conv2d_grad_weight,
    [OP_STANDARDIZE] = reference_standardize,
    [OP_STANDARDIZE_GRAD] = reference_standardize_grad,
    [OP_SOFTMAX_XENT] = reference_softmax_xent,
    [OP_SOFTMAX_XENT_GRAD] = reference_softmax_xent_grad,
    [OP_ATTENTION] = reference_attention,
    [OP_ATTENTION_GRAD] = reference_attention_grad,
    [OP_LSTM] = reference_lstm,
    [OP_LSTM_GRAD] = reference_lstm_grad,
    [OP_GRU] = reference_gru,
    [OP_GRU_GRAD] = reference_gru_grad,
};

reference_kernel *reference_kernel_of(enum op_kind op)
{
    return KERNELS[op];
}

struct operand reference_operand(const struct plan *plan, int value,
                                 const struct bindings *bindings, bool f64)
{
    const struct plan_value *v = &plan->values[value];
    size_t width = f64 ? sizeof(double) : sizeof(float);
    size_t offset = (size_t)v->offset * width;
    struct operand operand = {.f64 = f64, .shape = v->shape};
    switch (v->storage) {
    case STORAGE_PARAMETER:
        operand.data = (const char *)bindings->parameters + offset;
        break;
    case STORAGE_BUFFER:
        operand.data = (const char *)bindings->buffers + offset;
        break;
    case STORAGE_INPUT:
        operand.data = (const char *)bindings->inputs[v->slot] + offset;
        break;
    case STORAGE_SCALAR:
        operand.data = bindings->scalars + v->slot;
        operand.f64 = false;
        break;
    case STORAGE_ACTIVATION:
        operand.target = (char *)bindings->activations + offset;
        break;
    case STORAGE_OUTPUT:
        operand.target = (char *)bindings->output + offset;
        break;
    }
    if (operand.target != NULL) {
        operand.data = operand.target;
    }
    return operand;
}

static enum cam_code reference_open(const struct backend_options *options,
                                    struct backend_instance **out, struct cam_err *err)
{
    struct backend_instance *instance = cam_alloc(1, sizeof *instance);
    if (instance == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory to open the reference backend");
    }
    instance->options = *options;
    *out = instance;
    return CAM_OK;
}

static void reference_close(struct backend_instance *instance)
{
    cam_free(instance);
}

static bool reference_query(const struct backend_instance *instance, enum op_kind op)
{
    (void)instance;
    return KERNELS[op] != NULL;
}

static void reference_profile(const struct backend_instance *instance, struct cam_text *out)
{
    cam_text_add(out,
                 "\"device\": \"reference\", \"isa\": \"portable\", \"storage\": \"%s\", "
                 "\"engine\": \"%s\"",
                 instance->options.f64 ? "f64" : "f32", CAMBRIAN_VERSION);
}

static void reference_destroy(struct executable *executable)
{
    if (executable != NULL) {
        cam_free(executable->totals);
        cam_free(executable);
    }
}

static enum cam_code reference_compile(struct backend_instance *instance, const struct plan *plan,
                                       struct executable **out, struct cam_err *err)
{
    struct executable *executable = cam_alloc(1, sizeof *executable);
    if (executable == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory to compile a plan");
    }
    *executable = (struct executable){.plan = plan, .f64 = instance->options.f64};
    for (int s = 0; s < plan->step_count; s++) {
        int64_t totals = reference_program_totals(plan->steps[s].program);
        executable->totals_size =
            totals > executable->totals_size ? totals : executable->totals_size;
    }
    size_t totals = (size_t)executable->totals_size * (size_t)instance->options.lanes;
    executable->totals = cam_alloc(totals + 1, sizeof *executable->totals);
    if (executable->totals == NULL) {
        reference_destroy(executable);
        return cam_fail(err, CAM_NO_MEMORY, "no memory for the sums of programs");
    }
    *out = executable;
    return CAM_OK;
}

static struct executable_memory reference_memory(const struct executable *executable)
{
    (void)executable;
    return (struct executable_memory){0};
}

static void reference_lane_begin(struct backend_instance *instance, int lane)
{
    (void)instance;
    (void)lane;
}

static enum cam_code reference_prepare(struct executable *executable,
                                       const struct bindings *bindings, struct cam_err *err)
{
    (void)executable;
    (void)bindings;
    (void)err;
    return CAM_OK;
}

static enum cam_code reference_launch(struct executable *executable, int lane,
                                      const struct bindings *bindings,
                                      const struct random_context *random, struct cam_err *err)
{
    const struct plan *plan = executable->plan;
    for (int s = 0; s < plan->step_count; s++) {
        const struct plan_step *step = &plan->steps[s];
        if (step->kind == PLAN_PROGRAM) {
            const struct reference_run run = {.plan = plan,
                                              .bindings = bindings,
                                              .random = random,
                                              .f64 = executable->f64,
                                              .totals = executable->totals +
                                                        lane * executable->totals_size};
            reference_program(step->program, &run);
            continue;
        }
        if (KERNELS[step->op] == NULL) {
            return cam_fail(err, CAM_INTERNAL, "%s: no reference kernel for operator %d",
                            step->path, (int)step->op);
        }
        struct kernel_call call = {.op = step->op,
                                   .attr = &step->attr,
                                   .input_count = step->input_count,
                                   .random = random};
        for (int k = 0; k < step->input_count; k++) {
            call.input[k] = reference_operand(plan, step->input[k], bindings, executable->f64);
        }
        call.output = reference_operand(plan, step->output, bindings, executable->f64);
        KERNELS[step->op](&call);
    }
    return CAM_OK;
}

static const struct backend REFERENCE = {
    .version = BACKEND_VERSION,
    .name = "reference",
    .open = reference_open,
    .close = reference_close,
    .query = reference_query,
    .profile = reference_profile,
    .compile = reference_compile,
    .memory = reference_memory,
    .destroy = reference_destroy,
    .lane_begin = reference_lane_begin,
    .prepare = reference_prepare,
    .launch = reference_launch,
};

const struct backend *reference_backend(void)
{
    return &REFERENCE;
}
