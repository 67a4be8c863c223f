/*
 * Recurrent macros: a matrix product a step by oneDNN's sgemm, and the gates row by row.  What they
 * are: model/graph/op_recurrent.c.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"

#include <string.h>

/* A launch's operands: x or the kept output, weights, bias or dh; and the sizes. */
struct recurrence {
    int64_t steps;
    int64_t samples;
    int64_t size;  /* H */
    int64_t gates; /* columns of the weights */
    const float *input[3];
    float *out;
    float *scratch;
};

static struct recurrence recurrence_of(const struct cpu_step *step, const struct lane_call *call)
{
    const struct plan_step *plan_step = step->step;
    const struct shape *sequence = &step->plan->values[plan_step->input[0]].shape;
    const struct shape *weight = &step->plan->values[plan_step->input[1]].shape;
    struct recurrence r = {.steps = sequence->dim[0],
                           .samples = sequence->dim[1],
                           .size = weight->dim[0],
                           .gates = weight->dim[1],
                           .scratch = (float *)(void *)call->scratch};
    for (int i = 0; i < plan_step->input_count; i++) {
        r.input[i] = cpu_source(step->plan, plan_step->input[i], call->bindings);
    }
    r.out = cpu_target(step->plan, plan_step->output, call->bindings);
    return r;
}

static enum cam_code lstm_launch(const struct cpu_step *step, const struct lane_call *call,
                                 struct cam_err *err)
{
    const struct recurrence r = recurrence_of(step, call);
    const int64_t wide = 6 * r.size;
    const int64_t block = r.samples * wide;
    for (int64_t t = 0; t < r.steps; t++) {
        float *out = r.out + t * block;
        const float *before = t > 0 ? out - block : NULL;
        for (int64_t n = 0; n < r.samples; n++) {
            memcpy(out + n * wide + 2 * r.size, r.input[0] + (t * r.samples + n) * r.gates,
                   (size_t)r.gates * sizeof *out);
        }
        if (before != NULL) {
            dnnl_status_t status =
                dnnl_sgemm('N', 'N', r.samples, r.gates, r.size, 1.0f, before, wide, r.input[1],
                           r.gates, 1.0f, out + 2 * r.size, wide);
            if (status != dnnl_success) {
                return dnn_fail(err, status, step->step->path, "sgemm of lstm");
            }
        }
        for (int64_t n = 0; n < r.samples; n++) {
            rows_lstm(out + n * wide, before == NULL ? NULL : before + n * wide, r.size);
        }
    }
    return CAM_OK;
}

static enum cam_code lstm_grad_launch(const struct cpu_step *step, const struct lane_call *call,
                                      struct cam_err *err)
{
    const struct recurrence r = recurrence_of(step, call);
    const int64_t wide = 6 * r.size;
    const int64_t states = r.samples * r.size;
    float *dh = r.scratch;
    float *dc = r.scratch + states;
    memset(dc, 0, (size_t)states * sizeof *dc);
    for (int64_t t = r.steps - 1; t >= 0; t--) {
        const float *kept = r.input[0] + t * r.samples * wide;
        const float *before = t > 0 ? kept - r.samples * wide : NULL;
        float *gates = r.out + t * r.samples * r.gates;
        memcpy(dh, r.input[2] + t * states, (size_t)states * sizeof *dh);
        if (t + 1 < r.steps) {
            dnnl_status_t status =
                dnnl_sgemm('N', 'T', r.samples, r.size, r.gates, 1.0f, gates + r.samples * r.gates,
                           r.gates, r.input[1], r.gates, 1.0f, dh, r.size);
            if (status != dnnl_success) {
                return dnn_fail(err, status, step->step->path, "sgemm of lstm");
            }
        }
        for (int64_t n = 0; n < r.samples; n++) {
            rows_lstm_grad(kept + n * wide, before == NULL ? NULL : before + n * wide,
                           dh + n * r.size, dc + n * r.size, gates + n * r.gates, r.size);
        }
    }
    return CAM_OK;
}

static enum cam_code gru_launch(const struct cpu_step *step, const struct lane_call *call,
                                struct cam_err *err)
{
    const struct recurrence r = recurrence_of(step, call);
    const int64_t wide = 5 * r.size;
    memset(r.scratch, 0, (size_t)(r.samples * r.gates) * sizeof *r.scratch);
    for (int64_t t = 0; t < r.steps; t++) {
        float *out = r.out + t * r.samples * wide;
        const float *before = t > 0 ? out - r.samples * wide : NULL;
        if (before != NULL) {
            dnnl_status_t status = dnnl_sgemm('N', 'N', r.samples, r.gates, r.size, 1.0f, before,
                                              wide, r.input[1], r.gates, 0.0f, r.scratch, r.gates);
            if (status != dnnl_success) {
                return dnn_fail(err, status, step->step->path, "sgemm of gru");
            }
        }
        for (int64_t n = 0; n < r.samples; n++) {
            const struct gru_row row = {
                .x = r.input[0] + (t * r.samples + n) * r.gates,
                .product = r.scratch + n * r.gates,
                .bias = r.input[2],
                .before = before == NULL ? NULL : before + n * wide,
                .out = out + n * wide,
            };
            rows_gru(&row, r.size);
        }
    }
    return CAM_OK;
}

/* The products' gradients [r | z | h w + b] stand apart in the gates' [r | z | n | h w + b]: two
 * products, over the first two parts and over the last. */
static dnnl_status_t gru_carry(const struct recurrence *r, const float *gates, float *dh)
{
    const int64_t wide = 4 * r->size;
    dnnl_status_t status = dnnl_sgemm('N', 'T', r->samples, r->size, 2 * r->size, 1.0f, gates, wide,
                                      r->input[1], r->gates, 1.0f, dh, r->size);
    return status != dnnl_success
               ? status
               : dnnl_sgemm('N', 'T', r->samples, r->size, r->size, 1.0f, gates + 3 * r->size, wide,
                            r->input[1] + 2 * r->size, r->gates, 1.0f, dh, r->size);
}

static enum cam_code gru_grad_launch(const struct cpu_step *step, const struct lane_call *call,
                                     struct cam_err *err)
{
    const struct recurrence r = recurrence_of(step, call);
    const int64_t wide = 5 * r.size;
    const int64_t states = r.samples * r.size;
    float *dh = r.scratch; /* what is left of it behind a step goes through z */
    memset(dh, 0, (size_t)states * sizeof *dh);
    for (int64_t t = r.steps - 1; t >= 0; t--) {
        const float *kept = r.input[0] + t * r.samples * wide;
        const float *before = t > 0 ? kept - r.samples * wide : NULL;
        const float *arriving = r.input[2] + t * states;
        float *gates = r.out + t * r.samples * 4 * r.size;
        if (t + 1 < r.steps) {
            dnnl_status_t status = gru_carry(&r, gates + r.samples * 4 * r.size, dh);
            if (status != dnnl_success) {
                return dnn_fail(err, status, step->step->path, "sgemm of gru");
            }
        }
        for (int64_t i = 0; i < states; i++) {
            dh[i] += arriving[i];
        }
        for (int64_t n = 0; n < r.samples; n++) {
            rows_gru_grad(kept + n * wide, before == NULL ? NULL : before + n * wide,
                          dh + n * r.size, gates + n * 4 * r.size, r.size);
        }
    }
    return CAM_OK;
}

/* A row an operator: its launch, and scratch in floats a sample and hidden unit. */
static const struct {
    struct step_class class;
    int64_t scratch;
} KERNELS[OP_COUNT] = {
    [OP_LSTM] = {{.launch = lstm_launch}, 0},
    [OP_LSTM_GRAD] = {{.launch = lstm_grad_launch}, 2},
    [OP_GRU] = {{.launch = gru_launch}, 3},
    [OP_GRU_GRAD] = {{.launch = gru_grad_launch}, 1},
};

enum cam_code recurrent_step_create(struct cpu_step *step, struct cam_err *err)
{
    (void)err;
    enum op_kind op = step->step->op;
    int64_t samples = step->plan->values[step->step->input[0]].shape.dim[1];
    int64_t size = step->plan->values[step->step->input[1]].shape.dim[0];
    step->class = &KERNELS[op].class;
    step->scratch_bytes = cpu_align((size_t)(KERNELS[op].scratch * samples * size) * sizeof(float));
    return CAM_OK;
}
