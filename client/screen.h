/*
 * The live picture of one job on a terminal: what watch draws again and again in place.
 *
 *   screen_init → screen_take (every update) → screen_draw after screen_erase ...
 *
 * Pure but for the text it is given: drawing appends to a struct cam_text.
 */
#ifndef SCREEN_H
#define SCREEN_H

#include "base/text.h"
#include "cambrian.pb-c.h"

#include <stdbool.h>

enum { SCREEN_METRICS_MAX = 8, SCREEN_HISTORY_MAX = 512, SCREEN_NAME_SIZE = 32 };

/* One metric's past.  When it is full every two values become their mean, and from then on stride
 * updates make one value. */
struct screen_history {
    char name[SCREEN_NAME_SIZE];
    double values[SCREEN_HISTORY_MAX];
    size_t count;
    size_t stride;
    double pending_sum;
    size_t pending_count;
};

struct screen {
    bool unicode;
    int width; /* of the terminal, in cells */
    int lines; /* drawn and not erased */
    int64_t step;
    struct screen_history metrics[SCREEN_METRICS_MAX];
    int metric_count;
};

void screen_init(struct screen *screen, int width, bool unicode);

/* Remembers the metrics of an update, or of an epoch that ended before the first one. */
void screen_take(struct screen *screen, const Cam__Job *job);
void screen_take_epoch(struct screen *screen, const Cam__Epoch *epoch);

/* Appends what removes the picture from the terminal. */
void screen_erase(struct screen *screen, struct cam_text *out);

/* Appends the picture; no line is wider than the terminal. */
void screen_draw(struct screen *screen, const Cam__Job *job, struct cam_text *out);

#endif
