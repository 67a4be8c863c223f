/* Errors are one line of UTF-8, whatever they quote. */
#include "base/status.h"

#include "../unit.h"

#include <string.h>

static void test_only_utf8_comes_out(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *mended;
    } CASES[] = {
        {"plain", "plain"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
        {"latin \xfc.idx", "latin ?.idx"},
        {"cut \xe2\x82", "cut ??"},
        {"\xc0\x80 \xed\xa0\x80 \xf5\x80", "?? ??? ??"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct cam_err err;
        assert_int_equal(CAM_IO, cam_fail(&err, CAM_IO, "%s", CASES[i].text));
        assert_string_equal(CASES[i].mended, err.text);
        assert_true(cam_utf8_ok(err.text));
        assert_true(cam_utf8_ok(CASES[i].text) == (strcmp(CASES[i].text, CASES[i].mended) == 0));
    }
}

static void test_no_terminal_obeys_it(void **state)
{
    (void)state;
    struct cam_err err;
    (void)cam_fail(&err, CAM_IO, "%s", "a\x1b[2J\nb\x7f \xc2\x9b \xc2\xa0");
    assert_string_equal("a?[2J?b? ?? \xc2\xa0", err.text);
}

static void test_a_letter_that_is_cut_is_no_letter(void **state)
{
    (void)state;
    char text[2048];
    struct cam_err err;
    text[0] = 'x';
    for (size_t i = 1; i + 2 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xbc", 3);
    }
    (void)cam_fail(&err, CAM_IO, "%s", text);
    assert_int_equal(sizeof err.text - 1, strlen(err.text));
    (void)cam_fail(&err, CAM_IO, "%s", text + 1);
    assert_int_equal('?', err.text[sizeof err.text - 2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_utf8_comes_out),
        cmocka_unit_test(test_no_terminal_obeys_it),
        cmocka_unit_test(test_a_letter_that_is_cut_is_no_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
