/*
 * Attention by tiles of queries: the scores of a tile against all keys that it sees, their softmax,
 * and the weighted values; so memory is a tile's rows, never T * T.  Products are oneDNN's sgemm
 * over the strided heads of one tensor.  Backwards the weights are computed again.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"

#include <math.h>
#include <string.h>

/* Floats of a tile's scores: they stay in the second-level cache. */
enum { TILE_FLOATS = 32 * 1024, TILE_MOST = 64 };

/* One head of one sample. */
struct head {
    int64_t steps; /* T */
    int64_t size;  /* D */
    int64_t seen;  /* keys of the sample */
    int64_t step;  /* floats from a query to the next: of q, k, v alike */
    int64_t out_step;
    bool causal;
    float scale;
    const float *qkv[3];
    float *out;         /* forward */
    const float *d_out; /* backward: (T,D) strided as out */
    float *d_qkv[3];
};

static int64_t tile_rows(int64_t steps)
{
    int64_t rows = TILE_FLOATS / steps;
    rows = rows < 1 ? 1 : rows;
    rows = rows > TILE_MOST ? TILE_MOST : rows;
    return rows < steps ? rows : steps;
}

/* Keys that query `place` sees, and those that any query of the tile before `end` sees. */
static int64_t keys_of(const struct head *head, int64_t place)
{
    return head->causal && place + 1 < head->seen ? place + 1 : head->seen;
}

/* The weights of queries [first, first + rows) over `keys` keys, rows packed. */
static dnnl_status_t weigh(const struct head *head, int64_t first, int64_t rows, int64_t keys,
                           float *weights)
{
    dnnl_status_t status =
        dnnl_sgemm('N', 'T', rows, keys, head->size, head->scale, head->qkv[0] + first * head->step,
                   head->step, head->qkv[1], head->step, 0.0f, weights, keys);
    for (int64_t i = 0; i < rows && status == dnnl_success; i++) {
        rows_softmax(weights + i * keys, keys_of(head, first + i), keys);
    }
    return status;
}

static dnnl_status_t attend(const struct head *head, float *scratch)
{
    int64_t tile = tile_rows(head->steps);
    dnnl_status_t status = dnnl_success;
    for (int64_t first = 0; first < head->steps && status == dnnl_success; first += tile) {
        int64_t rows = head->steps - first < tile ? head->steps - first : tile;
        int64_t keys = keys_of(head, first + rows - 1);
        status = weigh(head, first, rows, keys, scratch);
        if (status == dnnl_success) {
            status =
                dnnl_sgemm('N', 'N', rows, head->size, keys, 1.0f, scratch, keys, head->qkv[2],
                           head->step, 0.0f, head->out + first * head->out_step, head->out_step);
        }
    }
    return status;
}

/* With P the weights: dV += P' dO, dP = dO V', dS = P (dP - rowsum(P dP)) scale, dQ = dS K,
 * dK += dS' Q.  A key's sums grow tile by tile, in order. */
static dnnl_status_t attend_backwards(const struct head *head, float *scratch)
{
    int64_t tile = tile_rows(head->steps);
    dnnl_status_t status = dnnl_success;
    for (int64_t first = 0; first < head->steps && status == dnnl_success; first += tile) {
        int64_t rows = head->steps - first < tile ? head->steps - first : tile;
        int64_t keys = keys_of(head, first + rows - 1);
        float *weights = scratch;
        float *d_scores = scratch + tile * head->steps;
        const float *d_out = head->d_out + first * head->out_step;
        status = weigh(head, first, rows, keys, weights);
        if (status == dnnl_success) {
            status = dnnl_sgemm('T', 'N', keys, head->size, rows, 1.0f, weights, keys, d_out,
                                head->out_step, 1.0f, head->d_qkv[2], head->step);
        }
        if (status == dnnl_success) {
            status = dnnl_sgemm('N', 'T', rows, keys, head->size, 1.0f, d_out, head->out_step,
                                head->qkv[2], head->step, 0.0f, d_scores, keys);
        }
        for (int64_t i = 0; i < rows && status == dnnl_success; i++) {
            rows_softmax_grad(weights + i * keys, d_scores + i * keys, keys_of(head, first + i),
                              keys, head->scale);
        }
        if (status == dnnl_success) {
            status =
                dnnl_sgemm('N', 'N', rows, head->size, keys, 1.0f, d_scores, keys, head->qkv[1],
                           head->step, 0.0f, head->d_qkv[0] + first * head->step, head->step);
        }
        if (status == dnnl_success) {
            status = dnnl_sgemm('T', 'N', keys, head->size, rows, 1.0f, d_scores, keys,
                                head->qkv[0] + first * head->step, head->step, 1.0f, head->d_qkv[1],
                                head->step);
        }
    }
    return status;
}

/* Keys of a sample: a length below 1 or above T means the nearest. */
static int64_t seen_of(const float *lengths, int64_t sample, int64_t steps)
{
    if (lengths == NULL || !(lengths[sample] < (float)steps)) {
        return steps;
    }
    return lengths[sample] > 1.0f ? (int64_t)ceilf(lengths[sample]) : 1;
}

static enum cam_code each_head(const struct cpu_step *step, const struct lane_call *call,
                               bool backwards, struct cam_err *err)
{
    const struct plan_step *plan_step = step->step;
    const struct shape *shape = &step->plan->values[plan_step->input[0]].shape;
    int lengths_at = backwards ? 2 : 1;
    const float *qkv = cpu_source(step->plan, plan_step->input[0], call->bindings);
    const float *lengths =
        plan_step->input_count > lengths_at
            ? cpu_source(step->plan, plan_step->input[lengths_at], call->bindings)
            : NULL;
    const float *d_out =
        backwards ? cpu_source(step->plan, plan_step->input[1], call->bindings) : NULL;
    float *target = cpu_target(step->plan, plan_step->output, call->bindings);
    int64_t heads = shape->dim[3];
    struct head head = {.steps = shape->dim[1],
                        .size = shape->dim[4],
                        .step = 3 * heads * shape->dim[4],
                        .out_step = heads * shape->dim[4],
                        .causal = plan_step->attr.causal,
                        .scale = (float)plan_step->attr.value};
    if (backwards) {
        memset(target, 0, (size_t)shape_count(shape) * sizeof *target);
    }
    for (int64_t i = 0; i < shape->dim[0] * heads; i++) {
        int64_t sample = i / heads;
        int64_t at = i % heads * head.size;
        int64_t out = sample * head.steps * head.out_step + at;
        head.seen = seen_of(lengths, sample, head.steps);
        for (int k = 0; k < 3; k++) {
            int64_t from = sample * head.steps * head.step + k * head.out_step + at;
            head.qkv[k] = qkv + from;
            head.d_qkv[k] = target + from;
        }
        head.out = target + out;
        head.d_out = backwards ? d_out + out : NULL;
        float *scratch = (float *)(void *)call->scratch;
        dnnl_status_t status =
            backwards ? attend_backwards(&head, scratch) : attend(&head, scratch);
        if (status != dnnl_success) {
            return dnn_fail(err, status, plan_step->path, "sgemm of attention");
        }
    }
    return CAM_OK;
}

static enum cam_code attention_launch(const struct cpu_step *step, const struct lane_call *call,
                                      struct cam_err *err)
{
    return each_head(step, call, false, err);
}

static enum cam_code attention_grad_launch(const struct cpu_step *step,
                                           const struct lane_call *call, struct cam_err *err)
{
    return each_head(step, call, true, err);
}

static const struct step_class ATTENTION_CLASS = {.launch = attention_launch};
static const struct step_class ATTENTION_GRAD_CLASS = {.launch = attention_grad_launch};

enum cam_code attention_step_create(struct cpu_step *step, struct cam_err *err)
{
    (void)err;
    bool backwards = step->step->op == OP_ATTENTION_GRAD;
    int64_t steps = step->plan->values[step->step->input[0]].shape.dim[1];
    size_t floats = (size_t)(tile_rows(steps) * steps);
    step->class = backwards ? &ATTENTION_GRAD_CLASS : &ATTENTION_CLASS;
    step->scratch_bytes = cpu_align((backwards ? 2 : 1) * floats * sizeof(float));
    return CAM_OK;
}
