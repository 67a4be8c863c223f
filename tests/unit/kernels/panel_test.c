/* Products on panels: each instruction set against sums in double, and all with the same bits. */
#include "../unit.h"

#include "kernels/cpu/panel.h"

#include <math.h>
#include <string.h>

enum { FLOATS = 64 * 1024 };

static float a[FLOATS];
static float b[FLOATS];
static float found[2][FLOATS];

static float draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

static void check(const struct panel_product *p, const float *before)
{
    for (int64_t m = 0; m < p->rows; m++) {
        for (int64_t n = 0; n < p->columns; n++) {
            double sum = p->add ? (double)before[m * p->c_row + n] : 0.0;
            double size = 1.0;
            for (int64_t k = 0; k < p->depth; k++) {
                double term =
                    (double)p->a[m * p->a_row + k * p->a_depth] *
                    (double)p->b[n / PANEL_WIDTH * p->b_panel + k * p->b_depth + n % PANEL_WIDTH];
                sum += term;
                size += fabs(term);
            }
            double error = fabs(sum - (double)p->c[m * p->c_row + n]);
            if (!(error <= 1e-6 * size)) {
                fail_msg("row %d, column %d: off by %g", (int)m, (int)n, error);
            }
        }
    }
}

/* Rows of every number up to more than two blocks; A by rows and by columns; B packed and dense. */
static void test_products(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int i = 0; i < FLOATS; i++) {
        a[i] = draw(&seed);
        b[i] = draw(&seed);
    }
    for (int64_t rows = 1; rows < 32; rows++) {
        const int64_t columns = PANEL_WIDTH * (1 + rows % 5);
        const int64_t depth = rows == 9 ? 0 : 1 + rows * 7 % 60;
        const bool across = rows % 2 == 0;
        const bool packed = rows % 3 == 0;
        struct panel_product p = {
            .rows = rows,
            .columns = columns,
            .depth = depth,
            .a = a,
            .a_row = across ? 1 : depth,
            .a_depth = across ? rows : 1,
            .b = b,
            .b_panel = packed ? depth * PANEL_WIDTH : PANEL_WIDTH,
            .b_depth = packed ? PANEL_WIDTH : columns,
            .c_row = columns + 3,
            .add = rows % 4 == 1,
        };
        memcpy(found[0], b, sizeof b);
        p.c = found[0];
        panel_avx2(&p);
        check(&p, b);
        if (!__builtin_cpu_supports("avx512f")) {
            continue;
        }
        memcpy(found[1], b, sizeof b);
        p.c = found[1];
        panel_avx512(&p);
        assert_memory_equal(found[0], found[1], sizeof b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products)};
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        return 77; /* skipped */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
