#include "daemon/stage_times.h"

#include "../unit.h"

#include <stdio.h>

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    struct stage_times times = {0};
    assert_int_equal(-1, stage_times_median(&times, "generator", "compute"));
    stage_times_add(&times, "generator", "compute", 70);
    assert_int_equal(70, stage_times_median(&times, "generator", "compute"));
    assert_int_equal(-1, stage_times_median(&times, "generator", "reduce"));
    assert_int_equal(-1, stage_times_median(&times, "discriminator", "compute"));
}

/* One that took a hundred times as long says nothing of what is usual. */
static void outliers_do_not_move_it(void **state)
{
    (void)state;
    struct stage_times times = {0};
    const int64_t took[] = {10, 1000, 12, 11, 2000, 9, 10};
    for (size_t i = 0; i < sizeof took / sizeof took[0]; i++) {
        stage_times_add(&times, "p", "s", took[i]);
        stage_times_add(&times, "p", "other", 5000);
    }
    assert_int_equal(11, stage_times_median(&times, "p", "s"));
    assert_int_equal(5000, stage_times_median(&times, "p", "other"));
}

/* Against sorting the last STAGE_TIMES_KEPT by hand, for any number of durations. */
static void the_last_are_kept(void **state)
{
    (void)state;
    struct stage_times times = {0};
    int64_t all[200];
    uint32_t random = 7;
    for (int i = 0; i < 200; i++) {
        random = random * 1664525u + 1013904223u;
        all[i] = (int64_t)(random >> 20);
        stage_times_add(&times, "p", "s", all[i]);
        int first = i + 1 < STAGE_TIMES_KEPT ? 0 : i + 1 - STAGE_TIMES_KEPT;
        int count = i + 1 - first;
        int64_t median = stage_times_median(&times, "p", "s");
        int below = 0;
        int same = 0;
        for (int k = first; k <= i; k++) {
            below += all[k] < median ? 1 : 0;
            same += all[k] == median ? 1 : 0;
        }
        assert_true(same > 0 && below <= count / 2 && below + same > count / 2);
    }
}

static void a_new_stage_takes_the_oldest_place(void **state)
{
    (void)state;
    struct stage_times times = {0};
    char name[16];
    for (int i = 0; i <= STAGE_TIMES_STAGES; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        stage_times_add(&times, "p", name, i);
        stage_times_add(&times, "p", "0", 0); /* heard of again and again */
    }
    assert_int_equal(0, stage_times_median(&times, "p", "0"));
    assert_int_equal(-1, stage_times_median(&times, "p", "1"));
    assert_int_equal(2, stage_times_median(&times, "p", "2"));
    assert_int_equal(STAGE_TIMES_STAGES, stage_times_median(&times, "p", name));
}

static void long_names_and_times(void **state)
{
    (void)state;
    struct stage_times times = {0};
    char name[100];
    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = 'a';
    }
    name[sizeof name - 1] = '\0';
    stage_times_add(&times, name, name, INT64_MAX);
    assert_int_equal(INT32_MAX, stage_times_median(&times, name, name));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(outliers_do_not_move_it),
        cmocka_unit_test(the_last_are_kept),
        cmocka_unit_test(a_new_stage_takes_the_oldest_place),
        cmocka_unit_test(long_names_and_times),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
