/*
 * First weights against PyTorch: mean, deviation and bounds of what each tensor is drawn from.
 */
#include "../unit/unit.h"

#include "golden.h"

#include "base/mem.h"
#include "base/text.h"
#include "model/layers/part.h"

#include <math.h>

/* What a sample of n numbers may be off by: five of the mean's own deviations, and as much of the
 * deviation's, which is largest for normal numbers. */
#define DEVIATIONS 5.0

/* One tensor's numbers against the golden moments of its name. */
static void compare_moments(const struct safetensors *file, const struct tensor_info *row,
                            const double *values)
{
    double mean = golden_at(golden_find(file, "mean.", row->name), 0);
    double deviation = golden_at(golden_find(file, "std.", row->name), 0);
    double low = golden_at(golden_find(file, "low.", row->name), 0);
    double high = golden_at(golden_find(file, "high.", row->name), 0);
    int64_t count = shape_count(&row->shape);
    double sum = 0.0;
    double squares = 0.0;
    double least = values[0];
    double most = values[0];
    for (int64_t i = 0; i < count; i++) {
        sum += values[i];
        squares += (values[i] - mean) * (values[i] - mean);
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    double found_mean = sum / (double)count;
    double found = sqrt(squares / (double)count);
    double chance = DEVIATIONS / sqrt((double)count);
    if (fabs(found_mean - mean) > chance * deviation + 1e-9) {
        fail_msg("%s has mean %g, PyTorch's %g", row->name, found_mean, mean);
    }
    if (fabs(found - deviation) > 0.7072 * chance * deviation + 1e-9) {
        fail_msg("%s has deviation %g, PyTorch's %g", row->name, found, deviation);
    }
    /* PyTorch's extremes are those of 100 tensors: nearly the bounds of uniform numbers, and where
     * normal ones hardly go. */
    double margin = 0.1 * deviation + 1e-9;
    if (least < low - margin || most > high + margin) {
        fail_msg("%s is from %g to %g, PyTorch's from %g to %g", row->name, least, most, low, high);
    }
}

static void build(const struct safetensors *file, struct tensors *tensors)
{
    struct cam_text text = {0};
    struct cam_err err = {0};
    struct job_file job;
    struct shape shape = {0};
    int output = NODE_NONE;
    const struct safetensors_tensor *input = golden_find(file, "input", "");
    shape.rank = input->rank;
    for (int i = 0; i < input->rank; i++) {
        shape.dim[i] = input->dim[i];
    }
    cam_text_add(&text,
                 "optimizer: {sgd: {lr: 1}}\nmodel:\n  discriminator: [flatten]\n"
                 "  generator:\n%s",
                 safetensors_metadata(file, "layers"));
    assert_non_null(text.bytes);
    golden_job(text.bytes, tensors->arena, &job);
    cam_text_release(&text);
    struct graph *graph = graph_create();
    struct part_call call = {.job = &job,
                             .spec = jobfile_part(&job, "generator"),
                             .input_name = "latent",
                             .graph = graph,
                             .tensors = tensors,
                             .phase = "golden",
                             .training = true};
    ASSERT_OK(part_build(&call, graph_leaf(graph, OP_INPUT, 0, &shape), &output, &err), err);
    graph_destroy(graph);
}

static void test_initial(void **state)
{
    struct safetensors *file = golden_open(*state);
    struct cam_arena *arena = cam_arena_create();
    struct streams streams = {.arena = arena};
    struct tensors tensors = {.arena = arena,
                              .parameters = {.align = 16},
                              .buffers = {.align = 16},
                              .initial = graph_create(),
                              .streams = &streams};
    const struct golden_place place = {
        .label = "reference f64", .backend = "reference", .f64 = true};
    build(file, &tensors);
    struct golden_work work = {.graph = tensors.initial,
                               .random = {.seed = 20261123},
                               .output_count = tensors.parameters.count};
    assert_true(work.output_count > 0 && work.output_count < GOLDEN_OUTPUTS_MAX);
    for (int i = 0; i < work.output_count; i++) {
        work.outputs[i] = tensors.parameters.rows[i].initial;
    }
    struct golden_values *values = golden_run(&work, &place);
    for (int i = 0; i < work.output_count; i++) {
        compare_moments(file, &tensors.parameters.rows[i], &values->values[values->offsets[i]]);
    }
    cam_free(values);
    graph_destroy(tensors.initial);
    cam_arena_destroy(arena);
    safetensors_close(file);
}

int main(void)
{
    return golden_main("initial", test_initial, NULL, 0);
}
