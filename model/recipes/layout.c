/*
 * The order of a tensor's elements in checkpoints, which is PyTorch's.  Every layout is one
 * permutation of axes over some factoring of the tensor, so export is a strided walk and import
 * the same walk the other way.
 */
#include "model/recipes/training.h"

#include <string.h>

/* The arena's tensor as `from` (row-major); the checkpoint's axis i is the arena's axis order[i].
 */
struct walk {
    struct shape from;
    int order[SHAPE_RANK_MAX];
};

static struct walk walk_same(const struct tensor_info *info)
{
    return (struct walk){.from = info->shape, .order = {0, 1, 2, 3, 4, 5}};
}

/* (KH,KW,I,O) -> (O,I,KH,KW); for a transposed convolution (KH,KW,O,I) -> (I,O,KH,KW). */
static struct walk walk_conv(const struct tensor_info *info)
{
    return (struct walk){.from = info->shape, .order = {3, 2, 0, 1}};
}

static struct walk walk_matrix(const struct tensor_info *info)
{
    return (struct walk){.from = info->shape, .order = {1, 0}};
}

/* (H,W,C,out) -> (out,C,H,W) */
static struct walk walk_from_image(const struct tensor_info *info)
{
    const int64_t *image = info->image;
    return (struct walk){
        .from = {.rank = 4, .dim = {image[0], image[1], image[2], info->shape.dim[1]}},
        .order = {3, 2, 0, 1}};
}

/* (in,H,W,C) -> (C,H,W,in) */
static struct walk walk_to_image(const struct tensor_info *info)
{
    const int64_t *image = info->image;
    return (struct walk){
        .from = {.rank = 4, .dim = {info->shape.dim[0], image[0], image[1], image[2]}},
        .order = {3, 1, 2, 0}};
}

/* (H,W,C) -> (C,H,W) */
static struct walk walk_vector(const struct tensor_info *info)
{
    const int64_t *image = info->image;
    return (struct walk){.from = {.rank = 3, .dim = {image[0], image[1], image[2]}},
                         .order = {2, 0, 1}};
}

/* (rows,H,W,C) -> (rows,C,H,W) */
static struct walk walk_table(const struct tensor_info *info)
{
    const int64_t *image = info->image;
    return (struct walk){
        .from = {.rank = 4, .dim = {info->shape.dim[0], image[0], image[1], image[2]}},
        .order = {0, 3, 1, 2}};
}

static struct walk (*const WALKS[])(const struct tensor_info *info) = {
    [EXPORT_SAME] = walk_same,
    [EXPORT_CONV] = walk_conv,
    [EXPORT_CONV_TRANSPOSE] = walk_conv,
    [EXPORT_MATRIX] = walk_matrix,
    [EXPORT_MATRIX_FROM_IMAGE] = walk_from_image,
    [EXPORT_MATRIX_TO_IMAGE] = walk_to_image,
    [EXPORT_VECTOR_TO_IMAGE] = walk_vector,
    [EXPORT_CONV1D] = walk_conv,
    [EXPORT_TABLE_OF_IMAGES] = walk_table,
};

/* Visits the checkpoint's elements in order; at[i] is where each is in the arena. */
struct cursor {
    struct shape shape; /* the checkpoint's, factored */
    int64_t stride[SHAPE_RANK_MAX];
    int64_t index[SHAPE_RANK_MAX];
    int64_t at;
};

static struct cursor cursor_start(const struct tensor_info *info)
{
    struct walk walk = WALKS[info->layout](info);
    struct cursor cursor = {.shape = {.rank = walk.from.rank}};
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(&walk.from, stride);
    for (int i = 0; i < walk.from.rank; i++) {
        cursor.shape.dim[i] = walk.from.dim[walk.order[i]];
        cursor.stride[i] = stride[walk.order[i]];
    }
    return cursor;
}

static void cursor_next(struct cursor *cursor)
{
    for (int i = cursor->shape.rank - 1; i >= 0; i--) {
        cursor->at += cursor->stride[i];
        if (++cursor->index[i] < cursor->shape.dim[i]) {
            return;
        }
        cursor->at -= cursor->stride[i] * cursor->shape.dim[i];
        cursor->index[i] = 0;
    }
}

void tensor_export(const struct tensor_info *info, const float *source, float *out)
{
    struct cursor cursor = cursor_start(info);
    int64_t count = shape_count(&info->shape);
    for (int64_t i = 0; i < count; i++) {
        out[i] = source[cursor.at];
        cursor_next(&cursor);
    }
}

void tensor_import(const struct tensor_info *info, const float *source, float *out)
{
    struct cursor cursor = cursor_start(info);
    int64_t count = shape_count(&info->shape);
    for (int64_t i = 0; i < count; i++) {
        out[cursor.at] = source[i];
        cursor_next(&cursor);
    }
}

struct shape tensor_export_shape(const struct tensor_info *info)
{
    static const int ORDER[] = {3, 2, 0, 1};
    struct shape shape = info->shape;
    bool line = info->layout == EXPORT_CONV1D;
    if (line || info->layout == EXPORT_CONV || info->layout == EXPORT_CONV_TRANSPOSE) {
        for (int i = 0; i < 4; i++) {
            shape.dim[i] = info->shape.dim[ORDER[i]];
        }
        if (line) { /* of height 1, which is not said there */
            shape = (struct shape){.rank = 3, .dim = {shape.dim[0], shape.dim[1], shape.dim[3]}};
        }
    } else if (shape.rank == 2 && info->layout != EXPORT_SAME &&
               info->layout != EXPORT_TABLE_OF_IMAGES) { /* matrices are (out, in) there */
        shape.dim[0] = info->shape.dim[1];
        shape.dim[1] = info->shape.dim[0];
    }
    return shape;
}
