#include "../unit.h"

#include "base/file.h"
#include "base/mem.h"
#include "worker/checkpoint/epochs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct epoch_row row_of(int64_t epoch)
{
    struct epoch_row row = {.epoch = epoch,
                            .steps = 10,
                            .seconds = 1.5,
                            .samples_per_s = 640.0,
                            .metric_count = 2,
                            .metric = {0.1, 2.0 / 3.0}};
    (void)snprintf(row.metric_name[0], STATE_NAME_SIZE, "d_loss");
    (void)snprintf(row.metric_name[1], STATE_NAME_SIZE, "g_loss");
    return row;
}

static void test_append_and_find_the_last(void **state)
{
    (void)state;
    char folder[] = "/tmp/epochs-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[CAM_PATH_SIZE];
    struct cam_err err = {0};
    int64_t last = -1;
    ASSERT_OK(cam_path(path, &err, "%s/epochs.jsonl", folder), err);
    ASSERT_OK(epochs_last(path, &last, &err), err);
    assert_int_equal(last, 0);
    for (int64_t epoch = 1; epoch <= 2; epoch++) {
        struct epoch_row row = row_of(epoch);
        ASSERT_OK(epochs_append(path, &row, &err), err);
    }
    ASSERT_OK(epochs_last(path, &last, &err), err);
    assert_int_equal(last, 2);

    /* A crash cuts the third line off: it does not count, and the next line is whole again. */
    FILE *file = fopen(path, "ae");
    (void)fputs("{\"epoch\":3,\"ste", file);
    (void)fclose(file);
    ASSERT_OK(epochs_last(path, &last, &err), err);
    assert_int_equal(last, 2);
    struct epoch_row third = row_of(3);
    ASSERT_OK(epochs_append(path, &third, &err), err);
    ASSERT_OK(epochs_last(path, &last, &err), err);
    assert_int_equal(last, 3);

    char *text = NULL;
    size_t size = 0;
    ASSERT_OK(cam_file_read(path, 4096, &text, &size, &err), err);
    assert_non_null(strstr(text, "\n{\"epoch\":3,\"steps\":10,"));
    assert_non_null(strstr(text, "\"d_loss\":0.10000000000000001,\"g_loss\":0.66666666666666663"));
    cam_free(text);
    ASSERT_OK(cam_folder_remove(folder, &err), err);
}

static void test_a_missing_folder_is_told(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct epoch_row row = row_of(1);
    assert_int_equal(epochs_append("/nonexistent/epochs.jsonl", &row, &err), CAM_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/epochs.jsonl"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_find_the_last),
        cmocka_unit_test(test_a_missing_folder_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
