/*
 * Recurrent macros over a sequence (T,B,...), from a hidden state of zeros.  The inputs' part of
 * the gates is one matrix product over T * B before them, so only the hidden state's part is here.
 *
 *   LSTM (Hochreiter 1997, with PyTorch's gate order)   i, f, o = sigmoid, g = tanh of x + h w
 *     c = f c + i g,  h = o tanh(c);  output [h | c | i | f | g | o]
 *   GRU (Cho 2014; the reset gate behind the product, as PyTorch and cuDNN)
 *     r, z = sigmoid(x + h w),  n = tanh(x + r (h w + b)),  h = (1 - z) n + z h
 *     output [h | r | z | n | h w + b of n]
 *
 * The output carries what the gradient needs; a layer reads its first part only (graph_lstm).  The
 * gradient macros give what arrives at the gates, before their activations: of the GRU [r | z | n |
 * h w + b of n].  The weights' gradient is then one product over T * B.
 */
#include "model/graph/op_rules.h"

enum { CONCAT_MOST = NODE_INPUTS_MAX };

static int mul(struct graph *graph, int a, int b)
{
    return graph_binary(graph, OP_MUL, a, b);
}

static int add(struct graph *graph, int a, int b)
{
    return graph_binary(graph, OP_ADD, a, b);
}

/* a (1 - a) */
static int slope_of_sigmoid(struct graph *graph, int a)
{
    return mul(graph, a, graph_offset(graph, graph_unary(graph, OP_NEG, a), 1.0));
}

/* 1 - a^2 */
static int slope_of_tanh(struct graph *graph, int a)
{
    return graph_offset(graph, graph_unary(graph, OP_NEG, mul(graph, a, a)), 1.0);
}

/* Columns [first * H, first * H + width) of the rows of step t, as (B,width); t < 0: of all steps,
 * as (T,B,width). */
static int columns(struct graph *graph, int sequence, int64_t t, int64_t first, int64_t width)
{
    if (sequence < 0) {
        return NODE_NONE;
    }
    struct shape part = graph_node(graph, sequence)->shape;
    const int64_t start[SHAPE_RANK_MAX] = {t < 0 ? 0 : t, 0, first};
    part.dim[0] = t < 0 ? part.dim[0] : 1;
    part.dim[2] = width;
    const struct shape row = {.rank = 2, .dim = {part.dim[1], width}};
    int slice = graph_slice(graph, sequence, start, &part);
    return t < 0 ? slice : graph_reshape(graph, slice, &row);
}

/* (B,C) of every step, stacked to (T,B,C): in place of `parts`, a level of concats at a time. */
static int stack(struct graph *graph, int *parts, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (parts[i] < 0) {
            return NODE_NONE;
        }
        const struct shape *row = &graph_node(graph, parts[i])->shape;
        const struct shape step = {.rank = 3, .dim = {1, row->dim[0], row->dim[1]}};
        parts[i] = graph_reshape(graph, parts[i], &step);
    }
    while (count > 1) {
        int64_t made = 0;
        for (int64_t first = 0; first < count; first += CONCAT_MOST) {
            int64_t rest = count - first;
            int some = (int)(rest < CONCAT_MOST ? rest : CONCAT_MOST);
            parts[made++] = some == 1 ? parts[first] : graph_concat(graph, parts + first, some, 0);
        }
        count = made;
    }
    return parts[0];
}

static int *scratch(struct graph *graph, int64_t count)
{
    int *parts = cam_arena_alloc(graph_arena(graph), (size_t)count, sizeof *parts);
    if (parts == NULL) {
        graph_fail(graph, CAM_NO_MEMORY, "no memory for a sequence of %lld", (long long)count);
    }
    return parts;
}

static enum cam_code fail_sequence(const char *what, const struct node *inputs[],
                                   struct cam_err *err)
{
    char sequence[96];
    char weight[96];
    return cam_fail(err, CAM_INVALID, "%s over %s with weights %s does not fit", what,
                    shape_text(&inputs[0]->shape, sequence, sizeof sequence),
                    shape_text(&inputs[1]->shape, weight, sizeof weight));
}

/* x (T,B,gates H), w (H,wide H) -> (T,B,kept H) */
static bool fits(const struct node *inputs[], int64_t gates, int64_t wide, int64_t kept,
                 struct shape *out)
{
    const struct shape *x = &inputs[0]->shape;
    const struct shape *w = &inputs[1]->shape;
    bool fit = x->rank == 3 && w->rank == 2 && w->dim[1] == wide * w->dim[0] &&
               x->dim[2] == gates * w->dim[0];
    *out = *x;
    if (fit) {
        out->dim[2] = kept * w->dim[0];
    }
    return fit;
}

static bool hidden_fits(const struct node *inputs[])
{
    const struct shape *dh = &inputs[2]->shape;
    return dh->rank == 3 && dh->dim[0] == inputs[0]->shape.dim[0] &&
           dh->dim[1] == inputs[0]->shape.dim[1] && dh->dim[2] == inputs[1]->shape.dim[0];
}

enum cam_code op_lstm_infer(const struct node *inputs[], int input_count,
                            const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    (void)attr;
    return fits(inputs, 4, 4, 6, out) ? CAM_OK : fail_sequence("lstm", inputs, err);
}

enum cam_code op_lstm_grad_infer(const struct node *inputs[], int input_count,
                                 const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    (void)attr;
    return fits(inputs, 6, 4, 4, out) && hidden_fits(inputs)
               ? CAM_OK
               : fail_sequence("the gradient of lstm", inputs, err);
}

enum cam_code op_gru_infer(const struct node *inputs[], int input_count, const struct op_attr *attr,
                           struct shape *out, struct cam_err *err)
{
    (void)input_count;
    (void)attr;
    const struct shape *b = &inputs[2]->shape;
    return fits(inputs, 3, 3, 5, out) && b->rank == 1 && b->dim[0] == inputs[1]->shape.dim[0]
               ? CAM_OK
               : fail_sequence("gru", inputs, err);
}

enum cam_code op_gru_grad_infer(const struct node *inputs[], int input_count,
                                const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    (void)attr;
    return fits(inputs, 5, 3, 4, out) && hidden_fits(inputs)
               ? CAM_OK
               : fail_sequence("the gradient of gru", inputs, err);
}

/* The hidden states before each step, (T*B,H): zeros, then all but the last. */
static int hidden_before(struct graph *graph, int out, int64_t hidden)
{
    if (out < 0) {
        return NODE_NONE;
    }
    const struct shape shape = graph_node(graph, out)->shape;
    const struct shape all = {.rank = 3, .dim = {shape.dim[0], shape.dim[1], hidden}};
    const struct shape flat = {.rank = 2, .dim = {shape.dim[0] * shape.dim[1], hidden}};
    if (shape.dim[0] == 1) {
        return graph_constant(graph, 0.0, &flat);
    }
    struct shape earlier = all;
    earlier.dim[0]--;
    int h = graph_slice(graph, out, (const int64_t[SHAPE_RANK_MAX]){0}, &earlier);
    return graph_reshape(graph, graph_pad(graph, h, (const int64_t[SHAPE_RANK_MAX]){1}, &all),
                         &flat);
}

static int flatten(struct graph *graph, int sequence)
{
    if (sequence < 0) {
        return NODE_NONE;
    }
    const struct shape *shape = &graph_node(graph, sequence)->shape;
    const struct shape flat = {.rank = 2, .dim = {shape->dim[0] * shape->dim[1], shape->dim[2]}};
    return graph_reshape(graph, sequence, &flat);
}

static int64_t hidden_of(const struct graph *graph, int w)
{
    return graph_node(graph, w)->shape.dim[0];
}

/* dy is the whole output's, of which a layer reads the hidden state alone. */
void op_lstm_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    int w = self->input[1];
    int dh = columns(graph, dy, -1, 0, hidden_of(graph, w));
    if (dh < 0) {
        return;
    }
    d_inputs[0] = graph_append(graph, OP_LSTM_GRAD, (int[]){node, w, dh}, 3, NULL);
    d_inputs[1] = graph_matmul(graph, hidden_before(graph, node, hidden_of(graph, w)),
                               flatten(graph, d_inputs[0]), true, false);
}

void op_gru_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    int w = self->input[1];
    int64_t hidden = hidden_of(graph, w);
    int dh = columns(graph, dy, -1, 0, hidden);
    if (dh < 0) {
        return;
    }
    int d = graph_append(graph, OP_GRU_GRAD, (int[]){node, w, dh}, 3, NULL);
    int of_product = columns(graph, d, -1, 3 * hidden, hidden);
    int gates[] = {columns(graph, d, -1, 0, 2 * hidden), of_product};
    const struct shape bias = {.rank = 1, .dim = {hidden}};
    d_inputs[0] = columns(graph, d, -1, 0, 3 * hidden);
    d_inputs[1] = graph_matmul(graph, hidden_before(graph, node, hidden),
                               flatten(graph, graph_concat(graph, gates, 2, 2)), true, false);
    d_inputs[2] = graph_reshape(graph, graph_sum(graph, of_product, 3), &bias);
}

int op_lstm_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    int64_t steps = node->shape.dim[0];
    int64_t size = node->shape.dim[2] / 6;
    int *rows = scratch(graph, steps);
    int h = NODE_NONE;
    int c = NODE_NONE;
    for (int64_t t = 0; rows != NULL && t < steps; t++) {
        int gates = columns(graph, inputs[0], t, 0, 4 * size);
        if (t > 0) {
            gates = add(graph, gates, graph_matmul(graph, h, inputs[1], false, false));
        }
        int part[6];
        for (int k = 0; k < 4; k++) {
            const struct shape gate = {.rank = 2, .dim = {node->shape.dim[1], size}};
            int before = graph_slice(graph, gates, (const int64_t[]){0, k * size}, &gate);
            part[2 + k] = graph_unary(graph, k == 2 ? OP_TANH : OP_SIGMOID, before);
        }
        int fresh = mul(graph, part[2], part[4]);
        c = t == 0 ? fresh : add(graph, mul(graph, part[3], c), fresh);
        h = mul(graph, part[5], graph_unary(graph, OP_TANH, c));
        part[0] = h;
        part[1] = c;
        rows[t] = graph_concat(graph, part, 6, 1);
    }
    return rows == NULL ? NODE_NONE : stack(graph, rows, steps);
}

int op_lstm_grad_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    int64_t steps = node->shape.dim[0];
    int64_t size = node->shape.dim[2] / 4;
    int *rows = scratch(graph, steps);
    int d_gates = NODE_NONE;
    int dc = NODE_NONE;
    for (int64_t t = steps - 1; rows != NULL && t >= 0; t--) {
        int dh = columns(graph, inputs[2], t, 0, size);
        if (d_gates >= 0) {
            dh = add(graph, dh, graph_matmul(graph, d_gates, inputs[1], false, true));
        }
        int kept[6];
        for (int k = 0; k < 6; k++) {
            kept[k] = columns(graph, inputs[0], t, k * size, size);
        }
        int i = kept[2];
        int f = kept[3];
        int g = kept[4];
        int o = kept[5];
        int bent = graph_unary(graph, OP_TANH, kept[1]);
        int through = mul(graph, mul(graph, dh, o), slope_of_tanh(graph, bent));
        dc = dc < 0 ? through : add(graph, through, dc);
        int before =
            t > 0 ? columns(graph, inputs[0], t - 1, size, size)
                  : graph_constant(graph, 0.0,
                                   &(struct shape){.rank = 2, .dim = {node->shape.dim[1], size}});
        int gates[] = {
            mul(graph, mul(graph, dc, g), slope_of_sigmoid(graph, i)),
            mul(graph, mul(graph, dc, before), slope_of_sigmoid(graph, f)),
            mul(graph, mul(graph, dc, i), slope_of_tanh(graph, g)),
            mul(graph, mul(graph, dh, bent), slope_of_sigmoid(graph, o)),
        };
        d_gates = graph_concat(graph, gates, 4, 1);
        rows[t] = d_gates;
        dc = mul(graph, dc, f);
    }
    return rows == NULL ? NODE_NONE : stack(graph, rows, steps);
}

int op_gru_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    int64_t steps = node->shape.dim[0];
    int64_t size = node->shape.dim[2] / 5;
    const struct shape gate = {.rank = 2, .dim = {node->shape.dim[1], size}};
    const int64_t start[3][2] = {{0, 0}, {0, size}, {0, 2 * size}};
    int *rows = scratch(graph, steps);
    int h = graph_constant(graph, 0.0, &gate);
    for (int64_t t = 0; rows != NULL && t < steps; t++) {
        int product = graph_matmul(graph, h, inputs[1], false, false);
        int before[3];
        for (int k = 0; k < 3; k++) {
            before[k] = columns(graph, inputs[0], t, k * size, size);
        }
        int r = graph_unary(graph, OP_SIGMOID,
                            add(graph, before[0], graph_slice(graph, product, start[0], &gate)));
        int z = graph_unary(graph, OP_SIGMOID,
                            add(graph, before[1], graph_slice(graph, product, start[1], &gate)));
        int inner = add(graph, graph_slice(graph, product, start[2], &gate), inputs[2]);
        int n = graph_unary(graph, OP_TANH, add(graph, before[2], mul(graph, r, inner)));
        h = add(graph, n, mul(graph, z, graph_binary(graph, OP_SUB, h, n)));
        rows[t] = graph_concat(graph, (int[]){h, r, z, n, inner}, 5, 1);
    }
    return rows == NULL ? NODE_NONE : stack(graph, rows, steps);
}

int op_gru_grad_lower(struct graph *graph, const struct node *node, const int *inputs)
{
    int64_t steps = node->shape.dim[0];
    int64_t size = node->shape.dim[2] / 4;
    int *rows = scratch(graph, steps);
    int carried = NODE_NONE; /* what reaches the hidden state from later steps */
    for (int64_t t = steps - 1; rows != NULL && t >= 0; t--) {
        int dh = columns(graph, inputs[2], t, 0, size);
        dh = carried < 0 ? dh : add(graph, dh, carried);
        int r = columns(graph, inputs[0], t, size, size);
        int z = columns(graph, inputs[0], t, 2 * size, size);
        int n = columns(graph, inputs[0], t, 3 * size, size);
        int inner = columns(graph, inputs[0], t, 4 * size, size);
        int before =
            t > 0 ? columns(graph, inputs[0], t - 1, 0, size)
                  : graph_constant(graph, 0.0,
                                   &(struct shape){.rank = 2, .dim = {node->shape.dim[1], size}});
        int keep = graph_offset(graph, graph_unary(graph, OP_NEG, z), 1.0);
        int dn = mul(graph, mul(graph, dh, keep), slope_of_tanh(graph, n));
        int d_inner = mul(graph, dn, r);
        int dr = mul(graph, mul(graph, dn, inner), slope_of_sigmoid(graph, r));
        int dz = mul(graph, mul(graph, dh, graph_binary(graph, OP_SUB, before, n)),
                     slope_of_sigmoid(graph, z));
        int of_product = graph_concat(graph, (int[]){dr, dz, d_inner}, 3, 1);
        carried =
            add(graph, mul(graph, dh, z), graph_matmul(graph, of_product, inputs[1], false, true));
        rows[t] = graph_concat(graph, (int[]){dr, dz, dn, d_inner}, 4, 1);
    }
    return rows == NULL ? NODE_NONE : stack(graph, rows, steps);
}

/* One product of (B,H)(H,G) a step but the first; the gradient takes as many. */
int64_t op_recurrent_flops(const struct node *node, const struct node *inputs[])
{
    const struct shape *w = &inputs[1]->shape;
    return 2 * (node->shape.dim[0] - 1) * node->shape.dim[1] * w->dim[0] * w->dim[1];
}
