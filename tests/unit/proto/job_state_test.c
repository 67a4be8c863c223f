#include "proto/job_state.h"

#include "../unit.h"

#include <string.h>

/* The table of the design, a row an event: to-states in the order of the states. */
static void every_state_and_event(void **state)
{
    (void)state;
    enum {
        NO = JOB_NO_STATE,
        Q = JOB_QUEUED,
        H = JOB_HELD,
        S = JOB_STARTING,
        R = JOB_RUNNING,
        P = JOB_STOPPING,
        OK = JOB_SUCCEEDED,
        F = JOB_FAILED,
        C = JOB_CANCELLED,
        I = JOB_INTERRUPTED
    };
    static const int WANTED[JOB_EVENT_COUNT][JOB_STATE_COUNT] = {
        /*                      -   Q   H   S   R   P   OK  F   C   I */
        [JOB_EVENT_HOLD] = {NO, H, H, NO, NO, NO, NO, NO, NO, NO},
        [JOB_EVENT_RELEASE] = {NO, Q, Q, NO, NO, NO, NO, NO, NO, NO},
        [JOB_EVENT_CANCEL] = {NO, C, C, P, P, P, OK, F, C, I},
        [JOB_EVENT_START] = {NO, S, NO, NO, NO, NO, NO, NO, NO, NO},
        [JOB_EVENT_RUN] = {NO, NO, NO, R, R, P, NO, NO, NO, NO},
        [JOB_EVENT_SUCCEED] = {NO, NO, NO, OK, OK, OK, NO, NO, NO, NO},
        [JOB_EVENT_RETRY] = {NO, NO, NO, Q, Q, C, NO, NO, NO, NO},
        [JOB_EVENT_FAIL] = {NO, NO, NO, F, F, C, NO, NO, NO, NO},
        [JOB_EVENT_INTERRUPT] = {NO, NO, NO, I, I, I, NO, NO, NO, NO},
        [JOB_EVENT_RESUME] = {NO, NO, NO, NO, NO, NO, NO, Q, Q, Q},
    };
    for (int event = 0; event < JOB_EVENT_COUNT; event++) {
        for (int from = 0; from < JOB_STATE_COUNT; from++) {
            enum job_state to = job_next_state((enum job_state)from, (enum job_event)event);
            if ((int)to != WANTED[event][from]) {
                fail_msg("%s in %s gives %s", job_event_name((enum job_event)event),
                         job_state_name((enum job_state)from), job_state_name(to));
            }
        }
    }
    assert_int_equal(JOB_NO_STATE, job_next_state(JOB_STATE_COUNT, JOB_EVENT_CANCEL));
    assert_int_equal(JOB_NO_STATE, job_next_state(JOB_QUEUED, JOB_EVENT_COUNT));
}

static void names_come_back(void **state)
{
    (void)state;
    for (int i = JOB_QUEUED; i < JOB_STATE_COUNT; i++) {
        assert_int_equal(i, job_state_from_name(job_state_name((enum job_state)i)));
        assert_true(job_state_ended((enum job_state)i) == (i >= JOB_SUCCEEDED));
        assert_true(job_state_active((enum job_state)i) ==
                    (i >= JOB_STARTING && i <= JOB_STOPPING));
    }
    for (int i = 0; i < CAUSE_COUNT; i++) {
        assert_int_equal(i, job_cause_from_name(job_cause_rule((enum job_cause)i)->name));
    }
    assert_int_equal(JOB_NO_STATE, job_state_from_name("lost"));
    assert_int_equal(CAUSE_COUNT, job_cause_from_name("lost"));
}

/* What repeats exactly is not retried; what came from outside is not counted. */
static void every_cause(void **state)
{
    (void)state;
    static const struct {
        enum job_cause cause;
        bool retried;
        bool counted;
    } WANTED[] = {
        {CAUSE_SUCCEEDED, false, false},
        {CAUSE_STOPPED, false, false},
        {CAUSE_NON_FINITE, false, false},
        {CAUSE_REFUSED, false, false},
        {CAUSE_OUT_OF_MEMORY, false, false},
        {CAUSE_SIGNAL, true, true},
        {CAUSE_HANG, true, true},
        {CAUSE_LOST_RANK, true, true},
        {CAUSE_DISK_FULL, true, true},
        {CAUSE_IO, true, true},
        {CAUSE_TIME_LIMIT, false, false},
        {CAUSE_NEVER_STARTED, true, false},
        {CAUSE_PREEMPTED, true, false},
        {CAUSE_DRAINED, true, false},
        {CAUSE_REBOOT, true, false},
        {CAUSE_OTHER_PROFILE, true, false},
    };
    assert_int_equal(CAUSE_COUNT, sizeof WANTED / sizeof WANTED[0]);
    for (int i = 0; i < CAUSE_COUNT; i++) {
        const struct job_cause_rule *rule = job_cause_rule(WANTED[i].cause);
        assert_true(rule->retried == WANTED[i].retried && rule->counted == WANTED[i].counted);
    }
    for (int code = 0; code < CAM_CODE_COUNT; code++) {
        assert_int_not_equal(CAUSE_SUCCEEDED, job_cause_of_code((enum cam_code)code));
    }
    assert_int_equal(CAUSE_NON_FINITE, job_cause_of_code(CAM_NON_FINITE));
    assert_int_equal(CAUSE_REFUSED, job_cause_of_code(CAM_CHANGED));
    assert_int_equal(CAUSE_OTHER_PROFILE, job_cause_of_code(CAM_OTHER_PROFILE));
    assert_int_equal(CAUSE_LOST_RANK, job_cause_of_code(CAM_PEER_LOST));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(every_state_and_event),
        cmocka_unit_test(names_come_back),
        cmocka_unit_test(every_cause),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
