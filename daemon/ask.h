/*
 * Asks another program a short question and waits for its answer: its output, both streams.
 * Blocking; the thread pool, or before the loop runs.
 */
#ifndef ASK_H
#define ASK_H

#include "base/status.h"
#include "daemon/owner.h"

#include <stddef.h>

enum { ASK_LIMIT_MS = 10000 };

struct ask {
    const char *const *argv;
    char *const *environment;  /* NULL: this process's */
    const struct owner *owner; /* as whom it runs; NULL: as this process */
    int limit_ms;              /* for answer and end together; 0: ASK_LIMIT_MS */
};

/* The answer is cut to size; *status_out is its exit status, 128 and more where a signal ended it.
 * CAM_UNSUPPORTED: no answer within the limit; else the system's word on why it does not start. */
CAM_CHECKED enum cam_code ask_program(const struct ask *ask, char *text, size_t size,
                                      int *status_out, struct cam_err *err);

#endif
