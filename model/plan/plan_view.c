/* Chains of views as one strided index map. */
#include "model/plan/plan_build.h"

#include <string.h>

struct plan_view plan_view_dense(int base, const struct shape *shape)
{
    struct plan_view view = {.base = base, .shape = *shape};
    shape_strides(shape, view.stride);
    for (int i = 0; i < shape->rank; i++) {
        view.stride[i] = shape->dim[i] == 1 ? 0 : view.stride[i];
    }
    return view;
}

static bool apply_broadcast(const struct node *node, struct plan_view *view)
{
    for (int i = 0; i < view->shape.rank; i++) {
        if (view->shape.dim[i] == 1) {
            view->stride[i] = 0;
        }
    }
    view->shape = node->shape;
    return true;
}

static bool apply_permute(const struct node *node, struct plan_view *view)
{
    struct plan_view from = *view;
    for (int i = 0; i < from.shape.rank; i++) {
        view->stride[i] = from.stride[node->attr.order[i]];
    }
    view->shape = node->shape;
    return true;
}

static bool apply_slice(const struct node *node, struct plan_view *view)
{
    for (int i = 0; i < view->shape.rank; i++) {
        view->offset += node->attr.start[i] * view->stride[i];
    }
    view->shape = node->shape;
    return true;
}

/* The view without its sizes of 1. */
static struct plan_view squeeze(const struct plan_view *view)
{
    struct plan_view out = {.base = view->base, .offset = view->offset};
    for (int i = 0; i < view->shape.rank; i++) {
        if (view->shape.dim[i] != 1) {
            out.stride[out.shape.rank] = view->stride[i];
            out.shape.dim[out.shape.rank++] = view->shape.dim[i];
        }
    }
    return out;
}

/* Walks both shapes from the inside; the sizes of a run on either side have one product, and the
 * old axes of a run must be one arithmetic progression. */
static bool apply_reshape(const struct node *node, struct plan_view *view)
{
    const struct plan_view old = squeeze(view);
    const struct shape *to = &node->shape;
    int64_t stride[SHAPE_RANK_MAX] = {0};
    int from = old.shape.rank - 1;
    int axis = to->rank - 1;
    while (from >= 0) {
        int64_t old_count = old.shape.dim[from];
        int64_t next = old.stride[from];
        int64_t new_count = 1;
        while (axis >= 0 && new_count < old_count) {
            stride[axis] = next * new_count;
            new_count *= to->dim[axis--];
            while (new_count > old_count) {
                from--;
                if (from < 0 || old.stride[from] != next * old_count) {
                    return false;
                }
                old_count *= old.shape.dim[from];
            }
        }
        if (new_count != old_count) {
            return false;
        }
        from--;
    }
    memcpy(view->stride, stride, sizeof stride);
    view->shape = *to;
    return true;
}

bool plan_view_apply(const struct node *node, const struct plan_view *inner, struct plan_view *out)
{
    static bool (*const APPLY[OP_COUNT])(const struct node *node, struct plan_view *view) = {
        [OP_BROADCAST] = apply_broadcast,
        [OP_PERMUTE] = apply_permute,
        [OP_SLICE] = apply_slice,
        [OP_RESHAPE] = apply_reshape,
    };
    *out = *inner;
    return APPLY[node->op](node, out);
}

bool plan_view_is_dense(const struct plan_view *view, const struct shape *base_shape)
{
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(&view->shape, stride);
    bool dense = view->offset == 0 && shape_count(&view->shape) == shape_count(base_shape);
    for (int i = 0; dense && i < view->shape.rank; i++) {
        dense = view->shape.dim[i] == 1 || view->stride[i] == stride[i];
    }
    return dense;
}
