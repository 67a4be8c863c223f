/*
 * Adversarial losses against PyTorch: both sides' values, and their gradients by the logits.
 */
#include "../unit/unit.h"

#include "golden.h"

#include "base/mem.h"
#include "base/text.h"
#include "model/graph/gradient.h"
#include "model/losses/loss.h"

#include <stdio.h>
#include <string.h>

#define MODEL "optimizer: {sgd: {lr: 1}}\nmodel: {generator: [flatten], discriminator: [flatten]}\n"

/* The loss that a file is about, in a job of its own. */
static const struct loss *read_loss(const struct safetensors *file, struct cam_arena *arena,
                                    struct loss_options *options)
{
    struct cam_text text = {0};
    struct cam_err err = {0};
    struct job_file job;
    const struct loss *loss = NULL;
    cam_text_add(&text, "loss: %s\n" MODEL, safetensors_metadata(file, "loss"));
    assert_non_null(text.bytes);
    golden_job(text.bytes, arena, &job);
    cam_text_release(&text);
    ASSERT_OK(loss_read(&job, &loss, options, &err), err);
    return loss;
}

static void test_loss(void **state)
{
    static const char *const NAMES[] = {"discriminator",           "discriminator.real",
                                        "discriminator.generated", "generator",
                                        "generator.real",          "generator.generated"};
    struct safetensors *file = golden_open(*state);
    struct cam_arena *arena = cam_arena_create();
    struct loss_options options;
    struct golden_place places[GOLDEN_PLACES];
    const struct loss *loss = read_loss(file, arena, &options);
    const struct safetensors_tensor *real = golden_find(file, "real", "");
    const struct safetensors_tensor *generated = golden_find(file, "generated", "");
    struct shape shape = {.rank = 2, .dim = {real->dim[0], 1}};
    struct golden_work work = {.output_count = 6};
    struct graph *graph = graph_create();
    work.graph = graph;
    work.inputs[0] = golden_values_of(real);
    work.inputs[1] = golden_values_of(generated);
    int leaves[2] = {graph_leaf(graph, OP_INPUT, 0, &shape),
                     graph_leaf(graph, OP_INPUT, 1, &shape)};
    struct loss_logits logits = {.real = leaves[0], .generated = leaves[1]};
    work.outputs[0] = loss->discriminator(graph, &logits, &options);
    (void)gradient_append(graph, work.outputs[0], leaves, 2, &work.outputs[1]);
    logits.real = loss->pairs ? leaves[0] : NODE_NONE;
    work.outputs[3] = loss->generator(graph, &logits);
    (void)gradient_append(graph, work.outputs[3], leaves, 2, &work.outputs[4]);
    int place_count = golden_places(file, places);
    for (int i = 0; i < place_count; i++) {
        struct golden_values *values = golden_run(&work, &places[i]);
        for (int k = 0; k < work.output_count; k++) {
            golden_compare(&places[i], golden_find(file, NAMES[k], ""),
                           &values->values[values->offsets[k]], NULL);
        }
        cam_free(values);
    }
    cam_free((void *)(uintptr_t)work.inputs[0]);
    cam_free((void *)(uintptr_t)work.inputs[1]);
    graph_destroy(graph);
    cam_arena_destroy(arena);
    safetensors_close(file);
}

/* Every row of the loss table has golden values. */
static void test_every_loss(void **state)
{
    (void)state;
    struct golden_names *files = golden_list("losses");
    size_t count = 0;
    const char *const *names = loss_names(&count);
    for (size_t i = 0; i < count; i++) {
        char wanted[GOLDEN_NAME_SIZE];
        bool found = false;
        (void)snprintf(wanted, sizeof wanted, "losses/%s", names[i]);
        for (int k = 0; k < files->count; k++) {
            found = found || strcmp(files->names[k], wanted) == 0;
        }
        if (!found) {
            fail_msg("the loss %s has no golden values", names[i]);
        }
    }
    cam_free(files);
}

int main(void)
{
    const struct CMUnitTest more[] = {cmocka_unit_test(test_every_loss)};
    return golden_main("losses", test_loss, more, 1);
}
