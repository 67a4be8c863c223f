#include "../unit.h"

#include "worker/train/combine.h"
#include "worker/train/schedule.h"
#include "worker/train/tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The definition, straight: what node [a, b) is. */
static float sum_node(const float *leaves, int a, int b)
{
    if (b - a == 1) {
        return leaves[a];
    }
    int split = tree_split((struct tree_node){a, b});
    return sum_node(leaves, a, split) + sum_node(leaves, split, b);
}

/* Values whose sum depends on the order. */
static void fill(float *leaves, int count)
{
    for (int i = 0; i < count; i++) {
        leaves[i] = (float)(1.0 / (3.0 + 7.0 * i)) * (i % 3 == 0 ? 1.0e4F : -1.0F);
    }
}

static void test_split(void **state)
{
    (void)state;
    assert_int_equal(tree_split((struct tree_node){0, 2}), 1);
    assert_int_equal(tree_split((struct tree_node){0, 3}), 2);
    assert_int_equal(tree_split((struct tree_node){0, 8}), 4);
    assert_int_equal(tree_split((struct tree_node){0, 9}), 8);
    assert_int_equal(tree_split((struct tree_node){8, 13}), 12);
}

static void test_ranges_cover_all_shards(void **state)
{
    (void)state;
    for (int shards = 1; shards <= 40; shards++) {
        for (int ranks = 1; ranks <= shards; ranks++) {
            int at = 0;
            for (int rank = 0; rank < ranks; rank++) {
                struct tree_node range = tree_range(shards, ranks, rank);
                assert_int_equal(range.first, at);
                int size = range.end - range.first;
                assert_true(size == shards / ranks || size == shards / ranks + 1);
                at = range.end;
            }
            assert_int_equal(at, shards);
        }
    }
}

static void test_siblings(void **state)
{
    (void)state;
    assert_true(tree_siblings(8, (struct tree_node){2, 3}, (struct tree_node){3, 4}));
    assert_false(tree_siblings(8, (struct tree_node){1, 2}, (struct tree_node){2, 3}));
    assert_true(tree_siblings(6, (struct tree_node){0, 4}, (struct tree_node){4, 6}));
    assert_false(tree_siblings(6, (struct tree_node){2, 4}, (struct tree_node){4, 6}));
}

/* Plays a rank's schedule on one float a buffer. */
static int play(int shards, int ranks, int rank, int lanes, const float *leaves, float *partials,
                struct tree_node *nodes)
{
    struct schedule s;
    struct cam_err err = {0};
    float buffer[64];
    ASSERT_OK(schedule_init(&s, shards, tree_range(shards, ranks, rank), lanes, &err), err);
    assert_true(s.buffer_count <= 64);
    int depth = 0;
    while ((1 << depth) < shards) {
        depth++;
    }
    int most = lanes + depth > s.partial_count ? lanes + depth : s.partial_count;
    assert_true(s.buffer_count <= most);
    for (int r = 0; r < s.round_count; r++) {
        const struct schedule_round *round = &s.rounds[r];
        for (int i = 0; i < round->shard_count; i++) {
            buffer[round->buffer[i]] = leaves[round->shard_first + i];
        }
        for (int m = 0; m < round->merge_count; m++) {
            combine_add(&buffer[round->merges[m].dst], &buffer[round->merges[m].src], 1);
        }
    }
    struct tree_node cover[TREE_COVER_MAX];
    int count = tree_cover(shards, tree_range(shards, ranks, rank), cover);
    assert_int_equal(count, s.partial_count);
    assert_memory_equal(cover, s.partial, (size_t)count * sizeof cover[0]);
    for (int k = 0; k < count; k++) {
        partials[k] = buffer[s.partial_buffer[k]];
        nodes[k] = s.partial[k];
    }
    schedule_release(&s);
    return count;
}

static void check_bits(int shards, int ranks, int lanes)
{
    float leaves[64];
    float partials[64 * 4];
    struct tree_node nodes[64 * 4];
    const float *views[64 * 4];
    float scratch[64];
    fill(leaves, shards);
    int count = 0;
    for (int rank = 0; rank < ranks; rank++) {
        count += play(shards, ranks, rank, lanes, leaves, partials + count, nodes + count);
    }
    for (int k = 0; k < count; k++) {
        views[k] = &partials[k];
    }
    struct combine combine;
    struct cam_err err = {0};
    ASSERT_OK(combine_init(&combine, shards, nodes, count, &err), err);
    float expected = sum_node(leaves, 0, shards);
    const float *sum = combine_run(&combine, views, 0, 1, scratch, 1);
    if (memcmp(sum, &expected, sizeof expected) != 0) {
        fail_msg("%d shards, %d ranks, %d lanes: %.9g, the tree says %.9g", shards, ranks, lanes,
                 (double)*sum, (double)expected);
    }
    combine_release(&combine);
}

static void test_same_bits_for_any_ranks_and_lanes(void **state)
{
    (void)state;
    for (int shards = 1; shards <= 24; shards++) {
        for (int ranks = 1; ranks <= shards; ranks++) {
            for (int lanes = 1; lanes <= 5; lanes++) {
                check_bits(shards, ranks, lanes);
            }
        }
    }
}

static void test_powers_of_two_send_one_partial(void **state)
{
    (void)state;
    struct tree_node cover[TREE_COVER_MAX];
    for (int shards = 1; shards <= TREE_SHARDS_MAX; shards *= 2) {
        for (int ranks = 1; ranks <= shards; ranks *= 2) {
            for (int rank = 0; rank < ranks; rank++) {
                assert_int_equal(tree_cover(shards, tree_range(shards, ranks, rank), cover), 1);
            }
        }
    }
}

static void test_check(void **state)
{
    (void)state;
    const float spoiled[2] = {(float)strtod("nan", NULL), -(float)strtod("inf", NULL)};
    const float safe = nextafterf(0x1p116F, 0.0F);
    float floats[37] = {0.0F, -1.0F, -0.0F, 1e-45F, 1e30F};
    for (int count = 1; count <= 37; count++) {
        int at = count - 1;
        assert_int_equal(combine_check(floats, count), 0);
        floats[at] = -safe;
        assert_int_equal(combine_check(floats, count), 0);
        floats[at] = 0x1p116F;
        assert_int_equal(combine_check(floats, count), COMBINE_LARGE);
        floats[at] = -3.4e38F;
        assert_int_equal(combine_check(floats, count), COMBINE_LARGE);
        for (int i = 0; i < 2; i++) {
            floats[at] = spoiled[i];
            assert_int_equal(combine_check(floats, count), COMBINE_LARGE | COMBINE_SPOILED);
        }
        floats[at] = 0.5F;
    }
    /* what is not large stays finite however many shards there are */
    float sum = 0.0F;
    for (int shard = 0; shard < TREE_SHARDS_MAX; shard++) {
        sum += safe;
    }
    assert_int_equal(combine_check(&sum, 1), COMBINE_LARGE);
}

static void test_squares(void **state)
{
    (void)state;
    float floats[64];
    double wanted = 0.0;
    double clipped = 0.0;
    for (int i = 0; i < 64; i++) {
        floats[i] = (float)(i - 32) * 1e19F; /* whose squares are above what a float holds */
        double value = (double)(floats[i] * 0.5F);
        wanted += value * value;
        value = value > 1e20 ? (double)1e20F : value < -1e20 ? -(double)1e20F : value;
        clipped += value * value;
    }
    double found = combine_squares(floats, 64, 0.5F, (float)strtod("inf", NULL));
    assert_true(found > wanted * (1.0 - 1e-14) && found < wanted * (1.0 + 1e-14));
    found = combine_squares(floats, 64, 0.5F, 1e20F);
    assert_true(found > clipped * (1.0 - 1e-14) && found < clipped * (1.0 + 1e-14));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_ranges_cover_all_shards),
        cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_same_bits_for_any_ranks_and_lanes),
        cmocka_unit_test(test_powers_of_two_send_one_partial),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_squares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
