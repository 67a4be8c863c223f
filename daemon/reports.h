/*
 * What ranks say while they train: their own listener, beside the clients'.  A rank shows its
 * attempt's token first; everything it says then is about its own rank.  Loop thread.
 */
#ifndef REPORTS_H
#define REPORTS_H

#include "base/status.h"
#include "daemon/core.h"
#include "daemon/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct reports;

struct reports_limits {
    int64_t frame_limit_ms;
    bool everybody; /* ranks of all users connect, each with its own job's token */
};

/* Listens on the Unix socket at path. */
CAM_CHECKED enum cam_code reports_open(struct loop *loop, struct core *core, const char *path,
                                       const struct reports_limits *limits, struct reports **out,
                                       struct cam_err *err);
void reports_close(struct reports *reports);

/* core_ports.ask_stop: tells rank 0 of the attempt; false when it is not connected. */
bool reports_ask_stop(struct reports *reports, int64_t job_id, int attempt, const char *reason);

#endif
