#include "model/plan/plan.h"

#include "base/mem.h"
#include "model/plan/plan_build.h"

#include <inttypes.h>
#include <string.h>

void plan_destroy(struct plan *plan)
{
    if (plan != NULL) {
        cam_arena_destroy(plan->arena);
        cam_free(plan);
    }
}

static enum cam_code check_request(const struct plan_request *request, struct cam_err *err)
{
    enum cam_code rc = graph_status(request->graph, err);
    for (int i = 0; rc == CAM_OK && i < request->output_count; i++) {
        int node = request->outputs[i].node;
        if (node < 0 || node >= graph_count(request->graph) || request->outputs[i].offset < 0) {
            rc = cam_fail(err, CAM_INTERNAL, "a plan's output %d is node %d at %" PRId64, i, node,
                          request->outputs[i].offset);
        }
    }
    return rc;
}

static int64_t output_floats(const struct plan_request *request)
{
    int64_t floats = 0;
    for (int i = 0; i < request->output_count; i++) {
        const struct plan_output *output = &request->outputs[i];
        int64_t end =
            output->offset + shape_count(&graph_node(request->graph, output->node)->shape);
        floats = end > floats ? end : floats;
    }
    return floats;
}

static void keep_values(struct plan_builder *b)
{
    struct plan_value *values =
        cam_arena_alloc(b->plan->arena, (size_t)b->value_count + 1, sizeof *values);
    if (values == NULL) {
        b->no_memory = true;
        return;
    }
    if (b->value_count > 0) {
        memcpy(values, b->values, (size_t)b->value_count * sizeof *values);
    }
    b->plan->values = values;
    b->plan->value_count = b->value_count;
}

static void build(struct plan_builder *b)
{
    if (b->plan == NULL || b->plan->arena == NULL || b->scratch == NULL || !plan_order(b)) {
        b->no_memory = true;
        return;
    }
    (b->request->fuse ? plan_fuse : plan_plain)(b);
    if (!b->no_memory) {
        plan_values(b);
    }
    if (!b->no_memory) {
        plan_memory(b);
    }
    if (!b->no_memory) {
        keep_values(b);
    }
}

enum cam_code plan_create(const struct plan_request *request, struct plan **out,
                          struct cam_err *err)
{
    struct plan_builder b = {.request = request, .graph = request->graph};
    enum cam_code rc = check_request(request, err);
    if (rc != CAM_OK) {
        return rc;
    }
    b.scratch = cam_arena_create();
    b.plan = cam_alloc(1, sizeof *b.plan);
    if (b.plan != NULL) {
        b.plan->arena = cam_arena_create();
        b.plan->output_floats = output_floats(request);
    }
    build(&b);
    if (b.no_memory) {
        rc = cam_fail(err, CAM_NO_MEMORY, "no memory for a plan of %d nodes", b.node_count);
        plan_destroy(b.plan);
    } else {
        *out = b.plan;
    }
    cam_free(b.drafts);
    cam_free(b.values);
    cam_arena_destroy(b.scratch);
    return rc;
}
