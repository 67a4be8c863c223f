/*
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011):
 * 128 random bits as a pure function of a counter and a key.  No state, any thread; the same bits
 * on every machine.  What goes into counter and key is the caller's business.
 */
#ifndef CAM_PHILOX_H
#define CAM_PHILOX_H

#include <stdint.h>

/* counter: 4 words, key: 2 words, out: 4 words; out may be counter. */
void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
