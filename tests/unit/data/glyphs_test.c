/* The drawn digits: the same bytes for ever (a change of the pictures is a change of what every
 * job on them computes), any of them at once, and pictures that look like writing. */
#include "../unit.h"

#include "base/digest.h"
#include "data/source.h"

#include <string.h>

enum { PIXELS = 28 * 28 };

static struct source *open_glyphs(int64_t count, int64_t seed)
{
    struct cam_err err;
    struct source *source = NULL;
    struct data_spec spec = {.format = DATA_GLYPHS, .count = count, .seed = seed};
    ASSERT_OK(source_open(&spec, &source, &err), err);
    ASSERT_OK(source_load(source, &err), err);
    return source;
}

static int32_t draw(const struct source *source, int64_t index, float *pixels)
{
    struct cam_err err;
    float label = -1;
    ASSERT_OK(source_read(source, index, pixels, &label, &err), err);
    return (int32_t)label;
}

static void test_the_pictures_never_change(void **state)
{
    (void)state;
    struct source *source = open_glyphs(1000, 1);
    struct cam_digest *digest = cam_digest_create();
    assert_non_null(digest);
    char hex[CAM_DIGEST_HEX_SIZE];
    for (int64_t i = 0; i < 1000; i++) {
        float pixels[PIXELS];
        int32_t label = draw(source, i, pixels);
        assert_int_equal((int)label, i % 10);
        cam_digest_add(digest, pixels, sizeof pixels);
    }
    cam_digest_finish(digest, hex);
    cam_digest_destroy(digest);
    source_close(source);
    assert_string_equal(hex, "d4342425d150a1166300ef7ca86bc7c69a424ae3e74525376d549dc2deeff770");
}

static void test_samples_stand_alone(void **state)
{
    (void)state;
    float first[PIXELS];
    float again[PIXELS];
    float other[PIXELS];
    struct source *few = open_glyphs(20, 7);
    struct source *many = open_glyphs(100000000, 7);
    struct source *others = open_glyphs(20, 8);
    (void)draw(few, 13, first);
    (void)draw(many, 99999999, again);
    (void)draw(many, 13, again);
    (void)draw(others, 13, other);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
    (void)draw(few, 3, other); /* the same digit, drawn again */
    assert_memory_not_equal(first, other, sizeof first);
    source_close(few);
    source_close(many);
    source_close(others);
}

static void test_pictures_are_dark_with_some_ink(void **state)
{
    (void)state;
    struct source *source = open_glyphs(500, 3);
    for (int64_t i = 0; i < 500; i++) {
        float pixels[PIXELS];
        (void)draw(source, i, pixels);
        int ink = 0;
        int edge = 0;
        for (int p = 0; p < PIXELS; p++) {
            assert_true(pixels[p] >= -1 && pixels[p] <= 1);
            bool inked = pixels[p] > 0;
            ink += inked;
            edge += inked && (p < 28 || p >= PIXELS - 28 || p % 28 == 0 || p % 28 == 27);
        }
        assert_in_range(ink, 25, 300);
        assert_in_range(edge, 0, 8);
    }
    source_close(source);
}

static void test_out_of_range(void **state)
{
    (void)state;
    struct cam_err err;
    float pixels[PIXELS];
    float label = 0;
    struct source *source = open_glyphs(5, 1);
    assert_int_equal(source_info(source)->count, 5);
    assert_int_equal(source_info(source)->classes, 10);
    assert_int_equal(source_read(source, 5, pixels, &label, &err), CAM_INTERNAL);
    assert_int_equal(source_read(source, -1, pixels, &label, &err), CAM_INTERNAL);
    source_close(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_pictures_never_change),
        cmocka_unit_test(test_samples_stand_alone),
        cmocka_unit_test(test_pictures_are_dark_with_some_ink),
        cmocka_unit_test(test_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
