/*
 * A list of layers built and run outside any training: on the reference backend, in double.
 */
#ifndef LAYERS_RIG_H
#define LAYERS_RIG_H

#include "base/mem.h"
#include "base/text.h"
#include "job_text.h"
#include "kernels/registry.h"
#include "model/graph/gradient.h"
#include "model/layers/part.h"
#include "model/plan/target.h"

#include <stdlib.h>

struct built {
    struct parsed_job job;
    struct graph *graph;
    struct graph *initial;
    struct streams streams;
    struct tensors tensors;
    struct part_call call;
    int input;
    int out;
    enum cam_code rc;
    struct cam_err err;
};

/* Layers of the list stand in lines from 6 on. */
static struct built build_layers(const char *list, const struct shape *input, bool training)
{
    struct built b = {.graph = graph_create(), .initial = graph_create()};
    struct cam_text text = {0};
    cam_text_add(&text, JOB_HEAD "model:\n  generator:\n%s  discriminator: [flatten]\n" JOB_TAIL,
                 list);
    b.rc = try_job(text.bytes, &b.job, &b.err);
    cam_text_release(&text);
    b.input = graph_leaf(b.graph, OP_INPUT, 0, input);
    b.call.training = training;
    return b;
}

/* In a step of its own, since the call points into the rig. */
static void run_layers(struct built *b)
{
    if (b->rc != CAM_OK) {
        return;
    }
    b->streams.arena = b->job.arena;
    b->tensors = (struct tensors){.arena = b->job.arena,
                                  .parameters = {.align = 16},
                                  .buffers = {.align = 16},
                                  .initial = b->initial,
                                  .streams = &b->streams};
    b->call = (struct part_call){.job = &b->job.file,
                                 .spec = jobfile_part(&b->job.file, "generator"),
                                 .input_name = "latent",
                                 .graph = b->graph,
                                 .tensors = &b->tensors,
                                 .phase = "test",
                                 .training = b->call.training};
    b->rc = part_build(&b->call, b->input, &b->out, &b->err);
    b->rc = b->rc == CAM_OK ? graph_status(b->initial, &b->err) : b->rc;
}

static void release_layers(struct built *b)
{
    graph_destroy(b->graph);
    graph_destroy(b->initial);
    cam_arena_destroy(b->job.arena);
}

static int64_t count_tensors(const struct tensor_table *table)
{
    int64_t count = 0;
    for (int i = 0; i < table->count; i++) {
        count += shape_count(&table->rows[i].shape);
    }
    return count;
}

static int64_t *tensor_offsets(const struct tensor_table *table)
{
    int64_t *offsets = cam_alloc((size_t)table->count + 1, sizeof *offsets);
    for (int i = 0; i < table->count; i++) {
        offsets[i] = table->rows[i].offset;
    }
    return offsets;
}

/* What the nodes read; doubles. */
struct values {
    const double *parameters;
    const double *buffers;
    const double *input;
};

/* The nodes' values, one behind the other in out; reference backend, with its macros. */
static void run_nodes(const struct built *b, const struct values *values, const int *nodes,
                      int count, double *out)
{
    const struct backend *backend = NULL;
    struct backend_instance *instance = NULL;
    struct executable *executable = NULL;
    struct plan *plan = NULL;
    struct cam_err err = {0};
    struct plan_output *outputs = cam_alloc((size_t)count, sizeof *outputs);
    int64_t *parameters = tensor_offsets(&b->tensors.parameters);
    int64_t *buffers = tensor_offsets(&b->tensors.buffers);
    int64_t size = 0;
    for (int i = 0; i < count; i++) {
        outputs[i] = (struct plan_output){nodes[i], size};
        size += shape_count(&graph_node(b->graph, nodes[i])->shape);
    }
    const struct plan_request request = {.graph = b->graph,
                                         .outputs = outputs,
                                         .output_count = count,
                                         .parameter_offsets = parameters,
                                         .buffer_offsets = buffers,
                                         .macros = plan_target("reference")->macros};
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1, .f64 = true};
    ASSERT_OK(registry_find("reference", NULL, &backend, &err), err);
    ASSERT_OK(backend->open(&options, &instance, &err), err);
    ASSERT_OK(plan_create(&request, &plan, &err), err);
    ASSERT_OK(backend->compile(instance, plan, &executable, &err), err);
    double *activations = cam_alloc_aligned((size_t)(plan->activation_floats + 8) * sizeof(double));
    double *output = cam_alloc_aligned((size_t)(plan->output_floats + 8) * sizeof(double));
    const void *inputs[] = {values->input};
    const struct bindings bindings = {.parameters = values->parameters,
                                      .buffers = values->buffers,
                                      .inputs = inputs,
                                      .activations = activations,
                                      .output = output};
    const struct random_context random = {.seed = 3};
    backend->lane_begin(instance, 0);
    ASSERT_OK(backend->prepare(executable, &bindings, &err), err);
    ASSERT_OK(backend->launch(executable, 0, &bindings, &random, &err), err);
    memcpy(out, output, (size_t)size * sizeof(double));
    backend->destroy(executable);
    backend->close(instance);
    plan_destroy(plan);
    cam_free(activations);
    cam_free(output);
    cam_free(outputs);
    cam_free(parameters);
    cam_free(buffers);
}

/* In (-1, 1), the same on every machine. */
static double next_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 33) / (double)(UINT64_C(1) << 30) - 1.0;
}

#endif
