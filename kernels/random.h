/*
 * What the random operators mean, for every backend.  Element e of row r of a stream is word e % 4
 * of Philox4x32-10 under counter (e / 4, r, execution, stream) and key (seed's low, high half).
 *   uniform  (word >> 8) * 2^-24: a multiple of 2^-24 in [0, 1)
 *   normal   Box-Muller on the word pairs (0, 1) and (2, 3) of a block: u = ((first >> 8) + 1) *
 *            2^-24 in (0, 1], v = (second >> 8) * 2^-24; the even element is sqrt(-2 ln u) *
 *            cos(2 pi v), the odd one sqrt(-2 ln u) * sin(2 pi v).
 * Rows: r = first_row + row where the operator counts by row, else 0.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include "base/philox.h"
#include "kernels/backend.h"

#include <stdint.h>

#define RANDOM_UNIT (1.0 / 16777216.0) /* 2^-24 */

/* The four words of the block that holds `element`. */
static inline void random_block(const struct random_context *random, uint32_t stream, uint32_t row,
                                uint32_t element, uint32_t words_out[4])
{
    const uint32_t counter[4] = {element / 4, row, random->execution, stream};
    const uint32_t key[2] = {(uint32_t)random->seed, (uint32_t)(random->seed >> 32)};
    philox4x32_10(counter, key, words_out);
}

#endif
