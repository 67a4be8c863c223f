#include "model/plan/replay.h"

#include "base/mem.h"
#include "model/graph/op.h"

#include <string.h>

enum { SMALL = 16 }; /* what is this many times less than its block's largest tensor is kept */

/* Of one node of the old graph. */
struct place {
    bool needed;
    bool kept;  /* in memory, or free: read as it is by the backward pass */
    int block;  /* of forward nodes */
    int became; /* in the new graph; NODE_NONE: not yet */
    int again;  /* its copy for the backward pass */
};

struct replay {
    const struct graph *from;
    struct graph *to;
    struct place *places;
    int64_t *largest; /* by block: elements */
    int count;
    int block_count;
};

static bool is_forward(const struct replay *r, int n)
{
    return r->places[n].needed && !graph_node(r->from, n)->backward;
}

static bool is_product(enum op_kind op)
{
    enum op_class class = op_get(op)->class;
    return class == OP_CLASS_PRODUCT || class == OP_CLASS_MACRO;
}

/* "model.3" of "model.3.body.1", "model.h.3" of "model.h.3.linear1", "model.stem" of
 * "model.stem.x": up to the first number, since presets name layers with dots, or else the first
 * two parts. */
static size_t layer_length(const char *path)
{
    size_t first = strcspn(path, ".");
    size_t end = first;
    while (path[end] != '\0') {
        const char *part = path + end + 1;
        end += 1 + strcspn(part, ".");
        if (strspn(part, "0123456789") == (size_t)(path + end - part)) {
            return end;
        }
    }
    return path[first] == '\0' ? first : first + 1 + strcspn(path + first + 1, ".");
}

static bool same_layer(const char *a, const char *b)
{
    size_t length = layer_length(a);
    return length == layer_length(b) && memcmp(a, b, length) == 0;
}

static int products_a_block(const struct replay *r)
{
    int products = 0;
    int least = 1;
    for (int n = 0; n < r->count; n++) {
        products += is_forward(r, n) && is_product(graph_node(r->from, n)->op) ? 1 : 0;
    }
    while (least < REPLAY_PRODUCTS && least * least < products) {
        least++;
    }
    return least;
}

static void cut_blocks(struct replay *r)
{
    const int least = products_a_block(r);
    const char *layer = NULL;
    int products = 0;
    for (int n = 0; n < r->count; n++) {
        const struct node *node = graph_node(r->from, n);
        if (!is_forward(r, n)) {
            continue;
        }
        if (layer != NULL && !same_layer(layer, node->path) && products >= least) {
            r->block_count++;
            products = 0;
        }
        layer = node->path;
        products += is_product(node->op) ? 1 : 0;
        r->places[n].block = r->block_count;
        int64_t size = shape_count(&node->shape);
        if (size > r->largest[r->block_count]) {
            r->largest[r->block_count] = size;
        }
    }
}

static bool keeps_itself(const struct replay *r, int n)
{
    const struct node *node = graph_node(r->from, n);
    const struct place *place = &r->places[n];
    return op_get(node->op)->class == OP_CLASS_LEAF || node->op == OP_SUM ||
           node->op == OP_REDUCE_MAX || place->block == r->block_count ||
           shape_count(&node->shape) * SMALL <= r->largest[place->block];
}

static void mark_kept(struct replay *r)
{
    for (int n = r->count - 1; n >= 0; n--) {
        const struct node *node = graph_node(r->from, n);
        struct place *place = &r->places[n];
        if (!is_forward(r, n)) {
            continue;
        }
        place->kept = place->kept || keeps_itself(r, n);
        enum op_class class = op_get(node->op)->class;
        bool same = class == OP_CLASS_VIEW || node->op == OP_STOP_GRADIENT;
        for (int i = 0; i < node->input_count; i++) {
            struct place *input = &r->places[node->input[i]];
            input->kept = input->kept || input->block != place->block || (same && place->kept);
        }
    }
}

static int copy(struct replay *r, int n, const int *inputs, bool again)
{
    const struct node *node = graph_node(r->from, n);
    struct op_attr attr = node->attr;
    attr.replay = again;
    graph_set_path(r->to, node->path);
    graph_set_backward(r->to, node->backward || again);
    return graph_append(r->to, node->op, inputs, node->input_count, &attr);
}

/* What the backward pass reads for node n. */
static int read_again(struct replay *r, int n)
{
    struct place *place = &r->places[n];
    const struct node *node = graph_node(r->from, n);
    int inputs[NODE_INPUTS_MAX] = {0};
    if (node->backward || place->kept) {
        return place->became;
    }
    for (int i = 0; i < node->input_count && place->again == NODE_NONE; i++) {
        inputs[i] = read_again(r, node->input[i]);
    }
    if (place->again == NODE_NONE) {
        place->again = copy(r, n, inputs, true);
    }
    return place->again;
}

static void rewrite(struct replay *r)
{
    for (int n = 0; n < r->count; n++) {
        const struct node *node = graph_node(r->from, n);
        int inputs[NODE_INPUTS_MAX] = {0};
        if (!r->places[n].needed) {
            continue;
        }
        for (int i = 0; i < node->input_count; i++) {
            inputs[i] =
                node->backward ? read_again(r, node->input[i]) : r->places[node->input[i]].became;
        }
        r->places[n].became = copy(r, n, inputs, false);
    }
}

static void mark_needed(struct replay *r, const int *nodes, int count)
{
    for (int n = 0; n < r->count; n++) {
        r->places[n] = (struct place){.became = NODE_NONE, .again = NODE_NONE};
    }
    for (int i = 0; i < count; i++) {
        r->places[nodes[i]].needed = true;
    }
    for (int n = r->count - 1; n >= 0; n--) {
        const struct node *node = graph_node(r->from, n);
        for (int i = 0; r->places[n].needed && i < node->input_count; i++) {
            r->places[node->input[i]].needed = true;
        }
    }
}

enum cam_code replay_copy(const struct graph *graph, const int *nodes, int count,
                          struct graph **out, int *nodes_out, struct cam_err *err)
{
    struct replay r = {.from = graph, .to = graph_create(), .count = graph_count(graph)};
    r.places = cam_alloc((size_t)r.count + 1, sizeof *r.places);
    r.largest = cam_alloc((size_t)r.count + 1, sizeof *r.largest);
    enum cam_code rc = CAM_OK;
    if (r.to == NULL || r.places == NULL || r.largest == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "no memory to recompute blocks of %d nodes", r.count);
        goto out;
    }
    mark_needed(&r, nodes, count);
    cut_blocks(&r);
    mark_kept(&r);
    rewrite(&r);
    for (int i = 0; i < count; i++) {
        nodes_out[i] = r.places[nodes[i]].became;
    }
    rc = graph_status(r.to, err);
    if (rc == CAM_OK) {
        *out = r.to;
        r.to = NULL;
    }
out:
    graph_destroy(r.to);
    cam_free(r.places);
    cam_free(r.largest);
    return rc;
}
