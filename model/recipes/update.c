/* Update graphs and their scalars. */
#include "model/optim/optimizer.h"

static int scalar(struct graph *graph, enum update_scalar slot)
{
    return graph_leaf(graph, OP_SCALAR, (int)slot, &(struct shape){0});
}

enum cam_code training_update_graph(const struct update_info *update, int64_t floats,
                                    struct graph **graph_out, int out[1 + UPDATE_STATES_MAX],
                                    struct cam_err *err)
{
    struct graph *graph = graph_create();
    if (graph == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for the graph of an update");
    }
    struct update_nodes nodes = {
        .graph = graph, .shape = {.rank = 1, .dim = {floats}}
    };
    graph_set_path(graph, optimizer_get(update->optimizer)->name);
    nodes.parameter = graph_leaf(graph, OP_INPUT, 0, &nodes.shape);
    nodes.gradient = graph_leaf(graph, OP_INPUT, 1, &nodes.shape);
    for (int i = 0; i < update->state_count; i++) {
        nodes.states[i] = graph_leaf(graph, OP_INPUT, 2 + i, &nodes.shape);
    }
    nodes.learning_rate = scalar(graph, UPDATE_LEARNING_RATE);
    nodes.correction_1 = scalar(graph, UPDATE_CORRECTION_1);
    nodes.correction_2 = scalar(graph, UPDATE_CORRECTION_2);
    nodes.gradient =
        graph_binary(graph, OP_MUL, nodes.gradient, scalar(graph, UPDATE_GRADIENT_SCALE));
    optimizer_get(update->optimizer)->update(update, &nodes);
    out[0] = nodes.new_parameter;
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

/* base^exponent by squaring: products in a fixed order, so the same bits on every machine. */
static double power(double base, int64_t exponent)
{
    double result = 1.0;
    for (double square = base; exponent > 0; exponent /= 2) {
        if (exponent % 2 == 1) {
            result *= square;
        }
        square *= square;
    }
    return result;
}

void training_update_scalars(const struct training *training, const struct update_info *update,
                             int64_t t, float scalars_out[UPDATE_SCALAR_COUNT])
{
    scalars_out[UPDATE_LEARNING_RATE] = (float)update->learning_rate;
    scalars_out[UPDATE_GRADIENT_SCALE] = (float)(1.0 / (double)training->batch);
    scalars_out[UPDATE_CORRECTION_1] = (float)(1.0 / (1.0 - power(update->beta1, t)));
    scalars_out[UPDATE_CORRECTION_2] = (float)(1.0 / (1.0 - power(update->beta2, t)));
}
