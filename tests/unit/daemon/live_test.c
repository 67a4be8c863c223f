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

struct place {
    int64_t step;
    int64_t collective;
    const char *stage;
    int64_t limit_ms;
};

static void hear_at(struct live *live, int rank, struct place at, int64_t now_ms)
{
    struct live_progress progress = {
        .step = at.step, .collective = at.collective, .stage_limit_ms = at.limit_ms};
    (void)snprintf(progress.phase, sizeof progress.phase, "discriminator");
    (void)snprintf(progress.stage, sizeof progress.stage, "%s", at.stage);
    live_hear(live, rank, &progress, now_ms);
}

static void hear(struct live *live, int rank, int64_t step, int64_t collective, int64_t now_ms)
{
    hear_at(live, rank, (struct place){step, collective, "compute", 0}, now_ms);
}

/* Both ranks go through steps of so many seconds, seen each second; returns the time after. */
static int64_t train(struct live *live, int steps, int64_t compute_s, int64_t now_ms)
{
    for (int64_t step = 1; step <= steps; step++) {
        for (int64_t s = 0; s < compute_s; s++, now_ms += 1000) {
            hear(live, 0, step, 2 * step, now_ms);
            hear(live, 1, step, 2 * step, now_ms);
        }
        hear_at(live, 0, (struct place){step, 2 * step + 1, "gather", 0}, now_ms);
        hear_at(live, 1, (struct place){step, 2 * step + 1, "gather", 0}, now_ms);
        now_ms += 1000;
    }
    return now_ms;
}

/* From now on rank 1 stays where it is and rank 0 waits for it: seconds until the verdict, which
 * names rank 1; more than most: none. */
static int64_t seconds_until_named(struct live *live, struct place at, int64_t now_ms, int64_t most)
{
    char text[512] = "";
    for (int64_t s = 0; s <= most; s++) {
        hear_at(live, 0, (struct place){at.step, at.collective + 1, "reduce", 0},
                now_ms + 1000 * s);
        hear_at(live, 1, at, now_ms + 1000 * s);
        int named = live_verdict(live, now_ms + 1000 * s, text, sizeof text);
        if (named >= 0) {
            assert_int_equal(1, named);
            assert_non_null(strstr(text, at.stage));
            return s;
        }
    }
    return most + 1;
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

/* A stage of 8 s may take 40; what other stages took says nothing of it. */
static void a_stage_is_judged_by_its_own_median(void **state)
{
    (void)state;
    struct live *live = make(2);
    int64_t now_ms = train(live, 10, 8, 1000);
    assert_int_equal(41,
                     seconds_until_named(live, (struct place){11, 22, "compute", 0}, now_ms, 100));
    live_destroy(live);
    live = make(2);
    now_ms = train(live, 10, 8, 1000);
    assert_int_equal(11,
                     seconds_until_named(live, (struct place){11, 23, "gather", 0}, now_ms, 100));
    live_destroy(live);
}

/* One long stall is no new custom. */
static void one_long_time_does_not_lengthen_the_limit(void **state)
{
    (void)state;
    struct live *live = make(2);
    int64_t now_ms = train(live, 6, 1, 1000);
    now_ms = train(live, 1, 60, now_ms);
    now_ms = train(live, 2, 1, now_ms);
    assert_int_equal(11,
                     seconds_until_named(live, (struct place){11, 22, "compute", 0}, now_ms, 100));
    live_destroy(live);
}

/* Its first compute of two shards, where the other rank's of one took 7 s. */
static void a_stage_that_never_ended_is_judged_by_the_others(void **state)
{
    (void)state;
    struct live *live = make(2);
    for (int64_t t = 0; t <= 9000; t += 1000) {
        struct place at = {0,
                           t < 2000   ? 0
                           : t < 9000 ? 1
                                      : 2,
                           t < 2000   ? "load"
                           : t < 9000 ? "compute"
                                      : "reduce",
                           0};
        hear_at(live, 0, at, t);
        hear_at(live, 1, (struct place){0, 1, "compute", 0}, t);
    }
    int64_t s = seconds_until_named(live, (struct place){0, 1, "compute", 0}, 10000, 100);
    assert_int_equal(26, s); /* 5 times 7 s since 0 s */
    live_destroy(live);
}

/* A stuck loader has the time that loading announces, and not more. */
static void an_announced_limit_holds(void **state)
{
    (void)state;
    struct live *live = make(2);
    int64_t now_ms = train(live, 10, 1, 1000);
    assert_int_equal(31,
                     seconds_until_named(live, (struct place){11, 22, "load", 30000}, now_ms, 100));
    live_destroy(live);
    /* A slow disk: rank 0 and the others wait in a stage that may take ten minutes. */
    live = make(2);
    now_ms = train(live, 10, 1, 1000);
    assert_int_equal(
        301, seconds_until_named(live, (struct place){11, 22, "checkpoint", 600000}, now_ms, 300));
    live_destroy(live);
}

/* What was seen only in part (a pause of the daemon, a re-attach) tells no duration. */
static void a_part_of_a_stage_is_no_duration(void **state)
{
    (void)state;
    struct live *live = make(2);
    int64_t now_ms = train(live, 2, 8, 1000);
    for (int64_t step = 3; step < 20; step++) {
        hear(live, 0, step, 2 * step, now_ms);
        hear(live, 1, step, 2 * step, now_ms);
        live_forgive(live, now_ms + 7000);
        now_ms += 8000;
    }
    assert_int_equal(8000, stage_times_median(&live->ranks[1].times, "discriminator", "compute"));
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
        cmocka_unit_test(a_stage_is_judged_by_its_own_median),
        cmocka_unit_test(one_long_time_does_not_lengthen_the_limit),
        cmocka_unit_test(a_stage_that_never_ended_is_judged_by_the_others),
        cmocka_unit_test(an_announced_limit_holds),
        cmocka_unit_test(a_part_of_a_stage_is_no_duration),
        cmocka_unit_test(slow_is_not_hung),
        cmocka_unit_test(nobody_is_judged_after_a_pause_or_a_start),
        cmocka_unit_test(a_rank_that_never_comes_is_named),
        cmocka_unit_test(the_first_account_stays),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
