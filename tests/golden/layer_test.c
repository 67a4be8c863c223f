/*
 * Layers against PyTorch: what they compute in training and evaluation, the gradient of
 * sum(output * projection) by the input and every parameter, then the gradient of
 * sum(gradient by the input * second projection) by the same, and running statistics.
 */
#include "../unit/unit.h"

#include "golden.h"

#include "base/mem.h"
#include "base/text.h"
#include "model/graph/gradient.h"
#include "model/layers/part.h"

#include <stdio.h>
#include <string.h>

/* A part built from the file's layers; all nodes are in one graph. */
struct built {
    struct safetensors *file;
    struct cam_arena *arena;
    struct job_file job;
    struct streams streams;
    struct tensors tensors;
    struct graph *graph;
    struct part_call call;
    int input;
    int output;
};

static void parse(struct built *b)
{
    struct cam_text text = {0};
    cam_text_add(&text,
                 "optimizer: {sgd: {lr: 1}}\nmodel:\n  discriminator: [flatten]\n"
                 "  generator:\n%s",
                 safetensors_metadata(b->file, "layers"));
    assert_non_null(text.bytes);
    golden_job(text.bytes, b->arena, &b->job);
    cam_text_release(&text);
}

static struct shape shape_of(const struct safetensors_tensor *tensor)
{
    struct shape shape = {.rank = tensor->rank};
    for (int i = 0; i < tensor->rank; i++) {
        shape.dim[i] = tensor->dim[i];
    }
    return shape;
}

static void build(struct built *b, const char *name, bool training)
{
    struct cam_err err = {0};
    *b = (struct built){.file = golden_open(name), .arena = cam_arena_create()};
    parse(b);
    b->graph = graph_create();
    b->streams.arena = b->arena;
    b->tensors = (struct tensors){.arena = b->arena,
                                  .parameters = {.align = 16},
                                  .buffers = {.align = 16},
                                  .initial = graph_create(),
                                  .streams = &b->streams};
    b->call = (struct part_call){.job = &b->job,
                                 .spec = jobfile_part(&b->job, "generator"),
                                 .input_name = "latent",
                                 .graph = b->graph,
                                 .tensors = &b->tensors,
                                 .phase = "golden",
                                 .training = training};
    struct shape shape = shape_of(golden_find(b->file, "input", ""));
    b->input = graph_leaf(b->graph, OP_INPUT, 0, &shape);
    ASSERT_OK(part_build(&b->call, b->input, &b->output, &err), err);
}

static void release(struct built *b)
{
    graph_destroy(b->graph);
    graph_destroy(b->tensors.initial);
    safetensors_close(b->file);
    cam_arena_destroy(b->arena);
}

/* A tensor of the file in the arena's order, by where tensor_import puts its elements. */
static double *imported(const struct built *b, const struct tensor_info *row, const char *prefix)
{
    const struct safetensors_tensor *tensor = golden_find(b->file, prefix, row->name);
    struct shape wanted = tensor_export_shape(row);
    struct shape found = shape_of(tensor);
    char a[96];
    char c[96];
    if (!shape_equal(&wanted, &found)) {
        fail_msg("%s is exported as %s, PyTorch's is %s", row->name,
                 shape_text(&wanted, a, sizeof a), shape_text(&found, c, sizeof c));
    }
    int64_t count = shape_count(&row->shape);
    float *source = cam_alloc((size_t)count, sizeof *source);
    float *ours = cam_alloc((size_t)count, sizeof *ours);
    double *values = cam_alloc((size_t)count, sizeof *values);
    assert_true(source != NULL && ours != NULL && values != NULL);
    for (int64_t i = 0; i < count; i++) {
        source[i] = (float)i;
    }
    tensor_import(row, source, ours);
    for (int64_t i = 0; i < count; i++) {
        values[i] = golden_at(tensor, (int64_t)ours[i]);
    }
    cam_free(source);
    cam_free(ours);
    return values;
}

static int count_of(const struct built *b, const char *prefix)
{
    int count = 0;
    for (size_t i = 0; i < safetensors_count(b->file); i++) {
        count += strncmp(safetensors_at(b->file, i)->name, prefix, strlen(prefix)) == 0;
    }
    return count;
}

/* Values of all leaves; buffers are those named PREFIX + NAME. */
static void bind(const struct built *b, const char *buffers, struct golden_work *work)
{
    *work = (struct golden_work){.graph = b->graph};
    assert_int_equal(count_of(b, "param."), b->tensors.parameters.count);
    assert_int_equal(count_of(b, buffers), b->tensors.buffers.count);
    work->inputs[0] = golden_values_of(golden_find(b->file, "input", ""));
    for (int i = 0; i < b->tensors.parameters.count; i++) {
        work->parameters[i] = imported(b, &b->tensors.parameters.rows[i], "param.");
    }
    for (int i = 0; i < b->tensors.buffers.count; i++) {
        work->buffers[i] = imported(b, &b->tensors.buffers.rows[i], buffers);
    }
}

static void unbind(struct golden_work *work)
{
    for (int i = 0; i < GOLDEN_SLOTS_MAX; i++) {
        cam_free((void *)(uintptr_t)work->inputs[i]);
        cam_free((void *)(uintptr_t)work->parameters[i]);
        cam_free((void *)(uintptr_t)work->buffers[i]);
    }
}

/* What of the work's outputs is which. */
struct outputs {
    bool first;  /* gradients are there */
    bool second; /* and those of the gradient by the input */
    int gradients;
    int seconds;
    int statistics;
    int powers;
};

static void add_outputs(struct golden_work *work, const int *nodes, int count)
{
    for (int i = 0; i < count; i++) {
        assert_true(work->output_count < GOLDEN_OUTPUTS_MAX);
        work->outputs[work->output_count++] = nodes[i];
    }
}

/* sum(node * input `slot`), whose values are the tensor of the name. */
static int projected(const struct built *b, struct golden_work *work, int node, int slot,
                     const char *name)
{
    const struct shape *shape = &graph_node(b->graph, node)->shape;
    const struct safetensors_tensor *tensor = golden_find(b->file, name, "");
    struct shape found = shape_of(tensor);
    assert_true(shape_equal(shape, &found));
    work->inputs[slot] = golden_values_of(tensor);
    int product = graph_binary(b->graph, OP_MUL, node, graph_leaf(b->graph, OP_INPUT, slot, shape));
    return graph_sum(b->graph, product, (1u << shape->rank) - 1u);
}

/* wrt[0] is the input, then the parameters. */
static struct outputs differentiate(const struct built *b, struct golden_work *work)
{
    int wrt[GOLDEN_SLOTS_MAX];
    int first[GOLDEN_SLOTS_MAX];
    int second[GOLDEN_SLOTS_MAX];
    int count = 1 + b->tensors.parameters.count;
    struct outputs out = {.first = safetensors_find(b->file, "projection") != NULL,
                          .second = safetensors_find(b->file, "second_projection") != NULL};
    wrt[0] = b->input;
    for (int i = 1; i < count; i++) {
        wrt[i] =
            graph_leaf(b->graph, OP_PARAMETER, i - 1, &b->tensors.parameters.rows[i - 1].shape);
    }
    add_outputs(work, &b->output, 1);
    if (out.first) {
        int sum = projected(b, work, b->output, 1, "projection");
        (void)gradient_append(b->graph, sum, wrt, count, first);
        out.gradients = work->output_count;
        add_outputs(work, first, count);
    }
    if (out.second) {
        int sum = projected(b, work, first[0], 2, "second_projection");
        (void)gradient_append(b->graph, sum, wrt, count, second);
        out.seconds = work->output_count;
        add_outputs(work, second, count);
    }
    out.statistics = work->output_count;
    for (int i = 0; i < b->call.statistic_count; i++) {
        add_outputs(work, &b->call.statistics[i].mean_node, 1);
        add_outputs(work, &b->call.statistics[i].square_node, 1);
    }
    out.powers = work->output_count;
    for (int i = 0; i < b->call.power_count; i++) {
        add_outputs(work, &b->call.powers[i].node, 1);
    }
    return out;
}

static void compare_gradients(const struct built *b, const struct golden_place *place,
                              const struct golden_values *values, int at, const char *prefix)
{
    char name[GOLDEN_NAME_SIZE];
    (void)snprintf(name, sizeof name, "%sinput", prefix);
    const struct safetensors_tensor *input = safetensors_find(b->file, name);
    if (input != NULL) { /* tokens have no gradient */
        golden_compare(place, input, &values->values[values->offsets[at]], NULL);
    }
    for (int i = 0; i < b->tensors.parameters.count; i++) {
        const struct tensor_info *row = &b->tensors.parameters.rows[i];
        int64_t *order = golden_order(row);
        golden_compare(place, golden_find(b->file, prefix, row->name),
                       &values->values[values->offsets[at + 1 + i]], order);
        cam_free(order);
    }
}

/* The running statistics that the replicated stage makes of this call (recipes/statistics.c). */
static void compare_statistics(const struct built *b, const struct golden_place *place,
                               const struct golden_work *work, const struct golden_values *values,
                               int at)
{
    for (int i = 0; i < b->call.statistic_count; i++) {
        const struct statistic *s = &b->call.statistics[i];
        const double *mean = &values->values[values->offsets[at + 2 * i]];
        const double *square = &values->values[values->offsets[at + 2 * i + 1]];
        const int slots[2] = {s->mean_buffer, s->variance_buffer};
        double unbiased = (double)s->count / (double)(s->count - 1);
        double fresh[2][64];
        assert_true(s->channels <= 64);
        for (int64_t c = 0; c < s->channels; c++) {
            double parts[2] = {mean[c], (square[c] - mean[c] * mean[c]) * unbiased};
            for (int k = 0; k < 2; k++) {
                fresh[k][c] =
                    (1.0 - s->momentum) * work->buffers[slots[k]][c] + s->momentum * parts[k];
            }
        }
        for (int k = 0; k < 2; k++) {
            const struct tensor_info *row = &b->tensors.buffers.rows[slots[k]];
            int64_t *order = golden_order(row);
            golden_compare(place, golden_find(b->file, "after.", row->name), fresh[k], order);
            cam_free(order);
        }
    }
}

/* The next vectors of spectral norms. */
static void compare_powers(const struct built *b, const struct golden_place *place,
                           const struct golden_values *values, int at)
{
    for (int i = 0; i < b->call.power_count; i++) {
        const struct tensor_info *row = &b->tensors.buffers.rows[b->call.powers[i].buffer];
        golden_compare(place, golden_find(b->file, "after.", row->name),
                       &values->values[values->offsets[at + i]], NULL);
    }
}

static void check_training(const char *name)
{
    struct built b;
    struct golden_work work;
    struct golden_place places[GOLDEN_PLACES];
    build(&b, name, true);
    bind(&b, "buffer.", &work);
    struct outputs outputs = differentiate(&b, &work);
    int place_count = golden_places(b.file, places);
    for (int i = 0; i < place_count; i++) {
        struct golden_values *values = golden_run(&work, &places[i]);
        golden_compare(&places[i], golden_find(b.file, "output", ""), values->values, NULL);
        if (outputs.first) {
            compare_gradients(&b, &places[i], values, outputs.gradients, "grad.");
        }
        if (outputs.second) {
            compare_gradients(&b, &places[i], values, outputs.seconds, "second.");
        }
        compare_statistics(&b, &places[i], &work, values, outputs.statistics);
        compare_powers(&b, &places[i], values, outputs.powers);
        cam_free(values);
    }
    unbind(&work);
    release(&b);
}

static void check_evaluation(const char *name)
{
    struct built b;
    struct golden_work work;
    struct golden_place places[GOLDEN_PLACES];
    build(&b, name, false);
    bind(&b, "after.", &work);
    add_outputs(&work, &b.output, 1);
    int place_count = golden_places(b.file, places);
    for (int i = 0; i < place_count; i++) {
        struct golden_values *values = golden_run(&work, &places[i]);
        golden_compare(&places[i], golden_find(b.file, "evaluation", ""), values->values, NULL);
        cam_free(values);
    }
    unbind(&work);
    release(&b);
}

static void test_layer(void **state)
{
    struct safetensors *file = golden_open(*state);
    bool training = safetensors_find(file, "output") != NULL;
    bool evaluation = safetensors_find(file, "evaluation") != NULL;
    safetensors_close(file);
    assert_true(training || evaluation);
    if (training) {
        check_training(*state);
    }
    if (evaluation) {
        check_evaluation(*state);
    }
}

/* Every row of the layer table stands in the layers of a file. */
static void test_every_layer(void **state)
{
    (void)state;
    enum { TYPES_MAX = 256 };
    struct golden_names *files = golden_list("layers");
    size_t count = 0;
    const char *const *names = layer_names(&count);
    bool found[TYPES_MAX] = {false};
    assert_true(count <= TYPES_MAX);
    for (int i = 0; i < files->count; i++) {
        struct built b = {.file = golden_open(files->names[i]), .arena = cam_arena_create()};
        parse(&b);
        const struct part_spec *part = jobfile_part(&b.job, "generator");
        for (int l = 0; l < part->layer_count; l++) {
            for (size_t k = 0; k < count; k++) {
                found[k] = found[k] || strcmp(part->layers[l].type, names[k]) == 0;
            }
        }
        safetensors_close(b.file);
        cam_arena_destroy(b.arena);
    }
    for (size_t k = 0; k < count; k++) {
        if (!found[k]) {
            fail_msg("the layer %s has no golden values", names[k]);
        }
    }
    cam_free(files);
}

int main(void)
{
    const struct CMUnitTest more[] = {cmocka_unit_test(test_every_layer)};
    return golden_main("layers", test_layer, more, 1);
}
