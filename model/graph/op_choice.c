/* Rules of the operators that choose, by value or by index. */
#include "model/graph/op_rules.h"

#include <inttypes.h>

static const struct node *input_node(const struct graph *graph, int node, int index)
{
    return graph_node(graph, graph_node(graph, node)->input[index]);
}

enum cam_code op_reduce_max_infer(const struct node *inputs[], int input_count,
                                  const struct op_attr *attr, struct shape *out,
                                  struct cam_err *err)
{
    return op_sum_infer(inputs, input_count, attr, out, err);
}

/* Where n elements are the largest, each gets an n-th. */
void op_reduce_max_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    int x = self->input[0];
    int chosen = graph_binary(graph, OP_EQUAL, x, node);
    int share = graph_binary(graph, OP_DIV, dy, graph_sum(graph, chosen, self->attr.axes));
    d_inputs[0] = graph_binary(graph, OP_MUL, chosen, share);
}

enum cam_code op_gather_infer(const struct node *inputs[], int input_count,
                              const struct op_attr *attr, struct shape *out, struct cam_err *err)
{
    (void)input_count;
    (void)attr;
    const struct shape *table = &inputs[0]->shape;
    *out = inputs[1]->shape;
    if (table->rank < 1 || out->rank + table->rank - 1 > SHAPE_RANK_MAX) {
        return cam_fail(err, CAM_INVALID,
                        "a table of rank %d read by indices of rank %d does not fit in rank %d",
                        table->rank, out->rank, SHAPE_RANK_MAX);
    }
    for (int i = 1; i < table->rank; i++) {
        out->dim[out->rank++] = table->dim[i];
    }
    return CAM_OK;
}

void op_gather_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    d_inputs[0] = graph_scatter_add(graph, self->input[1], dy, &input_node(graph, node, 0)->shape);
}

enum cam_code op_scatter_add_infer(const struct node *inputs[], int input_count,
                                   const struct op_attr *attr, struct shape *out,
                                   struct cam_err *err)
{
    const struct node table = {.shape = attr->shape};
    const struct node *gathered[] = {&table, inputs[0]};
    struct shape expected;
    enum cam_code rc = op_gather_infer(gathered, input_count, attr, &expected, err);
    if (rc == CAM_OK && !shape_equal(&expected, &inputs[1]->shape)) {
        char found[96];
        char wanted[96];
        return cam_fail(err, CAM_INVALID,
                        "rows of shape %s do not fit their indices, which take %s",
                        shape_text(&inputs[1]->shape, found, sizeof found),
                        shape_text(&expected, wanted, sizeof wanted));
    }
    *out = attr->shape;
    return rc;
}

void op_scatter_add_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    d_inputs[1] = graph_gather(graph, dy, graph_node(graph, node)->input[0]);
}

enum cam_code op_max_pool_index_infer(const struct node *inputs[], int input_count,
                                      const struct op_attr *attr, struct shape *out,
                                      struct cam_err *err)
{
    (void)input_count;
    const struct window *window = &attr->window;
    *out = inputs[0]->shape;
    if (out->rank != 4) {
        return cam_fail(err, CAM_INVALID, "a pool takes images (N,H,W,C), found rank %d",
                        out->rank);
    }
    for (int i = 0; i < 2; i++) {
        int64_t padded = out->dim[1 + i] + window->pad_before[i] + window->pad_after[i];
        /* Padding below the kernel's size: every window sees a pixel. */
        if (window->size[i] < 1 || window->stride[i] < 1 || window->pad_before[i] < 0 ||
            window->pad_after[i] < 0 || window->size[i] > padded ||
            window->pad_before[i] >= window->size[i] || window->pad_after[i] >= window->size[i]) {
            return cam_fail(err, CAM_INVALID,
                            "a pool of %" PRId64 " at stride %" PRId64 " with padding %" PRId64
                            " and %" PRId64 " does not fit a size of %" PRId64,
                            window->size[i], window->stride[i], window->pad_before[i],
                            window->pad_after[i], out->dim[1 + i]);
        }
        out->dim[1 + i] = (padded - window->size[i]) / window->stride[i] + 1;
    }
    return CAM_OK;
}

static enum cam_code check_pool(const struct shape *image, const struct shape *pooled,
                                struct cam_err *err)
{
    if (image->rank != 4 || pooled->rank != 4 || image->dim[0] != pooled->dim[0] ||
        image->dim[3] != pooled->dim[3]) {
        char found[96];
        char wanted[96];
        return cam_fail(err, CAM_INVALID, "pooled %s does not belong to %s",
                        shape_text(pooled, found, sizeof found),
                        shape_text(image, wanted, sizeof wanted));
    }
    return CAM_OK;
}

enum cam_code op_gather_pool_infer(const struct node *inputs[], int input_count,
                                   const struct op_attr *attr, struct shape *out,
                                   struct cam_err *err)
{
    (void)input_count;
    (void)attr;
    *out = inputs[1]->shape;
    return check_pool(&inputs[0]->shape, out, err);
}

void op_gather_pool_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    const struct node *self = graph_node(graph, node);
    const struct op_attr attr = {.shape = input_node(graph, node, 0)->shape};
    d_inputs[0] = dy < 0
                      ? NODE_NONE
                      : graph_append(graph, OP_SCATTER_POOL, (int[]){dy, self->input[1]}, 2, &attr);
}

enum cam_code op_scatter_pool_infer(const struct node *inputs[], int input_count,
                                    const struct op_attr *attr, struct shape *out,
                                    struct cam_err *err)
{
    (void)input_count;
    *out = attr->shape;
    if (!shape_equal(&inputs[0]->shape, &inputs[1]->shape)) {
        return cam_fail(err, CAM_INTERNAL, "pooled values and indices differ in shape");
    }
    return check_pool(out, &inputs[1]->shape, err);
}

void op_scatter_pool_gradient(struct graph *graph, int node, int dy, int *d_inputs)
{
    int index = graph_node(graph, node)->input[1];
    d_inputs[0] =
        dy < 0 ? NODE_NONE : graph_append(graph, OP_GATHER_POOL, (int[]){dy, index}, 2, NULL);
}
