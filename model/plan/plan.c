#include "model/plan/plan.h"

#include "base/mem.h"
#include "model/graph/lower.h"
#include "model/plan/plan_build.h"
#include "model/plan/replay.h"

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

static enum cam_code create(const struct plan_request *request, struct plan **out,
                            struct cam_err *err)
{
    struct plan_builder b = {.request = request, .graph = request->graph};
    enum cam_code rc = CAM_OK;
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

static bool has_lowered(const struct plan_request *request)
{
    for (int n = 0; n < graph_count(request->graph); n++) {
        enum op_kind op = graph_node(request->graph, n)->op;
        if (op_get(op)->lower != NULL && (request->macros == NULL || !request->macros[op])) {
            return true;
        }
    }
    return false;
}

/* The same request over a graph without the macros that the backend has no kernel of, and with
 * blocks that are computed again. */
static enum cam_code create_rewritten(const struct plan_request *request, struct plan **out,
                                      struct cam_err *err)
{
    struct graph *graph = NULL;
    struct graph *replayed = NULL;
    size_t count = (size_t)request->output_count + 1;
    struct plan_output *outputs = cam_alloc(count, sizeof *outputs);
    int *nodes = cam_alloc(count, sizeof *nodes);
    enum cam_code rc = CAM_NO_MEMORY;
    if (outputs == NULL || nodes == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "no memory for a plan");
        goto out;
    }
    for (int i = 0; i < request->output_count; i++) {
        nodes[i] = request->outputs[i].node;
    }
    rc = lower_copy(request->graph, request->macros, nodes, request->output_count, &graph, nodes,
                    err);
    if (rc == CAM_OK && request->recompute) {
        rc = replay_copy(graph, nodes, request->output_count, &replayed, nodes, err);
    }
    for (int i = 0; i < request->output_count; i++) {
        outputs[i] = (struct plan_output){nodes[i], request->outputs[i].offset};
    }
    if (rc == CAM_OK) {
        struct plan_request lowered = *request;
        lowered.graph = replayed != NULL ? replayed : graph;
        lowered.outputs = outputs;
        rc = create(&lowered, out, err);
    }
out:
    graph_destroy(replayed);
    graph_destroy(graph);
    cam_free(outputs);
    cam_free(nodes);
    return rc;
}

enum cam_code plan_create(const struct plan_request *request, struct plan **out,
                          struct cam_err *err)
{
    enum cam_code rc = check_request(request, err);
    if (rc != CAM_OK) {
        return rc;
    }
    bool rewrite = request->recompute || has_lowered(request);
    return (rewrite ? create_rewritten : create)(request, out, err);
}
