#include "tests/bench/bare_form.h"

#include <string.h>

enum { ROLE_X, ROLE_W, ROLE_Y, ROLES };

/* By operator: the step's value of each role (2: its output), what the library calls it. */
struct direction {
    enum onednn_direction way;
    int argument[ROLES];
    int kind[ROLES];
    dnnl_query_t query[ROLES];
};

static const struct direction FORWARD = {
    ONEDNN_FORWARD,
    {0, 1, 2},
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
    {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
};
static const struct direction TO_INPUT = {
    ONEDNN_TO_INPUT,
    {2, 1, 0},
    {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
    {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
};
static const struct direction TO_WEIGHTS = {
    ONEDNN_TO_WEIGHTS,
    {0, 2, 1},
    {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
    {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md},
};

static const struct direction *direction_of(enum op_kind op)
{
    if (op == OP_CONV2D) {
        return &FORWARD;
    }
    return op == OP_CONV2D_GRAD_INPUT ? &TO_INPUT : &TO_WEIGHTS;
}

enum layout { LAYOUT_ANY, LAYOUT_CHANNELS_LAST, LAYOUT_CHANNELS_FIRST };

static const struct {
    const char *name;
    enum layout image;
    bool packed;
} CONV_FORMS[] = {
    {"any", LAYOUT_ANY, true},
    {"nhwc", LAYOUT_CHANNELS_LAST, true},
    {"nhwc, plain weights", LAYOUT_CHANNELS_LAST, false},
    {"nchw", LAYOUT_CHANNELS_FIRST, true},
    {"nchw, plain weights", LAYOUT_CHANNELS_FIRST, false},
};

static const char *const MATMUL_FORMS[] = {"sgemm", "matmul", "matmul, packed"};

const char *bare_conv_form(int form)
{
    size_t index = (size_t)form;
    return index < sizeof CONV_FORMS / sizeof CONV_FORMS[0] ? CONV_FORMS[index].name : NULL;
}

const char *bare_matmul_form(int form)
{
    size_t index = (size_t)form;
    return index < sizeof MATMUL_FORMS / sizeof MATMUL_FORMS[0] ? MATMUL_FORMS[index] : NULL;
}

static dnnl_status_t image_layout(const struct shape *shape, enum layout layout,
                                  struct onednn_layout *out)
{
    const int64_t *d = shape->dim; /* N, H, W, C */
    const dnnl_dims_t dims = {d[0], d[3], d[1], d[2]};
    const dnnl_dims_t last = {d[1] * d[2] * d[3], 1, d[2] * d[3], d[3]};
    const dnnl_dims_t first = {d[1] * d[2] * d[3], d[1] * d[2], d[2], 1};
    if (layout == LAYOUT_ANY) {
        return onednn_layout_any(out, 4, dims);
    }
    return onednn_layout_strided(out, 4, dims, layout == LAYOUT_CHANNELS_LAST ? last : first);
}

static dnnl_status_t weight_layout(const struct shape *shape, int64_t groups, bool packed,
                                   struct onednn_layout *out)
{
    const int64_t *d = shape->dim; /* KH, KW, I/groups, O */
    int64_t o = d[3] / groups;
    const dnnl_dims_t dims = {groups, o, d[2], d[0], d[1]};
    const dnnl_dims_t strides = {o, 1, d[3], d[1] * d[2] * d[3], d[2] * d[3]};
    int first = groups == 1 ? 1 : 0;
    return packed ? onednn_layout_any(out, 5 - first, dims + first)
                  : onednn_layout_strided(out, 5 - first, dims + first, strides + first);
}

static const struct shape *role_shape(const struct plan *plan, const struct plan_step *step,
                                      int role)
{
    int argument = direction_of(step->op)->argument[role];
    return &plan->values[argument == 2 ? step->output : step->input[argument]].shape;
}

static dnnl_status_t convolution_of(const struct plan *plan, const struct plan_step *step, int form,
                                    struct onednn_convolution *out)
{
    const struct window *w = &step->attr.window;
    *out = (struct onednn_convolution){
        .stride = {w->stride[0], w->stride[1]},
        .dilation = {w->dilation[0] - 1, w->dilation[1] - 1},
        .before = {w->pad_before[0], w->pad_before[1]},
        .after = {w->pad_after[0], w->pad_after[1]},
    };
    enum layout image = CONV_FORMS[form].image;
    dnnl_status_t status = image_layout(role_shape(plan, step, ROLE_X), image, &out->x);
    if (status == dnnl_success) {
        status = image_layout(role_shape(plan, step, ROLE_Y), image, &out->y);
    }
    return status == dnnl_success ? weight_layout(role_shape(plan, step, ROLE_W), w->groups,
                                                  CONV_FORMS[form].packed, &out->w)
                                  : status;
}

/* The library's loops for whatever it has no kernel of: a hundred times slower. */
static bool is_reference(const_dnnl_primitive_desc_t description)
{
    const char *name = NULL;
    return dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, (void *)&name) ==
               dnnl_success &&
           name != NULL && strstr(name, "ref") != NULL;
}

/* The primitive of a description, with the layouts that it chose for what the queries name. */
static dnnl_status_t call_of(const_dnnl_primitive_desc_t description, const int kind[3],
                             const dnnl_query_t query[3], struct dnn_call *call)
{
    if (is_reference(description)) {
        return dnnl_unimplemented;
    }
    dnnl_status_t status = dnn_call_create(call, description);
    for (int i = 0; i < 3 && status == dnnl_success; i++) {
        struct onednn_layout chosen = {0};
        status = onednn_layout_chosen(&chosen, description, query[i]);
        if (status == dnnl_success) {
            status = dnn_call_argument(call, kind[i], &chosen);
        }
        onednn_layout_release(&chosen);
    }
    return status;
}

static dnnl_status_t user_scratchpad(dnnl_primitive_attr_t *out)
{
    dnnl_status_t status = dnnl_primitive_attr_create(out);
    return status == dnnl_success
               ? dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user)
               : status;
}

dnnl_status_t bare_conv_create(const struct plan *plan, const struct plan_step *step, int form,
                               dnnl_engine_t engine, struct dnn_call *call)
{
    const struct direction *direction = direction_of(step->op);
    struct onednn_convolution convolution = {0};
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_status_t status = convolution_of(plan, step, form, &convolution);
    if (status == dnnl_success) {
        status = user_scratchpad(&attributes);
    }
    if (status == dnnl_success && direction->way != ONEDNN_FORWARD) {
        status =
            onednn_convolution_describe(&hint, engine, ONEDNN_FORWARD, &convolution, NULL, NULL);
    }
    if (status == dnnl_success) {
        status = onednn_convolution_describe(&description, engine, direction->way, &convolution,
                                             attributes, hint);
    }
    if (status == dnnl_success) {
        status = call_of(description, direction->kind, direction->query, call);
    }
    dnnl_primitive_desc_destroy(description);
    dnnl_primitive_desc_destroy(hint);
    dnnl_primitive_attr_destroy(attributes);
    onednn_convolution_release(&convolution);
    return status;
}

static dnnl_status_t matrix_layout(const struct bare_matmul *p, int64_t rows, int64_t columns,
                                   bool transposed, struct onednn_layout *out)
{
    const dnnl_dims_t dims = {p->count, rows, columns};
    const dnnl_dims_t plain = {rows * columns, columns, 1};
    const dnnl_dims_t turned = {rows * columns, 1, rows};
    int first = p->count == 1 ? 1 : 0;
    return onednn_layout_strided(out, 3 - first, dims + first,
                                 (transposed ? turned : plain) + first);
}

static dnnl_status_t matmul_describe(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                     const struct onednn_layout layouts[3],
                                     const_dnnl_primitive_attr_t attributes)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_matmul_primitive_desc_create(out, engine, layouts[0].own, layouts[1].own, NULL,
                                             layouts[2].own, attributes);
#else
    dnnl_matmul_desc_t operator;
    dnnl_status_t status =
        dnnl_matmul_desc_init(&operator, & layouts[0].own, &layouts[1].own, NULL, &layouts[2].own);
    return status == dnnl_success
               ? dnnl_primitive_desc_create(out, &operator, attributes, engine, NULL)
               : status;
#endif
}

dnnl_status_t bare_matmul_create(const struct bare_matmul *p, int form, dnnl_engine_t engine,
                                 struct dnn_call *call)
{
    static const int KINDS[3] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
    static const dnnl_query_t QUERIES[3] = {dnnl_query_src_md, dnnl_query_weights_md,
                                            dnnl_query_dst_md};
    const dnnl_dims_t right = {p->count, p->k, p->n};
    int first = p->count == 1 ? 1 : 0;
    struct onednn_layout layouts[3] = {0};
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_status_t status = matrix_layout(p, p->m, p->k, p->transpose_a, &layouts[0]);
    if (status == dnnl_success) {
        status = form == 2 ? onednn_layout_any(&layouts[1], 3 - first, right + first)
                           : matrix_layout(p, p->k, p->n, p->transpose_b, &layouts[1]);
    }
    if (status == dnnl_success) {
        status = matrix_layout(p, p->m, p->n, false, &layouts[2]);
    }
    if (status == dnnl_success) {
        status = user_scratchpad(&attributes);
    }
    if (status == dnnl_success) {
        status = matmul_describe(&description, engine, layouts, attributes);
    }
    if (status == dnnl_success) {
        status = call_of(description, KINDS, QUERIES, call);
    }
    dnnl_primitive_desc_destroy(description);
    dnnl_primitive_attr_destroy(attributes);
    for (int i = 0; i < 3; i++) {
        onednn_layout_release(&layouts[i]);
    }
    return status;
}

static int attention_products(const struct shape *qkv, bool gradient, struct bare_matmul *out)
{
    int64_t heads = qkv->dim[0] * qkv->dim[3];
    int64_t t = qkv->dim[1];
    int64_t d = qkv->dim[4];
    const struct bare_matmul scores = {1, heads, t, t, d, false, true};  /* also dy values' */
    const struct bare_matmul values = {1, heads, t, d, t, false, false}; /* also to the queries */
    const struct bare_matmul to_keys = {1, heads, t, d, t, true, false}; /* also to the values */
    out[0] = scores;
    out[1] = values;
    if (!gradient) {
        return 2;
    }
    out[2] = scores;
    out[3] = to_keys;
    out[4] = to_keys;
    return 5;
}

/* w (H, gates); sequence (T,B,...).  The first time step has nothing before it. */
static int recurrent_products(const struct shape *sequence, const struct shape *w, bool gradient,
                              struct bare_matmul *out)
{
    *out = (struct bare_matmul){.times = sequence->dim[0] - 1,
                                .count = 1,
                                .m = sequence->dim[1],
                                .n = w->dim[gradient ? 0 : 1],
                                .k = w->dim[gradient ? 1 : 0],
                                .transpose_b = gradient};
    return out->times > 0 ? 1 : 0;
}

int bare_matmuls_of(const struct plan *plan, const struct plan_step *step,
                    struct bare_matmul out[BARE_MATMULS_MAX])
{
    const struct shape *a = &plan->values[step->input[0]].shape;
    const struct shape *c = &plan->values[step->output].shape;
    int row = c->rank - 2;
    switch ((int)step->op) {
    case OP_MATMUL:
        out[0] = (struct bare_matmul){
            .times = 1,
            .count = shape_count(c) / (c->dim[row] * c->dim[row + 1]),
            .m = c->dim[row],
            .n = c->dim[row + 1],
            .k = a->dim[step->attr.transpose_a ? row : row + 1],
            .transpose_a = step->attr.transpose_a,
            .transpose_b = step->attr.transpose_b,
        };
        return 1;
    case OP_ATTENTION:
    case OP_ATTENTION_GRAD:
        return attention_products(a, step->op == OP_ATTENTION_GRAD, out);
    case OP_LSTM:
    case OP_GRU:
        return recurrent_products(a, &plan->values[step->input[1]].shape, false, out);
    case OP_LSTM_GRAD:
    case OP_GRU_GRAD:
        return recurrent_products(a, &plan->values[step->input[1]].shape, true, out);
    default:
        return 0;
    }
}
