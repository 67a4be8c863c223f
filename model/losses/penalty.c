/*
 *   gradient_penalty  Gulrajani et al. (2017), equation 3: weight * (||g|| - 1)^2 between samples
 *   dragan            Kodali et al. (2017), equation 4: the same beside real samples
 *   r1, r2            Mescheder et al. (2018), equation 9: weight / 2 * ||g||^2 at real samples,
 *                     at generated ones; the half is part of it, weight is their gamma
 *
 * With `every: k` a penalty is k times as heavy in every k-th update (Karras et al. 2020, lazy
 * regularisation).  It is part of the same update as the loss, so the learning rate and betas that
 * StyleGAN2 corrects for its separate updates stay as they are.
 */
#include "model/losses/penalty.h"

#include "base/text.h"

#include <string.h>

enum { EVERY_MAX = 10000 };
#define WEIGHT_MAX     1e6
#define WEIGHT_DEFAULT 10.0
#define NORM_EPSILON   1e-12

static const char *const NAMES[] = {"gradient_penalty", "dragan", "r1", "r2"};
static const struct penalty PENALTIES[] = {
    {.name = "gradient_penalty",
     .keys = {"weight", "every"},
     .place = PENALTY_BETWEEN,
     .to_one = true},
    {.name = "dragan", .keys = {"weight", "every"}, .place = PENALTY_NEAR_REAL, .to_one = true},
    {.name = "r1", .keys = {"weight", "every"}, .place = PENALTY_REAL},
    {.name = "r2", .keys = {"weight", "every"}, .place = PENALTY_GENERATED},
};
enum { PENALTY_COUNT = sizeof PENALTIES / sizeof PENALTIES[0] };
_Static_assert(sizeof NAMES / sizeof NAMES[0] == PENALTY_COUNT, "a name for every penalty");

const struct penalty *penalty_find(const char *name)
{
    for (int i = 0; i < PENALTY_COUNT; i++) {
        if (strcmp(PENALTIES[i].name, name) == 0) {
            return &PENALTIES[i];
        }
    }
    return NULL;
}

const char *const *penalty_names(size_t *count_out)
{
    *count_out = PENALTY_COUNT;
    return NAMES;
}

enum cam_code penalty_read(const struct job_file *job, const struct typed_spec *spec,
                           struct penalty_use *out, struct cam_err *err)
{
    size_t count = 0;
    *out = (struct penalty_use){.penalty = penalty_find(spec->type),
                                .line = spec->line,
                                .weight = WEIGHT_DEFAULT,
                                .every = 1};
    if (out->penalty == NULL) {
        const char *near = cam_nearest(spec->type, NAMES, PENALTY_COUNT);
        return doc_fail(job->file_name, spec->line, err,
                        "unknown penalty '%s'%s%s%s; allowed: gradient_penalty, dragan, r1, r2",
                        spec->type, near != NULL ? ", did you mean '" : "",
                        near != NULL ? near : "", near != NULL ? "'?" : "");
    }
    while (count < PENALTY_KEYS_MAX && out->penalty->keys[count] != NULL) {
        count++;
    }
    const struct doc_node *map = spec->attributes;
    enum cam_code rc = doc_check_keys(map, spec->type, out->penalty->keys, count, err);
    rc = rc == CAM_OK ? doc_read_real(map, "weight", 0.0, WEIGHT_MAX, &out->weight, err) : rc;
    return rc == CAM_OK ? doc_read_int(map, "every", 1, EVERY_MAX, &out->every, err) : rc;
}

/* (N,...) -> (N,1): a row's sum of squares. */
static int squares_by_row(struct graph *graph, int gradient)
{
    if (gradient < 0) {
        return NODE_NONE;
    }
    const struct shape *shape = &graph_node(graph, gradient)->shape;
    const struct shape rows = {.rank = 2,
                               .dim = {shape->dim[0], shape_count(shape) / shape->dim[0]}};
    int flat = graph_reshape(graph, gradient, &rows);
    return graph_sum(graph, graph_binary(graph, OP_MUL, flat, flat), 2u);
}

int penalty_build(struct graph *graph, const struct penalty_use *use, int gradient)
{
    int value = squares_by_row(graph, gradient);
    double weight = use->weight * (double)use->every;
    if (use->penalty->to_one) {
        int norm = graph_unary(graph, OP_SQRT, graph_offset(graph, value, NORM_EPSILON));
        int distance = graph_offset(graph, norm, -1.0);
        value = graph_binary(graph, OP_MUL, distance, distance);
    } else {
        weight *= 0.5;
    }
    int sum = graph_reshape(graph, graph_sum(graph, value, 3u), &(struct shape){0});
    return graph_scale(graph, sum, weight);
}
