/*
 * Kingma, Ba, "Adam: a method for stochastic optimization" (2014), algorithm 1:
 *   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g g;
 *   p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
 * The corrections 1 / (1 - b^t) arrive as scalars.  adam's weight decay is part of the gradient, as
 * PyTorch's; adamw's (Loshchilov, Hutter 2017) takes lr * weight_decay of a weight itself before
 * the step, and by default leaves biases and norms alone, unlike PyTorch's.
 */
#include "model/optim/optimizer.h"

struct adam {
    double epsilon;
};

enum cam_code adam_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                        struct update_info *out, struct cam_err *err)
{
    const struct doc_node *map = spec->attributes;
    struct adam *adam = cam_arena_alloc(arena, 1, sizeof *adam);
    if (adam == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for an optimizer");
    }
    adam->epsilon = 1e-8;
    out->rate.base = 1e-3;
    out->beta1 = 0.9;
    out->beta2 = 0.999;
    out->options = adam;
    out->state_count = 2;
    out->state_names[0] = "exp_avg";
    out->state_names[1] = "exp_avg_sq";
    enum cam_code rc = doc_read_real(map, "beta1", 0.0, 0.999999, &out->beta1, err);
    rc = rc == CAM_OK ? doc_read_real(map, "beta2", 0.0, 0.999999, &out->beta2, err) : rc;
    return rc == CAM_OK ? doc_read_real(map, "epsilon", 1e-30, 1.0, &adam->epsilon, err) : rc;
}

enum cam_code adamw_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                         struct update_info *out, struct cam_err *err)
{
    out->weight_decay = 1e-2;
    out->decay_weights = true;
    return adam_read(spec, arena, out, err);
}

/* From `parameter` against `gradient`. */
static void step(const struct update_info *info, struct update_nodes *nodes, int parameter,
                 int gradient)
{
    const struct adam *adam = info->options;
    struct graph *graph = nodes->graph;
    int squares = graph_binary(graph, OP_MUL, gradient, gradient);
    int m = optimizer_blend(nodes, info->beta1, nodes->states[0], 1.0 - info->beta1, gradient);
    int v = optimizer_blend(nodes, info->beta2, nodes->states[1], 1.0 - info->beta2, squares);
    int move = graph_binary(graph, OP_MUL, m, nodes->correction_1);
    int size = graph_unary(graph, OP_SQRT, graph_binary(graph, OP_MUL, v, nodes->correction_2));
    move = graph_binary(graph, OP_DIV, move, graph_offset(graph, size, adam->epsilon));
    move = graph_binary(graph, OP_MUL, move, nodes->learning_rate);
    nodes->new_parameter = graph_binary(graph, OP_SUB, parameter, move);
    nodes->new_states[0] = m;
    nodes->new_states[1] = v;
}

void adam_update(const struct update_info *info, struct update_nodes *nodes)
{
    step(info, nodes, nodes->parameter, optimizer_decayed(info, nodes));
}

void adamw_update(const struct update_info *info, struct update_nodes *nodes)
{
    struct graph *graph = nodes->graph;
    int parameter = nodes->parameter;
    if (info->weight_decay > 0.0) {
        int kept = graph_binary(graph, OP_MUL, parameter, nodes->keep);
        parameter = info->decay_weights
                        ? graph_select(graph, graph_broadcast(graph, nodes->decays, &nodes->shape),
                                       kept, parameter)
                        : kept;
    }
    step(info, nodes, parameter, nodes->gradient);
}
