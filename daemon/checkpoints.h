/*
 * Finding checkpoints: JOB/attempts/N/checkpoints/step-000000000042, whole once renamed there.
 * Only folders of recorded attempts count.  Blocking; any thread.
 */
#ifndef CHECKPOINTS_H
#define CHECKPOINTS_H

#include "base/file.h"

#include <stdint.h>

/* The newest checkpoint of attempts 1..attempt: the last attempt that made one, its last step.
 * out is relative to job_dir, "" when there is none; *step_out is the largest step of any. */
void checkpoints_newest(const char *job_dir, int attempt, char out[CAM_PATH_SIZE],
                        int64_t *step_out);

#endif
