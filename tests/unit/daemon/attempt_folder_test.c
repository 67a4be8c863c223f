/* An attempt of an earlier daemon, whose shim still runs. */
#include "daemon/attempt_folder.h"

#include "../unit.h"

#include "proto/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* This process plays the shim: it holds the lock and has written its record. */
static int play_shim(const char *job_dir)
{
    char path[CAM_PATH_SIZE];
    struct cam_err err = {0};
    struct attempt_shim self = {.pid = getpid()};
    ASSERT_OK(attempt_path(job_dir, 1, NULL, path, &err), err);
    ASSERT_OK(cam_folder_create(path, 0700, &err), err);
    ASSERT_OK(process_start_ticks(getpid(), &self.start_ticks, &err), err);
    ASSERT_OK(process_boot_id(self.boot_id, &err), err);
    ASSERT_OK(attempt_write_shim(job_dir, 1, &self, &err), err);
    ASSERT_OK(attempt_path(job_dir, 1, "lock", path, &err), err);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(0, flock(fd, LOCK_EX));
    return fd;
}

/* A disk that takes no new file must not make a running attempt look dead. */
static void test_a_live_attempt_is_found_whatever_the_disk_takes(void **state)
{
    (void)state;
    char job_dir[] = "/tmp/cambrian-adopt-XXXXXX";
    char path[CAM_PATH_SIZE];
    struct cam_err err = {0};
    struct attempt_found found;
    assert_non_null(mkdtemp(job_dir));
    int lock = play_shim(job_dir);
    ASSERT_OK(attempt_folder_point(job_dir, 1, "unix:/a", &err), err);
    ASSERT_OK(attempt_path(job_dir, 1, "endpoint.tmp", path, &err), err);
    ASSERT_OK(cam_folder_create(path, 0700, &err), err); /* where the new file would be made */
    ASSERT_OK(attempt_folder_find(job_dir, 1, getuid(), &found, &err), err);
    assert_int_equal(ATTEMPT_LIVES, found.finding);
    assert_true(found.pidfd >= 0);
    assert_false(found.rebooted);
    ASSERT_OK(attempt_folder_point(job_dir, 1, "unix:/a", &err), err); /* as it stands */
    assert_int_not_equal(CAM_OK, attempt_folder_point(job_dir, 1, "unix:/b", &err));
    (void)close(found.pidfd);
    (void)close(lock);
    ASSERT_OK(cam_folder_remove(job_dir, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_live_attempt_is_found_whatever_the_disk_takes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
