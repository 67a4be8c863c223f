#include "daemon/live.h"

#include "../unit.h"

#include <stdio.h>
#include <string.h>

static struct live *make(int ranks)
{
    struct cam_err err = {0};
    struct live *live = NULL;
    ASSERT_OK(live_create(1, 1, ranks, &live, &err), err);
    live->silent_limit_ms = 10000;
    live->attach_limit_ms = 60000;
    for (int i = 0; i < ranks; i++) {
        live_attach(live, i, 0);
    }
    return live;
}

static void hear(struct live *live, int rank, int64_t step, int64_t collective, int64_t now_ms)
{
    struct live_progress progress = {.step = step, .collective = collective};
    (void)snprintf(progress.phase, sizeof progress.phase, "discriminator");
    (void)snprintf(progress.stage, sizeof progress.stage, "compute");
    live_hear(live, rank, &progress, now_ms);
}

static void the_first_to_fall_silent_is_named(void **state)
{
    (void)state;
    char text[512] = "";
    struct live *live = make(3);
    for (int64_t t = 1000; t <= 40000; t += 1000) {
        hear(live, 0, t, t, t < 30000 ? t : 30000);
        hear(live, 2, t, t, t);
        if (t <= 25000) {
            hear(live, 1, t, t, t);
        }
    }
    live->ranks[0].heard_ms = 29000; /* it fell silent too, later */
    assert_int_equal(-1, live_verdict(live, 34000, text, sizeof text));
    assert_int_equal(1, live_verdict(live, 40000, text, sizeof text));
    assert_non_null(strstr(text, "rank 1 hangs"));
    assert_non_null(strstr(text, "step 25000"));
    live_destroy(live);
}

/* Heartbeats go on, nobody advances, and one is at an earlier collective. */
static void the_rank_behind_is_named(void **state)
{
    (void)state;
    char text[512] = "";
    struct live *live = make(2);
    for (int64_t t = 1000; t <= 15000; t += 1000) {
        hear(live, 0, 7, 20, t);
        hear(live, 1, 7, 19, t);
    }
    assert_int_equal(1, live_verdict(live, 15000, text, sizeof text));
    assert_non_null(strstr(text, "at collective 19, where rank 0 waits at 20"));
    live_destroy(live);
}

static void slow_is_not_hung(void **state)
{
    (void)state;
    char text[512] = "";
    struct live *live = make(2);
    /* They agree on their collective: a long step, or a slow disk. */
    for (int64_t t = 1000; t <= 60000; t += 1000) {
        hear(live, 0, 7, 20, t);
        hear(live, 1, 7, 20, t);
        assert_int_equal(-1, live_verdict(live, t, text, sizeof text));
    }
    /* One of them announced that its stage may take long. */
    live->ranks[1].now.collective = 19;
    live->ranks[1].now.stage_limit_ms = 120000;
    assert_int_equal(-1, live_verdict(live, 60000, text, sizeof text));
    live->ranks[1].now.stage_limit_ms = 0;
    assert_int_equal(1, live_verdict(live, 60000, text, sizeof text));
    live_destroy(live);
}

static void nobody_is_judged_after_a_pause_or_a_start(void **state)
{
    (void)state;
    char text[512] = "";
    struct live *live = make(2);
    hear(live, 0, 1, 1, 1000);
    hear(live, 1, 1, 1, 1000);
    live_forgive(live, 50000); /* the daemon itself slept */
    assert_int_equal(-1, live_verdict(live, 50001, text, sizeof text));
    hear(live, 0, 1, 1, 60001);
    assert_int_equal(-1, live_verdict(live, 59999, text, sizeof text));
    assert_int_equal(1, live_verdict(live, 60002, text, sizeof text));
    live_attach(live, 1, 60500); /* it came back */
    assert_int_equal(-1, live_verdict(live, 70000, text, sizeof text));
    live_destroy(live);
}

static void a_rank_that_never_comes_is_named(void **state)
{
    (void)state;
    char text[512] = "";
    struct live *live = make(2);
    live->ranks[1].attached = false;
    hear(live, 0, 0, 0, 60500);
    assert_int_equal(-1, live_verdict(live, 59000, text, sizeof text));
    assert_int_equal(1, live_verdict(live, 60600, text, sizeof text));
    assert_non_null(strstr(text, "has not reported within 60 s"));
    live_destroy(live);
}

static void the_first_account_stays(void **state)
{
    (void)state;
    struct live *live = make(2);
    live_fail(live, CAM_PEER_LOST, "rank 1 is gone", 0, 3);
    live_fail(live, CAM_NON_FINITE, "d_loss is nan", 1, 4);
    live_fail(live, CAM_IO, "later", 0, 5);
    assert_int_equal(CAM_NON_FINITE, live->error_code);
    assert_int_equal(1, live->error_rank);
    assert_int_equal(4, live->error_step);
    live_destroy(live);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(the_first_to_fall_silent_is_named),
        cmocka_unit_test(the_rank_behind_is_named),
        cmocka_unit_test(slow_is_not_hung),
        cmocka_unit_test(nobody_is_judged_after_a_pause_or_a_start),
        cmocka_unit_test(a_rank_that_never_comes_is_named),
        cmocka_unit_test(the_first_account_stays),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
