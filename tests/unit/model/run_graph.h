/* Runs a graph on the reference backend in double, for tests of what model/ builds. */
#ifndef RUN_GRAPH_H
#define RUN_GRAPH_H

#include "../unit.h"

#include "base/mem.h"
#include "kernels/registry.h"
#include "model/plan/plan.h"

#include <math.h>

enum { VALUES_MAX = 4096, INPUTS_AT_MOST = 8 };

/* What a graph reads; doubles, since the backend runs in f64. */
struct feed {
    const double *inputs[INPUTS_AT_MOST];
    const double *buffers;
    const int64_t *buffer_offsets;
    const float *scalars;
    uint64_t seed;
};

/* Runs a graph; output k is at out + offsets[k]. */
static void run_graph(const struct graph *graph, const struct feed *feed, const int *nodes,
                      const int64_t *offsets, int count, double *out)
{
    const struct backend *backend = NULL;
    struct backend_instance *instance = NULL;
    struct executable *executable = NULL;
    struct plan *plan = NULL;
    struct cam_err err = {0};
    struct plan_output outputs[64];
    for (int i = 0; i < count; i++) {
        outputs[i] = (struct plan_output){nodes[i], offsets[i]};
    }
    const struct plan_request request = {.graph = graph,
                                         .outputs = outputs,
                                         .output_count = count,
                                         .buffer_offsets = feed->buffer_offsets};
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1, .f64 = true};
    ASSERT_OK(registry_find("reference", NULL, &backend, &err), err);
    ASSERT_OK(backend->open(&options, &instance, &err), err);
    ASSERT_OK(plan_create(&request, &plan, &err), err);
    ASSERT_OK(backend->compile(instance, plan, &executable, &err), err);
    double *activations = cam_alloc_aligned((size_t)(plan->activation_floats + 8) * sizeof(double));
    double *output = cam_alloc_aligned((size_t)(plan->output_floats + 8) * sizeof(double));
    const void *inputs[INPUTS_AT_MOST];
    memcpy(inputs, feed->inputs, sizeof inputs);
    const struct bindings bindings = {.buffers = feed->buffers,
                                      .inputs = inputs,
                                      .scalars = feed->scalars,
                                      .activations = activations,
                                      .output = output};
    const struct random_context random = {.seed = feed->seed};
    backend->lane_begin(instance, 0);
    ASSERT_OK(backend->prepare(executable, &bindings, &err), err);
    ASSERT_OK(backend->launch(executable, 0, &bindings, &random, &err), err);
    memcpy(out, output, (size_t)plan->output_floats * sizeof(double));
    backend->destroy(executable);
    backend->close(instance);
    plan_destroy(plan);
    cam_free(activations);
    cam_free(output);
}

static void assert_near(double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-6 * (1.0 + fabs(wanted)))) {
        fail_msg("found %.12g, wanted %.12g", found, wanted);
    }
}

#endif
