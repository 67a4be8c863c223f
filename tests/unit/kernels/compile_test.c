/*
 * Opening and compiling the CPU backend: short memory at every request, what it refuses, what its
 * profile says, and teams of threads.
 */
#include "../unit.h"

#include "rig.h"

#include "base/mem.h"
#include "kernels/registry.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Products of every way to get at weights (packed, copied in, copied out, by taps, by points) and a
 * program.
 */
static void build(struct rig *rig)
{
    const struct window window = {.stride = {1, 1},
                                  .pad_before = {1, 1},
                                  .pad_after = {1, 1},
                                  .dilation = {1, 1},
                                  .groups = 1};
    const struct shape image = {.rank = 4, .dim = {2, 6, 6, 8}};
    const struct shape kernel = {.rank = 4, .dim = {3, 3, 8, 16}};
    const struct shape last = {.rank = 4, .dim = {3, 3, 16, 1}};
    const struct window halving = {.stride = {2, 2},
                                   .pad_before = {1, 1},
                                   .pad_after = {1, 1},
                                   .dilation = {1, 1},
                                   .groups = 1};
    const struct shape wide = {.rank = 4, .dim = {2, 6, 6, 32}};
    const struct shape points = {.rank = 4, .dim = {4, 4, 32, 32}};
    struct graph *graph = rig->graph;
    int x = rig_input(rig, 0, &image);
    int packed = graph_conv2d(graph, x, rig_parameter(rig, 0, &kernel), &window);
    int copied = graph_conv2d(graph, x, rig_input(rig, 1, &kernel), &window);
    int both = graph_unary(graph, OP_TANH, graph_binary(graph, OP_ADD, packed, copied));
    rig->outputs[0] = graph_conv2d(graph, both, rig_parameter(rig, 1, &last), &window);
    rig->outputs[1] = graph_conv2d_grad_weight(graph, x, both, &window, &kernel);
    rig->outputs[2] = graph_sum(graph, both, 7);
    rig->outputs[3] =
        graph_conv2d(graph, rig_input(rig, 2, &wide), rig_parameter(rig, 2, &points), &halving);
    rig->output_count = 4;
}

static struct plan *plan_of(const struct rig *rig)
{
    struct cam_err err;
    const int64_t parameters[] = {0, 3 * 3 * 8 * 16, 4096};
    const int64_t buffers[] = {0};
    const struct plan_output outputs[] = {{rig->outputs[0], 0},
                                          {rig->outputs[1], 4096},
                                          {rig->outputs[2], 8192},
                                          {rig->outputs[3], 8256}};
    const struct plan_request request = {.graph = rig->graph,
                                         .outputs = outputs,
                                         .output_count = rig->output_count,
                                         .parameter_offsets = parameters,
                                         .buffer_offsets = buffers,
                                         .fuse = true};
    struct plan *plan = NULL;
    ASSERT_OK(plan_create(&request, &plan, &err), err);
    return plan;
}

static void test_short_memory(void **state)
{
    (void)state;
    if (!rig_has_cpu()) {
        skip();
    }
    struct cam_err err;
    struct rig rig;
    const struct backend *backend = NULL;
    const struct backend_options options = {.lanes = 2, .threads_per_shard = 1};
    ASSERT_OK(registry_find("cpu", KERNEL_MODULE_DIR, &backend, &err), err);
    rig_begin(&rig, 1);
    build(&rig);
    struct plan *plan = plan_of(&rig);
    enum cam_code rc = CAM_NO_MEMORY;
    int refused = 0;
    for (; rc != CAM_OK; refused++) {
        struct backend_instance *instance = NULL;
        struct executable *executable = NULL;
        assert_true(refused < 1000);
        cam_fault_after(refused);
        rc = backend->open(&options, &instance, &err);
        if (rc == CAM_OK) {
            rc = backend->compile(instance, plan, &executable, &err);
        }
        cam_fault_after(-1);
        assert_true(rc == CAM_OK || rc == CAM_NO_MEMORY);
        backend->destroy(executable);
        backend->close(instance);
    }
    assert_true(refused > 20);
    plan_destroy(plan);
    rig_end(&rig);
}

static void test_what_it_needs_is_known(void **state)
{
    (void)state;
    if (!rig_has_cpu()) {
        skip();
    }
    struct cam_err err;
    struct rig rig;
    const struct backend *backend = NULL;
    struct backend_instance *instance = NULL;
    struct executable *executable = NULL;
    struct cam_text profile = {0};
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1};
    const struct backend_options f64 = {.lanes = 1, .threads_per_shard = 1, .f64 = true};
    ASSERT_OK(registry_find("cpu", KERNEL_MODULE_DIR, &backend, &err), err);
    assert_int_equal(backend->open(&f64, &instance, &err), CAM_UNSUPPORTED);
    ASSERT_OK(backend->open(&options, &instance, &err), err);
    backend->profile(instance, &profile);
    assert_true(cam_text_ok(&profile));
    assert_non_null(strstr(profile.bytes, "\"device\": \"cpu\", \"isa\": \"avx2\""));
    assert_non_null(strstr(profile.bytes, "\"onednn\": \""));
    assert_non_null(strstr(profile.bytes, "\"sleef\": \""));
    assert_non_null(strstr(profile.bytes, "\"engine\": \"" CAMBRIAN_VERSION "\""));
    cam_text_release(&profile);
    rig_begin(&rig, 1);
    build(&rig);
    struct plan *plan = plan_of(&rig);
    ASSERT_OK(backend->compile(instance, plan, &executable, &err), err);
    struct executable_memory memory = backend->memory(executable);
    assert_true(memory.shared_bytes >= (int64_t)sizeof(float) * 3 * 3 * 8 * 16);
    assert_true(memory.lane_bytes >= (int64_t)sizeof(float) * 3 * 3 * 8 * 16);
    backend->destroy(executable);
    backend->close(instance);
    plan_destroy(plan);
    rig_end(&rig);
}

/* In a process of its own: the leak checker cannot look into a team that is still winding down. */
static bool team_agrees(void)
{
    struct rig rig;
    rig_begin(&rig, 3);
    build(&rig);
    const struct rig_place reference = {.backend = "reference", .lanes = 1};
    const struct rig_place team = {.backend = "cpu", .fuse = true, .lanes = 2, .threads = 2};
    double *expected = rig_run(&rig, &reference);
    double *found = rig_run(&rig, &team);
    double *again = rig_run(&rig, &team);
    int64_t count = rig_output_count(&rig);
    bool agrees = rig_distance(found, expected, count) < 1e-5 &&
                  memcmp(found, again, (size_t)count * sizeof *found) == 0;
    cam_free(expected);
    cam_free(found);
    cam_free(again);
    rig_end(&rig);
    return agrees;
}

static void test_a_team_of_threads(void **state)
{
    (void)state;
    if (!rig_has_cpu()) {
        skip();
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(team_agrees() ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_memory),
        cmocka_unit_test(test_what_it_needs_is_known),
        cmocka_unit_test(test_a_team_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
