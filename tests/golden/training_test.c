/*
 * Whole trainings against PyTorch: five steps of a job's phases, shards, updates and replicated
 * stages, with its random numbers.  Every metric of every execution and all parameters and buffers
 * after every step are compared.
 */
#include "../unit/unit.h"

#include "golden.h"

#include "base/mem.h"
#include "model/recipes/training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PHASES_MOST = 8, BATCHES_COUNT = 1000 };

/* A training at work in one place, as worker/train runs it on one rank. */
struct run {
    struct safetensors *file;
    const struct golden_place *place;
    struct cam_arena *arena;
    struct job_file job;
    struct training *training;
    double *parameters; /* arenas, in the training's order */
    double *buffers;
    double *states[PHASES_MOST][UPDATE_STATES_MAX];
    double *images;
    int64_t executions[PHASES_MOST];
    int64_t batches; /* consumed */
    int done;        /* executions of all phases */
};

static double *zeros(int64_t count)
{
    double *values = cam_alloc((size_t)count + 1, sizeof *values);
    assert_non_null(values);
    return values;
}

static void load(const struct run *r, const char *prefix, const struct tensor_info *row,
                 double *arena)
{
    const struct safetensors_tensor *tensor = golden_find(r->file, prefix, row->name);
    int64_t *order = golden_order(row);
    assert_int_equal(golden_count(tensor), shape_count(&row->shape));
    for (int64_t i = 0; i < golden_count(tensor); i++) {
        arena[row->offset + order[i]] = golden_at(tensor, i);
    }
    cam_free(order);
}

static void begin(struct run *r, const char *name, const struct golden_place *place)
{
    struct cam_err err = {0};
    *r = (struct run){.file = golden_open(name), .place = place, .arena = cam_arena_create()};
    golden_parse(safetensors_metadata(r->file, "job"), r->arena, &r->job);
    const struct safetensors_tensor *images = golden_find(r->file, "images", "");
    const struct data_shape data = {.count = BATCHES_COUNT * images->dim[1],
                                    .height = images->dim[2],
                                    .width = images->dim[3],
                                    .channels = images->dim[4]};
    ASSERT_OK(training_create(&r->job, &data, &r->training, &err), err);
    const struct training *training = r->training;
    assert_true(training->phase_count <= PHASES_MOST);
    assert_true(training->parameter_count <= GOLDEN_SLOTS_MAX);
    r->images = golden_values_of(images);
    r->parameters = zeros(training->parameter_floats);
    r->buffers = zeros(training->buffer_floats);
    for (int i = 0; i < training->parameter_count; i++) {
        load(r, "param.", &training->parameters[i], r->parameters);
    }
    for (int i = 0; i < training->buffer_count; i++) {
        load(r, "buffer.", &training->buffers[i], r->buffers);
    }
    for (int i = 0; i < training->phase_count; i++) {
        for (int k = 0; k < training_own_states(training, i); k++) {
            r->states[i][k] = zeros(training->phases[i].gradient_floats);
        }
    }
}

static void end(struct run *r)
{
    for (int i = 0; i < PHASES_MOST; i++) {
        for (int k = 0; k < UPDATE_STATES_MAX; k++) {
            cam_free(r->states[i][k]);
        }
    }
    cam_free(r->images);
    cam_free(r->parameters);
    cam_free(r->buffers);
    training_destroy(r->training);
    cam_arena_destroy(r->arena);
    safetensors_close(r->file);
}

static void bind_tables(const struct run *r, struct golden_work *work)
{
    for (int i = 0; i < r->training->parameter_count; i++) {
        work->parameters[i] = r->parameters + r->training->parameters[i].offset;
    }
    for (int i = 0; i < r->training->buffer_count; i++) {
        work->buffers[i] = r->buffers + r->training->buffers[i].offset;
    }
}

/* The sum over the shards of the phase's output blocks. */
static double *run_shards(const struct run *r, const struct phase *phase, int64_t execution)
{
    const struct training *training = r->training;
    const struct shape *image = &training->inputs[0].shape;
    double *block = zeros(phase->output_floats);
    struct golden_work work = {.graph = phase->graph, .output_count = phase->output_count};
    assert_true(phase->output_count <= GOLDEN_OUTPUTS_MAX);
    memcpy(work.outputs, phase->output_nodes, (size_t)phase->output_count * sizeof work.outputs[0]);
    bind_tables(r, &work);
    for (int64_t s = 0; s < training->shards; s++) {
        int64_t row = (r->batches - 1) * training->batch + s * training->rows;
        work.inputs[0] = r->images + row * (shape_count(image) / training->rows);
        work.random = (struct random_context){.seed = training->seed,
                                              .execution = (uint32_t)execution,
                                              .first_row = (uint32_t)(s * training->rows)};
        struct golden_values *values = golden_run(&work, r->place);
        for (int i = 0; i < work.output_count; i++) {
            int64_t count = shape_count(&graph_node(phase->graph, work.outputs[i])->shape);
            for (int64_t k = 0; k < count; k++) {
                block[phase->output_offsets[i] + k] += values->values[values->offsets[i] + k];
            }
        }
        cam_free(values);
    }
    return block;
}

static void compare_metrics(const struct run *r, const struct phase *phase, const double *block)
{
    for (int i = 0; i < phase->metric_count; i++) {
        char name[GOLDEN_NAME_SIZE];
        double mean = block[phase->metrics[i].offset] / (double)r->training->batch;
        (void)snprintf(name, sizeof name, "metric.%d.%s", r->done, phase->metrics[i].name);
        golden_compare(r->place, golden_find(r->file, name, ""), &mean, NULL);
    }
}

static void update(struct run *r, const struct phase *phase, const double *gradient)
{
    struct cam_err err = {0};
    const struct part_info *part = &r->training->parts[phase->part];
    double *parameters = r->parameters + part->block_first * BLOCK_FLOATS;
    double *const *states = r->states[phase->base];
    double *decays = zeros(part->block_count);
    double *trust = zeros(part->block_count);
    float scalars[UPDATE_SCALAR_COUNT];
    int nodes[1 + UPDATE_STATES_MAX];
    struct graph *graph = NULL;
    double sum = 0.0;
    for (int64_t i = 0; i < phase->gradient_floats; i++) {
        sum += gradient[i] * gradient[i];
    }
    const struct update_moment moment = {.execution = r->executions[phase->base],
                                         .rate_factor = 1.0,
                                         .gradient_norm = sqrt(sum) / (double)r->training->batch};
    training_update_scalars(r->training, &phase->update, &moment, scalars);
    ASSERT_OK(training_update_graph(&phase->update, phase->gradient_floats, &graph, nodes, &err),
              err);
    struct golden_work work = {
        .graph = graph, .scalars = scalars, .output_count = 1 + phase->update.state_count};
    memcpy(work.outputs, nodes, (size_t)work.output_count * sizeof nodes[0]);
    work.inputs[UPDATE_PARAMETER] = parameters;
    work.inputs[UPDATE_GRADIENT] = gradient;
    work.inputs[UPDATE_DECAYS] = decays;
    work.inputs[UPDATE_TRUST] = trust;
    for (int i = 0; i < phase->update.state_count; i++) {
        work.inputs[UPDATE_STATES + i] = states[i];
    }
    struct golden_values *values = golden_run(&work, r->place);
    for (int i = 0; i < work.output_count; i++) {
        memcpy(i == 0 ? parameters : states[i - 1], &values->values[values->offsets[i]],
               (size_t)phase->gradient_floats * sizeof(double));
    }
    cam_free(values);
    cam_free(decays);
    cam_free(trust);
    graph_destroy(graph);
}

static void replicate(struct run *r, const struct phase *phase, const double *statistics)
{
    const float share = 1.0F / (float)r->training->shards;
    struct golden_work work = {
        .graph = phase->replicated, .scalars = &share, .output_count = phase->replicated_count};
    if (phase->replicated == NULL) {
        return;
    }
    memcpy(work.outputs, phase->replicated_nodes,
           (size_t)phase->replicated_count * sizeof work.outputs[0]);
    bind_tables(r, &work);
    work.inputs[0] = statistics;
    struct golden_values *values = golden_run(&work, r->place);
    for (int i = 0; i < work.output_count; i++) {
        const struct tensor_info *row = &r->training->buffers[phase->replicated_buffers[i]];
        memcpy(r->buffers + row->offset, &values->values[values->offsets[i]],
               (size_t)shape_count(&row->shape) * sizeof(double));
    }
    cam_free(values);
}

static void execute(struct run *r, int index)
{
    const struct phase *phase =
        &r->training->phases[training_variant(r->training, index, r->executions[index])];
    r->batches += phase->takes_batch ? 1 : 0;
    double *block = run_shards(r, phase, r->executions[index]);
    compare_metrics(r, phase, block);
    update(r, phase, block);
    replicate(r, phase, block + phase->gradient_floats);
    r->executions[index]++;
    r->done++;
    cam_free(block);
}

static void compare_tables(const struct run *r, int step)
{
    char prefix[32];
    const struct training *training = r->training;
    (void)snprintf(prefix, sizeof prefix, "after.%d.", step);
    for (int i = 0; i < training->parameter_count + training->buffer_count; i++) {
        bool parameter = i < training->parameter_count;
        const struct tensor_info *row = parameter
                                            ? &training->parameters[i]
                                            : &training->buffers[i - training->parameter_count];
        int64_t *order = golden_order(row);
        golden_compare(r->place, golden_find(r->file, prefix, row->name),
                       (parameter ? r->parameters : r->buffers) + row->offset, order);
        cam_free(order);
    }
}

static void run_training(const char *name, const struct golden_place *place)
{
    struct run r;
    begin(&r, name, place);
    int steps = (int)golden_number(r.file, "steps", 0.0);
    assert_true(steps >= 5);
    for (int step = 0; step < steps; step++) {
        for (int i = 0; i < r.training->phase_count; i++) {
            int64_t repeat = training_repeat(r.training, i, step);
            for (int64_t k = 0; k < repeat; k++) {
                execute(&r, i);
            }
        }
        compare_tables(&r, step);
    }
    assert_int_equal(r.batches, golden_find(r.file, "images", "")->dim[0]);
    end(&r);
}

static void test_training(void **state)
{
    struct golden_place places[GOLDEN_PLACES];
    struct safetensors *file = golden_open(*state);
    int place_count = golden_places(file, places);
    safetensors_close(file);
    for (int i = 0; i < place_count; i++) {
        run_training(*state, &places[i]);
    }
}

int main(void)
{
    return golden_main("trainings", test_training, NULL, 0);
}
