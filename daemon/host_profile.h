/*
 * Would a later attempt of a job have the numeric profile of its first here?  The worker binary
 * itself is asked, with the environment that the job's ranks would have, in the thread pool; its
 * answer is kept for a short while, so that a thousand jobs that wait do not start it a thousand
 * times.  Loop thread.
 */
#ifndef HOST_PROFILE_H
#define HOST_PROFILE_H

#include "base/status.h"
#include "daemon/loop.h"

#include <stdint.h>

struct host_profile;

/* About a job; the texts live until the answer. */
struct profile_question {
    const char *wanted; /* the profile that its first attempt stored */
    const char *isa;    /* train.isa */
    const char *env_json;
    int64_t owner_uid; /* as whom the worker is asked: the environment is that user's (owner.h) */
    int64_t owner_gid;
};

/* CAM_OK: it is the same; CAM_OTHER_PROFILE names what differs; else it could not be found out. */
typedef void (*profile_answer_fn)(void *context, enum cam_code rc, const struct cam_err *err);

/* worker: path of cambrian-worker; it outlives this. */
CAM_CHECKED enum cam_code host_profile_create(struct loop *loop, const char *worker,
                                              struct host_profile **out, struct cam_err *err);

/* Answers once; before it returns where it cannot even be asked. */
void host_profile_examine(struct host_profile *host, const struct profile_question *question,
                          profile_answer_fn answer, void *context);

#endif
