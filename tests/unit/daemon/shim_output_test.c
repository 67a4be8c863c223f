/* What an attempt prints, on its way into a file. */
#include "daemon/shim/output.h"

#include "../unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ranks that print without end: the shim still hears signals and the time limit. */
static void test_a_flood_lets_the_caller_go_on(void **state)
{
    (void)state;
    char folder[] = "/tmp/cambrian-output-XXXXXX";
    char path[64];
    char old[64];
    struct cam_err err = {0};
    struct output output;
    struct stat status;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/log", folder);
    (void)snprintf(old, sizeof old, "%s/log.1", folder);
    int flood = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_true(flood >= 0);
    ASSERT_OK(output_open(&output, flood, path, 256 * 1024, &err), err);
    (void)alarm(20);
    assert_true(output_copy(&output));
    (void)alarm(0);
    output_close(&output);
    assert_int_equal(0, stat(old, &status)); /* and it stays within its cap */
    assert_true(status.st_size <= 256 * 1024);
    (void)unlink(path);
    (void)unlink(old);
    (void)rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_flood_lets_the_caller_go_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
