/*
 * Macro operators over rows: normalisation and softmax cross-entropy.  What each is, is its
 * lowering; its gradient is a macro too, whose lowering is the closed form.
 */
#include "model/graph/op_rules.h"

static int shape_like(struct graph *graph, int node, double value)
{
    return graph_constant(graph, value, &graph_node(graph, node)->shape);
}

static int mul(struct graph *graph, int a, int b)
{
    return graph_binary(graph, OP_MUL, a, b);
}

static int sub(struct graph *graph, int a, int b)
{
    return graph_binary(graph, OP_SUB, a, b);
}

/* The value less its mean, and 1 / sqrt(variance + epsilon); the variance is the biased one. */
struct standard {
    int centred;
    int scale;
};

/*
 * Over rows of a batch (axis 0 among the axes) the variance is E[x^2] - mean^2: one pass over the
 * activations, and the two sums are those that running statistics want (batch_norm.c).  Within a
 * sample it is E[(x - mean)^2], which is exact and costs nothing where the sample is in cache.
 */
static struct standard standard_of(struct graph *graph, int x, uint32_t axes, double epsilon)
{
    int mean = graph_mean(graph, x, axes);
    struct standard out = {.centred = sub(graph, x, mean)};
    int variance = (axes & 1u) != 0 ? sub(graph, graph_mean(graph, mul(graph, x, x), axes),
                                          mul(graph, mean, mean))
                                    : graph_mean(graph, mul(graph, out.centred, out.centred), axes);
    if (variance >= 0 && (axes & 1u) != 0) {
        /* Rounding may leave a little less than nothing. */
        variance = graph_binary(graph, OP_MAX, variance, shape_like(graph, variance, 0.0));
    }
    int deviation = graph_unary(graph, OP_SQRT, graph_offset(graph, variance, epsilon));
    if (deviation >= 0) {
        out.scale = graph_binary(graph, OP_DIV, shape_like(graph, deviation, 1.0), deviation);
    }
    return out;
}

enum cam_code op_standardize_infer(const struct node *inputs[], int input_count,
                                   const struct op_attr *attr, struct shape *out,
                                   struct cam_err *err)
{
    *out = inputs[0]->shape;
    if (attr->axes == 0 || attr->axes >> out->rank != 0 || !(attr->value > 0.0)) {
        return cam_fail(err, CAM_INTERNAL, "standardize over axes 0x%x of rank %d, epsilon %g",
                        (unsigned)attr->axes, out->rank, attr->value);
    }
    if (input_count == 2 && !shape_equal(out, &inputs[1]->shape)) {
        return cam_fail(err, CAM_INTERNAL, "the gradient of standardize has another shape");
    }
    return CAM_OK;
}

void op_standardize_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    d_inputs[0] = dy < 0 ? NODE_NONE
                         : graph_append(graph, OP_STANDARDIZE_GRAD, (int[]){self->input[0], dy}, 2,
                                        &self->attr);
}

int op_standardize_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    struct standard s = standard_of(graph, inputs[0], node->attr.axes, node->attr.value);
    return mul(graph, s.centred, s.scale);
}

/* With y the standardized x: dx = scale (dy - mean(dy) - y mean(dy y)). */
int op_standardize_grad_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    uint32_t axes = node->attr.axes;
    int dy = inputs[1];
    struct standard s = standard_of(graph, inputs[0], axes, node->attr.value);
    int y = mul(graph, s.centred, s.scale);
    int along = mul(graph, y, graph_mean(graph, mul(graph, dy, y), axes));
    int rest = sub(graph, sub(graph, dy, graph_mean(graph, dy, axes)), along);
    return mul(graph, rest, s.scale);
}

enum cam_code op_softmax_xent_infer(const struct node *inputs[], int input_count,
                                    const struct op_attr *attr, struct shape *out,
                                    struct cam_err *err)
{
    const struct shape *logits = &inputs[0]->shape;
    struct shape rows = *logits;
    rows.rank--;
    if (logits->rank < 1 || attr->value < 0.0 || attr->value >= 1.0 ||
        !shape_equal(&rows, &inputs[1]->shape)) {
        char found[96];
        char other[96];
        return cam_fail(err, CAM_INVALID, "logits of shape %s do not fit labels of shape %s",
                        shape_text(logits, found, sizeof found),
                        shape_text(&inputs[1]->shape, other, sizeof other));
    }
    *out = *logits;
    out->dim[out->rank - 1] = 1;
    if (input_count == 3) {
        if (!shape_equal(out, &inputs[2]->shape)) {
            return cam_fail(err, CAM_INTERNAL, "the gradient of softmax_xent has another shape");
        }
        *out = *logits;
    }
    return CAM_OK;
}

void op_softmax_xent_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    const int inputs[] = {self->input[0], self->input[1], dy};
    d_inputs[0] =
        dy < 0 ? NODE_NONE : graph_append(graph, OP_SOFTMAX_XENT_GRAD, inputs, 3, &self->attr);
}

/* Rows of logits made ready: less their largest, which changes no result and no derivative. */
struct softmax {
    uint32_t axis;
    int64_t classes;
    int logits; /* less the largest */
    int powers; /* e^logits */
    int total;  /* of the powers */
    int target; /* what each class should be: the label's row, smoothed */
};

static struct softmax softmax_of(struct graph *graph, const struct node *node, const int *inputs)
{
    struct softmax s = {.logits = NODE_NONE};
    if (inputs[0] < 0 || inputs[1] < 0) {
        return s;
    }
    const struct shape shape = graph_node(graph, inputs[0])->shape;
    struct shape column = shape;
    column.dim[shape.rank - 1] = 1;
    s.axis = 1u << (shape.rank - 1);
    s.classes = shape.dim[shape.rank - 1];
    int largest = graph_unary(graph, OP_STOP_GRADIENT, graph_reduce_max(graph, inputs[0], s.axis));
    s.logits = sub(graph, inputs[0], largest);
    s.powers = graph_unary(graph, OP_EXP, s.logits);
    s.total = graph_sum(graph, s.powers, s.axis);
    int label = graph_reshape(graph, inputs[1], &column);
    int hot = graph_binary(graph, OP_EQUAL, graph_iota(graph, &shape, shape.rank - 1), label);
    double smoothing = node->attr.value;
    s.target = smoothing == 0.0 ? hot
                                : graph_offset(graph, graph_scale(graph, hot, 1.0 - smoothing),
                                               smoothing / (double)s.classes);
    return s;
}

/* log(sum of powers) - sum(target logit): the targets of a row add up to 1. */
int op_softmax_xent_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    struct softmax s = softmax_of(graph, node, inputs);
    int expected = graph_sum(graph, mul(graph, s.target, s.logits), s.axis);
    return sub(graph, graph_unary(graph, OP_LOG, s.total), expected);
}

int op_softmax_xent_grad_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    struct softmax s = softmax_of(graph, node, inputs);
    int probability = graph_binary(graph, OP_DIV, s.powers, s.total);
    return mul(graph, sub(graph, probability, s.target), inputs[2]);
}
