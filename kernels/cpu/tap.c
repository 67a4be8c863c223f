/*
 * Convolutions with one channel at one end, which blocked kernels waste most of their vector on.
 * With T = KH*KW taps, the channels of the wide end are one matrix product with the weights (T,C),
 * and the taps are then moved by their places in the window:
 *   forward, O = 1      P(T, x places) = w x'       y[p] = sum over t of P[t][place of p under t]
 *   to input, I = 1     P(T, y places) = w dy'      dx[place of p under t] += P[t][p]
 *   to weights, O = 1   D[t][place of p under t] = dy[p]      dw(T,C) = D x
 * Samples go in chunks whose P or D stays in the second-level cache.  One thread at AVX2 (Sapphire
 * Rapids): 7x7, 128 -> 1 at 28x28, 16 samples: forward 28 -> 3 ms, to weights 12 -> 3; 4x4 stride
 * 2, 64 -> 1 to input at 28x28, 64 samples: 0.77 -> 0.5 ms.
 *
 * Order of a sum: over channels as sgemm's, over taps in their order.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

#include "base/mem.h"

#include <string.h>

enum { CHUNK_FLOATS = 65536 };

struct tap {
    const struct window *window;
    int64_t x[2]; /* height, width of the x end */
    int64_t y[2];
    int64_t kernel[2];
    int64_t taps;
    int64_t channels; /* of the wide end */
    int64_t samples;
    int64_t chunk;    /* samples at once */
    int64_t x_places; /* of a sample */
    int64_t y_places;
    int x_value;
    int w_value;
    int y_value;
};

/* Neighbouring y places of a row under one tap, and their x places. */
struct span {
    int64_t x; /* first place within a sample; the next is stride[1] further */
    int64_t y;
    int64_t count;
};

/* The span of row p under a tap; empty where the window's row lies outside. */
static struct span span_of(const struct tap *tap, int64_t t, int64_t p)
{
    const struct window *w = tap->window;
    int64_t row = p * w->stride[0] + t / tap->kernel[1] * w->dilation[0] - w->pad_before[0];
    int64_t shift = t % tap->kernel[1] * w->dilation[1] - w->pad_before[1];
    int64_t first = shift < 0 ? (-shift + w->stride[1] - 1) / w->stride[1] : 0;
    int64_t room = tap->x[1] - 1 - shift;
    int64_t end = room < 0 ? 0 : room / w->stride[1] + 1;
    end = end < tap->y[1] ? end : tap->y[1];
    if (row < 0 || row >= tap->x[0] || first >= end) {
        return (struct span){0};
    }
    return (struct span){.x = row * tap->x[1] + first * w->stride[1] + shift,
                         .y = p * tap->y[1] + first,
                         .count = end - first};
}

/* out[i] += in[i * step] */
static void add_from(float *out, const float *in, int64_t step, int64_t count)
{
    if (step == 1) {
        vector_accumulate(out, in, (int)count);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        out[i] += in[i * step];
    }
}

/* out[i * step] += in[i] */
static void add_to(float *out, int64_t step, const float *in, int64_t count)
{
    if (step == 1) {
        vector_accumulate(out, in, (int)count);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        out[i * step] += in[i];
    }
}

/* out[i * step] = in[i] */
static void put_to(float *out, int64_t step, const float *in, int64_t count)
{
    if (step == 1) {
        memcpy(out, in, (size_t)count * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        out[i * step] = in[i];
    }
}

/* One chunk: `places` are the rows of the product, x's or y's. */
struct chunk {
    float *product; /* (taps, places) */
    int64_t places; /* of all its samples */
    int64_t samples;
};

static void forward_taps(const struct tap *tap, const struct chunk *chunk, float *y)
{
    int64_t step = tap->window->stride[1];
    memset(y, 0, (size_t)(chunk->samples * tap->y_places) * sizeof *y);
    for (int64_t n = 0; n < chunk->samples; n++) {
        for (int64_t t = 0; t < tap->taps; t++) {
            const float *product = chunk->product + t * chunk->places + n * tap->x_places;
            for (int64_t p = 0; p < tap->y[0]; p++) {
                struct span span = span_of(tap, t, p);
                add_from(y + n * tap->y_places + span.y, product + span.x, step, span.count);
            }
        }
    }
}

static void input_taps(const struct tap *tap, const struct chunk *chunk, float *x)
{
    int64_t step = tap->window->stride[1];
    memset(x, 0, (size_t)(chunk->samples * tap->x_places) * sizeof *x);
    for (int64_t n = 0; n < chunk->samples; n++) {
        for (int64_t t = 0; t < tap->taps; t++) {
            const float *product = chunk->product + t * chunk->places + n * tap->y_places;
            for (int64_t p = 0; p < tap->y[0]; p++) {
                struct span span = span_of(tap, t, p);
                add_to(x + n * tap->x_places + span.x, step, product + span.y, span.count);
            }
        }
    }
}

static void weight_taps(const struct tap *tap, const struct chunk *chunk, const float *y)
{
    int64_t step = tap->window->stride[1];
    memset(chunk->product, 0, (size_t)(tap->taps * chunk->places) * sizeof *y);
    for (int64_t n = 0; n < chunk->samples; n++) {
        for (int64_t t = 0; t < tap->taps; t++) {
            float *row = chunk->product + t * chunk->places + n * tap->x_places;
            for (int64_t p = 0; p < tap->y[0]; p++) {
                struct span span = span_of(tap, t, p);
                put_to(row + span.x, step, y + n * tap->y_places + span.y, span.count);
            }
        }
    }
}

static struct chunk chunk_at(const struct tap *tap, const struct lane_call *call, int64_t first,
                             int64_t places)
{
    int64_t left = tap->samples - first;
    struct chunk chunk = {.product = (float *)(void *)call->scratch,
                          .samples = left < tap->chunk ? left : tap->chunk};
    chunk.places = chunk.samples * places;
    return chunk;
}

/* product = weights (taps, channels) times the wide end (places, channels) transposed. */
static dnnl_status_t product(const struct tap *tap, const struct chunk *chunk, const float *wide,
                             const float *weights)
{
    return dnnl_sgemm('N', 'T', tap->taps, chunk->places, tap->channels, 1.0f, weights,
                      tap->channels, wide, tap->channels, 0.0f, chunk->product, chunk->places);
}

static enum cam_code finish(const struct cpu_step *step, dnnl_status_t status, struct cam_err *err)
{
    return status == dnnl_success ? CAM_OK : dnn_fail(err, status, step->step->path, "sgemm");
}

static enum cam_code forward_launch(const struct cpu_step *step, const struct lane_call *call,
                                    struct cam_err *err)
{
    const struct tap *tap = step->state;
    const float *x = cpu_source(step->plan, tap->x_value, call->bindings);
    const float *w = cpu_source(step->plan, tap->w_value, call->bindings);
    float *y = cpu_target(step->plan, tap->y_value, call->bindings);
    dnnl_status_t status = dnnl_success;
    for (int64_t n = 0; n < tap->samples && status == dnnl_success; n += tap->chunk) {
        struct chunk chunk = chunk_at(tap, call, n, tap->x_places);
        status = product(tap, &chunk, x + n * tap->x_places * tap->channels, w);
        forward_taps(tap, &chunk, y + n * tap->y_places);
    }
    return finish(step, status, err);
}

static enum cam_code input_launch(const struct cpu_step *step, const struct lane_call *call,
                                  struct cam_err *err)
{
    const struct tap *tap = step->state;
    const float *y = cpu_source(step->plan, tap->y_value, call->bindings);
    const float *w = cpu_source(step->plan, tap->w_value, call->bindings);
    float *x = cpu_target(step->plan, tap->x_value, call->bindings);
    dnnl_status_t status = dnnl_success;
    for (int64_t n = 0; n < tap->samples && status == dnnl_success; n += tap->chunk) {
        struct chunk chunk = chunk_at(tap, call, n, tap->y_places);
        status = product(tap, &chunk, y + n * tap->y_places * tap->channels, w);
        input_taps(tap, &chunk, x + n * tap->x_places);
    }
    return finish(step, status, err);
}

static enum cam_code weight_launch(const struct cpu_step *step, const struct lane_call *call,
                                   struct cam_err *err)
{
    const struct tap *tap = step->state;
    const float *x = cpu_source(step->plan, tap->x_value, call->bindings);
    const float *y = cpu_source(step->plan, tap->y_value, call->bindings);
    float *w = cpu_target(step->plan, tap->w_value, call->bindings);
    dnnl_status_t status = dnnl_success;
    for (int64_t n = 0; n < tap->samples && status == dnnl_success; n += tap->chunk) {
        struct chunk chunk = chunk_at(tap, call, n, tap->x_places);
        weight_taps(tap, &chunk, y + n * tap->y_places);
        status = dnnl_sgemm('N', 'N', tap->taps, tap->channels, chunk.places, 1.0f, chunk.product,
                            chunk.places, x + n * tap->x_places * tap->channels, tap->channels,
                            n == 0 ? 0.0f : 1.0f, w, tap->channels);
    }
    return finish(step, status, err);
}

static void tap_destroy(struct cpu_step *step)
{
    cam_free(step->state);
}

static const struct step_class FORWARD_CLASS = {.launch = forward_launch, .destroy = tap_destroy};
static const struct step_class INPUT_CLASS = {.launch = input_launch, .destroy = tap_destroy};
static const struct step_class WEIGHT_CLASS = {.launch = weight_launch, .destroy = tap_destroy};

static const struct step_class *class_of(enum op_kind op)
{
    if (op == OP_CONV2D) {
        return &FORWARD_CLASS;
    }
    return op == OP_CONV2D_GRAD_INPUT ? &INPUT_CLASS : &WEIGHT_CLASS;
}

/* Which value is the image, the weights and the result of a convolution step. */
static void find_values(const struct plan_step *step, struct tap *tap)
{
    bool forward = step->op == OP_CONV2D;
    bool to_input = step->op == OP_CONV2D_GRAD_INPUT;
    tap->x_value = to_input ? step->output : step->input[0];
    tap->w_value = forward || to_input ? step->input[1] : step->output;
    tap->y_value = forward ? step->output : step->input[to_input ? 0 : 1];
}

/* A forward product costs a multiply-add for every x place; where few of them are used (a last
 * layer that covers its whole image), the blocked kernel does less. */
bool tap_step_applies(const struct plan *plan, const struct plan_step *step)
{
    struct tap tap;
    find_values(step, &tap);
    const struct shape *x = &plan->values[tap.x_value].shape;
    const struct shape *w = &plan->values[tap.w_value].shape;
    const struct shape *y = &plan->values[tap.y_value].shape;
    if (step->attr.window.groups != 1) {
        return false;
    }
    if (step->op == OP_CONV2D_GRAD_INPUT) {
        return w->dim[2] == 1;
    }
    return w->dim[3] == 1 && w->dim[2] > 1 && x->dim[1] * x->dim[2] <= 2 * y->dim[1] * y->dim[2];
}

enum cam_code tap_step_create(struct cpu_step *step, struct cam_err *err)
{
    struct tap *tap = cam_alloc(1, sizeof *tap);
    step->class = class_of(step->step->op);
    step->state = tap;
    if (tap == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: no memory to compile", step->step->path);
    }
    find_values(step->step, tap);
    const struct shape *x = &step->plan->values[tap->x_value].shape;
    const struct shape *w = &step->plan->values[tap->w_value].shape;
    const struct shape *y = &step->plan->values[tap->y_value].shape;
    for (int a = 0; a < 2; a++) {
        tap->x[a] = x->dim[1 + a];
        tap->y[a] = y->dim[1 + a];
        tap->kernel[a] = w->dim[a];
    }
    tap->window = &step->step->attr.window;
    tap->taps = w->dim[0] * w->dim[1];
    tap->channels = step->step->op == OP_CONV2D_GRAD_INPUT ? w->dim[3] : w->dim[2];
    tap->samples = x->dim[0];
    tap->x_places = tap->x[0] * tap->x[1];
    tap->y_places = tap->y[0] * tap->y[1];
    int64_t places = step->step->op == OP_CONV2D_GRAD_INPUT ? tap->y_places : tap->x_places;
    int64_t fitting = CHUNK_FLOATS / (tap->taps * places);
    tap->chunk = fitting < 1 ? 1 : fitting < tap->samples ? fitting : tap->samples;
    step->scratch_bytes = cpu_align((size_t)(tap->chunk * tap->taps * places) * sizeof(float));
    return CAM_OK;
}
