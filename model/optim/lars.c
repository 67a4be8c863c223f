/*
 * You, Gitman, Ginsburg, "Large batch training of convolutional networks" (2017), algorithm 1, with
 * the learning rate outside of the momentum, as in the implementations that self-supervised methods
 * publish: b = momentum b + trust (g + weight_decay p); p = p - lr b, where a tensor's
 *   trust = eta |p| / (|g| + weight_decay |p|)                    (update_trust, model/recipes)
 * comes as one number a block.  Biases and norms have trust 1 and no decay.
 */
#include "model/optim/optimizer.h"

struct lars {
    double momentum;
};

enum cam_code lars_read(const struct optimizer_spec *spec, struct cam_arena *arena,
                        struct update_info *out, struct cam_err *err)
{
    const struct doc_node *map = spec->attributes;
    struct lars *lars = cam_arena_alloc(arena, 1, sizeof *lars);
    if (lars == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for an optimizer");
    }
    lars->momentum = 0.9;
    out->rate.base = 1.0;
    out->trust = 1e-3;
    out->decay_weights = true;
    out->options = lars;
    out->state_count = 1;
    out->state_names[0] = "momentum_buffer";
    enum cam_code rc = doc_read_real(map, "momentum", 0.0, 0.999999, &lars->momentum, err);
    rc = rc == CAM_OK ? doc_read_real(map, "eta", 1e-12, 100.0, &out->trust, err) : rc;
    return rc == CAM_OK ? doc_read_bool(map, "clip_lr", &out->trust_limited, err) : rc;
}

void lars_update(const struct update_info *info, struct update_nodes *nodes)
{
    const struct lars *lars = info->options;
    struct graph *graph = nodes->graph;
    int step = graph_binary(graph, OP_MUL, optimizer_decayed(info, nodes), nodes->trust);
    step = graph_binary(graph, OP_ADD, graph_scale(graph, nodes->states[0], lars->momentum), step);
    nodes->new_states[0] = step;
    step = graph_binary(graph, OP_MUL, step, nodes->learning_rate);
    nodes->new_parameter = graph_binary(graph, OP_SUB, nodes->parameter, step);
}
