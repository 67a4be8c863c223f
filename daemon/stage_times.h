/*
 * How long a rank's stages usually take: the median of the last durations of each (phase, stage),
 * in fixed memory.  A stage that is new when all places are taken replaces the one that was heard
 * of longest ago.  Zero-initialise; pure.
 */
#ifndef STAGE_TIMES_H
#define STAGE_TIMES_H

#include <stdint.h>

enum { STAGE_TIMES_KEPT = 15, STAGE_TIMES_STAGES = 16, STAGE_NAME_SIZE = 48 };

struct stage_time {
    char phase[STAGE_NAME_SIZE];
    char stage[STAGE_NAME_SIZE];
    int32_t kept_ms[STAGE_TIMES_KEPT]; /* a ring */
    int32_t count;                     /* of all durations; those kept are the last */
    int64_t used;                      /* larger: later; 0: free */
};

struct stage_times {
    struct stage_time stages[STAGE_TIMES_STAGES];
    int64_t clock;
};

/* A stage took so long; names are cut to size. */
void stage_times_add(struct stage_times *times, const char *phase, const char *stage,
                     int64_t took_ms);

/* The median of what is kept (of an even number the larger middle one); -1: nothing is known. */
int64_t stage_times_median(const struct stage_times *times, const char *phase, const char *stage);

#endif
