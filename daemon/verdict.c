#include "daemon/verdict.h"

#include <stdio.h>
#include <string.h>

/* Only what ranks say of themselves: that a peer was lost tells of another's end. */
static bool use_account(struct attempt_end *out, enum cam_code code, const char *text, int rank,
                        int64_t step)
{
    if (code == CAM_OK) {
        return false;
    }
    out->cause = job_cause_of_code(code);
    out->error_code = code;
    out->error_text = text;
    out->error_rank = rank;
    out->error_step = step;
    return true;
}

static void from_exit(const struct post_mortem *mortem, struct attempt_end *out, char *text,
                      size_t size)
{
    const struct attempt_exit *exit = &mortem->exit;
    out->error_code = CAM_PEER_LOST;
    out->error_text = text;
    if (!mortem->has_exit && mortem->shim_status == ATTEMPT_SHIM_DISK_FULL) {
        out->cause = CAUSE_DISK_FULL;
        out->error_code = CAM_DISK_FULL;
        (void)snprintf(text, size, "the jobs folder is full: how it ended could not be recorded");
    } else if (!mortem->has_exit && mortem->shim_status == ATTEMPT_SHIM_NO_PROOF) {
        out->cause = CAUSE_LOST_RANK;
        (void)snprintf(text, size,
                       "cambrian-shim, the parent of the attempt, could not find all its "
                       "processes (see shim.log); the daemon proved that none is left");
    } else if (!mortem->has_exit) {
        out->cause = CAUSE_SIGNAL;
        (void)snprintf(text, size, "cambrian-shim, the parent of the attempt, was killed");
    } else if (exit->text[0] != '\0') {
        out->error_code = exit->code == CAM_DISK_FULL ? CAM_DISK_FULL : CAM_IO;
        out->cause = job_cause_of_code(out->error_code);
        (void)snprintf(text, size, "could not be started: %s", exit->text);
    } else if (exit->signal != 0) {
        out->cause = CAUSE_SIGNAL;
        (void)snprintf(text, size, "mpirun was ended by signal %d (%s)", exit->signal,
                       strsignal(exit->signal));
    } else if (exit->exit_code > 128) {
        out->cause = CAUSE_SIGNAL;
        (void)snprintf(text, size, "a rank was ended by signal %d (%s)", exit->exit_code - 128,
                       strsignal(exit->exit_code - 128));
    } else {
        out->cause = CAUSE_LOST_RANK;
        (void)snprintf(text, size,
                       "the ranks ended with exit code %d and left no account; see the log",
                       exit->exit_code);
    }
}

void verdict_reach(const struct post_mortem *mortem, const struct live *live, int64_t now_wall_ms,
                   struct attempt_end *out, char *text, size_t size)
{
    text[0] = '\0';
    *out = (struct attempt_end){
        .job_id = mortem->job_id,
        .attempt = mortem->attempt,
        .exit_code = mortem->exit.exit_code,
        .signal = mortem->exit.signal,
        .elapsed_ms = mortem->exit.elapsed_ms,
        .checkpoint_step = mortem->checkpoint_step,
        .weights_sha256 = "",
        .model_path = "",
        .error_text = text,
        .error_rank = -1,
        .error_step = -1,
    };
    if (!mortem->has_exit && !mortem->never_started && live != NULL) {
        out->elapsed_ms =
            now_wall_ms > live->started_wall_ms ? now_wall_ms - live->started_wall_ms : 0;
    }
    if (mortem->launch_error[0] != '\0') {
        /* Most of what hinders a launch passes; only what cannot is not tried again. */
        bool told = mortem->launch_code == CAM_DISK_FULL || mortem->launch_code == CAM_CONFLICT;
        out->error_code = told ? mortem->launch_code : CAM_IO;
        out->cause = job_cause_of_code(out->error_code);
        out->error_text = mortem->launch_error;
    } else if (mortem->never_started) {
        out->cause = CAUSE_NEVER_STARTED;
    } else if (strcmp(mortem->outcome, "succeeded") == 0) {
        out->cause = CAUSE_SUCCEEDED;
        out->weights_sha256 = mortem->weights_sha256;
        out->model_path = mortem->model_path;
        out->step = mortem->step;
    } else if (mortem->has_exit && mortem->exit.timed_out) {
        out->cause = CAUSE_TIME_LIMIT;
        out->error_code = CAM_TIMEOUT;
        (void)snprintf(text, size, "the time limit has passed");
    } else if (live != NULL && live->drained) {
        out->cause = CAUSE_DRAINED;
        out->step = mortem->step;
    } else if (strcmp(mortem->outcome, "stopped") == 0 ||
               (live != NULL && live->stop_asked && !live->hung)) {
        out->cause = CAUSE_STOPPED;
        out->step = mortem->step;
    } else if (live != NULL && live->hung) {
        (void)use_account(out, live->error_code, live->error_text, live->error_rank,
                          live->error_step);
    } else if (mortem->rebooted) {
        out->cause = CAUSE_REBOOT;
        out->error_code = CAM_PEER_LOST;
        (void)snprintf(text, size, "the machine was restarted under it");
    } else if (mortem->failure_code != CAM_OK && mortem->failure_code != CAM_PEER_LOST) {
        (void)use_account(out, mortem->failure_code, mortem->failure_text, mortem->failure_rank,
                          mortem->failure_step);
    } else if (live == NULL || live->error_code == CAM_PEER_LOST ||
               !use_account(out, live->error_code, live->error_text, live->error_rank,
                            live->error_step)) {
        from_exit(mortem, out, text, size);
    }
    if (!mortem->has_exit || out->cause != CAUSE_STOPPED) {
        return;
    }
    if (mortem->exit.stop_killed) {
        (void)snprintf(text, size, "ended without saving");
    }
}
