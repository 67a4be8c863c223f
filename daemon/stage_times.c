#include "daemon/stage_times.h"

#include <stdio.h>
#include <string.h>

static int find(const struct stage_times *times, const char *phase, const char *stage)
{
    for (int i = 0; i < STAGE_TIMES_STAGES; i++) {
        const struct stage_time *one = &times->stages[i];
        if (one->used > 0 && strncmp(one->phase, phase, STAGE_NAME_SIZE - 1) == 0 &&
            strncmp(one->stage, stage, STAGE_NAME_SIZE - 1) == 0) {
            return i;
        }
    }
    return -1;
}

/* A free one has used 0, so it is the first to be taken. */
static int oldest(const struct stage_times *times)
{
    int place = 0;
    for (int i = 1; i < STAGE_TIMES_STAGES; i++) {
        place = times->stages[i].used < times->stages[place].used ? i : place;
    }
    return place;
}

void stage_times_add(struct stage_times *times, const char *phase, const char *stage,
                     int64_t took_ms)
{
    int place = find(times, phase, stage);
    if (place < 0) {
        place = oldest(times);
        struct stage_time *fresh = &times->stages[place];
        *fresh = (struct stage_time){0};
        (void)snprintf(fresh->phase, sizeof fresh->phase, "%s", phase);
        (void)snprintf(fresh->stage, sizeof fresh->stage, "%s", stage);
    }
    struct stage_time *one = &times->stages[place];
    one->used = ++times->clock;
    one->kept_ms[one->count % STAGE_TIMES_KEPT] =
        (int32_t)(took_ms < INT32_MAX ? took_ms : INT32_MAX);
    /* Only the remainder matters once the ring is full. */
    one->count = one->count + 1 < 2 * STAGE_TIMES_KEPT ? one->count + 1 : STAGE_TIMES_KEPT;
}

int64_t stage_times_median(const struct stage_times *times, const char *phase, const char *stage)
{
    int32_t sorted[STAGE_TIMES_KEPT];
    int place = find(times, phase, stage);
    if (place < 0) {
        return -1;
    }
    const struct stage_time *one = &times->stages[place];
    int count = one->count < STAGE_TIMES_KEPT ? one->count : STAGE_TIMES_KEPT;
    for (int i = 0; i < count; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1] > one->kept_ms[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = one->kept_ms[i];
    }
    return sorted[count / 2];
}
