/* The core between requests and attempts; the store runs inline, the outside is this file. */
#include "daemon/core.h"

#include "../unit.h"
#include "jobs.h"

#include <string.h>

struct outside {
    struct store *store;
    struct core *core;
    int launched;
    int killed;
    int asked_attempt;
    int64_t last_id;
    int64_t now_ms;
    int examined;
    const char *differs; /* what an examination finds; NULL: nothing */
    enum cam_code last_rc;
};

static int64_t now(void *self)
{
    return ((struct outside *)self)->now_ms;
}

static void examine(void *self, const struct profile_question *question, profile_answer_fn answer,
                    void *context)
{
    struct outside *outside = self;
    struct cam_err err = {0};
    assert_string_equal("{\"isa\":\"avx2\"}", question->wanted);
    assert_string_equal("native", question->isa);
    assert_string_equal("{}", question->env_json);
    outside->examined++;
    answer(context,
           outside->differs == NULL ? CAM_OK
                                    : cam_fail(&err, CAM_OTHER_PROFILE, "%s", outside->differs),
           &err);
}

static bool ask_stop(void *self, int64_t job_id, int attempt, const char *reason)
{
    (void)job_id;
    (void)reason;
    ((struct outside *)self)->asked_attempt = attempt;
    return false;
}

static void wake_at(void *self, int64_t due_ms)
{
    (void)self;
    (void)due_ms;
}

static void changed(void *self, int64_t job_id)
{
    (void)self;
    (void)job_id;
}

static void note(void *self, int64_t job_id, const char *text)
{
    (void)self;
    fail_msg("job %lld: %s", (long long)job_id, text);
}

static void fatal(void *self, const struct cam_err *why)
{
    (void)self;
    fail_msg("%s", why->text);
}

static void launch(void *self, const struct launch_order *order)
{
    (void)order;
    ((struct outside *)self)->launched++;
}

static void adopt(void *self, const struct launch_order *order)
{
    (void)self;
    fail_msg("job %lld adopted from %s", (long long)order->job_id, order->scratch);
}

static void kill_attempt(void *self, int64_t job_id, int attempt)
{
    (void)job_id;
    (void)attempt;
    ((struct outside *)self)->killed++;
}

static void submitted(void *context, enum cam_code rc, const struct cam_err *err, int64_t id,
                      bool existed)
{
    struct outside *outside = context;
    ASSERT_OK(rc, *err);
    assert_false(existed);
    outside->last_id = id;
}

static void answered(void *context, enum cam_code rc, const struct cam_err *err,
                     const struct job_change *change)
{
    (void)change;
    ASSERT_OK(rc, *err);
    ((struct outside *)context)->last_rc = rc;
}

static int set_up(void **state)
{
    static struct outside outside;
    struct cam_err err = {0};
    outside = (struct outside){.now_ms = 1000};
    struct store_options storage = {.path = ":memory:", .inline_mode = true};
    ASSERT_OK(store_open(&storage, &outside.store, &err), err);
    struct core_options options = {.store = outside.store,
                                   .slots = 4,
                                   .jobs_dir = "/jobs",
                                   .scratch_prefix = "/dev/shm/test",
                                   .stop_grace_ms = 1000,
                                   .silent_limit_ms = 1000,
                                   .attach_limit_ms = 1000};
    struct core_ports ports = {.launcher = {&outside, launch, adopt, kill_attempt},
                               .self = &outside,
                               .monotonic_ms = now,
                               .wall_ms = now,
                               .examine = examine,
                               .ask_stop = ask_stop,
                               .wake_at = wake_at,
                               .changed = changed,
                               .note = note,
                               .fatal = fatal};
    ASSERT_OK(core_create(&options, &ports, &outside.core, &err), err);
    *state = &outside;
    return 0;
}

static int tear_down(void **state)
{
    struct outside *outside = *state;
    core_destroy(outside->core);
    store_close(outside->store);
    return 0;
}

/* Its row is on its way to the disk when the drain begins. */
static void test_a_drain_stops_what_is_about_to_start(void **state)
{
    struct outside *outside = *state;
    struct new_job job = test_job(NULL);
    core_submit(outside->core, &job, submitted, outside);
    store_deliver(outside->store); /* stored; the start is submitted */
    assert_int_equal(0, outside->launched);
    core_drain(outside->core);
    store_deliver(outside->store);
    assert_int_equal(1, outside->launched);
    assert_int_equal(1, outside->asked_attempt);
    assert_int_equal(1, outside->killed);
}

static void test_a_resumed_job_still_waits_for_others(void **state)
{
    struct outside *outside = *state;
    struct new_job first = test_job(NULL);
    struct new_job second = test_job(NULL);
    char reason[128];
    first.hold = true;
    core_submit(outside->core, &first, submitted, outside);
    store_deliver(outside->store);
    const int64_t after[] = {outside->last_id};
    second.after = after;
    second.after_count = 1;
    core_submit(outside->core, &second, submitted, outside);
    store_deliver(outside->store);
    core_change(
        outside->core,
        &(struct core_wish){.id = outside->last_id, .event = JOB_EVENT_CANCEL, .now = false},
        answered, outside);
    store_deliver(outside->store);
    core_change(
        outside->core,
        &(struct core_wish){.id = outside->last_id, .event = JOB_EVENT_RESUME, .now = false},
        answered, outside);
    store_deliver(outside->store);
    store_deliver(outside->store);
    assert_int_equal(0, outside->launched);
    core_reason(outside->core, outside->last_id, reason, sizeof reason);
    assert_string_equal("waits for job 1", reason);
}

struct count_op {
    struct store_op op;
    const char *kind;
    const char *part;
    int count;
};

static enum cam_code run_count(struct database *db, struct store_op *op, struct cam_err *err)
{
    struct count_op *count = (struct count_op *)op;
    struct query q;
    enum cam_code rc = database_query(db, &q, err, "SELECT kind, text FROM events", "");
    while (rc == CAM_OK && query_next(&q, &rc, err)) {
        count->count += strcmp(query_text(&q, 0), count->kind) == 0 &&
                        strstr(query_text(&q, 1), count->part) != NULL;
    }
    query_end(&q);
    return rc;
}

static void counted(struct store_op *op)
{
    ASSERT_OK(op->rc, op->err);
}

/* How many events of a kind hold part. */
static int events(struct outside *outside, const char *kind, const char *part)
{
    struct count_op count = {.op = {.run = run_count, .done = counted}, .kind = kind, .part = part};
    store_submit(outside->store, &count.op);
    store_deliver(outside->store);
    return count.count;
}

static void test_a_row_of_failed_saves_is_told_once(void **state)
{
    struct outside *outside = *state;
    struct new_job job = test_job(NULL);
    core_submit(outside->core, &job, submitted, outside);
    store_deliver(outside->store);
    store_deliver(outside->store);
    struct live *live = core_live(outside->core, outside->last_id, 1);
    assert_non_null(live);
    for (int64_t step = 1; step <= 9; step++) {
        core_rank_checkpoint(outside->core, live, step, step < 4 || step == 7, "a/b");
    }
    store_deliver(outside->store);
    assert_int_equal(2, events(outside, "warning", "failed, the one before stays: a/b"));
    assert_int_equal(1, events(outside, "checkpoint", "step 4: a/b; saving works again, 3 failed"));
    assert_int_equal(1, events(outside, "checkpoint", "step 8: a/b; saving works again, 1 failed"));
    assert_int_equal(5, events(outside, "checkpoint", "step "));
    core_rank_checkpoint(outside->core, live, 0, true, "checkpoint X cannot be used");
    store_deliver(outside->store);
    assert_int_equal(1, events(outside, "warning", "checkpoint X cannot be used"));
    assert_int_equal(0, events(outside, "warning", "step 0"));
}

static void expect_reason(struct outside *outside, const char *wanted)
{
    char reason[128];
    core_reason(outside->core, outside->last_id, reason, sizeof reason);
    assert_string_equal(wanted, reason);
}

/* Ends the job's attempt; code CAM_OK: its ranks were killed. */
static void end_attempt(struct outside *outside, int attempt, enum cam_code code, const char *text)
{
    struct post_mortem mortem = {.job_id = outside->last_id,
                                 .attempt = attempt,
                                 .has_exit = true,
                                 .exit.exit_code = code == CAM_OK ? 137 : 1,
                                 .failure_code = code};
    (void)snprintf(mortem.failure_text, sizeof mortem.failure_text, "%s", text);
    core_ended(outside->core, &mortem);
    store_deliver(outside->store);
}

static void pass(struct outside *outside, int64_t ms)
{
    outside->now_ms += ms;
    core_tick(outside->core);
    for (int i = 0; i < 4; i++) {
        store_deliver(outside->store);
    }
}

/* A job whose first attempt attached, and told its profile, and was killed. */
static void run_first_attempt(struct outside *outside)
{
    struct new_job job = test_job(NULL);
    job.isa = "native";
    job.backoff_ms = 0;
    core_submit(outside->core, &job, submitted, outside);
    pass(outside, 0);
    assert_int_equal(1, outside->launched);
    assert_int_equal(0, outside->examined); /* the first attempt may have any */
    struct live *live = core_live(outside->core, outside->last_id, 1);
    assert_false(core_rank_attached(outside->core, live, 0, "{\"isa\":\"avx2\"}"));
    pass(outside, 0);
}

static void test_a_later_attempt_waits_for_its_profile(void **state)
{
    struct outside *outside = *state;
    run_first_attempt(outside);
    outside->differs = "oneDNN 3.7.0 here, the first attempt used 2.6.3";
    end_attempt(outside, 1, CAM_OK, "");
    pass(outside, 0);
    assert_int_equal(1, outside->examined);
    assert_int_equal(1, outside->launched);
    expect_reason(outside, "waits: oneDNN 3.7.0 here, the first attempt used 2.6.3");
    int32_t slots = 0;
    int32_t slots_free = 0;
    core_slots(outside->core, &slots, &slots_free);
    assert_int_equal(slots, slots_free);
    pass(outside, 59000);
    assert_int_equal(1, outside->examined);
    outside->differs = NULL; /* put back */
    pass(outside, 1000);
    assert_int_equal(2, outside->examined);
    assert_int_equal(2, outside->launched);
    expect_reason(outside, "");
}

/* The host changed between the examination and the ranks' own look. */
static void test_what_only_the_ranks_find_waits_too(void **state)
{
    struct outside *outside = *state;
    run_first_attempt(outside);
    end_attempt(outside, 1, CAM_OK, "");
    pass(outside, 0);
    assert_int_equal(2, outside->launched);
    for (int attempt = 2; attempt < 8; attempt++) { /* retry.max is 2: none of these counts */
        end_attempt(outside, attempt, CAM_OTHER_PROFILE, "oneDNN 3 here, rank 0 used 2");
        pass(outside, 0);
        expect_reason(outside, "waits: oneDNN 3 here, rank 0 used 2");
        assert_int_equal(attempt, outside->launched);
        pass(outside, 60000);
        assert_int_equal(attempt + 1, outside->launched);
    }
    assert_int_equal(6, events(outside, "state", "other-profile: oneDNN 3 here"));
}

static void test_a_waiting_job_is_cancelled(void **state)
{
    struct outside *outside = *state;
    run_first_attempt(outside);
    outside->differs = "it differs";
    end_attempt(outside, 1, CAM_OK, "");
    pass(outside, 0);
    expect_reason(outside, "waits: it differs");
    core_change(
        outside->core,
        &(struct core_wish){.id = outside->last_id, .event = JOB_EVENT_CANCEL, .now = false},
        answered, outside);
    pass(outside, 120000);
    assert_int_equal(1, outside->launched);
    expect_reason(outside, "");
    core_change(
        outside->core,
        &(struct core_wish){.id = outside->last_id, .event = JOB_EVENT_RESUME, .now = false},
        answered, outside);
    pass(outside, 0);
    assert_int_equal(1, outside->launched);
    expect_reason(outside, "waits: it differs");
}

/* Nobody but the job suffers from a file of epochs that somebody damaged. */
static void test_rows_that_cannot_be_stored(void **state)
{
    struct outside *outside = *state;
    struct new_job job = test_job(NULL);
    struct epoch_row row = {.epoch = 0, .steps = 10, .metrics_json = "{}"};
    core_submit(outside->core, &job, submitted, outside);
    pass(outside, 0);
    struct post_mortem mortem = {.job_id = outside->last_id,
                                 .attempt = 1,
                                 .has_exit = true,
                                 .outcome = "succeeded",
                                 .rows = &row,
                                 .row_count = 1};
    core_ended(outside->core, &mortem);
    pass(outside, 0);
    assert_true(core_idle(outside->core));
    assert_int_equal(1, events(outside, "warning", "its epochs.jsonl cannot be stored"));
    assert_int_equal(1, events(outside, "state", "attempt 1: succeeded"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_drain_stops_what_is_about_to_start, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_resumed_job_still_waits_for_others, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_row_of_failed_saves_is_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_later_attempt_waits_for_its_profile, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_only_the_ranks_find_waits_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_waiting_job_is_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_that_cannot_be_stored, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
