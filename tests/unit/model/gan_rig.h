/*
 * Phases of small trainings of kind gan, run on the reference backend in double: what a phase gives
 * for chosen weights and images, and its gradients against finite differences.
 */
#ifndef GAN_RIG_H
#define GAN_RIG_H

#include "base/mem.h"
#include "job_text.h"
#include "kernels/registry.h"

#include <math.h>

enum { RIG_SIDE = 4, RIG_ROWS = 4 };

static const struct data_shape RIG_DATA = {
    .count = 640, .height = RIG_SIDE, .width = RIG_SIDE, .channels = 1, .classes = 3};

/* A generator without norms and a discriminator of the caller's; `more` are further sections. */
#define GAN_JOB(discriminator, loss, more)                                                         \
    JOB_HEAD "model:\n  latent: 3\n  generator:\n"                                                 \
             "    - dense: {units: 16, activation: tanh}\n    - reshape: [4, 4, 1]\n"              \
             "  discriminator:\n" discriminator "loss: " loss "\n" more                            \
             "optimizer: {adam: {lr: 2e-4, beta1: 0.5}}\n"                                         \
             "train: {epochs: 2, batch: 4, shards: 1, seed: 7}\n"

#define LINEAR "    - flatten\n    - dense: {units: 1, use_bias: false}\n"
#define CONVOLUTION                                                                                \
    "    - conv2d: {filters: 3, kernel: 3, stride: 2, padding: same, activation: leaky_relu}\n"    \
    "    - flatten\n    - dense: {units: 5, activation: tanh}\n    - dense: {units: 1}\n"

/* A training with values for everything that its phases read. */
struct gan_rig {
    struct training *training;
    double *parameters;
    double *buffers;
    double images[RIG_ROWS * RIG_SIDE * RIG_SIDE];
    double labels[RIG_ROWS];
};

static struct training *rig_training(const char *text, struct cam_err *err)
{
    struct parsed_job job = parse_job(text, NULL, 0);
    struct training *training = NULL;
    if (training_create(&job.file, &RIG_DATA, &training, err) != CAM_OK) {
        training = NULL;
    }
    cam_arena_destroy(job.arena);
    return training;
}

static struct gan_rig rig_create(const char *text)
{
    struct cam_err err = {0};
    struct gan_rig rig = {.training = rig_training(text, &err)};
    const struct training *t = rig.training;
    if (t == NULL) {
        fail_msg("%s", err.text);
    }
    rig.parameters = cam_alloc_aligned((size_t)t->parameter_floats * sizeof(double));
    rig.buffers = cam_alloc_aligned((size_t)(t->buffer_floats + 8) * sizeof(double));
    for (int64_t i = 0; i < t->parameter_floats; i++) {
        rig.parameters[i] = 0.4 * sin(0.7 * (double)i + 0.3);
    }
    for (int64_t i = 0; i < t->buffer_floats; i++) {
        rig.buffers[i] = 0.5;
    }
    for (int i = 0; i < RIG_ROWS * RIG_SIDE * RIG_SIDE; i++) {
        rig.images[i] = cos(1.3 * i);
    }
    for (int i = 0; i < RIG_ROWS; i++) {
        rig.labels[i] = i % 3;
    }
    return rig;
}

static void rig_release(struct gan_rig *rig)
{
    training_destroy(rig->training);
    cam_free(rig->parameters);
    cam_free(rig->buffers);
}

/* The output block of a phase; `out` holds output_floats. */
static void rig_run(const struct gan_rig *rig, int index, double *out)
{
    const struct training *t = rig->training;
    const struct phase *phase = &t->phases[index];
    const struct backend *backend = NULL;
    struct backend_instance *instance = NULL;
    struct executable *executable = NULL;
    struct plan *plan = NULL;
    struct cam_err err = {0};
    struct plan_output *outputs = cam_alloc((size_t)phase->output_count, sizeof *outputs);
    int64_t *offsets =
        cam_alloc((size_t)(t->parameter_count + t->buffer_count) + 1, sizeof *offsets);
    for (int i = 0; i < phase->output_count; i++) {
        outputs[i] = (struct plan_output){phase->output_nodes[i], phase->output_offsets[i]};
    }
    for (int i = 0; i < t->parameter_count; i++) {
        offsets[i] = t->parameters[i].offset;
    }
    for (int i = 0; i < t->buffer_count; i++) {
        offsets[t->parameter_count + i] = t->buffers[i].offset;
    }
    const struct plan_request request = {.graph = phase->graph,
                                         .outputs = outputs,
                                         .output_count = phase->output_count,
                                         .parameter_offsets = offsets,
                                         .buffer_offsets = offsets + t->parameter_count};
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1, .f64 = true};
    ASSERT_OK(registry_find("reference", NULL, &backend, &err), err);
    ASSERT_OK(backend->open(&options, &instance, &err), err);
    ASSERT_OK(plan_create(&request, &plan, &err), err);
    ASSERT_OK(backend->compile(instance, plan, &executable, &err), err);
    double *activations = cam_alloc_aligned((size_t)(plan->activation_floats + 8) * sizeof(double));
    const void *inputs[2] = {rig->images, rig->labels};
    const struct bindings bindings = {.parameters = (const float *)rig->parameters,
                                      .buffers = (const float *)rig->buffers,
                                      .inputs = inputs,
                                      .activations = (float *)activations,
                                      .output = (float *)out};
    const struct random_context random = {.seed = 5, .execution = 3};
    memset(out, 0, (size_t)phase->output_floats * sizeof *out);
    backend->lane_begin(instance, 0);
    ASSERT_OK(backend->prepare(executable, &bindings, &err), err);
    ASSERT_OK(backend->launch(executable, 0, &bindings, &random, &err), err);
    backend->destroy(executable);
    backend->close(instance);
    plan_destroy(plan);
    cam_free(outputs);
    cam_free(offsets);
    cam_free(activations);
}

/* A metric's value; the phase must have it. */
static double rig_metric(const struct gan_rig *rig, int index, const char *name)
{
    const struct phase *phase = &rig->training->phases[index];
    double *out = cam_alloc_aligned((size_t)phase->output_floats * sizeof *out);
    double value = (double)NAN;
    rig_run(rig, index, out);
    for (int i = 0; i < phase->metric_count; i++) {
        value = strcmp(phase->metrics[i].name, name) == 0 ? out[phase->metrics[i].offset] : value;
    }
    cam_free(out);
    if (isnan(value)) {
        fail_msg("phase %s has no %s", phase->name, name);
    }
    return value;
}

static double rig_total(const struct gan_rig *rig, int index, double *out)
{
    const struct phase *phase = &rig->training->phases[index];
    double total = 0.0;
    rig_run(rig, index, out);
    for (int i = 0; i < phase->metric_count; i++) {
        total += out[phase->metrics[i].offset];
    }
    return total;
}

/* Every gradient of the phase against central differences of the sum of its metrics. */
static void rig_check_gradients(struct gan_rig *rig, int index)
{
    const struct training *t = rig->training;
    const struct phase *phase = &t->phases[index];
    const struct part_info *part = &t->parts[phase->part];
    size_t bytes = (size_t)phase->output_floats * sizeof(double);
    double *gradient = cam_alloc_aligned(bytes);
    double *out = cam_alloc_aligned(bytes);
    double step = 1e-5;
    double largest = 0.0;
    (void)rig_total(rig, index, gradient);
    for (int i = part->parameter_first; i < part->parameter_first + part->parameter_count; i++) {
        const struct tensor_info *info = &t->parameters[i];
        int64_t count = shape_count(&info->shape);
        for (int64_t k = 0; k < count; k += 1 + count / 6) {
            double *at = &rig->parameters[info->offset + k];
            double kept = *at;
            *at = kept + step;
            double above = rig_total(rig, index, out);
            *at = kept - step;
            double below = rig_total(rig, index, out);
            *at = kept;
            double wanted = (above - below) / (2.0 * step);
            double found = gradient[info->offset - part->block_first * BLOCK_FLOATS + k];
            largest = fabs(found) > largest ? fabs(found) : largest;
            if (!(fabs(found - wanted) <= 2e-6 * (1.0 + fabs(wanted)))) {
                fail_msg("%s: d/d %s[%lld] is %.9g, by differences %.9g", phase->name, info->name,
                         (long long)k, found, wanted);
            }
        }
    }
    assert_true(largest > 1e-3);
    cam_free(gradient);
    cam_free(out);
}

#endif
