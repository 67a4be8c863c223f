/* The places where tests stop a process. */
#include "proto/hold.h"

#include "../unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void path_in(const char *folder, enum hold_point point, pid_t pid, char path[128])
{
    int length = snprintf(path, 128, "%s/%s", folder, hold_name(point));
    if (pid > 0) {
        (void)snprintf(path + length, 128 - (size_t)length, ".%d", (int)pid);
    }
}

static void arm(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void test_each_point_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (enum hold_point a = 0; a < HOLD_POINT_COUNT; a++) {
        assert_non_null(hold_name(a));
        for (enum hold_point b = 0; b < a; b++) {
            assert_string_not_equal(hold_name(a), hold_name(b));
        }
    }
}

static void test_nothing_is_held_that_is_not_armed(void **state)
{
    (void)state;
    char folder[] = "/tmp/cambrian-hold-XXXXXX";
    char other[128];
    assert_non_null(mkdtemp(folder));
    (void)alarm(20);
    (void)unsetenv(HOLD_VARIABLE);
    hold_at(HOLD_LOCK_TAKEN);
    (void)setenv(HOLD_VARIABLE, folder, 1);
    hold_at(HOLD_LOCK_TAKEN);
    path_in(folder, HOLD_VOID_CHECKED, 0, other);
    arm(other);
    hold_at(HOLD_LOCK_TAKEN);
    (void)alarm(0);
    (void)unlink(other);
    assert_int_equal(0, rmdir(folder)); /* and left nothing */
}

static void test_who_is_held_says_so_and_goes_on_when_let(void **state)
{
    (void)state;
    char folder[] = "/tmp/cambrian-hold-XXXXXX";
    char armed[128];
    char held[128];
    int status = -1;
    assert_non_null(mkdtemp(folder));
    (void)setenv(HOLD_VARIABLE, folder, 1);
    path_in(folder, HOLD_LOCK_TAKEN, 0, armed);
    arm(armed);
    (void)alarm(20);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        hold_at(HOLD_LOCK_TAKEN);
        _exit(7);
    }
    path_in(folder, HOLD_LOCK_TAKEN, child, held);
    while (access(held, F_OK) != 0) {
        (void)usleep(1000);
    }
    assert_int_equal(0, waitpid(child, &status, WNOHANG));
    (void)unlink(armed);
    assert_int_equal(child, waitpid(child, &status, 0));
    (void)alarm(0);
    assert_int_equal(7, WEXITSTATUS(status));
    assert_int_equal(0, rmdir(folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_point_has_a_name_of_its_own),
        cmocka_unit_test(test_nothing_is_held_that_is_not_armed),
        cmocka_unit_test(test_who_is_held_says_so_and_goes_on_when_let),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
