/*
 * Scaled dot-product attention (Vaswani 2017, eq. 1) over queries, keys and values that come in one
 * tensor, as the projection makes them.  The lowering holds (B,H,T,T); a backend's kernel never
 * does.
 */
#include "model/graph/op_rules.h"

#include <string.h>

/* Not seen: far below any logit, and finite, so that a row of nothing but these is uniform. */
#define MASKED (-1e30)

enum cam_code op_attention_infer(const struct node *inputs[], int input_count,
                                 const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)attr;
    const struct shape *qkv = &inputs[0]->shape;
    if (input_count > 2 || qkv->rank != 5 || qkv->dim[2] != 3) {
        char found[96];
        return cam_fail(err, CAM_INVALID, "attention takes (B,T,3,H,D), found %s",
                        shape_text(qkv, found, sizeof found));
    }
    if (input_count == 2 &&
        (inputs[1]->shape.rank != 1 || inputs[1]->shape.dim[0] != qkv->dim[0])) {
        char found[96];
        return cam_fail(err, CAM_INVALID, "attention takes a length a sample, found %s",
                        shape_text(&inputs[1]->shape, found, sizeof found));
    }
    *out = (struct shape){.rank = 4, .dim = {qkv->dim[0], qkv->dim[1], qkv->dim[3], qkv->dim[4]}};
    return CAM_OK;
}

enum cam_code op_attention_grad_infer(const struct node *inputs[], int input_count,
                                      const struct op_attr *attr, struct shape *out,
                                      struct cam_err *err)
{
    struct shape expected;
    const struct node *forward[] = {inputs[0], inputs[input_count - 1]};
    if (input_count < 2 || input_count > 3) {
        return cam_fail(err, CAM_INTERNAL, "the gradient of attention got %d inputs", input_count);
    }
    enum cam_code rc = op_attention_infer(forward, input_count - 1, attr, &expected, err);
    if (rc == CAM_OK && !shape_equal(&expected, &inputs[1]->shape)) {
        return cam_fail(err, CAM_INTERNAL, "the gradient of attention has another shape");
    }
    *out = inputs[0]->shape;
    return rc;
}

void op_attention_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    const int inputs[] = {self->input[0], dy, self->input[1]};
    d_inputs[0] =
        dy < 0 ? NODE_NONE
               : graph_append(graph, OP_ATTENTION_GRAD, inputs, self->input_count + 1, &self->attr);
}

/* Scores and values of every head; (B,H,T,...). */
struct heads {
    struct shape qkv;
    int query;
    int key;
    int value;
    int weights; /* softmax of the scores (B,H,T,T) */
};

/* (B,T,H,D) <-> (B,H,T,D) */
static int swap_places(struct graph *graph, int node)
{
    return graph_permute(graph, node, (int[]){0, 2, 1, 3});
}

static int third_of(struct graph *graph, const struct heads *heads, int qkv, int which)
{
    const int64_t start[SHAPE_RANK_MAX] = {0, 0, which};
    struct shape part = heads->qkv;
    part.dim[2] = 1;
    const struct shape flat = {.rank = 4,
                               .dim = {part.dim[0], part.dim[1], part.dim[3], part.dim[4]}};
    int slice = graph_slice(graph, qkv, start, &part);
    return swap_places(graph, graph_reshape(graph, slice, &flat));
}

static int mask(struct graph *graph, int scores, const struct shape *shape, bool causal,
                int lengths)
{
    int hidden = graph_constant(graph, MASKED, shape);
    int keys = graph_iota(graph, shape, 3);
    if (causal) {
        int later = graph_binary(graph, OP_GREATER, keys, graph_iota(graph, shape, 2));
        scores = graph_select(graph, later, hidden, scores);
    }
    if (lengths >= 0) {
        const struct shape column = {.rank = 4, .dim = {shape->dim[0], 1, 1, 1}};
        int length = graph_broadcast(graph, graph_reshape(graph, lengths, &column), shape);
        int seen = graph_binary(graph, OP_GREATER, length, keys);
        scores = graph_select(graph, seen, scores, hidden);
    }
    return scores;
}

static struct heads heads_of(struct graph *graph, const struct op_attr *attr, int qkv, int lengths)
{
    struct heads h = {.weights = NODE_NONE};
    if (qkv < 0) {
        return h;
    }
    h.qkv = graph_node(graph, qkv)->shape;
    h.query = third_of(graph, &h, qkv, 0);
    h.key = third_of(graph, &h, qkv, 1);
    h.value = third_of(graph, &h, qkv, 2);
    const struct shape scores = {.rank = 4,
                                 .dim = {h.qkv.dim[0], h.qkv.dim[3], h.qkv.dim[1], h.qkv.dim[1]}};
    int logits = graph_scale(graph, graph_matmul(graph, h.query, h.key, false, true), attr->value);
    logits = mask(graph, logits, &scores, attr->causal, lengths);
    int largest = graph_unary(graph, OP_STOP_GRADIENT, graph_reduce_max(graph, logits, 8));
    int powers = graph_unary(graph, OP_EXP, graph_binary(graph, OP_SUB, logits, largest));
    h.weights = graph_binary(graph, OP_DIV, powers, graph_sum(graph, powers, 8));
    return h;
}

int op_attention_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    int lengths = node->input_count == 2 ? inputs[1] : NODE_NONE;
    struct heads h = heads_of(graph, &node->attr, inputs[0], lengths);
    return swap_places(graph, graph_matmul(graph, h.weights, h.value, false, false));
}

/* With P the weights and O = P V:  dV = P' dO, dP = dO V', dS = P (dP - rowsum(dP P)), dQ = s dS K,
 * dK = s dS' Q. */
int op_attention_grad_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    int lengths = node->input_count == 3 ? inputs[2] : NODE_NONE;
    struct heads h = heads_of(graph, &node->attr, inputs[0], lengths);
    int dy = swap_places(graph, inputs[1]);
    int d_weights = graph_matmul(graph, dy, h.value, false, true);
    int along = graph_sum(graph, graph_binary(graph, OP_MUL, d_weights, h.weights), 8);
    int d_scores =
        graph_binary(graph, OP_MUL, h.weights, graph_binary(graph, OP_SUB, d_weights, along));
    d_scores = graph_scale(graph, d_scores, node->attr.value);
    int parts[3] = {
        graph_matmul(graph, d_scores, h.key, false, false),
        graph_matmul(graph, d_scores, h.query, true, false),
        graph_matmul(graph, h.weights, dy, true, false),
    };
    struct shape third = h.qkv;
    third.dim[2] = 1;
    for (int i = 0; i < 3; i++) {
        parts[i] = graph_reshape(graph, swap_places(graph, parts[i]), &third);
    }
    return graph_concat(graph, parts, 3, 2);
}

/* Queries by keys, and weights by values; twice and a half of it backwards. */
static int64_t scores_flops(const struct shape *qkv)
{
    return 2 * qkv->dim[0] * qkv->dim[1] * qkv->dim[1] * qkv->dim[3] * qkv->dim[4];
}

int64_t op_attention_flops(const struct node *node, const struct node *inputs[])
{
    (void)node;
    return 2 * scores_flops(&inputs[0]->shape);
}

int64_t op_attention_grad_flops(const struct node *node, const struct node *inputs[])
{
    (void)node;
    return 5 * scores_flops(&inputs[0]->shape);
}
