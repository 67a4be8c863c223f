/* One source for two instruction sets: see meson.build. */
#include "kernels/cpu/panel.h"

#include <immintrin.h>

#ifdef __AVX512F__
typedef __m512 vector;
#define PANEL_FUNCTION panel_avx512
#define LOAD           _mm512_loadu_ps
#define STORE          _mm512_storeu_ps
#define FUSED          _mm512_fmadd_ps
#define SPREAD         _mm512_set1_ps
#define ZEROS          _mm512_setzero_ps
enum { LANES = 16, VECTORS = 2, ROWS = 14 };
#else
typedef __m256 vector;
#define PANEL_FUNCTION panel_avx2
#define LOAD           _mm256_loadu_ps
#define STORE          _mm256_storeu_ps
#define FUSED          _mm256_fmadd_ps
#define SPREAD         _mm256_set1_ps
#define ZEROS          _mm256_setzero_ps
enum { LANES = 8, VECTORS = 2, ROWS = 6 };
#endif

#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

enum { TRIPLE = 3, TRIPLES = (ROWS + TRIPLE - 1) / TRIPLE };

/* `rows` by `vectors` of C, which stay in registers; both are constants where this is inlined.
 * Rows of A are reached three from a pointer, which is what an address can say. */
static inline __attribute__((always_inline)) void
block(const struct panel_product *p, int64_t row, int64_t column, const int rows, const int vectors)
{
    vector sum[ROWS][VECTORS];
    const float *a[TRIPLES];
    const float *b[VECTORS];
    const int64_t a_row = p->a_row;
    const int64_t a_depth = p->a_depth;
    const int64_t b_depth = p->b_depth;
    float *c = p->c + row * p->c_row + column;
    UNROLLED
    for (int m = 0; m < rows; m++) {
        UNROLLED
        for (int v = 0; v < vectors; v++) {
            sum[m][v] = p->add ? LOAD(c + m * p->c_row + v * LANES) : ZEROS();
        }
    }
    UNROLLED
    for (int m = 0; m < rows; m += TRIPLE) {
        a[m / TRIPLE] = p->a + (row + m) * a_row;
    }
    UNROLLED
    for (int v = 0; v < vectors; v++) {
        int64_t at = column + v * LANES;
        b[v] = p->b + at / PANEL_WIDTH * p->b_panel + at % PANEL_WIDTH;
    }
    for (int64_t k = p->depth; k > 0; k--) {
        vector right[VECTORS];
        UNROLLED
        for (int v = 0; v < vectors; v++) {
            right[v] = LOAD(b[v]);
            b[v] += b_depth;
        }
        UNROLLED
        for (int m = 0; m < rows; m++) {
            vector left = SPREAD(a[m / TRIPLE][m % TRIPLE * a_row]);
            UNROLLED
            for (int v = 0; v < vectors; v++) {
                sum[m][v] = FUSED(left, right[v], sum[m][v]);
            }
        }
        UNROLLED
        for (int m = 0; m < rows; m += TRIPLE) {
            a[m / TRIPLE] += a_depth;
        }
    }
    UNROLLED
    for (int m = 0; m < rows; m++) {
        UNROLLED
        for (int v = 0; v < vectors; v++) {
            STORE(c + m * p->c_row + v * LANES, sum[m][v]);
        }
    }
}

/* The last rows, fewer than a block has. */
static void rest(const struct panel_product *p, int64_t row, int64_t column)
{
    int64_t left = p->rows - row;
    for (; left >= 4; left -= 4, row += 4) {
        block(p, row, column, 4, VECTORS);
    }
    for (; left >= 2; left -= 2, row += 2) {
        block(p, row, column, 2, VECTORS);
    }
    for (; left >= 1; left--, row++) {
        block(p, row, column, 1, VECTORS);
    }
}

void PANEL_FUNCTION(const struct panel_product *p)
{
    const int64_t whole = p->columns / (VECTORS * LANES) * (VECTORS * LANES);
    for (int64_t column = 0; column < whole; column += VECTORS * LANES) {
        int64_t row = 0;
        for (; row + ROWS <= p->rows; row += ROWS) {
            block(p, row, column, ROWS, VECTORS);
        }
        rest(p, row, column);
    }
    for (int64_t column = whole; column < p->columns; column += LANES) {
        for (int64_t row = 0; row < p->rows; row++) {
            block(p, row, column, 1, 1);
        }
    }
}
