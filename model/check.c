#include "model/check.h"

#include "base/mem.h"
#include "model/memory.h"
#include "model/plan/plan.h"
#include "model/plan/plan_points.h"
#include "model/plan/target.h"

#include <stdio.h>

/* A training's tables as the planner wants them. */
struct planning {
    const struct training *training;
    int64_t *parameter_offsets;
    int64_t *buffer_offsets;
    struct memory_plans plans;
    struct job_figures *figures;
    const struct check_visitor *visitor; /* NULL: none */
};

static int64_t *offsets_of(const struct tensor_info *tensors, int count)
{
    int64_t *offsets = cam_alloc((size_t)count + 1, sizeof *offsets);
    for (int i = 0; offsets != NULL && i < count; i++) {
        offsets[i] = tensors[i].offset;
    }
    return offsets;
}

static bool is_convolution(const struct plan_step *step)
{
    return step->kind == PLAN_OPERATOR &&
           (step->op == OP_CONV2D || step->op == OP_CONV2D_GRAD_INPUT ||
            step->op == OP_CONV2D_GRAD_WEIGHT);
}

/* Whether an earlier step reads the same weights in the same way: they share what is packed. */
static bool is_packed_before(const struct plan *plan, int at)
{
    const struct plan_step *step = &plan->steps[at];
    for (int s = 0; s < at; s++) {
        const struct plan_step *other = &plan->steps[s];
        if (is_convolution(other) && other->op == step->op &&
            plan_at_points(plan, other) == plan_at_points(plan, step) &&
            plan->values[other->input[1]].storage == STORAGE_PARAMETER &&
            plan->values[other->input[1]].offset == plan->values[step->input[1]].offset) {
            return true;
        }
    }
    return false;
}

/* Of a lane: the weights of another layout, and oneDNN's sums.  An image smaller than its window
 * goes through a matrix product there, with a sum of its own for every sample. */
static int64_t convolution_scratch(const struct plan *plan, const struct plan_step *step,
                                   bool is_output)
{
    const struct shape *w = &plan->values[is_output ? step->output : step->input[1]].shape;
    const struct shape *x = &plan->values[step->input[0]].shape;
    bool small = is_output && (x->dim[1] < w->dim[0] || x->dim[2] < w->dim[1]);
    return shape_count(w) * (small ? x->dim[0] : 1);
}

static void count_convolution(struct planning *planning, const struct plan *plan, int at)
{
    const struct plan_step *step = &plan->steps[at];
    bool is_output = step->op == OP_CONV2D_GRAD_WEIGHT;
    bool at_points = plan_at_points(plan, step);
    int64_t scratch = at_points ? PLAN_POINTS_FLOATS : 0;
    if (is_output) {
        scratch += at_points ? plan_points_weights(plan, step)
                             : convolution_scratch(plan, step, is_output);
    } else if (plan->values[step->input[1]].storage != STORAGE_PARAMETER) {
        scratch += convolution_scratch(plan, step, is_output);
    } else if (!is_packed_before(plan, at)) {
        planning->plans.packed_floats += at_points
                                             ? plan_points_weights(plan, step)
                                             : shape_count(&plan->values[step->input[1]].shape);
    }
    if (scratch > planning->plans.scratch_floats) {
        planning->plans.scratch_floats = scratch;
    }
}

/* Matrix products take their weights as they lie. */
static void count_packed(struct planning *planning, const struct plan *plan)
{
    for (int s = 0; s < plan->step_count; s++) {
        if (is_convolution(&plan->steps[s])) {
            count_convolution(planning, plan, s);
        }
    }
}

/* Fills the rest of a request for some outputs of a graph. */
static enum cam_code make_plan(struct planning *planning, const char *phase,
                               struct plan_request request, struct plan **out, struct cam_err *err)
{
    const struct plan_target *target = plan_target("cpu");
    request.parameter_offsets = planning->parameter_offsets;
    request.buffer_offsets = planning->buffer_offsets;
    request.recompute = planning->training->recompute;
    request.fuse = target->fuses;
    request.macros = target->macros;
    enum cam_code rc = plan_create(&request, out, err);
    if (rc == CAM_OK) {
        count_packed(planning, *out);
    }
    if (rc == CAM_OK && planning->visitor != NULL) {
        rc = planning->visitor->visit(planning->visitor->context, phase, *out, err);
    }
    return rc;
}

/* Of all shards, on average over the executions that a variant takes. */
static int64_t flops_a_step(const struct training *t, const struct phase *phase, int64_t flops)
{
    const struct phase *base = &t->phases[phase->base];
    int64_t all = flops * t->shards * base->repeat;
    if (phase != base) {
        return all / base->variant_every;
    }
    return base->variant_every > 0 ? all - all / base->variant_every : all;
}

static enum cam_code plan_phase(struct planning *planning, const struct phase *phase,
                                struct cam_err *err)
{
    const struct training *t = planning->training;
    struct plan *plan = NULL;
    struct plan_output *outputs = cam_alloc((size_t)phase->output_count, sizeof *outputs);
    if (outputs == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory to plan the phase %s", phase->name);
    }
    for (int i = 0; i < phase->output_count; i++) {
        outputs[i] = (struct plan_output){phase->output_nodes[i], phase->output_offsets[i]};
    }
    const struct plan_request request = {
        .graph = phase->graph, .outputs = outputs, .output_count = phase->output_count};
    enum cam_code rc = make_plan(planning, phase->name, request, &plan, err);
    if (rc == CAM_OK) {
        planning->figures->flops_per_step += flops_a_step(t, phase, plan->flops);
        if (plan->activation_floats > planning->plans.activation_floats) {
            planning->plans.activation_floats = plan->activation_floats;
        }
    }
    plan_destroy(plan);
    cam_free(outputs);
    return rc;
}

static enum cam_code plan_evaluation(struct planning *planning, struct cam_err *err)
{
    const struct evaluation *evaluation = &planning->training->evaluation;
    struct plan_output outputs[EVALUATION_METRICS_MAX];
    struct plan *plan = NULL;
    if (evaluation->graph == NULL) {
        return CAM_OK;
    }
    for (int i = 0; i < evaluation->metric_count; i++) {
        outputs[i] = (struct plan_output){evaluation->nodes[i], evaluation->metrics[i].offset};
    }
    const struct plan_request request = {
        .graph = evaluation->graph, .outputs = outputs, .output_count = evaluation->metric_count};
    enum cam_code rc = make_plan(planning, "evaluation", request, &plan, err);
    if (rc == CAM_OK && plan->activation_floats > planning->plans.activation_floats) {
        planning->plans.activation_floats = plan->activation_floats;
    }
    plan_destroy(plan);
    return rc;
}

static enum cam_code plan_sample(struct planning *planning, struct cam_err *err)
{
    const struct training *t = planning->training;
    const struct plan_output output = {.node = t->sample_node};
    const struct plan_request request = {.graph = t->sample, .outputs = &output, .output_count = 1};
    struct plan *plan = NULL;
    if (t->sample == NULL) {
        return CAM_OK;
    }
    enum cam_code rc = make_plan(planning, "sample", request, &plan, err);
    if (rc == CAM_OK) {
        planning->plans.sample_activation_floats = plan->activation_floats;
    }
    plan_destroy(plan);
    return rc;
}

/* Bytes that each of `ranks` sends a step: its partials of every other's share, the sums behind
 * the gradients to all, and its own new parameters to all. */
static int64_t traffic(const struct training *t, int64_t ranks)
{
    int64_t floats = 0;
    for (int i = 0; i < t->phase_count; i++) {
        const struct phase *phase = &t->phases[i];
        int64_t others = phase->gradient_floats - phase->gradient_floats / ranks;
        int64_t tail = (phase->output_floats - phase->gradient_floats) * (ranks - 1);
        floats += phase->repeat * (2 * others + tail);
    }
    return ranks == 1 ? 0 : floats * (int64_t)sizeof(float);
}

static void count_figures(const struct planning *planning, const struct job_file *job,
                          const struct data_shape *data, int lanes)
{
    const struct training *t = planning->training;
    struct job_figures *out = planning->figures;
    const struct memory_request request = {.training = t,
                                           .data = data,
                                           .plans = planning->plans,
                                           .ranks = (int)job->resources.ranks_min,
                                           .lanes = lanes,
                                           .keeps_initial = job->train.rollback};
    for (int i = 0; i < t->parameter_count; i++) {
        out->parameters += shape_count(&t->parameters[i].shape);
    }
    out->steps_per_epoch = t->steps_per_epoch;
    if (t->warning_count > 0) {
        (void)snprintf(out->note, sizeof out->note, "%s", t->warnings[0]);
    }
    out->traffic_bytes = traffic(t, job->resources.ranks_max);
    memory_of_rank(&request, out);
}

static enum cam_code plan_all(struct planning *planning, struct cam_err *err)
{
    const struct training *training = planning->training;
    enum cam_code rc = CAM_OK;
    planning->parameter_offsets = offsets_of(training->parameters, training->parameter_count);
    planning->buffer_offsets = offsets_of(training->buffers, training->buffer_count);
    if (planning->parameter_offsets == NULL || planning->buffer_offsets == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "no memory to check a job");
    }
    for (int i = 0; rc == CAM_OK && i < training->phase_count; i++) {
        rc = plan_phase(planning, &training->phases[i], err);
    }
    rc = rc == CAM_OK ? plan_evaluation(planning, err) : rc;
    rc = rc == CAM_OK ? plan_sample(planning, err) : rc;
    cam_free(planning->parameter_offsets);
    cam_free(planning->buffer_offsets);
    return rc;
}

enum cam_code model_check(const struct job_file *job, const struct data_shape *data, int lanes,
                          struct job_figures *out, struct cam_err *err)
{
    struct training *training = NULL;
    struct planning planning = {.figures = out};
    *out = (struct job_figures){0};
    enum cam_code rc = training_create(job, data, &training, err);
    if (rc != CAM_OK) {
        return rc;
    }
    planning.training = training;
    rc = plan_all(&planning, err);
    if (rc == CAM_OK) {
        count_figures(&planning, job, data, lanes < 1 ? 1 : lanes);
    }
    training_destroy(training);
    return rc;
}

enum cam_code model_check_plans(const struct job_file *job, const struct data_shape *data,
                                const struct check_visitor *visitor, struct cam_err *err)
{
    struct training *training = NULL;
    struct job_figures figures = {0};
    enum cam_code rc = training_create(job, data, &training, err);
    if (rc == CAM_OK) {
        struct planning planning = {.training = training, .figures = &figures, .visitor = visitor};
        rc = plan_all(&planning, err);
        training_destroy(training);
    }
    return rc;
}
