/* Stochastic gradient descent; with momentum as PyTorch's: b = momentum b + g; p = p - lr b. */
#include "model/optim/optimizer.h"

struct sgd {
    double momentum;
};

enum cam_code sgd_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                       struct update_info *out, struct cam_err *err)
{
    const struct doc_node *map = spec->attributes;
    struct sgd *sgd = cam_arena_alloc(arena, 1, sizeof *sgd);
    if (sgd == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for an optimizer");
    }
    out->learning_rate = 1e-2;
    out->options = sgd;
    enum cam_code rc =
        doc_read_real(map, "lr", LEARNING_RATE_LEAST, 100.0, &out->learning_rate, err);
    rc = rc == CAM_OK ? doc_read_real(map, "momentum", 0.0, 0.999999, &sgd->momentum, err) : rc;
    out->state_count = sgd->momentum > 0.0 ? 1 : 0;
    out->state_names[0] = "momentum_buffer";
    return rc;
}

void sgd_update(const struct update_info *info, struct update_nodes *nodes)
{
    const struct sgd *sgd = info->options;
    struct graph *graph = nodes->graph;
    int step = nodes->gradient;
    if (info->state_count > 0) {
        step =
            graph_binary(graph, OP_ADD, graph_scale(graph, nodes->states[0], sgd->momentum), step);
        nodes->new_states[0] = step;
    }
    step = graph_binary(graph, OP_MUL, step, nodes->learning_rate);
    nodes->new_parameter = graph_binary(graph, OP_SUB, nodes->parameter, step);
}
