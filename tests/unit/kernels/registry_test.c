/* Backends by name, and the smallest plan on the one that is always there. */
#include "../unit.h"

#include "base/mem.h"
#include "kernels/registry.h"
#include "model/graph/op.h"
#include "model/plan/target.h"

#include <string.h>

static void test_reference_is_linked_in(void **state)
{
    (void)state;
    struct cam_err err;
    const struct backend *backend = NULL;
    ASSERT_OK(registry_find("reference", "/nowhere", &backend, &err), err);
    assert_string_equal(backend->name, "reference");
    assert_int_equal(backend->version, BACKEND_VERSION);
}

/* The planner's table says of each backend what the backend says itself. */
static void test_targets_are_true(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"reference", "cpu"};
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        struct cam_err err;
        const struct backend *backend = NULL;
        struct backend_instance *instance = NULL;
        const struct plan_target *target = plan_target(NAMES[i]);
        assert_non_null(target);
        if (registry_find(NAMES[i], KERNEL_MODULE_DIR, &backend, &err) != CAM_OK) {
            print_message("no backend %s here\n", NAMES[i]);
            continue;
        }
        ASSERT_OK(backend->open(&options, &instance, &err), err);
        for (int op = 0; op < OP_COUNT; op++) {
            bool macro = op_get((enum op_kind)op)->lower != NULL;
            assert_int_equal(backend->query(instance, (enum op_kind)op),
                             macro ? target->macros[op] : true);
        }
        backend->close(instance);
    }
    assert_null(plan_target("abacus"));
}

static void test_a_missing_module_is_named(void **state)
{
    (void)state;
    struct cam_err err;
    const struct backend *backend = NULL;
    assert_int_equal(registry_find("abacus", "/nowhere", &backend, &err), CAM_NOT_FOUND);
    assert_non_null(strstr(err.text, "backend abacus is not installed"));
    assert_null(strstr(err.text, "/nowhere")); /* nobody who submits knows the folder */
    assert_int_equal(registry_find("../abacus", "/nowhere", &backend, &err), CAM_NOT_FOUND);
}

/* out = parameter + scalar, by hand. */
static void test_a_plan_of_one_step(void **state)
{
    (void)state;
    const struct shape pair = {.rank = 1, .dim = {2}};
    struct plan_value values[] = {
        {.storage = STORAGE_PARAMETER, .offset = 1},
        {.storage = STORAGE_INPUT},
        {.storage = STORAGE_OUTPUT, .offset = 2},
    };
    for (int i = 0; i < 3; i++) {
        values[i].shape = pair;
    }
    const struct plan_step step = {.kind = PLAN_OPERATOR,
                                   .op = OP_ADD,
                                   .input_count = 2,
                                   .input = {0, 1},
                                   .output = 2,
                                   .path = "sum"};
    const struct plan plan = {
        .value_count = 3, .values = values, .step_count = 1, .steps = &step, .output_floats = 4};
    const float parameters[] = {9.0f, 1.0f, 2.0f};
    const float input[] = {10.0f, 20.0f};
    const void *inputs[] = {input};
    float output[4] = {0};
    const struct bindings bindings = {.parameters = parameters, .inputs = inputs, .output = output};
    const struct random_context random = {0};
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1};
    const struct backend *backend = NULL;
    struct backend_instance *instance = NULL;
    struct executable *executable = NULL;
    struct cam_err err;
    ASSERT_OK(registry_find("reference", "", &backend, &err), err);
    ASSERT_OK(backend->open(&options, &instance, &err), err);
    ASSERT_OK(backend->compile(instance, &plan, &executable, &err), err);
    backend->lane_begin(instance, 0);
    unsigned long before = cam_alloc_count();
    ASSERT_OK(backend->prepare(executable, &bindings, &err), err);
    ASSERT_OK(backend->launch(executable, 0, &bindings, &random, &err), err);
    assert_int_equal(cam_alloc_count(), before);
    assert_true(output[2] == 11.0f && output[3] == 22.0f);
    backend->destroy(executable);
    backend->close(instance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_is_linked_in),
        cmocka_unit_test(test_targets_are_true),
        cmocka_unit_test(test_a_missing_module_is_named),
        cmocka_unit_test(test_a_plan_of_one_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
