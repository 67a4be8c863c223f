/* What `check` says of a rank's memory is what the worker takes. */
#include "../unit.h"

#include "model/memory.h"
#include "worker/checkpoint/snapshot.h"
#include "worker/data/loader.h"

#include <string.h>

static const char JOB[] =
    "name: small\n"
    "kind: gan\n"
    "data: {format: glyphs, count: 64, seed: 1}\n"
    "model:\n"
    "  latent: 4\n"
    "  generator:\n"
    "    - dense: {units: 196, activation: relu}\n"
    "    - reshape: [7, 7, 4]\n"
    "    - conv2d_transpose: {filters: 2, kernel: 4, stride: 2, padding: same, norm: batch}\n"
    "    - conv2d_transpose: {filters: 1, kernel: 4, stride: 2, padding: same}\n"
    "  discriminator: [flatten, {dense: {units: 1}}]\n"
    "loss: minimax\n"
    "optimizer: {adam: {lr: 1e-3}}\n"
    "train: {epochs: 1, batch: 32, shards: 2}\n";

/* The ring, and a checkpoint's memory less the sample grid's, of the one rank of a job. */
static void test_the_lines_are_what_is_taken(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct job_file job;
    struct training *training = NULL;
    struct snapshot *snapshot = NULL;
    struct job_figures figures = {0};
    struct cam_arena *arena = cam_arena_create();
    const struct job_text text = {
        .file_name = "job.yaml", .base_dir = "/", .text = JOB, .size = sizeof JOB - 1};
    ASSERT_OK(jobfile_parse(&text, arena, &job, &err), err);
    const struct data_shape shape = {.count = 64, .height = 28, .width = 28, .channels = 1};
    const struct source_info info = {.count = 64, .height = 28, .width = 28, .channels = 1};
    ASSERT_OK(training_create(&job, &shape, &training, &err), err);
    ASSERT_OK(snapshot_create(training, &snapshot, &err), err);
    const struct memory_request request = {
        .training = training, .data = &shape, .ranks = 1, .lanes = 2};
    memory_of_rank(&request, &figures);
    int64_t padding = loader_bytes(&info, 32) - figures.data_bytes;
    assert_true(padding >= 0 && padding <= 2 * 64 * MEMORY_RING);
    int64_t images = shape_count(&graph_node(training->sample, training->sample_node)->shape);
    assert_int_equal(snapshot->bytes + images * (int64_t)(sizeof(float) + 1),
                     figures.checkpoint_bytes);
    snapshot_destroy(snapshot);
    training_destroy(training);
    cam_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_lines_are_what_is_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
