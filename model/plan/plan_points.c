#include "model/plan/plan_points.h"

enum {
    TAPS = 2,            /* an axis, of each place within a stride */
    CHANNELS_LEAST = 32, /* at either end: below, the transforms cost more than they save */
    CHANNELS_STEP = 16,
    OUTPUTS_LEAST = 2, /* an axis: one alone saves nothing */
    WEIGHTS_GROWTH = 4,
};

/* Which value is the image, the weights and the result. */
struct roles {
    int x;
    int w;
    int y;
};

static struct roles roles_of(const struct plan_step *step)
{
    bool forward = step->op == OP_CONV2D;
    bool to_input = step->op == OP_CONV2D_GRAD_INPUT;
    return (struct roles){
        .x = to_input ? step->output : step->input[0],
        .w = forward || to_input ? step->input[1] : step->output,
        .y = forward ? step->output : step->input[to_input ? 0 : 1],
    };
}

static bool fits(int64_t channels)
{
    return channels >= CHANNELS_LEAST && channels % CHANNELS_STEP == 0;
}

bool plan_at_points(const struct plan *plan, const struct plan_step *step)
{
    if (step->kind != PLAN_OPERATOR || (step->op != OP_CONV2D && step->op != OP_CONV2D_GRAD_INPUT &&
                                        step->op != OP_CONV2D_GRAD_WEIGHT)) {
        return false;
    }
    const struct window *window = &step->attr.window;
    const struct roles roles = roles_of(step);
    const struct shape *x = &plan->values[roles.x].shape;
    const struct shape *w = &plan->values[roles.w].shape;
    const struct shape *y = &plan->values[roles.y].shape;
    /* Weights that are no parameter would be transformed for every shard. */
    bool at_points =
        window->groups == 1 && fits(w->dim[2]) && fits(w->dim[3]) &&
        (step->op == OP_CONV2D_GRAD_WEIGHT || plan->values[roles.w].storage == STORAGE_PARAMETER);
    for (int a = 0; a < 2; a++) {
        int64_t reach = (y->dim[1 + a] + 1) * window->stride[a]; /* of all windows */
        at_points = at_points && window->dilation[a] == 1 &&
                    w->dim[a] == TAPS * window->stride[a] && y->dim[1 + a] >= OUTPUTS_LEAST &&
                    window->pad_before[a] + x->dim[1 + a] <= reach;
    }
    return at_points;
}

int64_t plan_points_weights(const struct plan *plan, const struct plan_step *step)
{
    return WEIGHTS_GROWTH * shape_count(&plan->values[roles_of(step).w].shape);
}
