/* The words of mpirun's command line, for every Open MPI that is known. */
#include "daemon/mpirun.h"

#include "../unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_version_is_found_in_the_first_line(void **state)
{
    (void)state;
    assert_int_equal(4, mpirun_major("mpirun (Open MPI) 4.1.4\n\nReport bugs to ...\n"));
    assert_int_equal(5, mpirun_major("mpirun (Open MPI) 5.0.7\n"));
    assert_int_equal(10, mpirun_major("warning: x\nmpirun (Open MPI) 10.0.0rc1\n"));
    assert_int_equal(0, mpirun_major("HYDRA build details: 4.0.2\n"));
    assert_int_equal(0, mpirun_major("(Open MPI) unknown"));
    assert_int_equal(0, mpirun_major(""));
}

static bool has_pair(const char *const *words, size_t count, const char *first, const char *second)
{
    for (size_t i = 0; i + 1 < count; i++) {
        if (strcmp(words[i], first) == 0 && strcmp(words[i + 1], second) == 0) {
            return true;
        }
    }
    return false;
}

static void test_each_version_has_its_words(void **state)
{
    (void)state;
    const struct {
        int major;
        const char *session; /* parameters that lead to the private folder */
        const char *segments;
        const char *btl;
    } cases[] = {
        {4, "orte_tmpdir_base", "btl_vader_backing_directory", "self,vader"},
        {5, "prte_tmpdir_base", "btl_sm_backing_directory", "self,sm"},
        {6, "prte_tmpdir_base", "btl_sm_backing_directory", "self,sm"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mpirun mpirun = {.path = "/usr/bin/mpirun", .major = cases[i].major};
        const char *words[MPIRUN_WORDS_MAX];
        size_t count = mpirun_words(&mpirun, "3", "/dev/shm/private", words);
        assert_in_range(count, 10, MPIRUN_WORDS_MAX);
        assert_string_equal("/usr/bin/mpirun", words[0]);
        assert_true(has_pair(words, count, "-n", "3"));
        assert_true(has_pair(words, count, "--bind-to", "none"));
        assert_true(has_pair(words, count, "btl", cases[i].btl));
        assert_true(has_pair(words, count, cases[i].session, "/dev/shm/private"));
        assert_true(has_pair(words, count, cases[i].segments, "/dev/shm/private"));
        assert_true(has_pair(words, count, "osc_sm_backing_directory", "/dev/shm/private"));
        for (size_t w = 0; w < count; w++) {
            assert_null(strchr(words[w], '{'));
        }
    }
}

/* Writes a program that answers --version so. */
static void write_program(char path[64], const char *body)
{
    (void)snprintf(path, 64, "/tmp/cambrian-mpirun-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal((ssize_t)strlen(body), write(fd, body, strlen(body)));
    assert_int_equal(0, fchmod(fd, 0700));
    assert_int_equal(0, close(fd));
}

static void test_examine_asks_the_program(void **state)
{
    (void)state;
    struct mpirun mpirun;
    struct cam_err err = {0};
    char path[64];
    write_program(path, "#!/bin/sh\n[ \"$*\" = --version ] && echo 'mpirun (Open MPI) 5.0.3'\n");
    assert_int_equal(CAM_OK, mpirun_examine(path, &mpirun, &err));
    assert_int_equal(5, mpirun.major);
    assert_string_equal(path, mpirun.path);
    assert_int_equal(0, unlink(path));

    write_program(path, "#!/bin/sh\necho 'mpirun (Open MPI) 3.1.0'\n");
    assert_int_equal(CAM_UNSUPPORTED, mpirun_examine(path, &mpirun, &err));
    assert_non_null(strstr(err.text, "3.1.0"));
    assert_int_equal(0, unlink(path));

    write_program(path, "#!/bin/sh\nyes 'no version' | head -n 20000\n");
    assert_int_equal(CAM_UNSUPPORTED, mpirun_examine(path, &mpirun, &err));
    assert_non_null(strstr(err.text, "'no version'"));
    assert_int_equal(0, unlink(path));

    assert_int_equal(CAM_NOT_FOUND, mpirun_examine(path, &mpirun, &err));
    assert_non_null(strstr(err.text, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_is_found_in_the_first_line),
        cmocka_unit_test(test_each_version_has_its_words),
        cmocka_unit_test(test_examine_asks_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
