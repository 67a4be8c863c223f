/*
 * The life of a job: its states, what may happen to it, and which end of an attempt is tried
 * again.  Two tables, no code: daemon, client and tests read the same rows.  Pure; any thread.
 *
 *                  release            start            first report
 *        HELD <------------> QUEUED --------> STARTING ------------> RUNNING
 *          |       hold       |  ^               |  |                 |  |
 *          | cancel    cancel |  |     retry     |  |                 |  |
 *          v                  v  +---------------+--|-----------------+  |
 *        CANCELLED <----------+                     |  cancel            | cancel
 *          ^   |                                    v                    v
 *          |   +--- resume --> QUEUED            STOPPING <--------------+
 *          |                                        |
 *          +--------- attempt ended ----------------+
 *
 * An attempt that succeeded makes its job SUCCEEDED whatever was asked meanwhile (it was first).
 */
#ifndef JOB_STATE_H
#define JOB_STATE_H

#include "base/status.h"

#include <stdbool.h>

/* Numbered as Job.State of cambrian.proto; 0 is no state. */
enum job_state {
    JOB_NO_STATE,
    JOB_QUEUED,
    JOB_HELD,
    JOB_STARTING,
    JOB_RUNNING,
    JOB_STOPPING,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_INTERRUPTED,
    JOB_STATE_COUNT,
};

enum job_event {
    JOB_EVENT_HOLD,
    JOB_EVENT_RELEASE,
    JOB_EVENT_CANCEL,
    JOB_EVENT_START,     /* an attempt's row is written */
    JOB_EVENT_RUN,       /* its rank 0 reported */
    JOB_EVENT_SUCCEED,   /* the attempt ended well */
    JOB_EVENT_RETRY,     /* it ended otherwise; the cause is retried and the budget allows it */
    JOB_EVENT_FAIL,      /* it ended otherwise, and is not tried again */
    JOB_EVENT_INTERRUPT, /* ended from outside (reboot, drain) with nothing left to retry */
    JOB_EVENT_RESUME,
    JOB_EVENT_COUNT,
};

/* How an attempt ended. */
enum job_cause {
    CAUSE_SUCCEEDED,
    CAUSE_STOPPED,       /* asked to, and it agreed */
    CAUSE_NON_FINITE,    /* NaN or infinity: repeats exactly */
    CAUSE_REFUSED,       /* bad job, shapes, changed or damaged data: repeats exactly */
    CAUSE_OUT_OF_MEMORY, /* by plan */
    CAUSE_SIGNAL,        /* a process of the attempt was killed */
    CAUSE_HANG,
    CAUSE_LOST_RANK, /* ended without an account of itself */
    CAUSE_DISK_FULL,
    CAUSE_IO,
    CAUSE_TIME_LIMIT,
    CAUSE_NEVER_STARTED,
    CAUSE_PREEMPTED,
    CAUSE_DRAINED,
    CAUSE_REBOOT,
    CAUSE_OTHER_PROFILE, /* the ranks' numbers would not be those of the first attempt */
    CAUSE_COUNT,
};

struct job_cause_rule {
    const char *name; /* as stored: "lost-rank" */
    bool retried;
    bool counted; /* against retry.max */
};

/* The state after event in state, or JOB_NO_STATE where the event is not legal there. */
enum job_state job_next_state(enum job_state state, enum job_event event);

/* What is done about a cause. */
const struct job_cause_rule *job_cause_rule(enum job_cause cause);

/* The cause behind a failure that a rank reported with a code of base/status.h. */
enum job_cause job_cause_of_code(enum cam_code code);

/* "queued" and so on; "unknown" for JOB_NO_STATE. */
const char *job_state_name(enum job_state state);
/* JOB_NO_STATE for a name nobody knows. */
enum job_state job_state_from_name(const char *name);
const char *job_event_name(enum job_event event);
/* CAUSE_COUNT for a name nobody knows. */
enum job_cause job_cause_from_name(const char *name);

/* succeeded, failed, cancelled, interrupted */
bool job_state_ended(enum job_state state);
/* starting, running, stopping: an attempt of it holds slots */
bool job_state_active(enum job_state state);

#endif
