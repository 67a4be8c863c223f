/*
 * Convolution and its two gradients as oneDNN primitives.  Images stay in N,H,W,C; weights go into
 * the layout that the primitive asks for: parameters once an execution (pack.h), other weights and
 * weight gradients by a copy on either side of the primitive.
 *
 * The rule of layouts, from GFLOP/s of one thread at AVX2 (Sapphire Rapids, oneDNN 2.6.3, shards of
 * 16 to 64; `any | plain` weights):
 *   4x4 stride 2, 64 -> 128 at 14x14   forward 105 | 52   to input 104 | 88   to weights 92 | 61
 *   5x5, 128 -> 128 at 28x28           forward 116 | 67   to input 115 | 99   to weights 109 | 76
 *   4x4 stride 2, 1 -> 64 at 28x28     forward  98 | 54   to input  33 | 33   to weights 71 | 50
 *   5x5, 1 -> 128 at 28x28             forward 107 | 82   to input  12 | 48   to weights 79 | 70
 *   4x4 stride 2, 3 -> 64 at 64x64     forward 119 | 63   to input  56 | 56   to weights 72 | 63
 * So: what the primitive asks for, but plain weights for the gradient to an input of less than one
 * vector of channels.  Layers with one output channel are tap.c's.
 */
#include "kernels/cpu/dnn.h"
#include "kernels/cpu/pack.h"

#include "base/mem.h"

#include <string.h>

enum { ROLE_X, ROLE_W, ROLE_Y, ROLE_COUNT };
enum { VECTOR_CHANNELS = 8 };

/* Which argument of the operator each role is: 0 and 1 inputs, 2 the output. */
struct direction {
    int argument[ROLE_COUNT];
    int kind[ROLE_COUNT];
    dnnl_query_t query_weights;
    enum onednn_direction way;
};

static const struct direction DIRECTIONS[OP_COUNT] = {
    [OP_CONV2D] = {{0, 1, 2},
                   {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                   dnnl_query_weights_md,
                   ONEDNN_FORWARD},
    [OP_CONV2D_GRAD_INPUT] = {{2, 1, 0},
                              {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                              dnnl_query_weights_md,
                              ONEDNN_TO_INPUT},
    [OP_CONV2D_GRAD_WEIGHT] = {{0, 2, 1},
                               {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
                               dnnl_query_diff_weights_md,
                               ONEDNN_TO_WEIGHTS},
};

/* How the weights reach the primitive. */
enum weights_way { WEIGHTS_PLAIN, WEIGHTS_PACKED, WEIGHTS_COPIED };

struct conv {
    const struct direction *direction;
    struct dnn_call call; /* arguments: scratchpad, x, w, y */
    struct dnn_call copy; /* WEIGHTS_COPIED */
    enum weights_way way;
    int pack;
    struct executable *executable;
    size_t weights_bytes; /* in scratch, behind the scratchpads */
};

static int value_of(const struct plan_step *step, int argument)
{
    return argument == 2 ? step->output : step->input[argument];
}

static const struct shape *role_shape(const struct cpu_step *step, int role)
{
    const struct direction *direction = &DIRECTIONS[step->step->op];
    return &step->plan->values[value_of(step->step, direction->argument[role])].shape;
}

/* (N,H,W,C) in memory, N,C,H,W to oneDNN. */
static dnnl_status_t image_layout(const struct shape *shape, struct onednn_layout *out)
{
    const int64_t *d = shape->dim;
    const dnnl_dims_t dims = {d[0], d[3], d[1], d[2]};
    const dnnl_dims_t strides = {d[1] * d[2] * d[3], 1, d[2] * d[3], d[3]};
    return onednn_layout_strided(out, 4, dims, strides);
}

/* (KH,KW,I/groups,O) in memory, [groups,] O, I, KH, KW to oneDNN. */
static dnnl_status_t weight_layout(const struct shape *shape, int64_t groups, bool plain,
                                   struct onednn_layout *out)
{
    const int64_t *d = shape->dim;
    int64_t o = d[3] / groups;
    if (groups == 1) {
        const dnnl_dims_t dims = {o, d[2], d[0], d[1]};
        const dnnl_dims_t strides = {1, o, d[1] * d[2] * o, d[2] * o};
        return plain ? onednn_layout_strided(out, 4, dims, strides)
                     : onednn_layout_any(out, 4, dims);
    }
    const dnnl_dims_t dims = {groups, o, d[2], d[0], d[1]};
    const dnnl_dims_t strides = {o, 1, d[3], d[1] * d[2] * d[3], d[2] * d[3]};
    return plain ? onednn_layout_strided(out, 5, dims, strides) : onednn_layout_any(out, 5, dims);
}

/* The rule above. */
/* oneDNN 2.6.3's 1 x 1 kernels gather the places of a larger stride by whole vectors of channels:
 * of less than one vector they read what is not there, and answers differ from run to run. */
static bool gathers_part_of_a_vector(const struct cpu_step *step)
{
    const struct shape *w = role_shape(step, ROLE_W);
    const int64_t *stride = step->step->attr.window.stride;
    return w->dim[0] * w->dim[1] == 1 && stride[0] * stride[1] > 1 && w->dim[2] < VECTOR_CHANNELS;
}

static bool wants_plain(const struct cpu_step *step)
{
    return gathers_part_of_a_vector(step) || (step->step->op == OP_CONV2D_GRAD_INPUT &&
                                              role_shape(step, ROLE_W)->dim[2] < VECTOR_CHANNELS);
}

/* The convolution of a step, weights in the layout that the rule names. */
static dnnl_status_t convolution_of(const struct cpu_step *step, struct onednn_convolution *out)
{
    const struct window *w = &step->step->attr.window;
    *out = (struct onednn_convolution){
        .stride = {w->stride[0], w->stride[1]},
        .dilation = {w->dilation[0] - 1, w->dilation[1] - 1},
        .before = {w->pad_before[0], w->pad_before[1]},
        .after = {w->pad_after[0], w->pad_after[1]},
    };
    dnnl_status_t status = image_layout(role_shape(step, ROLE_X), &out->x);
    if (status == dnnl_success) {
        status = image_layout(role_shape(step, ROLE_Y), &out->y);
    }
    return status == dnnl_success
               ? weight_layout(role_shape(step, ROLE_W), w->groups, wants_plain(step), &out->w)
               : status;
}

/* The backward descriptions want the forward one as a hint. */
static dnnl_status_t primitive_describe(const struct direction *direction, dnnl_engine_t engine,
                                        const struct onednn_convolution *convolution,
                                        dnnl_primitive_desc_t *out)
{
    dnnl_primitive_desc_t hint = NULL;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success) {
        status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    }
    if (status == dnnl_success && direction->way != ONEDNN_FORWARD) {
        status =
            onednn_convolution_describe(&hint, engine, ONEDNN_FORWARD, convolution, NULL, NULL);
    }
    if (status == dnnl_success) {
        status =
            onednn_convolution_describe(out, engine, direction->way, convolution, attributes, hint);
    }
    if (hint != NULL) {
        dnnl_primitive_desc_destroy(hint);
    }
    if (attributes != NULL) {
        dnnl_primitive_attr_destroy(attributes);
    }
    return status;
}

/* Makes conv->call, weights in the layout that the primitive chose. */
static dnnl_status_t primitive_create(struct conv *conv, const struct cpu_step *step,
                                      dnnl_engine_t engine)
{
    const struct direction *direction = conv->direction;
    struct onednn_convolution convolution;
    struct onednn_layout weights = {0};
    dnnl_primitive_desc_t description = NULL;
    dnnl_status_t status = convolution_of(step, &convolution);
    if (status == dnnl_success) {
        status = primitive_describe(direction, engine, &convolution, &description);
    }
    if (status == dnnl_success) {
        status = onednn_layout_chosen(&weights, description, direction->query_weights);
    }
    if (status == dnnl_success) {
        status = dnn_call_create(&conv->call, description);
    }
    const struct onednn_layout *const layouts[ROLE_COUNT] = {&convolution.x, &weights,
                                                             &convolution.y};
    for (int role = 0; role < ROLE_COUNT && status == dnnl_success; role++) {
        status = dnn_call_argument(&conv->call, direction->kind[role], layouts[role]);
    }
    if (description != NULL) {
        dnnl_primitive_desc_destroy(description);
    }
    onednn_layout_release(&weights);
    onednn_convolution_release(&convolution);
    return status;
}

/* Decides how the weights get into the primitive's layout. */
static enum cam_code weights_create(struct conv *conv, struct cpu_step *step,
                                    const struct onednn_layout *plain, struct cam_err *err)
{
    dnnl_engine_t engine = conv->executable->instance->engine;
    const struct onednn_layout *wanted = &conv->call.layout[1 + ROLE_W];
    bool is_output = step->step->op == OP_CONV2D_GRAD_WEIGHT;
    int value = value_of(step->step, conv->direction->argument[ROLE_W]);
    conv->way = WEIGHTS_PLAIN;
    if (onednn_layout_equal(plain, wanted)) {
        return CAM_OK;
    }
    if (!is_output && step->plan->values[value].storage == STORAGE_PARAMETER) {
        conv->way = WEIGHTS_PACKED;
        return pack_find(conv->executable, value, plain, wanted, step->step->path, &conv->pack,
                         err);
    }
    conv->way = WEIGHTS_COPIED;
    conv->weights_bytes = cpu_align(onednn_layout_bytes(wanted));
    dnnl_status_t status = dnn_reorder_create(&conv->copy, engine, is_output ? wanted : plain,
                                              is_output ? plain : wanted);
    if (status != dnnl_success) {
        return dnn_fail(err, status, step->step->path, "weight copy");
    }
    return dnn_call_lanes(&conv->copy, engine, conv->executable->instance->options.lanes,
                          step->step->path, err);
}

/* Copies the weights between their value and the scratch; which way is in the primitive. */
static dnnl_status_t copy_weights(const struct conv *conv, const struct lane_call *call,
                                  const void *from, const void *to)
{
    const struct dnn_call *copy = &conv->copy;
    dnnl_status_t status = dnn_call_bind(copy, 0, call->lane, call->scratch, call->stream);
    if (status == dnnl_success) {
        status = dnn_call_bind(copy, 1, call->lane, from, call->stream);
    }
    if (status == dnnl_success) {
        status = dnn_call_bind(copy, 2, call->lane, to, call->stream);
    }
    return status == dnnl_success ? dnn_call_run(copy, call->lane, call->stream) : status;
}

/* Packed weights stay where they are: bound once, since binding may write a layout's padding, which
 * lanes share. */
static enum cam_code bind_pack(const struct conv *conv, const char *path, struct cam_err *err)
{
    const struct backend_instance *instance = conv->executable->instance;
    for (int lane = 0; lane < instance->options.lanes; lane++) {
        dnnl_status_t status =
            dnn_call_bind(&conv->call, 1 + ROLE_W, lane, conv->executable->packs[conv->pack].data,
                          instance->prepare_stream);
        if (status != dnnl_success) {
            return dnn_fail(err, status, path, "memory");
        }
    }
    return CAM_OK;
}

static enum cam_code conv_launch(const struct cpu_step *step, const struct lane_call *call,
                                 struct cam_err *err)
{
    const struct conv *conv = step->state;
    const struct plan_step *plan_step = step->step;
    const void *data[ROLE_COUNT];
    for (int role = 0; role < ROLE_COUNT; role++) {
        data[role] = cpu_source(step->plan, value_of(plan_step, conv->direction->argument[role]),
                                call->bindings);
    }
    const void *own_weights = data[ROLE_W];
    bool is_output = plan_step->op == OP_CONV2D_GRAD_WEIGHT;
    dnnl_status_t status = dnnl_success;
    if (conv->way == WEIGHTS_COPIED) {
        data[ROLE_W] = call->scratch + step->scratch_bytes - conv->weights_bytes;
        if (!is_output) {
            status = copy_weights(conv, call, own_weights, data[ROLE_W]);
        }
    }
    if (status == dnnl_success) {
        status = dnn_call_bind(&conv->call, 0, call->lane, call->scratch, call->stream);
    }
    for (int role = 0; role < ROLE_COUNT && status == dnnl_success; role++) {
        bool bound = role == ROLE_W && conv->way == WEIGHTS_PACKED;
        if (!bound) {
            status = dnn_call_bind(&conv->call, 1 + role, call->lane, data[role], call->stream);
        }
    }
    if (status == dnnl_success) {
        status = dnn_call_run(&conv->call, call->lane, call->stream);
    }
    if (status == dnnl_success && is_output && conv->way == WEIGHTS_COPIED) {
        status = copy_weights(conv, call, data[ROLE_W], own_weights);
    }
    return status == dnnl_success ? CAM_OK : dnn_fail(err, status, plan_step->path, "convolution");
}

static void conv_destroy(struct cpu_step *step)
{
    struct conv *conv = step->state;
    if (conv != NULL) {
        dnn_call_release(&conv->call);
        dnn_call_release(&conv->copy);
    }
    cam_free(conv);
}

static const struct step_class CONV_CLASS = {.launch = conv_launch, .destroy = conv_destroy};

enum cam_code conv_step_create(struct executable *executable, struct cpu_step *step,
                               struct cam_err *err)
{
    struct conv *conv = cam_alloc(1, sizeof *conv);
    step->class = &CONV_CLASS;
    step->state = conv;
    if (conv == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: no memory to compile", step->step->path);
    }
    dnnl_engine_t engine = executable->instance->engine;
    struct onednn_layout plain = {0};
    conv->executable = executable;
    conv->direction = &DIRECTIONS[step->step->op];
    dnnl_status_t status = primitive_create(conv, step, engine);
    if (status == dnnl_success) {
        status =
            weight_layout(role_shape(step, ROLE_W), step->step->attr.window.groups, true, &plain);
    }
    if (status != dnnl_success) {
        return dnn_fail(err, status, step->step->path, "convolution");
    }
    enum cam_code rc = weights_create(conv, step, &plain, err);
    onednn_layout_release(&plain);
    if (rc == CAM_OK) {
        rc = dnn_call_lanes(&conv->call, engine, executable->instance->options.lanes,
                            step->step->path, err);
    }
    if (rc == CAM_OK && conv->way == WEIGHTS_PACKED) {
        rc = bind_pack(conv, step->step->path, err);
    }
    size_t scratchpad = conv->call.scratchpad_bytes > conv->copy.scratchpad_bytes
                            ? conv->call.scratchpad_bytes
                            : conv->copy.scratchpad_bytes;
    step->scratch_bytes = scratchpad + conv->weights_bytes;
    return rc;
}
