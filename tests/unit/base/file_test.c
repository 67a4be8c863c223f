#include "base/file.h"
#include "base/mem.h"

#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void replace_and_read(void **state)
{
    (void)state;
    struct cam_err err = {0};
    char folder[] = "/tmp/cambrian-unit-XXXXXX";
    char path[CAM_PATH_SIZE];
    char deep[CAM_PATH_SIZE];
    char *bytes = NULL;
    size_t size = 0;
    assert_non_null(mkdtemp(folder));
    ASSERT_OK(cam_path(deep, &err, "%s/a/b/c", folder), err);
    ASSERT_OK(cam_folder_create(deep, 0700, &err), err);
    ASSERT_OK(cam_path(path, &err, "%s/file", deep), err);

    ASSERT_OK(cam_file_replace(path, "one", 3, 0600, &err), err);
    ASSERT_OK(cam_file_replace(path, "three", 5, 0600, &err), err);
    ASSERT_OK(cam_file_read(path, 100, &bytes, &size, &err), err);
    assert_int_equal(5, size);
    assert_string_equal("three", bytes);
    cam_free(bytes);

    assert_int_equal(CAM_INVALID, cam_file_read(path, 4, &bytes, &size, &err));
    assert_non_null(strstr(err.text, path));
    ASSERT_OK(cam_folder_remove(folder, &err), err);
    assert_int_not_equal(0, access(folder, F_OK));
    assert_int_equal(CAM_NOT_FOUND, cam_file_read(path, 4, &bytes, &size, &err));
    ASSERT_OK(cam_folder_remove(folder, &err), err);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(replace_and_read),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
