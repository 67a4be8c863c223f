#include "base/digest.h"
#include "base/text.h"

#include "../unit.h"

static void nearest_names(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"epochs", "batch", "shards", "seed",
                                        "tanh",   "adam",  "cuda"};
    static const struct {
        const char *word;
        const char *want;
    } CASES[] = {
        {"epoch", "epochs"}, {"epohcs", "epochs"},    {"btach", "batch"}, {"sed", "seed"},
        {"zzzz", NULL},      {"learning_rate", NULL}, {"tahn", "tanh"},   {"adma", "adam"},
        {"cdua", "cuda"},    {"ahtn", NULL},          {"", NULL},         {"s", NULL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const char *got = cam_nearest(CASES[i].word, NAMES, sizeof NAMES / sizeof NAMES[0]);
        if (CASES[i].want == NULL) {
            assert_null(got);
        } else {
            assert_non_null(got);
            assert_string_equal(CASES[i].want, got);
        }
    }
}

static void text_grows(void **state)
{
    (void)state;
    struct cam_text text = {0};
    for (int i = 0; i < 1000; i++) {
        cam_text_add(&text, "%d,", i % 10);
    }
    assert_true(cam_text_ok(&text));
    assert_int_equal(2000, text.size);
    assert_int_equal('9', text.bytes[1998]);
    cam_text_release(&text);
}

static void known_digest(void **state)
{
    (void)state;
    struct cam_err err = {0};
    char hex[CAM_DIGEST_HEX_SIZE];
    ASSERT_OK(cam_digest_of("abc", 3, hex, &err), err); /* FIPS 180-2, appendix B.1 */
    assert_string_equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(text_grows),
        cmocka_unit_test(known_digest),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
