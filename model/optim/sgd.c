/*
 * Stochastic gradient descent.  With momentum as PyTorch's, without dampening: b = momentum b + g;
 * p = p - lr b, or with nesterov p = p - lr (g + momentum b).  Weight decay is part of g.
 */
#include "model/optim/optimizer.h"

struct sgd {
    double momentum;
    bool nesterov;
};

enum cam_code sgd_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                       struct update_info *out, struct cam_err *err)
{
    const struct doc_node *map = spec->attributes;
    struct sgd *sgd = cam_arena_alloc(arena, 1, sizeof *sgd);
    if (sgd == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for an optimizer");
    }
    out->rate.base = 1e-2;
    out->options = sgd;
    enum cam_code rc = doc_read_real(map, "momentum", 0.0, 0.999999, &sgd->momentum, err);
    rc = rc == CAM_OK ? doc_read_bool(map, "nesterov", &sgd->nesterov, err) : rc;
    if (rc == CAM_OK && sgd->nesterov && sgd->momentum == 0.0) {
        const struct doc_node *nesterov = doc_get(map, "nesterov");
        return doc_fail(nesterov->file_name, nesterov->line, err,
                        "sgd with nesterov and no momentum, a momentum such as 0.9 is expected");
    }
    out->state_count = sgd->momentum > 0.0 ? 1 : 0;
    out->state_names[0] = "momentum_buffer";
    return rc;
}

void sgd_update(const struct update_info *info, struct update_nodes *nodes)
{
    const struct sgd *sgd = info->options;
    struct graph *graph = nodes->graph;
    int gradient = optimizer_decayed(info, nodes);
    int step = gradient;
    if (info->state_count > 0) {
        int kept = graph_scale(graph, nodes->states[0], sgd->momentum);
        step = graph_binary(graph, OP_ADD, kept, gradient);
        nodes->new_states[0] = step;
        if (sgd->nesterov) {
            int ahead = graph_scale(graph, step, sgd->momentum);
            step = graph_binary(graph, OP_ADD, gradient, ahead);
        }
    }
    step = graph_binary(graph, OP_MUL, step, nodes->learning_rate);
    nodes->new_parameter = graph_binary(graph, OP_SUB, nodes->parameter, step);
}
