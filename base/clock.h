/*
 * The two clocks.  Durations are monotonic; times that are stored or shown are wall clock.
 * Pure code (model/, the scheduler) never includes this: time comes in as an argument there.
 */
#ifndef CAM_CLOCK_H
#define CAM_CLOCK_H

#include <stdint.h>

int64_t cam_monotonic_ns(void);
int64_t cam_wall_ms(void); /* since 1970-01-01T00:00:00Z */
void cam_sleep_ms(int64_t milliseconds);

#endif
