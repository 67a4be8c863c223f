#include "proto/job_state.h"

#include <string.h>

static const char *const STATE_NAMES[] = {
    [JOB_NO_STATE] = "unknown",        [JOB_QUEUED] = "queued",   [JOB_HELD] = "held",
    [JOB_STARTING] = "starting",       [JOB_RUNNING] = "running", [JOB_STOPPING] = "stopping",
    [JOB_SUCCEEDED] = "succeeded",     [JOB_FAILED] = "failed",   [JOB_CANCELLED] = "cancelled",
    [JOB_INTERRUPTED] = "interrupted",
};
_Static_assert(sizeof STATE_NAMES / sizeof STATE_NAMES[0] == JOB_STATE_COUNT, "a name a state");

/* NEXT[event].to[state]; what is not written is not legal. */
static const struct {
    const char *name;
    enum job_state to[JOB_STATE_COUNT];
} NEXT[] = {
    [JOB_EVENT_HOLD] = {"hold", {[JOB_QUEUED] = JOB_HELD, [JOB_HELD] = JOB_HELD}},
    [JOB_EVENT_RELEASE] = {"release", {[JOB_HELD] = JOB_QUEUED, [JOB_QUEUED] = JOB_QUEUED}},
    [JOB_EVENT_CANCEL] = {"cancel",
                          {[JOB_QUEUED] = JOB_CANCELLED,
                           [JOB_HELD] = JOB_CANCELLED,
                           [JOB_STARTING] = JOB_STOPPING,
                           [JOB_RUNNING] = JOB_STOPPING,
                           [JOB_STOPPING] = JOB_STOPPING,
                           /* An ended job says what it ended as. */
                           [JOB_SUCCEEDED] = JOB_SUCCEEDED,
                           [JOB_FAILED] = JOB_FAILED,
                           [JOB_CANCELLED] = JOB_CANCELLED,
                           [JOB_INTERRUPTED] = JOB_INTERRUPTED}},
    [JOB_EVENT_START] = {"start", {[JOB_QUEUED] = JOB_STARTING}},
    [JOB_EVENT_RUN] = {"run",
                       {[JOB_STARTING] = JOB_RUNNING,
                        [JOB_RUNNING] = JOB_RUNNING,
                        [JOB_STOPPING] = JOB_STOPPING}},
    [JOB_EVENT_SUCCEED] = {"succeed",
                           {[JOB_STARTING] = JOB_SUCCEEDED,
                            [JOB_RUNNING] = JOB_SUCCEEDED,
                            [JOB_STOPPING] = JOB_SUCCEEDED}},
    [JOB_EVENT_RETRY] =
        {"retry",
         {[JOB_STARTING] = JOB_QUEUED, [JOB_RUNNING] = JOB_QUEUED, [JOB_STOPPING] = JOB_CANCELLED}},
    [JOB_EVENT_FAIL] =
        {"fail",
         {[JOB_STARTING] = JOB_FAILED, [JOB_RUNNING] = JOB_FAILED, [JOB_STOPPING] = JOB_CANCELLED}},
    [JOB_EVENT_INTERRUPT] = {"interrupt",
                             {[JOB_STARTING] = JOB_INTERRUPTED,
                              [JOB_RUNNING] = JOB_INTERRUPTED,
                              [JOB_STOPPING] = JOB_INTERRUPTED}},
    [JOB_EVENT_RESUME] =
        {"resume",
         {[JOB_FAILED] = JOB_QUEUED, [JOB_CANCELLED] = JOB_QUEUED, [JOB_INTERRUPTED] = JOB_QUEUED}},
};
_Static_assert(sizeof NEXT / sizeof NEXT[0] == JOB_EVENT_COUNT, "a row an event");

static const struct job_cause_rule CAUSES[] = {
    /* The first two are no failures: nothing is left to try. */
    [CAUSE_SUCCEEDED] = {"succeeded", false, false},
    [CAUSE_STOPPED] = {"stopped", false, false},
    [CAUSE_NON_FINITE] = {"non-finite", false, false},
    [CAUSE_REFUSED] = {"refused", false, false},
    [CAUSE_OUT_OF_MEMORY] = {"out-of-memory", false, false},
    [CAUSE_SIGNAL] = {"signal", true, true},
    [CAUSE_HANG] = {"hang", true, true},
    [CAUSE_LOST_RANK] = {"lost-rank", true, true},
    [CAUSE_DISK_FULL] = {"disk-full", true, true},
    [CAUSE_IO] = {"io", true, true},
    [CAUSE_TIME_LIMIT] = {"time-limit", false, false},
    [CAUSE_NEVER_STARTED] = {"never-started", true, false},
    [CAUSE_PREEMPTED] = {"preempted", true, false},
    [CAUSE_DRAINED] = {"drained", true, false},
    [CAUSE_REBOOT] = {"reboot", true, false},
    [CAUSE_OTHER_PROFILE] = {"other-profile", true, false},
};
_Static_assert(sizeof CAUSES / sizeof CAUSES[0] == CAUSE_COUNT, "a rule a cause");

/* The first code is 0, so an unwritten row would read CAUSE_SUCCEEDED: the test walks them. */
static const enum job_cause CODE_CAUSES[] = {
    [CAM_OK] = CAUSE_LOST_RANK,          [CAM_INVALID] = CAUSE_REFUSED,
    [CAM_NOT_FOUND] = CAUSE_REFUSED,     [CAM_NO_MEMORY] = CAUSE_OUT_OF_MEMORY,
    [CAM_CONFLICT] = CAUSE_REFUSED,      [CAM_DENIED] = CAUSE_REFUSED,
    [CAM_UNAVAILABLE] = CAUSE_LOST_RANK, [CAM_IO] = CAUSE_IO,
    [CAM_DISK_FULL] = CAUSE_DISK_FULL,   [CAM_CORRUPT] = CAUSE_REFUSED,
    [CAM_CHANGED] = CAUSE_REFUSED,       [CAM_PROTOCOL] = CAUSE_LOST_RANK,
    [CAM_TIMEOUT] = CAUSE_HANG,          [CAM_NON_FINITE] = CAUSE_NON_FINITE,
    [CAM_PEER_LOST] = CAUSE_LOST_RANK,   [CAM_STOPPED] = CAUSE_STOPPED,
    [CAM_UNSUPPORTED] = CAUSE_REFUSED,   [CAM_OTHER_PROFILE] = CAUSE_OTHER_PROFILE,
    [CAM_INTERNAL] = CAUSE_REFUSED,
};
_Static_assert(sizeof CODE_CAUSES / sizeof CODE_CAUSES[0] == CAM_CODE_COUNT, "a cause a code");

enum job_state job_next_state(enum job_state state, enum job_event event)
{
    return (int)state < 0 || state >= JOB_STATE_COUNT || (int)event < 0 || event >= JOB_EVENT_COUNT
               ? JOB_NO_STATE
               : NEXT[event].to[state];
}

const struct job_cause_rule *job_cause_rule(enum job_cause cause)
{
    return &CAUSES[(int)cause >= 0 && cause < CAUSE_COUNT ? cause : CAUSE_LOST_RANK];
}

enum job_cause job_cause_of_code(enum cam_code code)
{
    return (int)code >= 0 && code < CAM_CODE_COUNT ? CODE_CAUSES[code] : CAUSE_LOST_RANK;
}

const char *job_state_name(enum job_state state)
{
    return STATE_NAMES[(int)state >= 0 && state < JOB_STATE_COUNT ? state : JOB_NO_STATE];
}

enum job_state job_state_from_name(const char *name)
{
    for (int i = JOB_QUEUED; name != NULL && i < JOB_STATE_COUNT; i++) {
        if (strcmp(STATE_NAMES[i], name) == 0) {
            return (enum job_state)i;
        }
    }
    return JOB_NO_STATE;
}

const char *job_event_name(enum job_event event)
{
    return (int)event >= 0 && event < JOB_EVENT_COUNT ? NEXT[event].name : "unknown";
}

enum job_cause job_cause_from_name(const char *name)
{
    for (int i = 0; name != NULL && i < CAUSE_COUNT; i++) {
        if (strcmp(CAUSES[i].name, name) == 0) {
            return (enum job_cause)i;
        }
    }
    return CAUSE_COUNT;
}

bool job_state_ended(enum job_state state)
{
    return state >= JOB_SUCCEEDED && state < JOB_STATE_COUNT;
}

bool job_state_active(enum job_state state)
{
    return state == JOB_STARTING || state == JOB_RUNNING || state == JOB_STOPPING;
}
