#include "daemon/scheduler.h"

#include "base/mem.h"

#include "../unit.h"

#include <string.h>

static struct scheduler *make(int32_t slots)
{
    struct cam_err err = {0};
    struct scheduler *scheduler = NULL;
    ASSERT_OK(scheduler_create(slots, &scheduler, &err), err);
    return scheduler;
}

static void apply(struct scheduler *scheduler, struct sched_event event)
{
    struct cam_err err = {0};
    ASSERT_OK(scheduler_apply(scheduler, &event, &err), err);
}

static void add(struct scheduler *scheduler, int64_t id, int32_t least, int32_t most)
{
    apply(scheduler, (struct sched_event){.kind = SCHED_ADDED,
                                          .id = id,
                                          .state = JOB_QUEUED,
                                          .ranks_min = least,
                                          .ranks_max = most});
}

static void change(struct scheduler *scheduler, int64_t id, enum job_state state, int64_t ready)
{
    apply(scheduler,
          (struct sched_event){.kind = SCHED_CHANGED, .id = id, .state = state, .ready_ms = ready});
}

static void dead(struct scheduler *scheduler, int64_t id)
{
    apply(scheduler, (struct sched_event){.kind = SCHED_DEAD, .id = id});
}

/* The next decision must be to start id with ranks; id 0: no decision. */
static void expect_start(struct scheduler *scheduler, int64_t now, int64_t id, int32_t ranks)
{
    struct sched_decision decision = {0};
    size_t count = scheduler_next(scheduler, now, &decision, 1);
    assert_int_equal(id == 0 ? 0 : 1, count);
    if (id != 0) {
        assert_int_equal(SCHED_START, decision.kind);
        assert_int_equal(id, decision.id);
        assert_int_equal(ranks, decision.ranks);
        change(scheduler, id, JOB_STARTING, 0);
    }
}

static void expect_reason(const struct scheduler *scheduler, int64_t id, const char *wanted)
{
    char reason[200];
    scheduler_reason(scheduler, id, 0, reason, sizeof reason);
    assert_string_equal(wanted, reason);
}

static void gangs_first_in_first_out(void **state)
{
    (void)state;
    struct scheduler *scheduler = make(4);
    add(scheduler, 1, 1, 2);
    add(scheduler, 2, 3, 3);
    add(scheduler, 3, 1, 1);
    expect_start(scheduler, 0, 1, 2);
    expect_start(scheduler, 0, 0, 0); /* 2 does not fit, and 3 may not pass it */
    expect_reason(scheduler, 2, "needs 3 slots, 2 free");
    expect_reason(scheduler, 3, "behind job 2, which needs 3 slots, 2 free");
    change(scheduler, 1, JOB_SUCCEEDED, 0);
    expect_start(scheduler, 0, 0, 0); /* it has ended, but it is not proved dead */
    dead(scheduler, 1);
    expect_start(scheduler, 0, 2, 3);
    expect_start(scheduler, 0, 3, 1);
    assert_int_equal(0, scheduler_slots_free(scheduler));
    scheduler_destroy(scheduler);
}

static void a_gang_takes_what_it_can_get(void **state)
{
    (void)state;
    struct scheduler *scheduler = make(3);
    add(scheduler, 1, 1, 8);
    add(scheduler, 2, 5, 8);
    add(scheduler, 3, 1, 1);
    expect_start(scheduler, 0, 1, 3);
    dead(scheduler, 1);
    /* One that fits nowhere makes nobody wait. */
    change(scheduler, 1, JOB_SUCCEEDED, 0);
    expect_start(scheduler, 0, 3, 1);
    expect_reason(scheduler, 2, "needs 5 slots, this host has 3");
    scheduler_destroy(scheduler);
}

static void held_backoff_and_after_make_nobody_wait(void **state)
{
    (void)state;
    const int64_t after[] = {4};
    struct scheduler *scheduler = make(1);
    apply(scheduler,
          (struct sched_event){
              .kind = SCHED_ADDED, .id = 1, .state = JOB_HELD, .ranks_min = 1, .ranks_max = 1});
    apply(scheduler, (struct sched_event){.kind = SCHED_ADDED,
                                          .id = 2,
                                          .state = JOB_QUEUED,
                                          .ranks_min = 1,
                                          .ranks_max = 1,
                                          .ready_ms = 500});
    apply(scheduler, (struct sched_event){.kind = SCHED_ADDED,
                                          .id = 3,
                                          .state = JOB_QUEUED,
                                          .ranks_min = 1,
                                          .ranks_max = 1,
                                          .after = after,
                                          .after_count = 1});
    add(scheduler, 4, 1, 1);
    expect_reason(scheduler, 2, "is tried again in 1 s");
    expect_reason(scheduler, 3, "waits for job 4");
    assert_int_equal(500, scheduler_due(scheduler));
    expect_start(scheduler, 0, 4, 1);
    dead(scheduler, 4);
    change(scheduler, 4, JOB_FAILED, 0);
    expect_start(scheduler, 0, 0, 0); /* 3 waits for a success */
    expect_start(scheduler, 500, 2, 1);
    dead(scheduler, 2);
    change(scheduler, 2, JOB_SUCCEEDED, 0);
    change(scheduler, 1, JOB_QUEUED, 0); /* released */
    expect_start(scheduler, 500, 1, 1);
    scheduler_destroy(scheduler);
}

/* The host is not what the first attempt ran on: the job makes nobody wait, and is tried again. */
static void another_numeric_profile_makes_nobody_wait(void **state)
{
    (void)state;
    struct sched_decision decision;
    char reason[100];
    struct scheduler *scheduler = make(2);
    add(scheduler, 1, 2, 2);
    add(scheduler, 2, 1, 1);
    assert_int_equal(1, scheduler_next(scheduler, 0, &decision, 1));
    apply(scheduler, (struct sched_event){
                         .kind = SCHED_REFUSED, .id = 1, .ready_ms = 60, .profile = "b, not a"});
    expect_reason(scheduler, 1, "waits: b, not a");
    assert_int_equal(SCHED_WAIT_PROFILE, scheduler_reason(scheduler, 1, 0, reason, sizeof reason));
    expect_start(scheduler, 0, 2, 1);
    assert_int_equal(60, scheduler_due(scheduler));
    dead(scheduler, 2);
    change(scheduler, 2, JOB_SUCCEEDED, 0);
    /* While it is looked at again it says the same; then it fits, and is as any other. */
    assert_int_equal(1, scheduler_next(scheduler, 60, &decision, 1));
    assert_int_equal(1, decision.id);
    expect_reason(scheduler, 1, "waits: b, not a");
    change(scheduler, 1, JOB_STARTING, 0);
    expect_reason(scheduler, 1, "");
    dead(scheduler, 1);
    /* The ranks found it out; a hold and a release look again at once. */
    apply(scheduler, (struct sched_event){.kind = SCHED_CHANGED,
                                          .id = 1,
                                          .state = JOB_QUEUED,
                                          .ready_ms = 120,
                                          .profile = "c, not a"});
    expect_reason(scheduler, 1, "waits: c, not a");
    expect_start(scheduler, 60, 0, 0);
    change(scheduler, 1, JOB_HELD, 0);
    expect_reason(scheduler, 1, "");
    change(scheduler, 1, JOB_QUEUED, 0);
    expect_reason(scheduler, 1, "needs 2 slots, 2 free");
    expect_start(scheduler, 60, 1, 2);
    scheduler_destroy(scheduler);
}

static void success_releases_those_that_waited(void **state)
{
    (void)state;
    const int64_t after[] = {1, 2};
    struct scheduler *scheduler = make(2);
    add(scheduler, 1, 1, 1);
    add(scheduler, 2, 1, 1);
    apply(scheduler, (struct sched_event){.kind = SCHED_ADDED,
                                          .id = 3,
                                          .state = JOB_QUEUED,
                                          .ranks_min = 1,
                                          .ranks_max = 1,
                                          .after = after,
                                          .after_count = 2});
    expect_start(scheduler, 0, 1, 1);
    expect_start(scheduler, 0, 2, 1);
    dead(scheduler, 1);
    change(scheduler, 1, JOB_SUCCEEDED, 0);
    expect_start(scheduler, 0, 0, 0);
    dead(scheduler, 2);
    change(scheduler, 2, JOB_SUCCEEDED, 0);
    expect_start(scheduler, 0, 3, 1);
    scheduler_destroy(scheduler);
}

/* A cancel that was committed before the start: the start is refused, its slots come back. */
static void a_refused_start_gives_its_slots_back(void **state)
{
    (void)state;
    struct sched_decision decision;
    struct scheduler *scheduler = make(2);
    add(scheduler, 1, 2, 2);
    assert_int_equal(1, scheduler_next(scheduler, 0, &decision, 1));
    change(scheduler, 1, JOB_CANCELLED, 0);
    assert_int_equal(0, scheduler_slots_free(scheduler));
    apply(scheduler, (struct sched_event){.kind = SCHED_REFUSED, .id = 1});
    assert_int_equal(2, scheduler_slots_free(scheduler));
    expect_start(scheduler, 0, 0, 0);
    add(scheduler, 1, 2, 2); /* resumed */
    expect_start(scheduler, 0, 1, 2);
    scheduler_destroy(scheduler);
}

static void deadlines_come_in_order_and_end_with_the_attempt(void **state)
{
    (void)state;
    struct sched_decision decisions[4];
    struct scheduler *scheduler = make(2);
    add(scheduler, 1, 1, 1);
    add(scheduler, 2, 1, 1);
    expect_start(scheduler, 0, 1, 1);
    expect_start(scheduler, 0, 2, 1);
    for (int64_t id = 1; id <= 2; id++) {
        apply(scheduler,
              (struct sched_event){
                  .kind = SCHED_TIMER, .id = id, .timer = SCHED_TIMER_GRACE, .due_ms = 100 - id});
        apply(scheduler,
              (struct sched_event){
                  .kind = SCHED_TIMER, .id = id, .timer = SCHED_TIMER_WATCH, .due_ms = 200});
    }
    assert_int_equal(98, scheduler_due(scheduler));
    assert_int_equal(2, scheduler_next(scheduler, 150, decisions, 4));
    assert_int_equal(2, decisions[0].id);
    assert_int_equal(SCHED_TIMER_GRACE, decisions[0].timer);
    assert_int_equal(1, decisions[1].id);
    dead(scheduler, 1);
    apply(scheduler,
          (struct sched_event){
              .kind = SCHED_TIMER, .id = 2, .timer = SCHED_TIMER_WATCH, .due_ms = SCHED_NEVER});
    assert_true(scheduler_due(scheduler) == SCHED_NEVER);
    scheduler_destroy(scheduler);
}

static void drain_starts_nothing(void **state)
{
    (void)state;
    struct scheduler *scheduler = make(2);
    add(scheduler, 1, 1, 1);
    apply(scheduler, (struct sched_event){.kind = SCHED_DRAIN});
    expect_start(scheduler, 0, 0, 0);
    expect_reason(scheduler, 1, "the daemon is draining");
    scheduler_destroy(scheduler);
}

/* Short memory anywhere: refused, and what was there stays in order. */
static void short_memory_is_refused(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct scheduler *scheduler = make(1);
    for (long n = 0;; n++) {
        cam_fault_after(n);
        enum cam_code rc = scheduler_apply(
            scheduler,
            &(struct sched_event){
                .kind = SCHED_ADDED, .id = 1, .state = JOB_QUEUED, .ranks_min = 1, .ranks_max = 1},
            &err);
        cam_fault_after(-1);
        if (rc == CAM_OK) {
            break;
        }
        assert_int_equal(CAM_NO_MEMORY, rc);
    }
    expect_start(scheduler, 0, 1, 1);
    scheduler_destroy(scheduler);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(gangs_first_in_first_out),
        cmocka_unit_test(a_gang_takes_what_it_can_get),
        cmocka_unit_test(held_backoff_and_after_make_nobody_wait),
        cmocka_unit_test(another_numeric_profile_makes_nobody_wait),
        cmocka_unit_test(success_releases_those_that_waited),
        cmocka_unit_test(a_refused_start_gives_its_slots_back),
        cmocka_unit_test(deadlines_come_in_order_and_end_with_the_attempt),
        cmocka_unit_test(drain_starts_nothing),
        cmocka_unit_test(short_memory_is_refused),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
