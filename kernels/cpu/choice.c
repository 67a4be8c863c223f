/*
 * Choices: largest elements, and rows and pixels by index.  An index outside of what it indexes
 * means the nearest inside (what feeds indices checks them); sums meet in the order of the indices.
 */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* What a launch reads and writes. */
struct operands {
    const float *input[2];
    const struct shape *shape[2];
    float *out;
    const struct shape *out_shape;
    const struct op_attr *attr;
};

static struct operands operands_of(const struct cpu_step *step, const struct lane_call *call)
{
    const struct plan_step *plan_step = step->step;
    struct operands o = {.attr = &plan_step->attr};
    for (int i = 0; i < plan_step->input_count; i++) {
        o.input[i] = cpu_source(step->plan, plan_step->input[i], call->bindings);
        o.shape[i] = &step->plan->values[plan_step->input[i]].shape;
    }
    o.out = cpu_target(step->plan, plan_step->output, call->bindings);
    o.out_shape = &step->plan->values[plan_step->output].shape;
    return o;
}

static float largest_of(const float *row, int64_t count)
{
    enum { CHAINS = 16 };
    float chain[CHAINS];
    for (int k = 0; k < CHAINS; k++) {
        chain[k] = -INFINITY;
    }
    int64_t i = 0;
    for (; i + CHAINS <= count; i += CHAINS) {
        for (int k = 0; k < CHAINS; k++) {
            chain[k] = !(row[i + k] <= chain[k]) ? row[i + k] : chain[k];
        }
    }
    float most = -INFINITY;
    for (; i < count; i++) {
        most = !(row[i] <= most) ? row[i] : most;
    }
    for (int k = 0; k < CHAINS; k++) {
        most = !(chain[k] <= most) ? chain[k] : most;
    }
    return most;
}

/* Row by row of the innermost axis: into one number, or element by element. */
static enum cam_code reduce_max_launch(const struct cpu_step *step, const struct lane_call *call,
                                       struct cam_err *err)
{
    (void)err;
    const struct operands o = operands_of(step, call);
    const struct shape *in = o.shape[0];
    int64_t inner = in->rank > 0 ? in->dim[in->rank - 1] : 1;
    bool within = in->rank > 0 && (o.attr->axes >> (in->rank - 1) & 1u) != 0;
    int64_t rows = shape_count(in) / inner;
    int64_t stride[SHAPE_RANK_MAX];
    int64_t index[SHAPE_RANK_MAX] = {0};
    shape_strides(o.out_shape, stride);
    for (int64_t i = 0; i < shape_count(o.out_shape); i++) {
        o.out[i] = -INFINITY;
    }
    const float *row = o.input[0];
    for (int64_t r = 0; r < rows; r++, row += inner) {
        float *to = o.out;
        for (int d = 0; d + 1 < in->rank; d++) {
            to += (o.attr->axes >> d & 1u) != 0 ? 0 : index[d] * stride[d];
        }
        if (within) {
            float most = largest_of(row, inner);
            *to = !(most <= *to) ? most : *to;
        }
        for (int64_t i = 0; i < inner && !within; i++) {
            to[i] = !(row[i] <= to[i]) ? row[i] : to[i];
        }
        for (int d = in->rank - 2; d >= 0 && ++index[d] == in->dim[d]; d--) {
            index[d] = 0;
        }
    }
    return CAM_OK;
}

static inline int64_t place_of(float index, int64_t count)
{
    if (!(index > 0.0f)) {
        return 0;
    }
    return index < (float)count ? (int64_t)index : count - 1;
}

static enum cam_code gather_launch(const struct cpu_step *step, const struct lane_call *call,
                                   struct cam_err *err)
{
    (void)err;
    const struct operands o = operands_of(step, call);
    int64_t rows = o.shape[0]->dim[0];
    size_t width = (size_t)(shape_count(o.shape[0]) / rows);
    int64_t count = shape_count(o.shape[1]);
    for (int64_t i = 0; i < count; i++) {
        const float *row = o.input[0] + (size_t)place_of(o.input[1][i], rows) * width;
        memcpy(o.out + (size_t)i * width, row, width * sizeof *row);
    }
    return CAM_OK;
}

static enum cam_code scatter_add_launch(const struct cpu_step *step, const struct lane_call *call,
                                        struct cam_err *err)
{
    (void)err;
    const struct operands o = operands_of(step, call);
    int64_t rows = o.out_shape->dim[0];
    int64_t width = shape_count(o.out_shape) / rows;
    int64_t count = shape_count(o.shape[0]);
    memset(o.out, 0, (size_t)(rows * width) * sizeof *o.out);
    for (int64_t i = 0; i < count; i++) {
        float *to = o.out + place_of(o.input[0][i], rows) * width;
        const float *from = o.input[1] + i * width;
        for (int64_t k = 0; k < width; k++) {
            to[k] += from[k];
        }
    }
    return CAM_OK;
}

/* The part of a window along one axis that lies on the image: [first, end) of its taps. */
struct taps {
    int64_t first;
    int64_t end;
    int64_t at; /* the place on the image of tap 0 */
};

static struct taps taps_of(const struct window *window, int axis, int64_t place, int64_t size)
{
    struct taps t = {.at = place * window->stride[axis] - window->pad_before[axis]};
    t.first = t.at < 0 ? -t.at : 0;
    t.end = t.at + window->size[axis] > size ? size - t.at : window->size[axis];
    return t;
}

/* All channels of one pooled pixel; `most` holds their largest so far. */
static void pool_pixel(const struct operands *o, const float *image, const struct taps *h,
                       const struct taps *w, float *index)
{
    const int64_t width = o->shape[0]->dim[2];
    const int64_t channels = o->shape[0]->dim[3];
    for (int64_t c = 0; c < channels; c++) {
        float most = 0.0f;
        int64_t best = -1;
        for (int64_t y = h->first; y < h->end; y++) {
            for (int64_t x = w->first; x < w->end; x++) {
                int64_t at = (h->at + y) * width + w->at + x;
                float value = image[at * channels + c];
                if (best < 0 || value > most) {
                    most = value;
                    best = at;
                }
            }
        }
        index[c] = (float)best;
    }
}

static enum cam_code max_pool_index_launch(const struct cpu_step *step,
                                           const struct lane_call *call, struct cam_err *err)
{
    (void)err;
    const struct operands o = operands_of(step, call);
    const struct shape *in = o.shape[0];
    const struct shape *out = o.out_shape;
    float *index = o.out;
    for (int64_t n = 0; n < out->dim[0]; n++) {
        const float *image = o.input[0] + n * in->dim[1] * in->dim[2] * in->dim[3];
        for (int64_t y = 0; y < out->dim[1]; y++) {
            struct taps h = taps_of(&o.attr->window, 0, y, in->dim[1]);
            for (int64_t x = 0; x < out->dim[2]; x++, index += out->dim[3]) {
                struct taps w = taps_of(&o.attr->window, 1, x, in->dim[2]);
                pool_pixel(&o, image, &h, &w, index);
            }
        }
    }
    return CAM_OK;
}

static enum cam_code gather_pool_launch(const struct cpu_step *step, const struct lane_call *call,
                                        struct cam_err *err)
{
    (void)err;
    const struct operands o = operands_of(step, call);
    const struct shape *in = o.shape[0];
    int64_t channels = in->dim[3];
    int64_t pixels = in->dim[1] * in->dim[2];
    int64_t pooled = o.out_shape->dim[1] * o.out_shape->dim[2];
    for (int64_t i = 0; i < in->dim[0] * pooled; i++) {
        const float *image = o.input[0] + i / pooled * pixels * channels;
        for (int64_t c = 0; c < channels; c++) {
            int64_t at = place_of(o.input[1][i * channels + c], pixels);
            o.out[i * channels + c] = image[at * channels + c];
        }
    }
    return CAM_OK;
}

static enum cam_code scatter_pool_launch(const struct cpu_step *step, const struct lane_call *call,
                                         struct cam_err *err)
{
    (void)err;
    const struct operands o = operands_of(step, call);
    const struct shape *out = o.out_shape;
    int64_t channels = out->dim[3];
    int64_t pixels = out->dim[1] * out->dim[2];
    int64_t pooled = o.shape[0]->dim[1] * o.shape[0]->dim[2];
    memset(o.out, 0, (size_t)shape_count(out) * sizeof *o.out);
    for (int64_t i = 0; i < out->dim[0] * pooled; i++) {
        float *image = o.out + i / pooled * pixels * channels;
        for (int64_t c = 0; c < channels; c++) {
            int64_t at = place_of(o.input[1][i * channels + c], pixels);
            image[at * channels + c] += o.input[0][i * channels + c];
        }
    }
    return CAM_OK;
}

static const struct step_class CLASSES[OP_COUNT] = {
    [OP_REDUCE_MAX] = {.launch = reduce_max_launch},
    [OP_GATHER] = {.launch = gather_launch},
    [OP_SCATTER_ADD] = {.launch = scatter_add_launch},
    [OP_MAX_POOL_INDEX] = {.launch = max_pool_index_launch},
    [OP_GATHER_POOL] = {.launch = gather_pool_launch},
    [OP_SCATTER_POOL] = {.launch = scatter_pool_launch},
};

enum cam_code choice_step_create(struct cpu_step *step, struct cam_err *err)
{
    const struct step_class *class = &CLASSES[step->step->op];
    if (class->launch == NULL) {
        return cam_fail(err, CAM_INTERNAL, "%s: no CPU kernel for operator %d", step->step->path,
                        (int)step->step->op);
    }
    step->class = class;
    return CAM_OK;
}
