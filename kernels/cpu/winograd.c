/*
 * Convolutions whose kernel is twice their stride (4x4 stride 2, 2x2 stride 1) with half of the
 * multiplications.  Such a convolution has two taps an axis over cells of stride x stride pixels,
 * and pieces of outputs are computed at points (winograd.h), both axes one after the other.  For
 * each pair of points (winograd_image.h)
 *   forward Y = X W      to input X = Y W'      to weights W = X' Y
 * An axis is cut into as many pieces of 3 outputs as go, then pieces of 2: 10 products in place of
 * 14 for 7 outputs, so 100 in place of 196 for an image of 7 x 7.
 *
 * The points are 0, infinity, 1 and -1 and the factors 1 and a half, so that errors grow little.
 * One thread of a Sapphire Rapids, 4x4 stride 2, 64 -> 128 at 14x14, 64 samples: forward 4.1 ms,
 * to input 4.6, to weights 5.1; oneDNN's direct kernels take 8.4, 9.2 and 9.6 at AVX2, 5.4, 5.9 and
 * 6.2 at AVX-512.
 *
 * A parameter's weights are transformed once an execution (pack.h).  Samples go in chunks whose X
 * and Y stay near the second-level cache.
 *
 * Order of a sum: over channels or places in theirs (panel.h), over points as winograd.h's, over
 * chunks in turn.  So the bits are those of any processor, whatever the job's `isa`.
 */
#include "kernels/cpu/pack.h"
#include "kernels/cpu/panel.h"
#include "kernels/cpu/winograd_image.h"

#include "base/mem.h"
#include "model/plan/plan_points.h"

#include <string.h>

struct winograd {
    struct winograd_shape shape;
    int64_t kernel[4];
    int64_t samples;
    int64_t x_floats; /* of a sample */
    int64_t y_floats;
    int x_value;
    int w_value;
    int y_value;
    panel_function *multiply;
    const struct executable *executable;
    int pack;
};

/* Which value is the image, the weights and the result of a convolution step. */
static void find_values(const struct plan_step *step, struct winograd *w)
{
    bool forward = step->op == OP_CONV2D;
    bool to_input = step->op == OP_CONV2D_GRAD_INPUT;
    w->x_value = to_input ? step->output : step->input[0];
    w->w_value = forward || to_input ? step->input[1] : step->output;
    w->y_value = forward ? step->output : step->input[to_input ? 0 : 1];
}

bool winograd_step_applies(const struct backend_instance *instance, const struct plan *plan,
                           const struct plan_step *step)
{
    /* The transforms are one thread's. */
    return instance->options.threads_per_shard == 1 && plan_at_points(plan, step);
}

/* ---------------------------------------------------------------- launch */

struct winograd_call {
    const struct winograd *w;
    struct winograd_work work;
    float *weights; /* W of all pairs */
};

/* Lays the scratch out; with NULL only measures it, in floats. */
static int64_t lay_out(const struct winograd *w, float *scratch, struct winograd_call *out)
{
    const struct winograd_shape *shape = &w->shape;
    const int64_t line = winograd_line_floats(shape);
    const int64_t sizes[] = {
        line,
        line,
        line * WINOGRAD_POINTS * shape->axis[0].stride,
        shape->axis[1].y * shape->outs * WINOGRAD_POINTS,
        shape->chunk * shape->places * shape->wide,
        shape->chunk * shape->places * shape->outs,
        out->weights == NULL ? winograd_weight_floats(w->kernel) : 0,
    };
    float **const parts[] = {&out->work.zeros,   &out->work.waste, &out->work.x_lines,
                             &out->work.y_lines, &out->work.x,     &out->work.y,
                             &out->weights};
    int64_t at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (scratch != NULL && sizes[i] > 0) {
            *parts[i] = scratch + at;
        }
        at += (int64_t)(cpu_align((size_t)sizes[i] * sizeof(float)) / sizeof(float));
    }
    return at;
}

static struct winograd_call begin(const struct cpu_step *step, const struct lane_call *call)
{
    const struct winograd *w = step->state;
    struct winograd_call out = {.w = w};
    if (step->step->op != OP_CONV2D_GRAD_WEIGHT) {
        out.weights = w->executable->packs[w->pack].data;
    }
    (void)lay_out(w, (float *)(void *)call->scratch, &out);
    const float *end = out.work.x;
    memset(out.work.zeros, 0, (size_t)(end - out.work.zeros) * sizeof *end);
    return out;
}

enum product { FORWARD, TO_INPUT, TO_WEIGHTS };

/* The product of one pair of points. */
static struct panel_product product_of(const struct winograd_call *call, enum product product,
                                       int pair, int64_t samples)
{
    const struct winograd_shape *s = &call->w->shape;
    const int a = pair / WINOGRAD_POINTS;
    const int b = pair % WINOGRAD_POINTS;
    const int64_t rows = samples * s->axis[0].with[a] * s->axis[1].with[b];
    float *x = call->work.x + s->first[a][b] * s->chunk * s->wide;
    float *y = call->work.y + s->first[a][b] * s->chunk * s->outs;
    float *w = call->weights + pair * s->wide * s->outs;
    struct panel_product out = {.rows = rows, .a_depth = 1, .b_depth = PANEL_WIDTH};
    switch (product) {
    case FORWARD:
        out.columns = s->outs;
        out.depth = s->wide;
        out.a = x;
        out.b = w;
        out.c = y;
        break;
    case TO_INPUT:
        out.columns = s->wide;
        out.depth = s->outs;
        out.a = y;
        out.b = w;
        out.c = x;
        break;
    case TO_WEIGHTS:
        return (struct panel_product){.rows = s->wide,
                                      .columns = s->outs,
                                      .depth = rows,
                                      .a = x,
                                      .a_row = 1,
                                      .a_depth = s->wide,
                                      .b = y,
                                      .b_panel = PANEL_WIDTH,
                                      .b_depth = s->outs,
                                      .c = w,
                                      .c_row = s->outs};
    }
    out.a_row = out.depth;
    out.b_panel = out.depth * PANEL_WIDTH;
    out.c_row = out.columns;
    return out;
}

/* Those of every pair over the first `samples` of a chunk. */
static void multiply(const struct winograd_call *call, enum product product, int64_t samples,
                     bool add)
{
    for (int pair = 0; pair < WINOGRAD_POINTS * WINOGRAD_POINTS; pair++) {
        struct panel_product p = product_of(call, product, pair, samples);
        p.add = add;
        call->w->multiply(&p);
    }
}

static int64_t samples_from(const struct winograd *w, int64_t first)
{
    int64_t left = w->samples - first;
    return left < w->shape.chunk ? left : w->shape.chunk;
}

static enum cam_code forward_launch(const struct cpu_step *step, const struct lane_call *lane,
                                    struct cam_err *err)
{
    (void)err;
    const struct winograd_call call = begin(step, lane);
    const struct winograd *w = call.w;
    const float *x = cpu_source(step->plan, w->x_value, lane->bindings);
    float *y = cpu_target(step->plan, w->y_value, lane->bindings);
    for (int64_t n = 0; n < w->samples; n += w->shape.chunk) {
        const int64_t samples = samples_from(w, n);
        for (int64_t i = 0; i < samples; i++) {
            winograd_image_from_x(&w->shape, &call.work, x + (n + i) * w->x_floats, i);
        }
        multiply(&call, FORWARD, samples, false);
        for (int64_t i = 0; i < samples; i++) {
            winograd_image_to_y(&w->shape, &call.work, i, y + (n + i) * w->y_floats);
        }
    }
    return CAM_OK;
}

static enum cam_code input_launch(const struct cpu_step *step, const struct lane_call *lane,
                                  struct cam_err *err)
{
    (void)err;
    const struct winograd_call call = begin(step, lane);
    const struct winograd *w = call.w;
    const float *y = cpu_source(step->plan, w->y_value, lane->bindings);
    float *x = cpu_target(step->plan, w->x_value, lane->bindings);
    for (int64_t n = 0; n < w->samples; n += w->shape.chunk) {
        const int64_t samples = samples_from(w, n);
        for (int64_t i = 0; i < samples; i++) {
            winograd_image_from_y(&w->shape, &call.work, y + (n + i) * w->y_floats, i);
        }
        multiply(&call, TO_INPUT, samples, false);
        for (int64_t i = 0; i < samples; i++) {
            winograd_image_to_x(&w->shape, &call.work, i, x + (n + i) * w->x_floats);
        }
    }
    return CAM_OK;
}

static enum cam_code weight_launch(const struct cpu_step *step, const struct lane_call *lane,
                                   struct cam_err *err)
{
    (void)err;
    const struct winograd_call call = begin(step, lane);
    const struct winograd *w = call.w;
    const float *x = cpu_source(step->plan, w->x_value, lane->bindings);
    const float *y = cpu_source(step->plan, w->y_value, lane->bindings);
    for (int64_t n = 0; n < w->samples; n += w->shape.chunk) {
        const int64_t samples = samples_from(w, n);
        for (int64_t i = 0; i < samples; i++) {
            winograd_image_from_x(&w->shape, &call.work, x + (n + i) * w->x_floats, i);
            winograd_image_from_y(&w->shape, &call.work, y + (n + i) * w->y_floats, i);
        }
        multiply(&call, TO_WEIGHTS, samples, n > 0);
    }
    winograd_weights_to(w->kernel, call.weights,
                        cpu_target(step->plan, w->w_value, lane->bindings));
    return CAM_OK;
}

/* ---------------------------------------------------------------- compile */

static void winograd_destroy(struct cpu_step *step)
{
    cam_free(step->state);
}

static const struct step_class FORWARD_CLASS = {.launch = forward_launch,
                                                .destroy = winograd_destroy};
static const struct step_class INPUT_CLASS = {.launch = input_launch, .destroy = winograd_destroy};
static const struct step_class WEIGHT_CLASS = {.launch = weight_launch,
                                               .destroy = winograd_destroy};

static const struct step_class *class_of(enum op_kind op)
{
    if (op == OP_CONV2D) {
        return &FORWARD_CLASS;
    }
    return op == OP_CONV2D_GRAD_INPUT ? &INPUT_CLASS : &WEIGHT_CLASS;
}

static void describe(const struct cpu_step *step, struct winograd *w)
{
    const struct window *window = &step->step->attr.window;
    find_values(step->step, w);
    const struct shape *x = &step->plan->values[w->x_value].shape;
    const struct shape *y = &step->plan->values[w->y_value].shape;
    memcpy(w->kernel, step->plan->values[w->w_value].shape.dim, sizeof w->kernel);
    for (int a = 0; a < 2; a++) {
        w->shape.axis[a] = (struct winograd_axis){.x = x->dim[1 + a],
                                                  .y = y->dim[1 + a],
                                                  .stride = window->stride[a],
                                                  .before = window->pad_before[a]};
    }
    w->shape.channels = w->kernel[2];
    w->shape.outs = w->kernel[3];
    winograd_shape_complete(&w->shape);
    w->samples = x->dim[0];
    w->x_floats = x->dim[1] * x->dim[2] * x->dim[3];
    w->y_floats = y->dim[1] * y->dim[2] * y->dim[3];
    int64_t fitting = PLAN_POINTS_FLOATS / (w->shape.places * (w->shape.wide + w->shape.outs));
    w->shape.chunk = fitting < 1 ? 1 : fitting < w->samples ? fitting : w->samples;
}

enum cam_code winograd_step_create(struct executable *executable, struct cpu_step *step,
                                   struct cam_err *err)
{
    struct winograd *w = cam_alloc(1, sizeof *w);
    step->class = class_of(step->step->op);
    step->state = w;
    if (w == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: no memory to compile", step->step->path);
    }
    describe(step, w);
    w->executable = executable;
    w->multiply = panel_multiply();
    struct winograd_call call = {0};
    enum cam_code rc = CAM_OK;
    if (step->step->op != OP_CONV2D_GRAD_WEIGHT) {
        const struct pack_transform transform = {.run = step->step->op == OP_CONV2D
                                                            ? winograd_weights_from
                                                            : winograd_weights_from_crosswise,
                                                 .floats = winograd_weight_floats(w->kernel)};
        rc = pack_find_own(executable, w->w_value, &transform, step->step->path, &w->pack, err);
        if (rc != CAM_OK) {
            return rc;
        }
        call.weights = executable->packs[w->pack].data;
    }
    step->scratch_bytes = (size_t)lay_out(w, NULL, &call) * sizeof(float);
    return rc;
}
