/* Layers that move numbers: reshape, flatten; and those that join: add, concat. */
#include "model/layers/layer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "784 numbers (28, 28, 1)", or "784 numbers" where they stand in a row. */
static const char *numbers_text(const struct shape *shape, int64_t count, char *out, size_t size)
{
    char text[72];
    bool row = shape->rank == 1;
    (void)snprintf(out, size, "%" PRId64 " numbers%s%s", count, row ? "" : " ",
                   row ? "" : shape_text(shape, text, sizeof text));
    return out;
}

void reshape_build(struct layer *layer)
{
    const struct doc_node *list = doc_get(layer->attributes, "shape");
    const struct shape *in = layer_shape(layer, 0);
    struct shape out = {.rank = 1, .dim = {in->dim[0]}};
    int64_t count = 1;
    int open = 0;
    char found[96];
    if (list == NULL || list->kind != DOC_LIST || list->count == 0 ||
        list->count >= SHAPE_RANK_MAX) {
        layer_fail(layer, "shape", "needs the sizes of a sample, such as [7, 7, 128], found %s",
                   doc_describe(list, found, sizeof found));
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        int64_t size = 0;
        if (!doc_int(list->items[i], &size) || size == 0 || size < -1 || size > INT32_MAX) {
            layer_fail(layer, "shape",
                       "a size is %s, a whole number of at least 1 is expected, or one -1 for "
                       "what is left",
                       doc_describe(list->items[i], found, sizeof found));
            return;
        }
        if (size == -1 && open != 0) {
            layer_fail(layer, "shape", "a second size is -1, one -1 is allowed for what is left");
            return;
        }
        open = size == -1 ? out.rank : open;
        count *= size == -1 ? 1 : size;
        out.dim[out.rank++] = size;
        if (count > INT32_MAX) {
            count = INT32_MAX; /* more than any tensor has: it cannot fit, and not overflow */
        }
    }
    int64_t features = shape_count(in) / in->dim[0];
    if (open != 0) {
        out.dim[open] = features / count;
        count *= out.dim[open];
    }
    if (count != features) {
        struct shape sample = shape_sample(in);
        struct shape wanted = shape_sample(&out);
        char to[96];
        char from[96];
        layer_fail(layer, "shape", "cannot make %s of a sample of %s",
                   numbers_text(&wanted, count, to, sizeof to),
                   numbers_text(&sample, features, from, sizeof from));
        return;
    }
    layer->out.node = graph_reshape(layer->call->graph, layer->inputs[0].node, &out);
}

void flatten_build(struct layer *layer)
{
    const struct shape *in = layer_shape(layer, 0);
    struct shape out = {.rank = 2, .dim = {in->dim[0], shape_count(in) / in->dim[0]}};
    if (in->rank == 4) {
        memcpy(layer->out.flattened, in->dim + 1, sizeof layer->out.flattened);
    }
    layer->out.node = graph_reshape(layer->call->graph, layer->inputs[0].node, &out);
}

static bool same_shapes(struct layer *layer, int free_axis)
{
    const struct shape *first = layer_shape(layer, 0);
    for (int i = 1; i < layer->input_count; i++) {
        struct shape other = *layer_shape(layer, i);
        if (free_axis > 0 && other.rank == first->rank) {
            other.dim[free_axis] = first->dim[free_axis];
        }
        if (!shape_equal(first, &other)) {
            char a[96];
            char b[96];
            layer_fail(layer, NULL, "its inputs do not fit: %s and %s",
                       layer_sample_text(layer, 0, a, sizeof a),
                       layer_sample_text(layer, i, b, sizeof b));
            return false;
        }
    }
    return true;
}

void add_build(struct layer *layer)
{
    if (!same_shapes(layer, 0)) {
        return;
    }
    layer->out.node = layer->inputs[0].node;
    for (int i = 1; i < layer->input_count; i++) {
        layer->out.node =
            graph_binary(layer->call->graph, OP_ADD, layer->out.node, layer->inputs[i].node);
    }
}

/* Along the last axis: channels or features. */
void concat_build(struct layer *layer)
{
    int nodes[NODE_INPUTS_MAX];
    int axis = layer_shape(layer, 0)->rank - 1;
    if (!same_shapes(layer, axis)) {
        return;
    }
    for (int i = 0; i < layer->input_count; i++) {
        nodes[i] = layer->inputs[i].node;
    }
    layer->out.node = graph_concat(layer->call->graph, nodes, layer->input_count, axis);
}
