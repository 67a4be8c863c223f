#include "model/graph/gradient.h"

#include "model/graph/lower.h"
#include "model/graph/op.h"

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

/* Whether every node between wrt and y has a rule. */
static bool has_rules(const struct graph *graph, int y, const bool *depends)
{
    for (int n = 0; n <= y; n++) {
        if (depends[n] && op_get(graph_node(graph, n)->op)->gradient == NULL) {
            return false;
        }
    }
    return true;
}

/* Which nodes depend on wrt, in the graph's arena; y is lowered first where it has to be. */
static bool *dependent_nodes(struct graph *graph, int *y, const int *wrt, int count)
{
    for (;;) {
        bool *depends = cam_arena_alloc(graph_arena(graph), (size_t)*y + 1, sizeof *depends);
        if (depends == NULL) {
            graph_fail(graph, CAM_NO_MEMORY, "no memory for the gradients of %d nodes", *y);
            return NULL;
        }
        graph_mark_between(graph, *y, wrt, count, depends);
        if (has_rules(graph, *y, depends)) {
            return depends;
        }
        *y = lower_append(graph, *y, wrt, count);
        if (*y < 0) {
            return NULL;
        }
    }
}

int gradient_append(struct graph *graph, int y, const int *wrt, int count, int *out)
{
    for (int i = 0; i < count; i++) {
        out[i] = NODE_NONE;
        if (wrt[i] < 0) {
            y = NODE_NONE;
        }
    }
    const bool *depends = y < 0 ? NULL : dependent_nodes(graph, &y, wrt, count);
    if (depends == NULL) {
        return NODE_NONE;
    }
    int *gradients = cam_arena_alloc(graph_arena(graph), (size_t)y + 1, sizeof *gradients);
    if (gradients == NULL) {
        return graph_fail(graph, CAM_NO_MEMORY, "no memory for the gradients of %d nodes", y);
    }
    for (int n = 0; n <= y; n++) {
        gradients[n] = NODE_NONE;
    }
    const bool before = graph_set_backward(graph, true);
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
    (void)graph_set_backward(graph, before);
    return y;
}
