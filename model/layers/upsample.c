/* upsample2d: nearest repeats every pixel, bilinear weighs the four around (PyTorch's
 * align_corners=False: pixels are squares, and the image goes on as its edge). */
#include "model/layers/layer.h"

enum { UPSAMPLE_MAX = 64 };

static int nearest(struct graph *graph, int x, const int64_t size[2])
{
    const struct shape in = graph_node(graph, x)->shape;
    const int64_t *d = in.dim;
    const struct shape split = {.rank = 6, .dim = {d[0], d[1], 1, d[2], 1, d[3]}};
    const struct shape wide = {.rank = 6, .dim = {d[0], d[1], size[0], d[2], size[1], d[3]}};
    const struct shape out = {.rank = 4, .dim = {d[0], d[1] * size[0], d[2] * size[1], d[3]}};
    int y = graph_reshape(graph, x, &split);
    return graph_reshape(graph, graph_broadcast(graph, y, &wide), &out);
}

/* (from, from * factor): column j holds what each pixel gives to pixel j of the enlarged row, a hat
 * of width 1 around its place (j + 1/2) / factor - 1/2, kept within the row. */
static int hats(struct graph *graph, int64_t from, int64_t factor)
{
    const struct shape shape = {.rank = 2, .dim = {from, from * factor}};
    const double share = 1.0 / (double)factor;
    int place = graph_iota(graph, &shape, 1);
    place = graph_offset(graph, graph_scale(graph, place, share), 0.5 * share - 0.5);
    place = graph_binary(graph, OP_MAX, place, graph_constant(graph, 0.0, &shape));
    place = graph_binary(graph, OP_MIN, place, graph_constant(graph, (double)from - 1.0, &shape));
    int away = graph_binary(graph, OP_SUB, place, graph_iota(graph, &shape, 0));
    int hat =
        graph_offset(graph, graph_unary(graph, OP_NEG, graph_unary(graph, OP_ABS, away)), 1.0);
    return graph_binary(graph, OP_MAX, hat, graph_constant(graph, 0.0, &shape));
}

/* The last axis of a tensor of rank 4 made `factor` times as long. */
static int stretch_last(struct graph *graph, int x, int64_t factor)
{
    if (x < 0 || factor == 1) {
        return x;
    }
    struct shape out = graph_node(graph, x)->shape;
    int64_t from = out.dim[3];
    const struct shape rows = {.rank = 2, .dim = {shape_count(&out) / from, from}};
    out.dim[3] = from * factor;
    x = graph_matmul(graph, graph_reshape(graph, x, &rows), hats(graph, from, factor), false,
                     false);
    return graph_reshape(graph, x, &out);
}

/* (N,H,W,C) -> (N,C,H,W') -> (N,C,W',H') -> (N,H',W',C): two products by constant matrices. */
static int bilinear(struct graph *graph, int x, const int64_t size[2])
{
    x = stretch_last(graph, graph_permute(graph, x, (const int[]){0, 3, 1, 2}), size[1]);
    x = stretch_last(graph, graph_permute(graph, x, (const int[]){0, 1, 3, 2}), size[0]);
    return graph_permute(graph, x, (const int[]){0, 3, 2, 1});
}

void upsample2d_build(struct layer *layer)
{
    static const char *const WAYS[] = {"nearest", "bilinear"};
    static int (*const APPLY[])(struct graph * graph, int x, const int64_t size[2]) = {nearest,
                                                                                       bilinear};
    int64_t size[2] = {2, 2};
    int way = 0;
    layer_read_pair(layer, "size", 1, UPSAMPLE_MAX, size);
    layer_read_choice(layer, "interpolation", WAYS, 2, &way);
    if (layer_takes_images(layer)) {
        layer->out.node = APPLY[way](layer->call->graph, layer->inputs[0].node, size);
    }
}
