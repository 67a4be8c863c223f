#include "daemon/records.h"

#include "../unit.h"
#include "jobs.h"

#include <stdlib.h>
#include <string.h>

static struct database *open_memory(void)
{
    struct cam_err err = {0};
    struct database *db = NULL;
    ASSERT_OK(database_open_writer(":memory:", NULL, &db, &err), err);
    return db;
}

static int64_t submit(struct database *db, int64_t retry_max)
{
    struct cam_err err = {0};
    struct new_job job = test_job(NULL);
    int64_t id = 0;
    bool existed = false;
    job.retry_max = retry_max;
    ASSERT_OK(records_submit(db, &job, 1000, &id, &existed, &err), err);
    return id;
}

static struct job_change attempt(struct database *db, int64_t id, enum job_cause cause,
                                 int64_t checkpoint_step)
{
    struct cam_err err = {0};
    struct job_change change;
    ASSERT_OK(records_begin_attempt(db, id, 2, "/dev/shm/t", 2000, &change, &err), err);
    struct attempt_end end = {.job_id = id,
                              .attempt = change.attempt,
                              .cause = cause,
                              .checkpoint_step = checkpoint_step,
                              .weights_sha256 = "",
                              .model_path = "",
                              .error_code = CAM_IO,
                              .error_text = "why",
                              .error_rank = 1,
                              .error_step = 5};
    ASSERT_OK(records_end_attempt(db, &end, 10000, &change, &err), err);
    return change;
}

static void counted_causes_use_the_budget_up(void **state)
{
    (void)state;
    struct database *db = open_memory();
    int64_t id = submit(db, 2);
    struct job_change change = attempt(db, id, CAUSE_SIGNAL, 0);
    assert_int_equal(JOB_QUEUED, change.to);
    assert_int_equal(11000, change.not_before_ms);
    change = attempt(db, id, CAUSE_REBOOT, 0); /* not counted, no backoff */
    assert_int_equal(JOB_QUEUED, change.to);
    assert_int_equal(0, change.not_before_ms);
    change = attempt(db, id, CAUSE_HANG, 0);
    assert_int_equal(JOB_QUEUED, change.to);
    assert_int_equal(12000, change.not_before_ms); /* doubled */
    change = attempt(db, id, CAUSE_LOST_RANK, 0);
    assert_int_equal(JOB_FAILED, change.to);
    database_close(db);
}

static void a_newer_checkpoint_refills_the_budget(void **state)
{
    (void)state;
    struct database *db = open_memory();
    int64_t id = submit(db, 1);
    for (int64_t step = 10; step <= 50; step += 10) {
        assert_int_equal(JOB_QUEUED, attempt(db, id, CAUSE_SIGNAL, step).to);
    }
    assert_int_equal(JOB_FAILED, attempt(db, id, CAUSE_SIGNAL, 50).to);
    database_close(db);
}

static void what_repeats_exactly_is_not_tried_again(void **state)
{
    (void)state;
    struct database *db = open_memory();
    assert_int_equal(JOB_FAILED, attempt(db, submit(db, 9), CAUSE_NON_FINITE, 0).to);
    assert_int_equal(JOB_FAILED, attempt(db, submit(db, 9), CAUSE_REFUSED, 0).to);
    assert_int_equal(JOB_INTERRUPTED, attempt(db, submit(db, 0), CAUSE_REBOOT, 0).to);
    assert_int_equal(JOB_INTERRUPTED, attempt(db, submit(db, 0), CAUSE_DRAINED, 0).to);
    assert_int_equal(JOB_QUEUED, attempt(db, submit(db, 0), CAUSE_NEVER_STARTED, 0).to);
    database_close(db);
}

static void an_end_counts_once(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct database *db = open_memory();
    int64_t id = submit(db, 1);
    struct job_change change = attempt(db, id, CAUSE_SIGNAL, 0);
    struct attempt_end again = {.job_id = id,
                                .attempt = 1,
                                .cause = CAUSE_SUCCEEDED,
                                .weights_sha256 = "x",
                                .model_path = "",
                                .error_text = ""};
    ASSERT_OK(records_end_attempt(db, &again, 10000, &change, &err), err);
    assert_int_equal(JOB_QUEUED, change.to);
    assert_int_equal(change.from, change.to);
    database_close(db);
}

static void a_cancel_ends_what_fails_and_yields_to_success(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct database *db = open_memory();
    static const struct {
        enum job_cause cause;
        enum job_state to;
    } ROWS[] = {{CAUSE_SIGNAL, JOB_CANCELLED},
                {CAUSE_STOPPED, JOB_CANCELLED},
                {CAUSE_NON_FINITE, JOB_CANCELLED},
                {CAUSE_SUCCEEDED, JOB_SUCCEEDED},
                {CAUSE_NEVER_STARTED, JOB_CANCELLED}};
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct job_change change;
        int64_t id = submit(db, 3);
        ASSERT_OK(records_begin_attempt(db, id, 2, "/dev/shm/t", 1, &change, &err), err);
        ASSERT_OK(records_change(db, id, JOB_EVENT_CANCEL, false, 2, "", &change, &err), err);
        assert_int_equal(JOB_STOPPING, change.to);
        assert_int_equal(CAM_CONFLICT,
                         records_change(db, id, JOB_EVENT_RESUME, false, 2, "", &change, &err));
        struct attempt_end end = {.job_id = id,
                                  .attempt = 1,
                                  .cause = ROWS[i].cause,
                                  .weights_sha256 = "",
                                  .model_path = "",
                                  .error_text = ""};
        ASSERT_OK(records_end_attempt(db, &end, 3, &change, &err), err);
        assert_int_equal(ROWS[i].to, change.to);
    }
    database_close(db);
}

static void a_rank_that_attaches_again_leaves_the_cancel(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct database *db = open_memory();
    int64_t id = submit(db, 0);
    int64_t now = 0;
    struct job_change change;
    ASSERT_OK(records_begin_attempt(db, id, 1, "/dev/shm/t", 2000, &change, &err), err);
    ASSERT_OK(records_change(db, id, JOB_EVENT_CANCEL, true, 2001, "", &change, &err), err);
    ASSERT_OK(records_change(db, id, JOB_EVENT_RUN, false, 2002, "", &change, &err), err);
    assert_int_equal(JOB_STOPPING, change.to);
    ASSERT_OK(database_number(db, -1, &now, &err, "SELECT cancel_now FROM jobs"), err);
    assert_int_equal(1, now);
    database_close(db);
}

static void an_epoch_is_recorded_once(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct database *db = open_memory();
    int64_t id = submit(db, 1);
    bool added = false;
    int64_t count = 0;
    struct epoch_row row = {.epoch = 1,
                            .steps = 10,
                            .seconds = 2,
                            .samples_per_s = 3,
                            .metrics_json = "{\"d_loss\":1.5}"};
    ASSERT_OK(records_epoch(db, id, 1, &row, 1, &added, &err), err);
    assert_true(added);
    row.seconds = 99; /* time may differ */
    ASSERT_OK(records_epoch(db, id, 2, &row, 1, &added, &err), err);
    assert_false(added);
    ASSERT_OK(
        database_number(db, -1, &count, &err, "SELECT count(*) FROM events WHERE kind = 'warning'"),
        err);
    assert_int_equal(0, count);
    row.metrics_json = "{\"d_loss\":1.25}"; /* a loss may not */
    ASSERT_OK(records_epoch(db, id, 2, &row, 1, &added, &err), err);
    ASSERT_OK(database_number(db, -1, &count, &err,
                              "SELECT count(*) FROM events WHERE kind = 'warning' AND text LIKE "
                              "'not reproducible%'"),
              err);
    assert_int_equal(1, count);
    ASSERT_OK(database_number(db, -1, &count, &err, "SELECT count(*) FROM epochs"), err);
    assert_int_equal(1, count);
    ASSERT_OK(database_number(db, -1, &count, &err, "SELECT step FROM jobs"), err);
    assert_int_equal(10, count);
    database_close(db);
}

static void events_do_not_change_and_counts_are_right(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct database *db = open_memory();
    int64_t count = 0;
    (void)attempt(db, submit(db, 0), CAUSE_NON_FINITE, 0);
    (void)submit(db, 0);
    assert_int_equal(CAM_CONFLICT, database_run(db, &err, "UPDATE events SET text = 'x'", ""));
    ASSERT_OK(database_number(db, -1, &count, &err,
                              "SELECT count(*) FROM job_counts AS c WHERE count <> (SELECT "
                              "count(*) FROM jobs WHERE jobs.state = c.state)"),
              err);
    assert_int_equal(0, count);
    database_close(db);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(counted_causes_use_the_budget_up),
        cmocka_unit_test(a_newer_checkpoint_refills_the_budget),
        cmocka_unit_test(what_repeats_exactly_is_not_tried_again),
        cmocka_unit_test(an_end_counts_once),
        cmocka_unit_test(a_cancel_ends_what_fails_and_yields_to_success),
        cmocka_unit_test(a_rank_that_attaches_again_leaves_the_cancel),
        cmocka_unit_test(an_epoch_is_recorded_once),
        cmocka_unit_test(events_do_not_change_and_counts_are_right),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
