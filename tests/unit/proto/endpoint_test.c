#include "proto/endpoint.h"

#include "../unit.h"

#include <string.h>

static void every_kind_of_user(void **state)
{
    (void)state;
    static const struct {
        struct endpoint_surroundings around;
        const char *socket; /* NULL: refused */
        const char *state_dir;
    } ROWS[] = {
        {{0, "/root", "/run/user/0", "/x"}, "/run/cambrian/cambriand.sock", "/var/lib/cambrian"},
        {{7, "/home/a", "/run/user/7", NULL},
         "/run/user/7/cambrian/cambriand.sock",
         "/home/a/.local/state/cambrian"},
        {{7, "/home/a", "", ""},
         "/home/a/.local/state/cambrian/cambriand.sock",
         "/home/a/.local/state/cambrian"},
        {{7, NULL, NULL, "/s"}, "/s/cambrian/cambriand.sock", "/s/cambrian"},
        {{7, "", NULL, NULL}, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct cam_err err = {0};
        char out[CAM_PATH_SIZE];
        enum cam_code rc = endpoint_socket(&ROWS[i].around, out, &err);
        if (ROWS[i].socket == NULL) {
            assert_int_equal(CAM_NOT_FOUND, rc);
            assert_non_null(strstr(err.text, "--socket"));
            assert_int_equal(CAM_NOT_FOUND, endpoint_state_dir(&ROWS[i].around, out, &err));
            continue;
        }
        ASSERT_OK(rc, err);
        assert_string_equal(ROWS[i].socket, out);
        ASSERT_OK(endpoint_state_dir(&ROWS[i].around, out, &err), err);
        assert_string_equal(ROWS[i].state_dir, out);
    }
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(every_kind_of_user),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
