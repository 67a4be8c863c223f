/* What a daemon reads from a file of epochs whose writer was cut off. */
#include "daemon/epoch_log.h"

#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE(n)                                                                                    \
    "{\"epoch\":" #n                                                                               \
    ",\"steps\":4,\"seconds\":1.5,\"samples_per_s\":9,\"metrics\":{\"d_loss\":" #n "}}"

static const struct log_case {
    const char *name;
    const char *text;
    enum cam_code rc;
    size_t count;
    int64_t epochs[3];
    const char *told;
} CASES[] = {
    {"nothing", "", CAM_OK, 0, {0}, ""},
    {"whole", LINE(1) "\n" LINE(2) "\n", CAM_OK, 2, {1, 2}, ""},
    {"open end", LINE(1) "\n" LINE(2), CAM_OK, 1, {1}, ""},
    {"a piece, then the whole line",
     LINE(1) "\n{\"epoch\":2,\"ste\n" LINE(2) "\n" LINE(3) "\n",
     CAM_OK,
     3,
     {1, 2, 3},
     ""},
    {"a piece first", "{\"ep\n" LINE(1) "\n", CAM_OK, 1, {1}, ""},
    {"pieces only", "{\"ep\n{\n", CAM_OK, 0, {0}, ""},
    {"a lost line", LINE(1) "\n???\n" LINE(3) "\n", CAM_CORRUPT, 2, {1, 3}, "epochs.jsonl:2:"},
};

static void test_what_is_whole_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const struct log_case *c = &CASES[i];
        char folder[] = "/tmp/cambrian-epochs-XXXXXX";
        char path[64];
        struct cam_err err = {0};
        struct epoch_row *rows = NULL;
        size_t count = 0;
        struct cam_arena *arena = cam_arena_create();
        assert_non_null(arena);
        assert_non_null(mkdtemp(folder));
        (void)snprintf(path, sizeof path, "%s/epochs.jsonl", folder);
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(c->text, file) >= 0);
        assert_int_equal(0, fclose(file));
        enum cam_code rc = epoch_log_read(folder, arena, &rows, &count, &err);
        print_message("%s\n", c->name);
        assert_int_equal(c->rc, rc);
        assert_int_equal(c->count, count);
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(c->epochs[k], rows[k].epoch);
            assert_int_equal(4, rows[k].steps);
        }
        assert_non_null(strstr(err.text, c->told));
        (void)unlink(path);
        (void)rmdir(folder);
        cam_arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_whole_is_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
