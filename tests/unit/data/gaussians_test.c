/* Points around means: where they are, how wide, and the same bytes for ever. */
#include "../unit.h"

#include "base/digest.h"
#include "data/source.h"

#include <math.h>

enum { COUNT = 100000 };

struct layout_case {
    enum gaussian_layout layout;
    int means;
    double deviation;
    double first[2]; /* the mean of samples 0, means, 2 means ... */
    const char *digest;
};

static const struct layout_case LAYOUTS[] = {
    {.layout = LAYOUT_RING,
     .means = 8,
     .deviation = 0.009,
     .first = {0.9, 0},
     .digest = "1c4d75fd09665812bd0e935517bc4c045bd6679f2962a256b3c120b92c76fbfc"},
    {.layout = LAYOUT_GRID,
     .means = 25,
     .deviation = 0.01125,
     .first = {-0.9, -0.9},
     .digest = "ecaee7a1c87fff16f40806b9dc4248da01778708f6952cb61d91478eeb28c444"},
};

static struct source *open_points(enum gaussian_layout layout, int64_t seed)
{
    struct cam_err err;
    struct source *source = NULL;
    struct data_spec spec = {
        .format = DATA_GAUSSIANS, .count = COUNT, .seed = seed, .layout = layout};
    ASSERT_OK(source_open(&spec, &source, &err), err);
    ASSERT_OK(source_load(source, &err), err);
    assert_int_equal(source_value_floats(source_info(source)), 2);
    return source;
}

static void test_points_never_change(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof LAYOUTS / sizeof LAYOUTS[0]; i++) {
        struct cam_err err;
        struct source *source = open_points(LAYOUTS[i].layout, 3);
        struct cam_digest *digest = cam_digest_create();
        char hex[CAM_DIGEST_HEX_SIZE];
        assert_non_null(digest);
        assert_int_equal(source_info(source)->classes, LAYOUTS[i].means);
        for (int64_t s = 0; s < 1000; s++) {
            float point[2];
            float label = -1;
            ASSERT_OK(source_read(source, s, point, &label, &err), err);
            assert_int_equal((int)label, s % LAYOUTS[i].means);
            cam_digest_add(digest, point, sizeof point);
        }
        cam_digest_finish(digest, hex);
        cam_digest_destroy(digest);
        source_close(source);
        assert_string_equal(hex, LAYOUTS[i].digest);
    }
}

/* Mean, deviation, correlation, kurtosis and the share within 3 deviations, which is 1 - e^-4.5,
 * each within five standard errors. */
static void test_moments(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof LAYOUTS / sizeof LAYOUTS[0]; i++) {
        const struct layout_case *c = &LAYOUTS[i];
        struct source *source = open_points(c->layout, 1);
        double sum = 0;
        double square = 0;
        double fourth = 0;
        double product = 0;
        int n = 0;
        int within = 0;
        for (int64_t s = 0; s < COUNT; s += c->means) {
            struct cam_err err;
            float point[2];
            float label = -1;
            ASSERT_OK(source_read(source, s, point, &label, &err), err);
            double x = ((double)point[0] - c->first[0]) / c->deviation;
            double y = ((double)point[1] - c->first[1]) / c->deviation;
            sum += x;
            square += x * x;
            fourth += x * x * x * x;
            product += x * y;
            within += x * x + y * y <= 9;
            n++;
        }
        double error = 5 / sqrt((double)n);
        assert_true(fabs(sum / n) < error);
        assert_true(fabs(product / n) < error);
        assert_true(fabs(square / n - 1) < error * sqrt(2));
        assert_true(fabs(fourth / n - 3) < error * sqrt(96));
        assert_true(fabs((double)within / n - 0.98889) < error * 0.105);
        source_close(source);
    }
}

static void test_another_seed_is_another_set(void **state)
{
    (void)state;
    struct cam_err err;
    float label = 0;
    float a[2];
    float b[2];
    struct source *one = open_points(LAYOUT_RING, 1);
    struct source *two = open_points(LAYOUT_RING, 2);
    ASSERT_OK(source_read(one, 5, a, &label, &err), err);
    ASSERT_OK(source_read(two, 5, b, &label, &err), err);
    assert_memory_not_equal(a, b, sizeof a);
    source_close(one);
    source_close(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_never_change),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_another_seed_is_another_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
