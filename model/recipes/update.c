/* Update graphs, their scalars, and what a tensor has of its own. */
#include "model/optim/optimizer.h"
#include "model/recipes/ema.h"

/* As PyTorch's clip_grad_norm_ and the LARS that follow it: no division by 0. */
#define CLIP_EPSILON  1e-6
#define TRUST_EPSILON 1e-8

static int scalar(struct graph *graph, enum update_scalar slot)
{
    return graph_leaf(graph, OP_SCALAR, (int)slot, &(struct shape){0});
}

static void make_leaves(const struct update_info *update, struct update_nodes *nodes)
{
    struct graph *graph = nodes->graph;
    const struct shape each_block = {.rank = 2, .dim = {nodes->shape.dim[0], 1}};
    nodes->parameter = graph_leaf(graph, OP_INPUT, UPDATE_PARAMETER, &nodes->shape);
    nodes->gradient = graph_leaf(graph, OP_INPUT, UPDATE_GRADIENT, &nodes->shape);
    for (int i = 0; i < update->state_count; i++) {
        nodes->states[i] = graph_leaf(graph, OP_INPUT, UPDATE_STATES + i, &nodes->shape);
    }
    nodes->decays = graph_leaf(graph, OP_INPUT, UPDATE_DECAYS, &each_block);
    nodes->trust = graph_leaf(graph, OP_INPUT, UPDATE_TRUST, &each_block);
    nodes->learning_rate = scalar(graph, UPDATE_LEARNING_RATE);
    nodes->correction_1 = scalar(graph, UPDATE_CORRECTION_1);
    nodes->correction_2 = scalar(graph, UPDATE_CORRECTION_2);
    nodes->keep = scalar(graph, UPDATE_KEEP);
}

/* From the sum over the batch to what the optimizer sees. */
static int clipped_mean(const struct update_info *update, const struct update_nodes *nodes)
{
    struct graph *graph = nodes->graph;
    const struct shape one = {0};
    int mean = graph_binary(graph, OP_MUL, nodes->gradient, scalar(graph, UPDATE_GRADIENT_SCALE));
    if (update->clip_value > 0.0) {
        int most = graph_constant(graph, update->clip_value, &one);
        int least = graph_constant(graph, -update->clip_value, &one);
        mean = graph_binary(graph, OP_MIN, graph_binary(graph, OP_MAX, mean, least), most);
    }
    return update->clip_norm > 0.0 ? graph_binary(graph, OP_MUL, mean, scalar(graph, UPDATE_CLIP))
                                   : mean;
}

static int clip(struct graph *graph, int x, double most)
{
    if (x < 0 || most == 0.0) {
        return x;
    }
    const struct shape *shape = &graph_node(graph, x)->shape;
    int low = graph_binary(graph, OP_MAX, x, graph_constant(graph, -most, shape));
    return graph_binary(graph, OP_MIN, low, graph_constant(graph, most, shape));
}

enum cam_code training_update_graph(const struct update_info *update, int64_t floats,
                                    struct graph **graph_out, int out[1 + UPDATE_STATES_MAX],
                                    struct cam_err *err)
{
    struct graph *graph = graph_create();
    if (graph == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for the graph of an update");
    }
    int64_t blocks = floats % BLOCK_FLOATS == 0 ? floats / BLOCK_FLOATS : 1;
    struct update_nodes nodes = {.graph = graph,
                                 .shape = {.rank = 2, .dim = {blocks, floats / blocks}}};
    graph_set_path(graph, optimizer_get(update->optimizer)->name);
    make_leaves(update, &nodes);
    nodes.gradient = clipped_mean(update, &nodes);
    optimizer_get(update->optimizer)->update(update, &nodes);
    out[0] = clip(graph, nodes.new_parameter, update->weight_clip);
    if (ema_given(&update->ema)) {
        int last = update->state_count - 1;
        nodes.new_states[last] =
            ema_update(graph, nodes.states[last], out[0], scalar(graph, UPDATE_AVERAGE));
    }
    for (int i = 0; i < update->state_count; i++) {
        out[1 + i] = nodes.new_states[i];
    }
    enum cam_code rc = graph_status(graph, err);
    if (rc != CAM_OK) {
        graph_destroy(graph);
        return rc;
    }
    *graph_out = graph;
    return CAM_OK;
}

int training_own_states(const struct training *training, int phase)
{
    const struct phase *row = &training->phases[phase];
    return row->base == phase ? row->update.state_count : 0;
}

double update_rate(const struct update_info *update, const struct update_moment *moment)
{
    return rate_at(&update->rate, moment->execution) * moment->rate_factor;
}

/* What clip_norm multiplies gradients by. */
static double clip_factor(const struct update_info *update, const struct update_moment *moment)
{
    double factor = update->clip_norm / (moment->gradient_norm + CLIP_EPSILON);
    return update->clip_norm > 0.0 && factor < 1.0 ? factor : 1.0;
}

void training_update_scalars(const struct training *training, const struct update_info *update,
                             const struct update_moment *moment,
                             float scalars_out[UPDATE_SCALAR_COUNT])
{
    int64_t t = moment->execution + 1;
    double rate = update_rate(update, moment);
    scalars_out[UPDATE_LEARNING_RATE] = (float)rate;
    scalars_out[UPDATE_GRADIENT_SCALE] = (float)(1.0 / (double)training->batch);
    scalars_out[UPDATE_CORRECTION_1] = (float)(1.0 / (1.0 - rate_power(update->beta1, t)));
    scalars_out[UPDATE_CORRECTION_2] = (float)(1.0 / (1.0 - rate_power(update->beta2, t)));
    scalars_out[UPDATE_AVERAGE] = (float)ema_keep(&update->ema, training->batch, moment->execution);
    scalars_out[UPDATE_CLIP] = (float)clip_factor(update, moment);
    scalars_out[UPDATE_KEEP] = (float)(1.0 - rate * update->weight_decay);
}

bool update_needs_norms(const struct update_info *update)
{
    return update->clip_norm > 0.0 || update->trust > 0.0;
}

bool update_decays(const struct update_info *update, const struct tensor_info *tensor)
{
    return !update->decay_weights || tensor->shape.rank >= 2;
}

float update_trust(const struct update_info *update, const struct tensor_info *tensor,
                   const struct update_moment *moment, double weight_norm, double gradient_norm)
{
    double gradient = gradient_norm * clip_factor(update, moment);
    if (update->trust == 0.0 || tensor->shape.rank < 2 || weight_norm == 0.0 || gradient == 0.0) {
        return 1.0F;
    }
    double decay = update_decays(update, tensor) ? update->weight_decay : 0.0;
    double trust = update->trust * weight_norm / (gradient + decay * weight_norm + TRUST_EPSILON);
    if (update->trust_limited) {
        double most = update_rate(update, moment);
        trust = trust < most ? trust / most : 1.0;
    }
    return (float)trust;
}
