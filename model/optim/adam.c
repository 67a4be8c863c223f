/*
 * Kingma, Ba, "Adam: a method for stochastic optimization" (2014), algorithm 1:
 *   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g g;
 *   p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
 * The corrections 1 / (1 - b^t) arrive as scalars.
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
    out->learning_rate = 1e-3;
    out->beta1 = 0.9;
    out->beta2 = 0.999;
    out->options = adam;
    out->state_count = 2;
    out->state_names[0] = "exp_avg";
    out->state_names[1] = "exp_avg_sq";
    enum cam_code rc =
        doc_read_real(map, "lr", LEARNING_RATE_LEAST, 100.0, &out->learning_rate, err);
    rc = rc == CAM_OK ? doc_read_real(map, "beta1", 0.0, 0.999999, &out->beta1, err) : rc;
    rc = rc == CAM_OK ? doc_read_real(map, "beta2", 0.0, 0.999999, &out->beta2, err) : rc;
    return rc == CAM_OK ? doc_read_real(map, "epsilon", 1e-30, 1.0, &adam->epsilon, err) : rc;
}

void adam_update(const struct update_info *info, struct update_nodes *nodes)
{
    const struct adam *adam = info->options;
    struct graph *graph = nodes->graph;
    int g = nodes->gradient;
    int m = graph_binary(graph, OP_ADD, graph_scale(graph, nodes->states[0], info->beta1),
                         graph_scale(graph, g, 1.0 - info->beta1));
    int squares = graph_binary(graph, OP_MUL, g, g);
    int v = graph_binary(graph, OP_ADD, graph_scale(graph, nodes->states[1], info->beta2),
                         graph_scale(graph, squares, 1.0 - info->beta2));
    int step = graph_binary(graph, OP_MUL, m, nodes->correction_1);
    int size = graph_unary(graph, OP_SQRT, graph_binary(graph, OP_MUL, v, nodes->correction_2));
    step = graph_binary(graph, OP_DIV, step, graph_offset(graph, size, adam->epsilon));
    step = graph_binary(graph, OP_MUL, step, nodes->learning_rate);
    nodes->new_parameter = graph_binary(graph, OP_SUB, nodes->parameter, step);
    nodes->new_states[0] = m;
    nodes->new_states[1] = v;
}
