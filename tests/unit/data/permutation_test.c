#include "../unit.h"

#include "data/permutation.h"

#include <stdbool.h>
#include <string.h>

enum { GOLDEN = 6 };

/* Computed by an independent program from the definition in permutation.h. */
static const struct {
    struct {
        uint64_t count;
        uint64_t seed;
        uint64_t epoch;
    } of;
    uint64_t expected[GOLDEN];
} golden[] = {
    /* clang-format off */
    {{10, 7, 0}, {3, 5, 1, 7, 9, 8}},
    {{60000, 7, 0}, {24997, 7402, 29625, 56213, 46611, 24600}},
    {{60000, 7, 3}, {14739, 56153, 27775, 48890, 28718, 8348}},
    {{60000, UINT64_C(0x1234567890abcdef), 3}, {31392, 58466, 7423, 21468, 35272, 3979}},
    {{5000000000, 1, 0},
     {888048767, 4724634080, 2529591475, 2519152090, 4408730200, 2011859314}},
    /* clang-format on */
};

static void test_golden_vectors(void **state)
{
    (void)state;
    for (size_t row = 0; row < sizeof golden / sizeof golden[0]; row++) {
        struct permutation p;
        permutation_init(&p, golden[row].of.count, golden[row].of.seed, golden[row].of.epoch);
        for (uint64_t i = 0; i < GOLDEN; i++) {
            assert_int_equal(permutation_at(&p, i), golden[row].expected[i]);
        }
    }
}

static void test_every_sample_once(void **state)
{
    (void)state;
    static bool seen[4097];
    for (uint64_t count = 1; count <= 4097; count = count < 40 ? count + 1 : count * 2 - 31) {
        memset(seen, 0, sizeof seen);
        struct permutation p;
        permutation_init(&p, count, 5, 9);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t sample = permutation_at(&p, i);
            assert_true(sample < count);
            assert_false(seen[sample]);
            seen[sample] = true;
        }
    }
}

static void test_epochs_and_seeds_differ(void **state)
{
    (void)state;
    struct permutation a;
    struct permutation b;
    struct permutation c;
    permutation_init(&a, 60000, 7, 0);
    permutation_init(&b, 60000, 7, 1);
    permutation_init(&c, 60000, 8, 0);
    int same = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        same += permutation_at(&a, i) == permutation_at(&b, i);
        same += permutation_at(&a, i) == permutation_at(&c, i);
    }
    assert_true(same < 5); /* 2000 / 60000 are expected by chance */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_vectors),
        cmocka_unit_test(test_every_sample_once),
        cmocka_unit_test(test_epochs_and_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
