/* A question to another program: its answer, and an end to the waiting whatever it does. */
#include "daemon/ask.h"

#include "base/clock.h"

#include "../unit.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

enum { LIMIT_MS = 300, TEXT_SIZE = 16 };

static enum cam_code ask(const char *script, char text[TEXT_SIZE], int *status_out,
                         struct cam_err *err)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    return ask_program(&(struct ask){.argv = argv, .limit_ms = LIMIT_MS}, text, TEXT_SIZE,
                       status_out, err);
}

static void test_answers(void **state)
{
    (void)state;
    const struct {
        const char *script;
        const char *text;
        int status;
    } cases[] = {
        {"echo yes", "yes\n", 0},         {"echo no >&2; exit 3", "no\n", 3},
        {"kill -9 $$", "", 128 + 9},      {"echo 0123456789abcdefgh", "0123456789abcde", 0},
        {"exec >&- 2>&-; exit 4", "", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cam_err err = {0};
        char text[TEXT_SIZE];
        int status = -1;
        assert_int_equal(CAM_OK, ask(cases[i].script, text, &status, &err));
        assert_string_equal(cases[i].text, text);
        assert_int_equal(cases[i].status, status);
    }
}

/* One that lives on, with its output and without, or hands it on to a child. */
static void test_no_answer_ends_at_the_limit(void **state)
{
    (void)state;
    const char *const scripts[] = {"exec sleep 60", "exec >&- 2>&-; exec sleep 60",
                                   "sleep 5 & exit 0"};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct cam_err err = {0};
        char text[TEXT_SIZE];
        int status = -1;
        int64_t begin_ns = cam_monotonic_ns();
        assert_int_equal(CAM_UNSUPPORTED, ask(scripts[i], text, &status, &err));
        assert_non_null(strstr(err.text, "/bin/sh -c: no answer within 0.3 s"));
        assert_in_range((cam_monotonic_ns() - begin_ns) / 1000000, LIMIT_MS - 1, 4900);
        assert_int_equal(-1, waitpid(-1, NULL, WNOHANG));
        assert_int_equal(ECHILD, errno); /* it is ended and reaped */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_no_answer_ends_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
