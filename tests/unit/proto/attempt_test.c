#include "proto/attempt.h"

#include "../unit.h"

#include <stdlib.h>
#include <string.h>

static void records_come_back(void **state)
{
    (void)state;
    struct cam_err err = {0};
    char job_dir[] = "/tmp/cambrian-unit-XXXXXX";
    char path[CAM_PATH_SIZE];
    struct cam_arena *arena = cam_arena_create();
    assert_non_null(mkdtemp(job_dir));
    ASSERT_OK(attempt_path(job_dir, 3, NULL, path, &err), err);
    ASSERT_OK(cam_folder_create(path, 0700, &err), err);

    const char *set[] = {"train.epochs=5", "name=\"a b\""};
    struct attempt_job job = {7, "job.yaml", "/data", set, 2, "q", 99};
    struct attempt_job job_back = {0};
    ASSERT_OK(attempt_write_job(job_dir, &job, &err), err);
    ASSERT_OK(attempt_read_job(job_dir, arena, &job_back, &err), err);
    assert_int_equal(7, job_back.id);
    assert_int_equal(2, job_back.set_count);
    assert_string_equal(set[1], job_back.set[1]);
    assert_string_equal("q", job_back.queue);
    assert_int_equal(99, job_back.submitted_at_ms);

    const char *argv[] = {"/usr/bin/mpirun", "-n", "2"};
    struct attempt_order order = {.job_id = 7,
                                  .attempt = 3,
                                  .ranks = 2,
                                  .lanes = 1,
                                  .scratch = "/dev/shm/x",
                                  .time_limit_ms = 5,
                                  .grace_ms = 6,
                                  .log_bytes_max = 8,
                                  .argv = argv,
                                  .argv_count = 3};
    struct attempt_order order_back = {0};
    ASSERT_OK(attempt_write_order(job_dir, &order, &err), err);
    ASSERT_OK(attempt_read_order(job_dir, 3, arena, &order_back, &err), err);
    assert_null(order_back.resume_from);
    assert_int_equal(8, order_back.log_bytes_max);
    assert_string_equal("-n", order_back.argv[1]);

    struct attempt_exit end = {
        .exit_code = -1, .signal = 9, .timed_out = true, .text = "why", .code = CAM_DISK_FULL};
    struct attempt_exit end_back;
    ASSERT_OK(attempt_write_exit(job_dir, 3, &end, &err), err);
    ASSERT_OK(attempt_read_exit(job_dir, 3, &end_back, &err), err);
    assert_int_equal(9, end_back.signal);
    assert_true(end_back.timed_out && !end_back.stop_killed);
    assert_string_equal("why", end_back.text);
    assert_int_equal(CAM_DISK_FULL, end_back.code);

    ASSERT_OK(attempt_path(job_dir, 3, "exit.json", path, &err), err);
    ASSERT_OK(cam_file_replace(path, "{\"exit_code\": 1}", 16, 0600, &err), err);
    assert_int_equal(CAM_CORRUPT, attempt_read_exit(job_dir, 3, &end_back, &err));
    assert_non_null(strstr(err.text, "signal"));
    assert_int_equal(CAM_NOT_FOUND, attempt_read_exit(job_dir, 4, &end_back, &err));

    ASSERT_OK(cam_folder_remove(job_dir, &err), err);
    cam_arena_destroy(arena);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(records_come_back),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
