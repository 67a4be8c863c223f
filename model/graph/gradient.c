#include "model/graph/gradient.h"

#include "model/graph/op.h"

/* For each node up to y: does it depend on one of wrt?  Indices are a topological order. */
static void mark_dependent(const struct graph *graph, int y, const int *wrt, int count,
                           bool *depends)
{
    for (int i = 0; i < count; i++) {
        if (wrt[i] <= y) {
            depends[wrt[i]] = true;
        }
    }
    for (int n = 0; n <= y; n++) {
        const struct node *node = graph_node(graph, n);
        for (int i = 0; i < node->input_count && !depends[n]; i++) {
            depends[n] = depends[node->input[i]];
        }
    }
}

/* Applies one node's rule and adds what arrives at its inputs. */
static void spread(struct graph *graph, int n, const bool *depends, int *gradients)
{
    const struct node *node = graph_node(graph, n);
    int d_inputs[NODE_INPUTS_MAX];
    for (int i = 0; i < NODE_INPUTS_MAX; i++) {
        d_inputs[i] = NODE_NONE;
    }
    op_get(node->op)->gradient(graph, n, gradients[n], d_inputs);
    for (int i = 0; i < node->input_count; i++) {
        int input = node->input[i];
        if (d_inputs[i] < 0 || !depends[input]) {
            continue;
        }
        gradients[input] = gradients[input] < 0
                               ? d_inputs[i]
                               : graph_binary(graph, OP_ADD, gradients[input], d_inputs[i]);
    }
}

void gradient_append(struct graph *graph, int y, const int *wrt, int count, int *out)
{
    for (int i = 0; i < count; i++) {
        out[i] = NODE_NONE;
        if (wrt[i] < 0) {
            y = NODE_NONE;
        }
    }
    if (y < 0) {
        return;
    }
    size_t nodes = (size_t)y + 1;
    bool *depends = cam_arena_alloc(graph_arena(graph), nodes, sizeof *depends);
    int *gradients = cam_arena_alloc(graph_arena(graph), nodes, sizeof *gradients);
    if (depends == NULL || gradients == NULL) {
        graph_fail(graph, CAM_NO_MEMORY, "no memory for the gradients of %d nodes", y);
        return;
    }
    for (int n = 0; n <= y; n++) {
        gradients[n] = NODE_NONE;
    }
    mark_dependent(graph, y, wrt, count, depends);
    graph_set_path(graph, graph_node(graph, y)->path);
    gradients[y] = graph_constant(graph, 1.0, &graph_node(graph, y)->shape);
    for (int n = y; n >= 0; n--) {
        if (depends[n] && gradients[n] >= 0) {
            graph_set_path(graph, graph_node(graph, n)->path);
            spread(graph, n, depends, gradients);
        }
    }
    for (int i = 0; i < count; i++) {
        out[i] = wrt[i] <= y ? gradients[wrt[i]] : NODE_NONE;
        if (out[i] < 0) {
            out[i] = graph_constant(graph, 0.0, &graph_node(graph, wrt[i])->shape);
        }
    }
}
