/* Whose a folder is: what another job left is moved aside whole, unless something lives in it. */
#include "daemon/jobs_folder.h"

#include "../unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const struct jobs_claim CLAIM = {
    .queue = "this", .job_id = 1, .submitted_at_ms = 50, .first_start = true};

/* JOBS/1 as a job of `queue` left it, with one attempt. */
static void leave(const char *job_dir, const char *queue, int64_t submitted_at_ms)
{
    char path[CAM_PATH_SIZE];
    struct cam_err err = {0};
    struct attempt_job job = {1, "a.yaml", "/", NULL, 0, queue, submitted_at_ms};
    ASSERT_OK(attempt_path(job_dir, 1, NULL, path, &err), err);
    ASSERT_OK(cam_folder_create(path, 0700, &err), err);
    ASSERT_OK(attempt_write_job(job_dir, &job, &err), err);
}

static void test_only_its_own_folder_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *queue;
        int64_t submitted_at_ms;
        bool first_start;
        bool kept;
    } CASES[] = {
        {"this", 50, true, true},    {"this", 51, true, false}, {"other", 50, true, false},
        {"other", 50, false, false}, {"", 0, true, false},      {"", 0, false, true},
    };
    char jobs[] = "/tmp/cambrian-jobs-XXXXXX";
    char job_dir[CAM_PATH_SIZE];
    struct cam_err err = {0};
    assert_non_null(mkdtemp(jobs));
    ASSERT_OK(cam_path(job_dir, &err, "%s/1", jobs), err);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char said[JOBS_SAID_SIZE] = "";
        struct jobs_claim claim = CLAIM;
        claim.first_start = CASES[i].first_start;
        leave(job_dir, CASES[i].queue, CASES[i].submitted_at_ms);
        ASSERT_OK(jobs_folder_claim(job_dir, &claim, said, &err), err);
        assert_int_equal(CASES[i].kept, access(job_dir, F_OK) == 0);
        assert_int_equal(CASES[i].kept, said[0] == '\0');
        ASSERT_OK(cam_folder_remove(job_dir, &err), err);
        usleep(2000); /* the next one moved aside gets another time */
    }
    ASSERT_OK(cam_folder_remove(jobs, &err), err);
}

static void test_what_lives_is_not_moved(void **state)
{
    (void)state;
    char jobs[] = "/tmp/cambrian-jobs-XXXXXX";
    char job_dir[CAM_PATH_SIZE];
    char path[CAM_PATH_SIZE];
    char said[JOBS_SAID_SIZE] = "";
    struct cam_err err = {0};
    assert_non_null(mkdtemp(jobs));
    ASSERT_OK(cam_path(job_dir, &err, "%s/1", jobs), err);
    leave(job_dir, "other", 50);
    ASSERT_OK(attempt_path(job_dir, 1, "lock", path, &err), err);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(0, flock(fd, LOCK_EX));
    assert_int_equal(CAM_CONFLICT, jobs_folder_claim(job_dir, &CLAIM, said, &err));
    assert_int_equal(CAM_CONFLICT, jobs_folder_new_attempt(job_dir, 1, said, &err));
    assert_non_null(strstr(err.text, "attempts/1"));
    ASSERT_OK(jobs_folder_new_attempt(job_dir, 2, said, &err), err); /* 1 is the caller's matter */
    assert_string_equal("", said);
    (void)close(fd);
    ASSERT_OK(jobs_folder_new_attempt(job_dir, 1, said, &err), err);
    assert_non_null(strstr(said, "moved aside to 1.stale-"));
    assert_int_not_equal(0, access(path, F_OK)); /* the attempt's folder is a new one */
    ASSERT_OK(cam_folder_remove(jobs, &err), err);
}

static void test_a_folder_is_of_one_queue_and_one_daemon(void **state)
{
    (void)state;
    char jobs[] = "/tmp/cambrian-jobs-XXXXXX";
    char path[CAM_PATH_SIZE];
    struct cam_err err = {0};
    struct jobs_owner mine = {.queue = "mine"};
    struct jobs_owner other = {.queue = "other", .last_id = 1000};
    int first = -1;
    int second = -1;
    assert_non_null(mkdtemp(jobs));
    (void)snprintf(path, sizeof path, "%s", jobs);
    ASSERT_OK(jobs_folder_take(path, &mine, 0, &first, &err), err);
    assert_int_equal(CAM_CONFLICT, jobs_folder_take(path, &mine, 0, &second, &err));
    assert_non_null(strstr(err.text, "in use by another cambriand"));
    (void)close(first);
    assert_int_equal(CAM_CONFLICT, jobs_folder_take(path, &other, 0, &second, &err));
    assert_non_null(strstr(err.text, "belongs to another queue"));
    ASSERT_OK(cam_folder_remove(jobs, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_its_own_folder_is_kept),
        cmocka_unit_test(test_what_lives_is_not_moved),
        cmocka_unit_test(test_a_folder_is_of_one_queue_and_one_daemon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
