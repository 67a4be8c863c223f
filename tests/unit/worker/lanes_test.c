#include "../unit.h"

#include "base/mem.h"
#include "worker/train/lanes.h"

#include <stdatomic.h>
#include <stdbool.h>

struct seen {
    atomic_int runs[8];
    int failing; /* lane, or -1 */
};

static enum cam_code count_run(void *context, int lane, struct cam_err *err)
{
    struct seen *seen = context;
    atomic_fetch_add(&seen->runs[lane], 1);
    return lane >= seen->failing && seen->failing >= 0
               ? cam_fail(err, CAM_NON_FINITE, "lane %d", lane)
               : CAM_OK;
}

static void test_every_lane_runs_each_task(void **state)
{
    (void)state;
    for (int count = 1; count <= 8; count++) {
        struct lanes *lanes = NULL;
        struct cam_err err = {0};
        struct seen seen = {.failing = -1};
        ASSERT_OK(lanes_create(count, &lanes, &err), err);
        unsigned long before = cam_alloc_count();
        for (int i = 0; i < 200; i++) {
            ASSERT_OK(lanes_run(lanes, count_run, &seen, &err), err);
        }
        assert_int_equal(cam_alloc_count(), before);
        for (int i = 0; i < count; i++) {
            assert_int_equal(atomic_load(&seen.runs[i]), 200);
        }
        lanes_destroy(lanes);
    }
}

static void test_the_lowest_failure_is_told(void **state)
{
    (void)state;
    struct lanes *lanes = NULL;
    struct cam_err err = {0};
    struct seen seen = {.failing = 2};
    ASSERT_OK(lanes_create(4, &lanes, &err), err);
    assert_int_equal(lanes_run(lanes, count_run, &seen, &err), CAM_NON_FINITE);
    assert_string_equal(err.text, "lane 2");
    seen.failing = -1;
    ASSERT_OK(lanes_run(lanes, count_run, &seen, &err), err);
    lanes_destroy(lanes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_lane_runs_each_task),
        cmocka_unit_test(test_the_lowest_failure_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
