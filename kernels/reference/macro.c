/*
 * The macro operators, written out on their own and not by way of their lowerings, so that each is
 * a check on the other.  Rows are gathered into doubles first; nothing here is meant to be fast.
 */
#include "kernels/reference/kernel.h"

#include <math.h>

/* The elements that one reduction over `axes` sees: of the tensor's `count` groups, number g. */
struct groups {
    struct shape kept;
    struct shape reduced;
    int64_t stride[SHAPE_RANK_MAX];
    int64_t count;
    int64_t size;
};

static struct groups groups_of(const struct shape *shape, uint32_t axes)
{
    struct groups g = {.kept = *shape, .reduced = *shape};
    for (int d = 0; d < shape->rank; d++) {
        ((axes >> d & 1u) != 0 ? &g.kept : &g.reduced)->dim[d] = 1;
    }
    shape_strides(shape, g.stride);
    g.count = shape_count(&g.kept);
    g.size = shape_count(&g.reduced);
    return g;
}

static int64_t place_of(const struct groups *g, int64_t group, int64_t i)
{
    int64_t outer[SHAPE_RANK_MAX];
    int64_t inner[SHAPE_RANK_MAX];
    reference_unravel(&g->kept, group, outer);
    reference_unravel(&g->reduced, i, inner);
    return reference_dot(outer, g->stride, g->kept.rank) +
           reference_dot(inner, g->stride, g->kept.rank);
}

struct moments {
    double mean;
    double scale;
};

static struct moments moments_of(const struct kernel_call *call, const struct groups *g,
                                 int64_t group)
{
    double sum = 0.0;
    double squares = 0.0;
    for (int64_t i = 0; i < g->size; i++) {
        sum += operand_get(&call->input[0], place_of(g, group, i));
    }
    double mean = sum / (double)g->size;
    for (int64_t i = 0; i < g->size; i++) {
        double distance = operand_get(&call->input[0], place_of(g, group, i)) - mean;
        squares += distance * distance;
    }
    return (struct moments){mean, 1.0 / sqrt(squares / (double)g->size + call->attr->value)};
}

void reference_standardize(const struct kernel_call *call)
{
    struct groups g = groups_of(&call->output.shape, call->attr->axes);
    for (int64_t group = 0; group < g.count; group++) {
        struct moments m = moments_of(call, &g, group);
        for (int64_t i = 0; i < g.size; i++) {
            int64_t at = place_of(&g, group, i);
            operand_set(&call->output, at, (operand_get(&call->input[0], at) - m.mean) * m.scale);
        }
    }
}

void reference_standardize_grad(const struct kernel_call *call)
{
    struct groups g = groups_of(&call->output.shape, call->attr->axes);
    for (int64_t group = 0; group < g.count; group++) {
        struct moments m = moments_of(call, &g, group);
        double sum = 0.0;
        double along = 0.0;
        for (int64_t i = 0; i < g.size; i++) {
            int64_t at = place_of(&g, group, i);
            double dy = operand_get(&call->input[1], at);
            sum += dy;
            along += dy * (operand_get(&call->input[0], at) - m.mean) * m.scale;
        }
        for (int64_t i = 0; i < g.size; i++) {
            int64_t at = place_of(&g, group, i);
            double y = (operand_get(&call->input[0], at) - m.mean) * m.scale;
            double dy = operand_get(&call->input[1], at);
            operand_set(&call->output, at, m.scale * (dy - (sum + y * along) / (double)g.size));
        }
    }
}

/* log(sum e^logit) of a row. */
static double log_total(const struct operand *logits, int64_t row, int64_t classes)
{
    double most = operand_get(logits, row * classes);
    double total = 0.0;
    for (int64_t c = 1; c < classes; c++) {
        most = fmax(most, operand_get(logits, row * classes + c));
    }
    for (int64_t c = 0; c < classes; c++) {
        total += exp(operand_get(logits, row * classes + c) - most);
    }
    return most + log(total);
}

static double target_of(const struct kernel_call *call, int64_t row, int64_t c, int64_t classes)
{
    double smoothing = call->attr->value;
    double hot = operand_get(&call->input[1], row) == (double)c ? 1.0 : 0.0;
    return hot * (1.0 - smoothing) + smoothing / (double)classes;
}

void reference_softmax_xent(const struct kernel_call *call)
{
    const struct operand *logits = &call->input[0];
    int64_t classes = logits->shape.dim[logits->shape.rank - 1];
    for (int64_t row = 0; row < shape_count(&call->output.shape); row++) {
        double total = log_total(logits, row, classes);
        double loss = 0.0;
        for (int64_t c = 0; c < classes; c++) {
            loss +=
                target_of(call, row, c, classes) * (total - operand_get(logits, row * classes + c));
        }
        operand_set(&call->output, row, loss);
    }
}

void reference_softmax_xent_grad(const struct kernel_call *call)
{
    const struct operand *logits = &call->input[0];
    int64_t classes = logits->shape.dim[logits->shape.rank - 1];
    for (int64_t row = 0; row < shape_count(&logits->shape) / classes; row++) {
        double total = log_total(logits, row, classes);
        for (int64_t c = 0; c < classes; c++) {
            int64_t at = row * classes + c;
            double probability = exp(operand_get(logits, at) - total);
            operand_set(&call->output, at,
                        (probability - target_of(call, row, c, classes)) *
                            operand_get(&call->input[2], row));
        }
    }
}

/* One query of one head: its weights over the keys are computed each time they are wanted. */
struct query {
    const struct kernel_call *call;
    struct shape qkv;
    int64_t sample;
    int64_t head;
    int64_t place;
    int64_t seen; /* keys */
    double most;
    double total;
};

static int64_t qkv_place(const struct query *q, int64_t place, int which, int64_t d)
{
    const struct shape *s = &q->qkv;
    return (((q->sample * s->dim[1] + place) * 3 + which) * s->dim[3] + q->head) * s->dim[4] + d;
}

static int64_t out_place(const struct query *q, int64_t place, int64_t d)
{
    const struct shape *s = &q->qkv;
    return ((q->sample * s->dim[1] + place) * s->dim[3] + q->head) * s->dim[4] + d;
}

static double dot(const struct query *q, int64_t key)
{
    double sum = 0.0;
    for (int64_t d = 0; d < q->qkv.dim[4]; d++) {
        sum += operand_get(&q->call->input[0], qkv_place(q, q->place, 0, d)) *
               operand_get(&q->call->input[0], qkv_place(q, key, 1, d));
    }
    return sum * q->call->attr->value;
}

/* Takes the keys that the query sees: the first ones, in every case. */
static void query_begin(struct query *q, const struct operand *lengths)
{
    q->seen = q->qkv.dim[1];
    if (lengths != NULL) {
        double length = operand_get(lengths, q->sample);
        q->seen = length < (double)q->seen ? (int64_t)ceil(length) : q->seen;
    }
    if (q->call->attr->causal && q->seen > q->place + 1) {
        q->seen = q->place + 1;
    }
    q->most = dot(q, 0);
    for (int64_t key = 1; key < q->seen; key++) {
        q->most = fmax(q->most, dot(q, key));
    }
    q->total = 0.0;
    for (int64_t key = 0; key < q->seen; key++) {
        q->total += exp(dot(q, key) - q->most);
    }
}

static double weight(const struct query *q, int64_t key)
{
    return exp(dot(q, key) - q->most) / q->total;
}

static void attend(struct query *q)
{
    for (int64_t d = 0; d < q->qkv.dim[4]; d++) {
        double sum = 0.0;
        for (int64_t key = 0; key < q->seen; key++) {
            sum += weight(q, key) * operand_get(&q->call->input[0], qkv_place(q, key, 2, d));
        }
        operand_set(&q->call->output, out_place(q, q->place, d), sum);
    }
}

static void add_to(const struct operand *out, int64_t at, double value)
{
    operand_set(out, at, operand_get(out, at) + value);
}

/* dP of one key: what arrives at its weight. */
static double d_weight(const struct query *q, int64_t key)
{
    double sum = 0.0;
    for (int64_t d = 0; d < q->qkv.dim[4]; d++) {
        sum += operand_get(&q->call->input[1], out_place(q, q->place, d)) *
               operand_get(&q->call->input[0], qkv_place(q, key, 2, d));
    }
    return sum;
}

static void attend_backwards(struct query *q)
{
    const struct operand *qkv = &q->call->input[0];
    const struct operand *out = &q->call->output;
    double along = 0.0;
    for (int64_t key = 0; key < q->seen; key++) {
        along += weight(q, key) * d_weight(q, key);
    }
    for (int64_t key = 0; key < q->seen; key++) {
        double p = weight(q, key);
        double ds = p * (d_weight(q, key) - along) * q->call->attr->value;
        for (int64_t d = 0; d < q->qkv.dim[4]; d++) {
            add_to(out, qkv_place(q, q->place, 0, d),
                   ds * operand_get(qkv, qkv_place(q, key, 1, d)));
            add_to(out, qkv_place(q, key, 1, d),
                   ds * operand_get(qkv, qkv_place(q, q->place, 0, d)));
            add_to(out, qkv_place(q, key, 2, d),
                   p * operand_get(&q->call->input[1], out_place(q, q->place, d)));
        }
    }
}

static void each_query(const struct kernel_call *call, const struct operand *lengths,
                       void (*visit)(struct query *q))
{
    struct query q = {.call = call, .qkv = call->input[0].shape};
    for (q.sample = 0; q.sample < q.qkv.dim[0]; q.sample++) {
        for (q.head = 0; q.head < q.qkv.dim[3]; q.head++) {
            for (q.place = 0; q.place < q.qkv.dim[1]; q.place++) {
                query_begin(&q, lengths);
                visit(&q);
            }
        }
    }
}

void reference_attention(const struct kernel_call *call)
{
    each_query(call, call->input_count == 2 ? &call->input[1] : NULL, attend);
}

void reference_attention_grad(const struct kernel_call *call)
{
    for (int64_t i = 0; i < shape_count(&call->output.shape); i++) {
        operand_set(&call->output, i, 0.0);
    }
    each_query(call, call->input_count == 3 ? &call->input[2] : NULL, attend_backwards);
}
