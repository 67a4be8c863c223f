#include "model/optim/optimizer.h"

#include "base/text.h"

#include <string.h>

#define CLIP_LEAST 1e-30
#define CLIP_MOST  1e30

/* What every optimizer takes. */
#define COMMON_KEYS "lr", "schedule", "warmup", "clip_norm", "clip_value", "weight_decay", "decay"

static const char *const NAMES[] = {"adam", "adamw", "lars", "rmsprop", "sgd"};
static const struct optimizer OPTIMIZERS[] = {
    {.name = "adam",
     .keys = {"beta1", "beta2", "epsilon", COMMON_KEYS},
     .read = adam_read,
     .update = adam_update},
    {.name = "adamw",
     .keys = {"beta1", "beta2", "epsilon", COMMON_KEYS},
     .read = adamw_read,
     .update = adamw_update},
    {.name = "lars",
     .keys = {"eta", "momentum", "clip_lr", COMMON_KEYS},
     .read = lars_read,
     .update = lars_update},
    {.name = "rmsprop",
     .keys = {"alpha", "momentum", "epsilon", "centered", COMMON_KEYS},
     .read = rmsprop_read,
     .update = rmsprop_update},
    {.name = "sgd",
     .keys = {"momentum", "nesterov", COMMON_KEYS},
     .read = sgd_read,
     .update = sgd_update},
};
enum { OPTIMIZER_COUNT = sizeof OPTIMIZERS / sizeof OPTIMIZERS[0] };
_Static_assert(sizeof NAMES / sizeof NAMES[0] == OPTIMIZER_COUNT, "a name for every optimizer");

const struct optimizer *optimizer_get(int index)
{
    return &OPTIMIZERS[index];
}

int optimizer_count(void)
{
    return OPTIMIZER_COUNT;
}

static enum cam_code read_common(const struct doc_node *map, struct update_info *out,
                                 struct cam_err *err)
{
    static const char *const SCOPES[] = {"all", "weights"};
    int scope = out->decay_weights ? 1 : 0;
    enum cam_code rc = rate_read(map, &out->rate, err);
    if (rc == CAM_OK) {
        rc = doc_read_real(map, "clip_norm", CLIP_LEAST, CLIP_MOST, &out->clip_norm, err);
    }
    if (rc == CAM_OK) {
        rc = doc_read_real(map, "clip_value", CLIP_LEAST, CLIP_MOST, &out->clip_value, err);
    }
    if (rc == CAM_OK) {
        rc = doc_read_real(map, "weight_decay", 0.0, 100.0, &out->weight_decay, err);
    }
    if (rc == CAM_OK) {
        rc = doc_read_choice(map, "decay", SCOPES, 2, &scope, err);
    }
    out->decay_weights = scope == 1;
    return rc;
}

enum cam_code optimizer_read(const struct job_file *job, const struct optimizer_spec *spec,
                             struct cam_arena *arena, struct update_info *out, struct cam_err *err)
{
    for (int i = 0; i < OPTIMIZER_COUNT; i++) {
        const struct optimizer *optimizer = &OPTIMIZERS[i];
        size_t count = 0;
        if (strcmp(optimizer->name, spec->type) != 0) {
            continue;
        }
        while (count < OPTIMIZER_KEYS_MAX && optimizer->keys[count] != NULL) {
            count++;
        }
        out->optimizer = i;
        enum cam_code rc =
            doc_check_keys(spec->attributes, spec->type, optimizer->keys, count, err);
        rc = rc == CAM_OK ? optimizer->read(spec, arena, out, err) : rc;
        return rc == CAM_OK ? read_common(spec->attributes, out, err) : rc;
    }
    const char *near = cam_nearest(spec->type, NAMES, OPTIMIZER_COUNT);
    return doc_fail(job->file_name, spec->line, err,
                    "unknown optimizer '%s'%s%s%s; allowed: adam, adamw, lars, rmsprop, sgd",
                    spec->type, near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}

int optimizer_decayed(const struct update_info *info, const struct update_nodes *nodes)
{
    struct graph *graph = nodes->graph;
    if (info->weight_decay == 0.0) {
        return nodes->gradient;
    }
    int decay = graph_scale(graph, nodes->parameter, info->weight_decay);
    if (info->decay_weights) {
        decay = graph_binary(graph, OP_MUL, decay, nodes->decays);
    }
    return graph_binary(graph, OP_ADD, nodes->gradient, decay);
}

int optimizer_blend(const struct update_nodes *nodes, double a, int old, double b, int new)
{
    return graph_binary(nodes->graph, OP_ADD, graph_scale(nodes->graph, old, a),
                        graph_scale(nodes->graph, new, b));
}
