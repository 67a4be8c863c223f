/*
 * Optimizers against PyTorch: five updates of a weight and a bias from given gradients, through the
 * update graphs and scalars that a training runs; parameters after every step, states at the end.
 */
#include "../unit/unit.h"

#include "golden.h"

#include "base/mem.h"
#include "base/text.h"
#include "model/optim/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TENSORS = 2, FLOATS = TENSORS * BLOCK_FLOATS };

static const char *const TENSOR_NAMES[TENSORS] = {"weight", "bias"};

/* One optimizer at work; each tensor has a block. */
struct updating {
    struct safetensors *file;
    struct cam_arena *arena;
    struct update_info update;
    struct graph *graph;
    int nodes[1 + UPDATE_STATES_MAX];
    struct tensor_info tensors[TENSORS];
    double *inputs[UPDATE_INPUT_COUNT];
};

static void begin(struct updating *u, const char *name)
{
    struct cam_text text = {0};
    struct cam_err err = {0};
    struct job_file job;
    *u = (struct updating){.file = golden_open(name), .arena = cam_arena_create()};
    cam_text_add(&text,
                 "optimizer: {%s}\nmodel: {generator: [flatten], discriminator: [flatten]}\n",
                 safetensors_metadata(u->file, "optimizer"));
    assert_non_null(text.bytes);
    golden_job(text.bytes, u->arena, &job);
    cam_text_release(&text);
    ASSERT_OK(
        optimizer_read(&job, jobfile_optimizer(&job, "generator"), u->arena, &u->update, &err),
        err);
    ASSERT_OK(training_update_graph(&u->update, FLOATS, &u->graph, u->nodes, &err), err);
    for (int i = 0; i < UPDATE_INPUT_COUNT; i++) {
        u->inputs[i] = cam_alloc(FLOATS, sizeof(double));
        assert_non_null(u->inputs[i]);
    }
    for (int i = 0; i < TENSORS; i++) {
        const struct safetensors_tensor *tensor = golden_find(u->file, "param.", TENSOR_NAMES[i]);
        u->tensors[i] = (struct tensor_info){.shape = {.rank = tensor->rank}};
    }
}

static void end(struct updating *u)
{
    for (int i = 0; i < UPDATE_INPUT_COUNT; i++) {
        cam_free(u->inputs[i]);
    }
    graph_destroy(u->graph);
    cam_arena_destroy(u->arena);
    safetensors_close(u->file);
}

/* Golden tensors PREFIX + weight, PREFIX + bias into their blocks; the rest stays as it is. */
static void load(const struct updating *u, const char *prefix, double *blocks)
{
    for (int i = 0; i < TENSORS; i++) {
        const struct safetensors_tensor *tensor = golden_find(u->file, prefix, TENSOR_NAMES[i]);
        for (int64_t k = 0; k < golden_count(tensor); k++) {
            blocks[i * BLOCK_FLOATS + k] = golden_at(tensor, k);
        }
    }
}

static double norm(const double *values, int64_t count, double most)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) {
        double value = most > 0.0 ? fmax(-most, fmin(most, values[i])) : values[i];
        sum += value * value;
    }
    return sqrt(sum);
}

/* Norms, and what each tensor has of its own (worker/train does the same over the ranks). */
static struct update_moment moment_of(struct updating *u, int t)
{
    struct update_moment moment = {.execution = t, .rate_factor = 1.0};
    double *gradient = u->inputs[UPDATE_GRADIENT];
    moment.gradient_norm = norm(gradient, FLOATS, u->update.clip_value);
    for (int i = 0; i < TENSORS; i++) {
        double of_weight = norm(&u->inputs[UPDATE_PARAMETER][i * BLOCK_FLOATS], BLOCK_FLOATS, 0.0);
        double of_gradient = norm(&gradient[i * BLOCK_FLOATS], BLOCK_FLOATS, u->update.clip_value);
        u->inputs[UPDATE_DECAYS][i] = update_decays(&u->update, &u->tensors[i]) ? 1.0 : 0.0;
        u->inputs[UPDATE_TRUST][i] =
            (double)update_trust(&u->update, &u->tensors[i], &moment, of_weight, of_gradient);
    }
    return moment;
}

static void compare(const struct updating *u, const struct golden_place *place, const char *prefix,
                    const double *blocks)
{
    for (int i = 0; i < TENSORS; i++) {
        golden_compare(place, golden_find(u->file, prefix, TENSOR_NAMES[i]),
                       &blocks[i * BLOCK_FLOATS], NULL);
    }
}

static void step(struct updating *u, const struct golden_place *place, int t)
{
    char prefix[32];
    float scalars[UPDATE_SCALAR_COUNT];
    const struct training training = {.batch = 1};
    struct golden_work work = {.graph = u->graph, .scalars = scalars};
    (void)snprintf(prefix, sizeof prefix, "gradient.%d.", t);
    load(u, prefix, u->inputs[UPDATE_GRADIENT]);
    const struct update_moment moment = moment_of(u, t);
    training_update_scalars(&training, &u->update, &moment, scalars);
    for (int i = 0; i < UPDATE_INPUT_COUNT; i++) {
        work.inputs[i] = u->inputs[i];
    }
    work.output_count = 1 + u->update.state_count;
    memcpy(work.outputs, u->nodes, (size_t)work.output_count * sizeof u->nodes[0]);
    struct golden_values *values = golden_run(&work, place);
    for (int i = 0; i < work.output_count; i++) {
        double *to = u->inputs[i == 0 ? UPDATE_PARAMETER : UPDATE_STATES + i - 1];
        memcpy(to, &values->values[values->offsets[i]], FLOATS * sizeof *to);
    }
    cam_free(values);
    (void)snprintf(prefix, sizeof prefix, "after.%d.", t);
    compare(u, place, prefix, u->inputs[UPDATE_PARAMETER]);
}

static void run(const char *name, const struct golden_place *place)
{
    struct updating u;
    begin(&u, name);
    load(&u, "param.", u.inputs[UPDATE_PARAMETER]);
    int steps = (int)golden_number(u.file, "steps", 0.0);
    assert_true(steps >= 5);
    for (int t = 0; t < steps; t++) {
        step(&u, place, t);
    }
    for (int i = 0; i < u.update.state_count; i++) {
        char prefix[64];
        (void)snprintf(prefix, sizeof prefix, "state.%s.", u.update.state_names[i]);
        compare(&u, place, prefix, u.inputs[UPDATE_STATES + i]);
    }
    end(&u);
}

static void test_optimizer(void **state)
{
    struct golden_place places[GOLDEN_PLACES];
    struct safetensors *file = golden_open(*state);
    int place_count = golden_places(file, places);
    safetensors_close(file);
    for (int i = 0; i < place_count; i++) {
        run(*state, &places[i]);
    }
}

/* Every row of the optimizer table has golden values. */
static void test_every_optimizer(void **state)
{
    (void)state;
    struct golden_names *files = golden_list("optimizers");
    for (int i = 0; i < optimizer_count(); i++) {
        char wanted[GOLDEN_NAME_SIZE];
        bool found = false;
        (void)snprintf(wanted, sizeof wanted, "optimizers/%s", optimizer_get(i)->name);
        for (int k = 0; k < files->count; k++) {
            found = found || strcmp(files->names[k], wanted) == 0;
        }
        if (!found) {
            fail_msg("the optimizer %s has no golden values", optimizer_get(i)->name);
        }
    }
    cam_free(files);
}

int main(void)
{
    const struct CMUnitTest more[] = {cmocka_unit_test(test_every_optimizer)};
    return golden_main("optimizers", test_optimizer, more, 1);
}
