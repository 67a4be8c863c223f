#include "worker/train/compiled.h"

#include "base/mem.h"
#include "model/graph/op.h"
#include "model/plan/target.h"

#include <stdlib.h>
#include <string.h>

static enum cam_code check_operators(const struct compiled *compiled, const struct graph *graph,
                                     struct cam_err *err)
{
    for (int i = 0; i < graph_count(graph); i++) {
        const struct node *node = graph_node(graph, i);
        if (op_get(node->op)->lower == NULL &&
            !compiled->backend->query(compiled->instance, node->op)) {
            return cam_fail(err, CAM_UNSUPPORTED, "%s: the %s backend has no %s",
                            node->path == NULL ? "model" : node->path, compiled->backend->name,
                            op_get(node->op)->name);
        }
    }
    return CAM_OK;
}

enum cam_code compiled_plan(const struct compiled *compiled, const struct compiled_request *request,
                            struct compiled_plan *out, struct cam_err *err)
{
    *out = (struct compiled_plan){0};
    enum cam_code rc = check_operators(compiled, request->graph, err);
    if (rc != CAM_OK) {
        return rc;
    }
    struct plan_output *outputs = cam_alloc((size_t)request->count, sizeof *outputs);
    if (outputs == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the outputs of a plan: out of memory");
    }
    for (int i = 0; i < request->count; i++) {
        outputs[i] = (struct plan_output){.node = request->nodes[i], .offset = request->offsets[i]};
    }
    const struct plan_target *target = plan_target(compiled->backend->name);
    const struct plan_request plan_request = {
        .graph = request->graph,
        .outputs = outputs,
        .output_count = request->count,
        .parameter_offsets = compiled->parameter_offsets,
        .buffer_offsets = compiled->buffer_offsets,
        .recompute = compiled->training->recompute,
        .fuse = target != NULL && target->fuses,
        .macros = target != NULL ? target->macros : NULL,
    };
    rc = plan_create(&plan_request, &out->plan, err);
    cam_free(outputs);
    if (rc == CAM_OK) {
        rc = compiled->backend->compile(compiled->instance, out->plan, &out->executable, err);
    }
    if (rc != CAM_OK) {
        compiled_release(compiled->backend, out);
    }
    return rc;
}

void compiled_release(const struct backend *backend, struct compiled_plan *plan)
{
    if (plan->executable != NULL) {
        backend->destroy(plan->executable);
    }
    plan_destroy(plan->plan);
    *plan = (struct compiled_plan){0};
}

static void grow(int64_t *largest, const struct compiled_plan *plan)
{
    if (plan->plan->activation_floats > *largest) {
        *largest = plan->plan->activation_floats;
    }
}

static int compare_gaps(const void *left, const void *right)
{
    const struct compiled_gap *a = left;
    const struct compiled_gap *b = right;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Written ranges first, then turned into what lies between them. */
static enum cam_code find_gaps(const struct phase *phase, struct compiled_phase *out,
                               struct cam_err *err)
{
    int count = phase->output_count;
    struct compiled_gap *ranges = cam_alloc((size_t)count + 1, sizeof *ranges);
    if (ranges == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the layout of a phase: out of memory");
    }
    for (int i = 0; i < count; i++) {
        const struct node *node = graph_node(phase->graph, phase->output_nodes[i]);
        ranges[i] = (struct compiled_gap){phase->output_offsets[i], shape_count(&node->shape)};
    }
    qsort(ranges, (size_t)count, sizeof *ranges, compare_gaps);
    int64_t at = 0;
    int gaps = 0;
    for (int i = 0; i <= count; i++) {
        int64_t start = i < count ? ranges[i].offset : phase->output_floats;
        int64_t end = i < count ? start + ranges[i].floats : start;
        struct compiled_gap gap = {at, start - at};
        at = end > at ? end : at;
        if (gap.floats > 0) {
            ranges[gaps++] = gap; /* gaps <= i: this range was read already */
        }
    }
    out->gaps = ranges;
    out->gap_count = gaps;
    return CAM_OK;
}

static enum cam_code compile_update(struct compiled *compiled, const struct phase *phase,
                                    int64_t floats, struct compiled_plan *out, struct cam_err *err)
{
    struct graph *graph = NULL;
    int nodes[1 + UPDATE_STATES_MAX];
    int64_t offsets[1 + UPDATE_STATES_MAX];
    enum cam_code rc = training_update_graph(&phase->update, floats, &graph, nodes, err);
    for (int i = 0; i <= phase->update.state_count; i++) {
        offsets[i] = i * floats;
    }
    if (rc == CAM_OK) {
        rc = compiled_plan(compiled,
                           &(struct compiled_request){.graph = graph,
                                                      .nodes = nodes,
                                                      .offsets = offsets,
                                                      .count = 1 + phase->update.state_count},
                           out, err);
    }
    graph_destroy(graph);
    if (rc == CAM_OK) {
        grow(&compiled->activation_floats, out);
    }
    return rc;
}

static enum cam_code compile_replicated(struct compiled *compiled, const struct phase *phase,
                                        struct compiled_phase *out, struct cam_err *err)
{
    if (phase->replicated == NULL || phase->replicated_count == 0) {
        return CAM_OK;
    }
    out->replicated_offsets =
        cam_alloc((size_t)phase->replicated_count, sizeof *out->replicated_offsets);
    if (out->replicated_offsets == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the layout of a phase: out of memory");
    }
    int64_t at = 0;
    for (int i = 0; i < phase->replicated_count; i++) {
        const struct node *node = graph_node(phase->replicated, phase->replicated_nodes[i]);
        out->replicated_offsets[i] = at;
        at += (shape_count(&node->shape) + 15) / 16 * 16;
    }
    if (at > compiled->replicated_floats) {
        compiled->replicated_floats = at;
    }
    enum cam_code rc = compiled_plan(compiled,
                                     &(struct compiled_request){
                                         .graph = phase->replicated,
                                         .nodes = phase->replicated_nodes,
                                         .offsets = out->replicated_offsets,
                                         .count = phase->replicated_count,
                                     },
                                     &out->replicated, err);
    if (rc == CAM_OK) {
        grow(&compiled->activation_floats, &out->replicated);
    }
    return rc;
}

static enum cam_code compile_phase(struct compiled *compiled, const struct phase *phase,
                                   struct compiled_phase *out, struct cam_err *err)
{
    enum cam_code rc = compiled_plan(compiled,
                                     &(struct compiled_request){
                                         .graph = phase->graph,
                                         .nodes = phase->output_nodes,
                                         .offsets = phase->output_offsets,
                                         .count = phase->output_count,
                                     },
                                     &out->shard, err);
    if (rc == CAM_OK) {
        grow(&compiled->activation_floats, &out->shard);
        rc = find_gaps(phase, out, err);
    }
    if (rc == CAM_OK) {
        rc = compile_update(compiled, phase, UPDATE_CHUNK_FLOATS, &out->update_chunk, err);
    }
    if (rc == CAM_OK) {
        rc = compile_update(compiled, phase, BLOCK_FLOATS, &out->update_block, err);
    }
    if (rc == CAM_OK) {
        rc = compile_replicated(compiled, phase, out, err);
    }
    if (rc != CAM_OK) {
        cam_err_prefix(err, "phase %s", phase->name);
    }
    return rc;
}

static enum cam_code compile_evaluation(struct compiled *compiled, struct cam_err *err)
{
    const struct evaluation *evaluation = &compiled->training->evaluation;
    int64_t offsets[EVALUATION_METRICS_MAX];
    if (evaluation->graph == NULL) {
        return CAM_OK;
    }
    for (int i = 0; i < evaluation->metric_count; i++) {
        offsets[i] = evaluation->metrics[i].offset;
    }
    enum cam_code rc = compiled_plan(compiled,
                                     &(struct compiled_request){
                                         .graph = evaluation->graph,
                                         .nodes = evaluation->nodes,
                                         .offsets = offsets,
                                         .count = evaluation->metric_count,
                                     },
                                     &compiled->evaluation, err);
    if (rc == CAM_OK) {
        grow(&compiled->activation_floats, &compiled->evaluation);
    }
    return rc;
}

/* Where each tensor of a table stands, for the planner; one more so that none is NULL. */
static int64_t *offsets_of(const struct tensor_info *tensors, int count)
{
    int64_t *offsets = cam_alloc((size_t)count + 1, sizeof *offsets);
    for (int i = 0; offsets != NULL && i < count; i++) {
        offsets[i] = tensors[i].offset;
    }
    return offsets;
}

enum cam_code compiled_create(const struct training *training, const struct backend *backend,
                              struct backend_instance *instance, struct compiled **out,
                              struct cam_err *err)
{
    struct compiled *compiled = cam_alloc(1, sizeof *compiled);
    if (compiled == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the plans: out of memory");
    }
    *compiled = (struct compiled){
        .training = training,
        .backend = backend,
        .instance = instance,
        .phases = cam_alloc((size_t)training->phase_count, sizeof *compiled->phases),
        .parameter_offsets = offsets_of(training->parameters, training->parameter_count),
        .buffer_offsets = offsets_of(training->buffers, training->buffer_count),
    };
    enum cam_code rc = CAM_OK;
    if (compiled->phases == NULL || compiled->parameter_offsets == NULL ||
        compiled->buffer_offsets == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "the plans: out of memory");
    }
    for (int i = 0; rc == CAM_OK && i < training->phase_count; i++) {
        rc = compile_phase(compiled, &training->phases[i], &compiled->phases[i], err);
    }
    if (rc == CAM_OK) {
        rc = compile_evaluation(compiled, err);
    }
    if (rc != CAM_OK) {
        compiled_destroy(compiled);
        return rc;
    }
    *out = compiled;
    return CAM_OK;
}

void compiled_destroy(struct compiled *compiled)
{
    if (compiled == NULL) {
        return;
    }
    for (int i = 0; compiled->phases != NULL && i < compiled->training->phase_count; i++) {
        struct compiled_phase *phase = &compiled->phases[i];
        compiled_release(compiled->backend, &phase->shard);
        compiled_release(compiled->backend, &phase->update_chunk);
        compiled_release(compiled->backend, &phase->update_block);
        compiled_release(compiled->backend, &phase->replicated);
        cam_free(phase->replicated_offsets);
        cam_free(phase->gaps);
    }
    compiled_release(compiled->backend, &compiled->evaluation);
    cam_free(compiled->phases);
    cam_free(compiled->parameter_offsets);
    cam_free(compiled->buffer_offsets);
    cam_free(compiled);
}

/* Copies tensors from the run's output block, where they stand one behind another. */
static int64_t copy_tensors(const struct tensor_info *tensors, int count, const float *from,
                            float *arena)
{
    int64_t at = 0;
    for (int i = 0; i < count; i++) {
        int64_t floats = shape_count(&tensors[i].shape);
        memcpy(arena + tensors[i].offset, from + at, (size_t)floats * sizeof(float));
        at += (floats + 15) / 16 * 16;
    }
    return at;
}

/* The nodes of parameters, then buffers, and where each goes; returns the block's size. */
static int64_t list_initial(const struct training *t, int *nodes, int64_t *offsets)
{
    int64_t at = 0;
    for (int i = 0; i < t->parameter_count + t->buffer_count; i++) {
        const struct tensor_info *tensor =
            i < t->parameter_count ? &t->parameters[i] : &t->buffers[i - t->parameter_count];
        nodes[i] = tensor->initial;
        offsets[i] = at;
        at += (shape_count(&tensor->shape) + 15) / 16 * 16;
    }
    return at;
}

enum cam_code compiled_initial(const struct compiled *compiled, float *parameters, float *buffers,
                               struct cam_err *err)
{
    const struct training *t = compiled->training;
    const struct backend *backend = compiled->backend;
    size_t count = (size_t)(t->parameter_count + t->buffer_count);
    int *nodes = cam_alloc(count, sizeof *nodes);
    int64_t *offsets = cam_alloc(count, sizeof *offsets);
    struct compiled_plan plan = {0};
    float *output = NULL;
    float *activations = NULL;
    enum cam_code rc = CAM_OK;
    if (nodes == NULL || offsets == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "the initial values: out of memory");
        goto out;
    }
    int64_t floats = list_initial(t, nodes, offsets);
    rc = compiled_plan(
        compiled,
        &(struct compiled_request){
            .graph = t->initial, .nodes = nodes, .offsets = offsets, .count = (int)count},
        &plan, err);
    if (rc != CAM_OK) {
        goto out;
    }
    output = cam_alloc_aligned((size_t)floats * sizeof(float));
    activations = cam_alloc_aligned((size_t)plan.plan->activation_floats * sizeof(float));
    if (output == NULL || activations == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "the initial values: out of memory");
        goto out;
    }
    const struct bindings bindings = {.activations = activations, .output = output};
    const struct random_context random = {.seed = t->seed};
    rc = backend->prepare(plan.executable, &bindings, err);
    if (rc == CAM_OK) {
        rc = backend->launch(plan.executable, 0, &bindings, &random, err);
    }
    if (rc == CAM_OK) {
        int64_t at = copy_tensors(t->parameters, t->parameter_count, output, parameters);
        (void)copy_tensors(t->buffers, t->buffer_count, output + at, buffers);
    }
out:
    compiled_release(backend, &plan);
    cam_free(activations);
    cam_free(output);
    cam_free(offsets);
    cam_free(nodes);
    return rc;
}

enum cam_code compiled_sample(const struct compiled *compiled, struct compiled_plan *out,
                              struct cam_err *err)
{
    const int64_t offset = 0;
    return compiled_plan(compiled,
                         &(struct compiled_request){.graph = compiled->training->sample,
                                                    .nodes = &compiled->training->sample_node,
                                                    .offsets = &offset,
                                                    .count = 1},
                         out, err);
}
