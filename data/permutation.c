#include "data/permutation.h"

#include "base/philox.h"

#include <assert.h>

/* Counter word 3 of the data order: no layer's stream, which are hashes with the top bit clear of
 * meaning; what counts is that it never changes. */
enum { ORDER_STREAM = 0x64617461, ROUNDS = 6 };

void permutation_init(struct permutation *permutation, uint64_t count, uint64_t seed,
                      uint64_t epoch)
{
    assert(count >= 1 && count <= (UINT64_C(1) << 62));
    unsigned half_bits = 1;
    while ((UINT64_C(1) << (2 * half_bits)) < count) {
        half_bits++;
    }
    *permutation =
        (struct permutation){.count = count, .seed = seed, .epoch = epoch, .half_bits = half_bits};
}

/* One pass through the network: a bijection on [0, 2^(2 half_bits)). */
static uint64_t pass(const struct permutation *p, uint64_t value)
{
    const uint32_t key[2] = {(uint32_t)p->seed, (uint32_t)(p->seed >> 32)};
    const uint32_t mask = (uint32_t)((UINT64_C(1) << p->half_bits) - 1);
    uint32_t left = (uint32_t)(value >> p->half_bits);
    uint32_t right = (uint32_t)value & mask;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t counter[4] = {right, (uint32_t)p->epoch,
                                     (uint32_t)(p->epoch >> 32) ^ (round << 24), ORDER_STREAM};
        uint32_t bits[4];
        philox4x32_10(counter, key, bits);
        uint32_t next = left ^ (bits[0] & mask);
        left = right;
        right = next;
    }
    return ((uint64_t)left << p->half_bits) | right;
}

uint64_t permutation_at(const struct permutation *permutation, uint64_t index)
{
    assert(index < permutation->count);
    uint64_t value = index;
    do {
        value = pass(permutation, value);
    } while (value >= permutation->count);
    return value;
}
