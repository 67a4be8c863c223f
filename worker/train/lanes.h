/*
 * The lanes of a rank: threads that run the same task side by side, each with its own number.
 * Lane 0 is the thread that calls lanes_run (the training thread, which also owns MPI); the others
 * are threads of this module that sleep between tasks.  One task at a time; nothing is allocated
 * by lanes_run.
 */
#ifndef LANES_H
#define LANES_H

#include "base/status.h"

struct lanes;

/* What a lane runs.  Errors go into the lane's own err. */
typedef enum cam_code (*lanes_task)(void *context, int lane, struct cam_err *err);

/* Starts count - 1 threads.  CAM_NO_MEMORY or CAM_UNAVAILABLE where threads are short. */
CAM_CHECKED enum cam_code lanes_create(int count, struct lanes **out, struct cam_err *err);

/* Ends the threads; NULL is allowed. */
void lanes_destroy(struct lanes *lanes);

int lanes_count(const struct lanes *lanes);

/* Runs task(context, lane) on every lane and waits for all; the error of the lowest lane that
 * failed is returned. */
CAM_CHECKED enum cam_code lanes_run(struct lanes *lanes, lanes_task task, void *context,
                                    struct cam_err *err);

#endif
