/*
 * The order of an epoch: a bijection on [0, count) that depends on (seed, epoch) alone and is
 * computed an index at a time, so that nothing is stored and any rank reaches any sample in O(1).
 *
 * A Feistel network over the smallest even number of bits that holds count, with Philox as its
 * round function; a result past count is put through again until it falls inside (cycle walking:
 * fewer than four passes on average).  Plain values; any thread.
 */
#ifndef PERMUTATION_H
#define PERMUTATION_H

#include <stdint.h>

struct permutation {
    uint64_t count;
    uint64_t seed;
    uint64_t epoch;
    unsigned half_bits;
};

/* count is from 1 to 2^62. */
void permutation_init(struct permutation *permutation, uint64_t count, uint64_t seed,
                      uint64_t epoch);

/* The sample at a place of the epoch; index < count. */
uint64_t permutation_at(const struct permutation *permutation, uint64_t index);

#endif
