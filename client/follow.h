/*
 * Following a job until it has ended, over daemons that come and go: watch and wait are made of it.
 */
#ifndef FOLLOW_H
#define FOLLOW_H

#include "client/connection.h"

/* Called with every update; the job is the callee's only until it returns. */
typedef enum cam_code follow_update(void *context, const Cam__Job *job, struct cam_err *err);

/* Returns after the update of the end.  A connection that breaks is made anew for up to 10 s: the
 * job does not stop because its daemon is being restarted.  CAM_STOPPED on Ctrl-C where the
 * caller blocks SIGINT. */
CAM_CHECKED enum cam_code follow_job(const struct invocation *in, int64_t id, follow_update *update,
                                     void *context, struct cam_err *err);

#endif
