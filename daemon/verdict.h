/*
 * How an attempt ended, from all that was left behind: pure.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "daemon/launch.h"
#include "daemon/live.h"
#include "daemon/records.h"

#include <stddef.h>

/* Fills *out; its texts point into mortem, live, or text[size].  live may be NULL. */
void verdict_reach(const struct post_mortem *mortem, const struct live *live, int64_t now_wall_ms,
                   struct attempt_end *out, char *text, size_t size);

#endif
