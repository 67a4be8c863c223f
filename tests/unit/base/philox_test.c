/* Known answers of Random123's kat_vectors for philox4x32, 10 rounds. */
#include "../unit.h"

#include "base/philox.h"

#include <string.h>

struct known_answer {
    uint32_t counter[4];
    uint32_t key[2];
    uint32_t out[4];
};

static const struct known_answer KNOWN[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
    {{0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
     {0xffffffffu, 0xffffffffu},
     {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
    {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
     {0xa4093822u, 0x299f31d0u},
     {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
};

static void test_known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        uint32_t out[4];
        philox4x32_10(KNOWN[i].counter, KNOWN[i].key, out);
        assert_memory_equal(out, KNOWN[i].out, sizeof out);
    }
}

static void test_output_may_be_the_counter(void **state)
{
    (void)state;
    uint32_t words[4];
    memcpy(words, KNOWN[2].counter, sizeof words);
    philox4x32_10(words, KNOWN[2].key, words);
    assert_memory_equal(words, KNOWN[2].out, sizeof words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_output_may_be_the_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
