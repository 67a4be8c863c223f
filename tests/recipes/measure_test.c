/* Measures of sets against what they are by hand. */
#include "tests/unit/unit.h"

#include "tests/recipes/measure.h"

#include <math.h>

static struct sample_set set_of(const float *values, int64_t count, int64_t size)
{
    return (struct sample_set){values, count, size};
}

/* Corners of a rectangle: mean its middle, variances 4/3 of the squared half sides, no covariance;
 * so both roots are of diagonal matrices.  The second set is turned, so that its covariance is not
 * diagonal, which changes the trace of the root. */
static void test_frechet(void **state)
{
    (void)state;
    const float a[] = {-1, -2, -1, 2, 1, -2, 1, 2};
    const float b[] = {2, -2, 2, 2, 8, -2, 8, 2};   /* moved by (5, 0), half sides 3 and 2 */
    const float c[] = {0, -3, -3, 0, 3, 0, 0, 3};   /* half sides sqrt(4.5), turned by 45 degrees */
    const float d[] = {-3, -1, 1, 3, -1, -3, 3, 1}; /* half sides sqrt(2), sqrt(8), by 45 degrees */
    struct cam_err err;
    double found = -1;
    struct sample_set sa = set_of(a, 4, 2);
    struct sample_set sb = set_of(b, 4, 2);
    struct sample_set sc = set_of(c, 4, 2);
    struct sample_set sd = set_of(d, 4, 2);
    ASSERT_OK(measure_frechet(&sa, &sa, &found, &err), err);
    assert_true(fabs(found) < 1e-12);
    /* |m|^2 = 25; (3 - 1)^2 4/3 of the first axis */
    ASSERT_OK(measure_frechet(&sa, &sb, &found, &err), err);
    assert_true(fabs(found - (25 + 4 * 4 / 3.0)) < 1e-12);
    /* C = 6 I commutes: 4/3 ((1 - sqrt 4.5)^2 + (2 - sqrt 4.5)^2) */
    ASSERT_OK(measure_frechet(&sa, &sc, &found, &err), err);
    double side = sqrt(4.5);
    assert_true(fabs(found - 4 / 3.0 * ((1 - side) * (1 - side) + (2 - side) * (2 - side))) <
                1e-12);
    /* They do not commute: tr of the root of 2x2 is sqrt(tr P + 2 sqrt(det P)), P = A D,
     * A = 4/3 diag(1, 4), D = 4/3 (5 3; 3 5): tr = 16/9 25, det = 16/9 4 16/9 16. */
    ASSERT_OK(measure_frechet(&sa, &sd, &found, &err), err);
    double root = sqrt(16 / 9.0 * 25 + 2 * 16 / 9.0 * 8);
    assert_true(fabs(found - (4 / 3.0 * 5 + 4 / 3.0 * 10 - 2 * root)) < 1e-12);
    const float broken[] = {0, NAN, 1, 1};
    struct sample_set bad = set_of(broken, 2, 2);
    assert_int_equal(measure_frechet(&sa, &bad, &found, &err), CAM_NON_FINITE);
}

/* On a line: 0, 1, 3, 7 have radii 1, 1, 2, 4 for k = 1, and 3, 2, 3, 6 for k = 2. */
static void test_covered(void **state)
{
    (void)state;
    struct cam_err err;
    double share = -1;
    const float line[] = {0, 1, 3, 7};
    const float points[] = {-1.5F, -0.5F, 2.5F, 11, 12};
    struct sample_set support = set_of(line, 4, 1);
    struct sample_set samples = set_of(points, 5, 1);
    ASSERT_OK(measure_covered(&samples, &support, 1, &share, &err), err);
    assert_true(fabs(share - 3 / 5.0) < 1e-12);
    ASSERT_OK(measure_covered(&samples, &support, 2, &share, &err), err);
    assert_true(fabs(share - 5 / 5.0) < 1e-12);
}

/* More than a tile of samples, each found by brute force. */
static void test_nearest(void **state)
{
    (void)state;
    enum { COUNT = 600, SIZE = 3, FEW = 7 };
    float many[COUNT * SIZE];
    float few[FEW * SIZE];
    uint32_t word = 1;
    for (int i = 0; i < COUNT * SIZE + FEW * SIZE; i++) {
        word = word * 1664525U + 1013904223U;
        float value = (float)(word >> 8) * 0x1p-24F;
        *(i < COUNT * SIZE ? &many[i] : &few[i - COUNT * SIZE]) = value;
    }
    double expected = 0;
    for (int i = 0; i < FEW; i++) {
        double best = 1e30;
        for (int j = 0; j < COUNT; j++) {
            double sum = 0;
            for (int k = 0; k < SIZE; k++) {
                double apart = (double)few[i * SIZE + k] - (double)many[j * SIZE + k];
                sum += apart * apart;
            }
            best = fmin(best, sqrt(sum));
        }
        expected += best / FEW;
    }
    struct cam_err err;
    double found = 0;
    struct sample_set samples = set_of(few, FEW, SIZE);
    struct sample_set set = set_of(many, COUNT, SIZE);
    ASSERT_OK(measure_nearest(&samples, &set, &found, &err), err);
    assert_true(fabs(found - expected) < 1e-6);
    ASSERT_OK(measure_nearest(&set, &set, &found, &err), err);
    assert_true(found > 0.01); /* nobody is its own neighbour */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frechet),
        cmocka_unit_test(test_covered),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
