/*
 * Matrix products on panels of 16 columns, for one thread: C = A B, or C += A B.  Every element of
 * C is one chain of fused multiply-adds over the depth, in its order, so that its bits are the same
 * for every instruction set, size of block and place in the matrix.
 *
 * panel_avx2 and panel_avx512 are one source compiled twice; panel_multiply takes what the
 * processor has.
 */
#ifndef CPU_PANEL_H
#define CPU_PANEL_H

#include <stdbool.h>
#include <stdint.h>

enum { PANEL_WIDTH = 16 };

struct panel_product {
    int64_t rows;
    int64_t columns; /* a multiple of PANEL_WIDTH */
    int64_t depth;
    const float *a; /* element (m, k) at m * a_row + k * a_depth */
    int64_t a_row;
    int64_t a_depth;
    const float *b; /* element (k, n) at n / 16 * b_panel + k * b_depth + n % 16 */
    int64_t b_panel;
    int64_t b_depth;
    float *c; /* element (m, n) at m * c_row + n; overlaps neither */
    int64_t c_row;
    bool add;
};

typedef void panel_function(const struct panel_product *p);

panel_function panel_avx2, panel_avx512;

/* Where the processor has AVX-512, that; else AVX2, which it must have. */
panel_function *panel_multiply(void);

#endif
