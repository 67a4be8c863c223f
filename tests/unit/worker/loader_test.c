#include "../unit.h"

#include "base/mem.h"
#include "data/permutation.h"
#include "worker/data/loader.h"

#include <string.h>

enum { COUNT = 50, BATCH = 8, PER_EPOCH = 6 };

static struct source *open_glyphs(void)
{
    const struct data_spec spec = {.format = DATA_GLYPHS, .count = COUNT, .seed = 3};
    struct source *source = NULL;
    struct cam_err err = {0};
    ASSERT_OK(source_open(&spec, &source, &err), err);
    ASSERT_OK(source_load(source, &err), err);
    return source;
}

static void check_rows(const struct source *source, const struct loader_options *o,
                       const struct loader_batch *batch, int64_t number)
{
    const struct source_info *info = source_info(source);
    int64_t floats = info->height * info->width * info->channels;
    float *pixels = cam_alloc((size_t)floats, sizeof *pixels);
    struct permutation order;
    struct cam_err err = {0};
    permutation_init(&order, COUNT, o->seed, (uint64_t)(number / PER_EPOCH));
    for (int64_t row = 0; row < o->row_count; row++) {
        uint64_t place = (uint64_t)(number % PER_EPOCH * BATCH + o->row_first + row);
        float label = -1;
        ASSERT_OK(source_read(source, (int64_t)permutation_at(&order, place), pixels, &label, &err),
                  err);
        assert_memory_equal(pixels, batch->values + row * floats, (size_t)floats * sizeof *pixels);
        assert_true(batch->labels[row] == label);
    }
    cam_free(pixels);
}

static void test_rows_of_a_rank_in_order(void **state)
{
    (void)state;
    struct source *source = open_glyphs();
    const struct loader_options options = {
        .source = source,
        .seed = 7,
        .batch = BATCH,
        .per_epoch = PER_EPOCH,
        .row_first = 2,
        .row_count = 4,
        .batch_first = 3, /* in the middle of an epoch, as a resume is */
        .batch_end = 20,
    };
    struct loader *loader = NULL;
    struct cam_err err = {0};
    ASSERT_OK(loader_create(&options, &loader, &err), err);
    unsigned long before = cam_alloc_count();
    for (int64_t batch = options.batch_first; batch < options.batch_end; batch++) {
        struct loader_batch got;
        ASSERT_OK(loader_take(loader, &got, &err), err);
        if (batch % 5 == 0) {
            before += 1; /* check_rows takes one block */
            check_rows(source, &options, &got, batch);
        }
        loader_give_back(loader);
    }
    assert_int_equal(cam_alloc_count(), before);
    loader_destroy(loader);
    source_close(source);
}

static void test_destroy_while_it_waits(void **state)
{
    (void)state;
    struct source *source = open_glyphs();
    const struct loader_options options = {
        .source = source,
        .seed = 7,
        .batch = BATCH,
        .per_epoch = PER_EPOCH,
        .row_count = BATCH,
        .batch_end = 1000,
    };
    struct loader *loader = NULL;
    struct loader_batch got;
    struct cam_err err = {0};
    ASSERT_OK(loader_create(&options, &loader, &err), err);
    ASSERT_OK(loader_take(loader, &got, &err), err);
    loader_destroy(loader); /* the ring is full and the thread waits */
    source_close(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_a_rank_in_order),
        cmocka_unit_test(test_destroy_while_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
