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

enum { PHASES_MOST = 8, INPUTS_MOST = 4, BATCHES_COUNT = 1000 };

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
    double *inputs[INPUTS_MOST]; /* all batches of each of the training's inputs */
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
    struct data_shape data = {.count = BATCHES_COUNT * r->job.train.batch,
                              .classes = (int64_t)golden_number(r->file, "classes", 0.0)};
    const struct safetensors_tensor *images = safetensors_find(r->file, "input.image");
    if (images != NULL) {
        data.height = images->dim[2];
        data.width = images->dim[3];
        data.channels = images->dim[4];
    } else {
        data.length = golden_find(r->file, "input.text", "")->dim[2];
    }
    if (safetensors_find(r->file, "weight") != NULL) {
        data.validation_count = r->job.train.batch;
    }
    ASSERT_OK(training_create(&r->job, &data, &r->training, &err), err);
    const struct training *training = r->training;
    assert_true(training->phase_count <= PHASES_MOST);
    assert_true(training->parameter_count <= GOLDEN_SLOTS_MAX);
    assert_true(training->input_count <= INPUTS_MOST);
    for (int i = 0; i < training->input_count; i++) {
        r->inputs[i] = golden_values_of(golden_find(r->file, "input.", training->inputs[i].name));
    }
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
    for (int i = 0; i < INPUTS_MOST; i++) {
        cam_free(r->inputs[i]);
    }
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

/* The rows of a shard in the batch that was consumed last. */
static void bind_inputs(const struct run *r, int64_t batch, int64_t shard, struct golden_work *work)
{
    const struct training *training = r->training;
    int64_t row = batch * training->batch + shard * training->rows;
    for (int i = 0; i < training->input_count; i++) {
        int64_t floats = shape_count(&training->inputs[i].shape) / training->rows;
        work->inputs[i] = r->inputs[i] + row * floats;
    }
}

/* The sum over the shards of the phase's output blocks. */
static double *run_shards(const struct run *r, const struct phase *phase, int64_t execution)
{
    const struct training *training = r->training;
    double *block = zeros(phase->output_floats);
    struct golden_work work = {.graph = phase->graph, .output_count = phase->output_count};
    assert_true(phase->output_count <= GOLDEN_OUTPUTS_MAX);
    memcpy(work.outputs, phase->output_nodes, (size_t)phase->output_count * sizeof work.outputs[0]);
    bind_tables(r, &work);
    for (int64_t s = 0; s < training->shards; s++) {
        bind_inputs(r, r->batches - 1, s, &work);
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

/* Which blocks of a part decay; lars has a test of its own (optimizer_test.c). */
static double *decays_of(const struct run *r, const struct phase *phase)
{
    const struct part_info *part = &r->training->parts[phase->part];
    double *decays = zeros(part->block_count);
    assert_true(phase->update.trust == 0.0);
    for (int i = 0; i < part->parameter_count; i++) {
        const struct tensor_info *row = &r->training->parameters[part->parameter_first + i];
        for (int64_t k = 0; k < row->block_count; k++) {
            decays[row->block_first - part->block_first + k] =
                update_decays(&phase->update, row) ? 1.0 : 0.0;
        }
    }
    return decays;
}

static void update(struct run *r, const struct phase *phase, const double *gradient)
{
    struct cam_err err = {0};
    const struct part_info *part = &r->training->parts[phase->part];
    double *parameters = r->parameters + part->block_first * BLOCK_FLOATS;
    double *const *states = r->states[phase->base];
    double *decays = decays_of(r, phase);
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

/* The averages of weights at the end, where the job has some. */
static void compare_averages(const struct run *r)
{
    for (int i = 0; i < r->training->phase_count; i++) {
        const struct phase *phase = &r->training->phases[i];
        const struct part_info *part = &r->training->parts[phase->part];
        for (int k = 0; k < training_own_states(r->training, i); k++) {
            bool average = strcmp(phase->update.state_names[k], "ema") == 0;
            for (int p = 0; average && p < part->parameter_count; p++) {
                const struct tensor_info *row = &r->training->parameters[part->parameter_first + p];
                int64_t *order = golden_order(row);
                int64_t block = row->block_first - part->block_first;
                golden_compare(r->place, golden_find(r->file, "ema.", row->name),
                               r->states[i][k] + block * BLOCK_FLOATS, order);
                cam_free(order);
            }
        }
    }
}

/* A shard of the first batch, judged with the file's weights. */
static void compare_evaluation(const struct run *r)
{
    const struct evaluation *evaluation = &r->training->evaluation;
    struct golden_work work = {.graph = evaluation->graph,
                               .output_count = evaluation->metric_count};
    if (evaluation->graph == NULL) {
        return;
    }
    memcpy(work.outputs, evaluation->nodes,
           (size_t)evaluation->metric_count * sizeof work.outputs[0]);
    bind_tables(r, &work);
    bind_inputs(r, 0, 0, &work);
    double *weight = golden_values_of(golden_find(r->file, "weight", ""));
    work.inputs[evaluation->weight_slot] = weight;
    struct golden_values *values = golden_run(&work, r->place);
    for (int i = 0; i < evaluation->metric_count; i++) {
        golden_compare(r->place, golden_find(r->file, "evaluation.", evaluation->metrics[i].name),
                       &values->values[values->offsets[i]], NULL);
    }
    cam_free(values);
    cam_free(weight);
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
    compare_averages(&r);
    compare_evaluation(&r);
    assert_int_equal(r.batches, golden_find(r.file, "input.", r.training->inputs[0].name)->dim[0]);
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
