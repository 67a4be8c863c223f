/* Checkpoints of a small GAN: they come back bit for bit, whatever fails on the way. */
#include "../unit.h"

#include "base/mem.h"
#include "worker/checkpoint/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static const struct anchors NO_ANCHORS = {.steps_per_epoch = 10};

struct fixture {
    char job_dir[64];
    struct cam_arena *arena;
    struct job_file job;
    struct training *training;
    struct snapshot *snapshot;
    struct state_identity identity;
    struct checkpoint_target target;
};

/* Tensors get values that tell their place; padding stays zero. */
static void fill_tensors(const struct tensor_info *tensors, int count, int64_t base, float *arena,
                         float salt)
{
    for (int i = 0; i < count; i++) {
        for (int64_t k = 0; k < shape_count(&tensors[i].shape); k++) {
            arena[tensors[i].offset - base + k] = salt + (float)i + (float)k / 1024.0F;
        }
    }
}

static void fill(const struct snapshot *s)
{
    const struct training *t = s->training;
    fill_tensors(t->parameters, t->parameter_count, 0, s->parameters, 1.0F);
    fill_tensors(t->buffers, t->buffer_count, 0, s->buffers, -1.0F);
    int index = 0;
    for (int p = 0; p < t->phase_count; p++) {
        const struct part_info *part = &t->parts[t->phases[p].part];
        for (int k = 0; k < t->phases[p].update.state_count; k++, index++) {
            fill_tensors(t->parameters + part->parameter_first, part->parameter_count,
                         part->block_first * BLOCK_FLOATS, s->state[index], (float)index);
        }
    }
}

static bool same(const struct snapshot *a, const struct snapshot *b)
{
    const struct training *t = a->training;
    size_t parameters = (size_t)t->parameter_floats * sizeof(float);
    size_t buffers = (size_t)t->buffer_floats * sizeof(float);
    bool equal = memcmp(a->parameters, b->parameters, parameters) == 0 &&
                 memcmp(a->buffers, b->buffers, buffers) == 0;
    int index = 0;
    for (int p = 0; p < t->phase_count; p++) {
        size_t part = (size_t)t->parts[t->phases[p].part].block_count * BLOCK_FLOATS;
        for (int k = 0; k < t->phases[p].update.state_count; k++, index++) {
            equal = equal && memcmp(a->state[index], b->state[index], part * sizeof(float)) == 0;
        }
    }
    return equal;
}

static int set_up(void **state)
{
    struct fixture *f = cam_alloc(1, sizeof *f);
    struct cam_err err = {0};
    (void)snprintf(f->job_dir, sizeof f->job_dir, "/tmp/checkpoint-XXXXXX");
    assert_non_null(mkdtemp(f->job_dir));
    f->arena = cam_arena_create();
    const struct job_text text = {
        .file_name = "job.yaml", .base_dir = "/", .text = JOB, .size = sizeof JOB - 1};
    ASSERT_OK(jobfile_parse(&text, f->arena, &f->job, &err), err);
    const struct data_shape shape = {.count = 64, .height = 28, .width = 28, .channels = 1};
    ASSERT_OK(training_create(&f->job, &shape, &f->training, &err), err);
    ASSERT_OK(snapshot_create(f->training, &f->snapshot, &err), err);
    fill(f->snapshot);
    memset(f->identity.job_sha256, 'a', CAM_DIGEST_HEX_SIZE - 1);
    memset(f->identity.data_sha256, 'b', CAM_DIGEST_HEX_SIZE - 1);
    f->target = (struct checkpoint_target){f->job_dir, 2, &f->identity};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct cam_err err = {0};
    ASSERT_OK(cam_folder_remove(f->job_dir, &err), err);
    snapshot_destroy(f->snapshot);
    training_destroy(f->training);
    cam_arena_destroy(f->arena);
    cam_free(f);
    return 0;
}

static void write_step(struct fixture *f, int attempt, int64_t step)
{
    struct cam_err err = {0};
    char folder[CAM_PATH_SIZE];
    const struct run_state state = {.step = step, .rate_factor = 1.0, .phase_count = 2};
    f->target.attempt = attempt;
    fill(f->snapshot);
    ASSERT_OK(snapshot_export(f->snapshot, true, &err), err);
    ASSERT_OK(checkpoint_write(&f->target, f->snapshot, &state, folder, &err), err);
}

static void test_all_tensors_come_back(void **state)
{
    struct fixture *f = *state;
    struct cam_err err = {0};
    struct snapshot *read = NULL;
    struct run_state read_state;
    write_step(f, 2, 42);
    ASSERT_OK(snapshot_create(f->training, &read, &err), err);
    ASSERT_OK(checkpoint_read(f->job_dir, "attempts/2/checkpoints/step-000000000042", &f->identity,
                              read, &read_state, &err),
              err);
    assert_int_equal(read_state.step, 42);
    assert_false(same(read, f->snapshot)); /* that one is in the file's layout now */
    fill(f->snapshot);
    assert_true(same(read, f->snapshot));
    snapshot_destroy(read);
}

static void test_short_memory_publishes_nothing(void **state)
{
    struct fixture *f = *state;
    struct cam_err err = {0};
    const struct run_state run_state = {.step = 7, .rate_factor = 1.0, .phase_count = 2};
    enum cam_code rc = CAM_NO_MEMORY;
    int refused = 0;
    for (long n = 0; rc != CAM_OK; n++) {
        char folder[CAM_PATH_SIZE];
        fill(f->snapshot);
        ASSERT_OK(snapshot_export(f->snapshot, true, &err), err);
        cam_fault_after(n);
        rc = checkpoint_write(&f->target, f->snapshot, &run_state, folder, &err);
        cam_fault_after(-1);
        struct checkpoint_entry *entries = NULL;
        size_t count = 0;
        struct cam_err list_err = {0};
        ASSERT_OK(checkpoint_list(f->job_dir, 2, &entries, &count, &list_err), list_err);
        cam_free(entries);
        assert_int_equal(count, rc == CAM_OK ? 1 : 0);
        assert_true(rc == CAM_OK || rc == CAM_NO_MEMORY);
        refused += rc != CAM_OK;
    }
    assert_true(refused > 3);
}

static void test_the_newest_are_kept(void **state)
{
    struct fixture *f = *state;
    struct cam_err err = {0};
    static const struct {
        int attempt;
        int64_t step;
    } written[] = {{1, 10}, {1, 20}, {2, 15}, {2, 20}, {3, 30}};
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        write_step(f, written[i].attempt, written[i].step);
    }
    char leftover[CAM_PATH_SIZE];
    ASSERT_OK(
        cam_path(leftover, &err, "%s/attempts/2/checkpoints/step-000000000025.tmp", f->job_dir),
        err);
    ASSERT_OK(cam_folder_create(leftover, 0700, &err), err);
    struct checkpoint_entry *entries = NULL;
    size_t count = 0;
    ASSERT_OK(checkpoint_list(f->job_dir, 3, &entries, &count, &err), err);
    assert_int_equal(count, 5);
    assert_int_equal(entries[0].step, 30);
    assert_int_equal(entries[1].attempt, 2); /* of two at one step, the later attempt's */
    cam_free(entries);
    ASSERT_OK(checkpoint_list(f->job_dir, 2, &entries, &count, &err), err);
    assert_int_equal(count, 4); /* an attempt does not see its successors' */
    cam_free(entries);
    ASSERT_OK(checkpoint_retire(f->job_dir, 3, 2, &NO_ANCHORS, &err), err);
    ASSERT_OK(checkpoint_list(f->job_dir, 3, &entries, &count, &err), err);
    assert_int_equal(count, 2);
    assert_int_equal(entries[1].step, 20);
    cam_free(entries);
    assert_int_not_equal(access(leftover, F_OK), 0);
}

/* Step 100 was damaged, so the second attempt went on from an earlier one. */
static void test_a_later_attempt_outlives_a_later_step(void **state)
{
    struct fixture *f = *state;
    struct cam_err err = {0};
    struct checkpoint_entry *entries = NULL;
    size_t count = 0;
    write_step(f, 1, 100);
    write_step(f, 2, 60);
    ASSERT_OK(checkpoint_retire(f->job_dir, 2, 1, &NO_ANCHORS, &err), err);
    ASSERT_OK(checkpoint_list(f->job_dir, 2, &entries, &count, &err), err);
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].step, 60);
    cam_free(entries);
}

static void test_anchors_are_functions_of_the_step(void **state)
{
    (void)state;
    const struct anchors anchors = {.steps_per_epoch = 10, .every = 4};
    static const int64_t BEFORE[] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 10, 10, 10, 10, 14};
    for (int64_t step = 0; step < 15; step++) {
        assert_int_equal(anchors_before(&anchors, step), BEFORE[step]);
        assert_int_equal(anchors_has(&anchors, step), BEFORE[step] == step);
        assert_false(anchors_has(&NO_ANCHORS, step));
    }
}

static void assert_steps(const struct fixture *f, int attempt, const int64_t *steps, size_t wanted)
{
    struct cam_err err = {0};
    struct checkpoint_entry *entries = NULL;
    size_t count = 0;
    ASSERT_OK(checkpoint_list(f->job_dir, attempt, &entries, &count, &err), err);
    assert_int_equal(count, wanted);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(entries[i].step, steps[i]);
    }
    cam_free(entries);
}

/* Timed checkpoints at 13, 16 and 17; anchors at 4, 8, 10, 14. */
static void test_anchors_outlive_what_goes_back_to_them(void **state)
{
    struct fixture *f = *state;
    struct cam_err err = {0};
    const struct anchors anchors = {.steps_per_epoch = 10, .every = 4};
    static const int64_t WRITTEN[] = {4, 8, 10, 13, 14, 16, 17};
    for (size_t i = 0; i < sizeof WRITTEN / sizeof WRITTEN[0]; i++) {
        write_step(f, WRITTEN[i] < 14 ? 1 : 2, WRITTEN[i]);
    }
    ASSERT_OK(checkpoint_retire(f->job_dir, 2, 4, &anchors, &err), err);
    assert_steps(f, 2, (int64_t[]){17, 16, 14, 13, 10}, 5);
    ASSERT_OK(checkpoint_retire(f->job_dir, 2, 2, &anchors, &err), err);
    assert_steps(f, 2, (int64_t[]){17, 16, 14}, 3);
    ASSERT_OK(checkpoint_forget(f->job_dir, 2, 14, &err), err);
    assert_steps(f, 2, (int64_t[]){14}, 1);
}

static void flip_a_byte(const char *job_dir, const char *file)
{
    char path[CAM_PATH_SIZE];
    struct cam_err err = {0};
    char *bytes = NULL;
    size_t size = 0;
    ASSERT_OK(cam_path(path, &err, "%s/attempts/2/checkpoints/step-000000000042/%s", job_dir, file),
              err);
    ASSERT_OK(cam_file_read(path, (size_t)1 << 24, &bytes, &size, &err), err);
    bytes[size - 5] = (char)(bytes[size - 5] ^ 1);
    ASSERT_OK(cam_file_replace(path, bytes, size, 0600, &err), err);
    cam_free(bytes);
}

static void test_a_flipped_bit_is_seen(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {"model.safetensors", "optimizer.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct cam_err err = {0};
        struct run_state read_state;
        write_step(f, 2, 42);
        flip_a_byte(f->job_dir, files[i]);
        assert_int_equal(checkpoint_read(f->job_dir, "attempts/2/checkpoints/step-000000000042",
                                         &f->identity, f->snapshot, &read_state, &err),
                         CAM_CORRUPT);
        assert_non_null(strstr(err.text, files[i]));
        ASSERT_OK(checkpoint_retire(f->job_dir, 2, 0, &NO_ANCHORS, &err), err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_tensors_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_short_memory_publishes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_newest_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_later_attempt_outlives_a_later_step, set_up,
                                        tear_down),
        cmocka_unit_test(test_anchors_are_functions_of_the_step),
        cmocka_unit_test_setup_teardown(test_anchors_outlive_what_goes_back_to_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_flipped_bit_is_seen, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
