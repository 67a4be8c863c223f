#include "model/graph/lower.h"

#include "base/mem.h"
#include "model/graph/op.h"

#include <string.h>

/* A rewriting under way: what each node of `from` became in `to`, which may be the same graph. */
struct rewriting {
    const struct graph *from;
    struct graph *to;
    const bool *keeps;
    int *became; /* NODE_NONE: not needed, or not there yet */
};

static bool is_lowered(const struct rewriting *r, enum op_kind op)
{
    return op_get(op)->lower != NULL && (r->keeps == NULL || !r->keeps[op]);
}

static int rewrite(const struct rewriting *r, int n)
{
    const struct node *node = graph_node(r->from, n);
    int inputs[NODE_INPUTS_MAX] = {0};
    bool changed = r->from != r->to || is_lowered(r, node->op);
    for (int i = 0; i < node->input_count; i++) {
        inputs[i] = r->became[node->input[i]];
        changed = changed || inputs[i] != node->input[i];
    }
    if (!changed) {
        return n;
    }
    graph_set_path(r->to, node->path);
    if (r->from != r->to) {
        (void)graph_set_backward(r->to, node->backward);
    }
    return is_lowered(r, node->op)
               ? op_get(node->op)->lower(r->to, node, inputs)
               : graph_append(r->to, node->op, inputs, node->input_count, &node->attr);
}

static void mark_needed(const struct graph *graph, bool *needed, int count)
{
    for (int n = count - 1; n >= 0; n--) {
        const struct node *node = graph_node(graph, n);
        for (int i = 0; needed[n] && i < node->input_count; i++) {
            needed[node->input[i]] = true;
        }
    }
}

int lower_append(struct graph *graph, int node, const int *wrt, int count)
{
    if (node < 0) {
        return NODE_NONE;
    }
    size_t size = (size_t)node + 1;
    bool *depends = cam_alloc(size, sizeof *depends);
    int *became = cam_alloc(size, sizeof *became);
    int lowered = NODE_NONE;
    if (depends == NULL || became == NULL) {
        graph_fail(graph, CAM_NO_MEMORY, "no memory to lower %zu nodes", size);
    } else {
        const struct rewriting r = {.from = graph, .to = graph, .became = became};
        graph_mark_between(graph, node, wrt, count, depends);
        for (int n = 0; n <= node; n++) {
            became[n] = n;
        }
        for (int i = 0; i < count; i++) {
            if (wrt[i] <= node) {
                depends[wrt[i]] = false;
            }
        }
        for (int n = 0; n <= node; n++) {
            became[n] = depends[n] ? rewrite(&r, n) : n;
        }
        lowered = became[node];
    }
    cam_free(depends);
    cam_free(became);
    return lowered;
}

enum cam_code lower_copy(const struct graph *graph, const bool *keeps, const int *nodes, int count,
                         struct graph **out, int *nodes_out, struct cam_err *err)
{
    size_t size = (size_t)graph_count(graph);
    bool *needed = cam_alloc(size + 1, sizeof *needed);
    int *became = cam_alloc(size + 1, sizeof *became);
    struct graph *copy = graph_create();
    enum cam_code rc = CAM_OK;
    if (needed == NULL || became == NULL || copy == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "no memory to lower %zu nodes", size);
        goto out;
    }
    const struct rewriting r = {.from = graph, .to = copy, .keeps = keeps, .became = became};
    for (int i = 0; i < count; i++) {
        needed[nodes[i]] = true;
    }
    mark_needed(graph, needed, (int)size);
    for (int n = 0; n < (int)size; n++) {
        became[n] = needed[n] ? rewrite(&r, n) : NODE_NONE;
    }
    for (int i = 0; i < count; i++) {
        nodes_out[i] = became[nodes[i]];
    }
    rc = graph_status(copy, err);
    if (rc == CAM_OK) {
        *out = copy;
        copy = NULL;
    }
out:
    graph_destroy(copy);
    cam_free(needed);
    cam_free(became);
    return rc;
}
