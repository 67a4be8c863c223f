/*
 * Tieleman, Hinton (2012), as PyTorch's:
 *   v = alpha v + (1 - alpha) g g;  d = sqrt(v) + epsilon
 *   centered: a = alpha a + (1 - alpha) g;  d = sqrt(v - a a) + epsilon   (Graves 2013)
 *   p = p - lr g / d, or with momentum b = momentum b + g / d; p = p - lr b
 * v - a a is never negative but by rounding, where it is taken as 0 (PyTorch's root is NaN then).
 * Weight decay is part of g.
 */
#include "model/optim/optimizer.h"

struct rmsprop {
    double alpha;
    double epsilon;
    double momentum;
    bool centered;
};

enum cam_code rmsprop_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                           struct update_info *out, struct cam_err *err)
{
    const struct doc_node *map = spec->attributes;
    struct rmsprop *rmsprop = cam_arena_alloc(arena, 1, sizeof *rmsprop);
    if (rmsprop == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for an optimizer");
    }
    rmsprop->alpha = 0.99;
    rmsprop->epsilon = 1e-8;
    out->rate.base = 1e-2;
    out->options = rmsprop;
    enum cam_code rc = doc_read_real(map, "alpha", 0.0, 0.999999, &rmsprop->alpha, err);
    rc = rc == CAM_OK ? doc_read_real(map, "epsilon", 1e-30, 1.0, &rmsprop->epsilon, err) : rc;
    rc = rc == CAM_OK ? doc_read_real(map, "momentum", 0.0, 0.999999, &rmsprop->momentum, err) : rc;
    rc = rc == CAM_OK ? doc_read_bool(map, "centered", &rmsprop->centered, err) : rc;
    out->state_names[out->state_count++] = "square_avg";
    if (rmsprop->centered) {
        out->state_names[out->state_count++] = "grad_avg";
    }
    if (rmsprop->momentum > 0.0) {
        out->state_names[out->state_count++] = "momentum_buffer";
    }
    return rc;
}

void rmsprop_update(const struct update_info *info, struct update_nodes *nodes)
{
    const struct rmsprop *rmsprop = info->options;
    struct graph *graph = nodes->graph;
    int state = 0;
    int g = optimizer_decayed(info, nodes);
    int squares = graph_binary(graph, OP_MUL, g, g);
    int size =
        optimizer_blend(nodes, rmsprop->alpha, nodes->states[0], 1.0 - rmsprop->alpha, squares);
    nodes->new_states[state++] = size;
    if (rmsprop->centered) {
        int mean =
            optimizer_blend(nodes, rmsprop->alpha, nodes->states[state], 1.0 - rmsprop->alpha, g);
        nodes->new_states[state++] = mean;
        size = graph_binary(graph, OP_SUB, size, graph_binary(graph, OP_MUL, mean, mean));
        size = graph_binary(graph, OP_MAX, size, graph_constant(graph, 0.0, &(struct shape){0}));
    }
    size = graph_offset(graph, graph_unary(graph, OP_SQRT, size), rmsprop->epsilon);
    int step = graph_binary(graph, OP_DIV, g, size);
    if (rmsprop->momentum > 0.0) {
        int kept = graph_scale(graph, nodes->states[state], rmsprop->momentum);
        step = graph_binary(graph, OP_ADD, kept, step);
        nodes->new_states[state] = step;
    }
    step = graph_binary(graph, OP_MUL, step, nodes->learning_rate);
    nodes->new_parameter = graph_binary(graph, OP_SUB, nodes->parameter, step);
}
