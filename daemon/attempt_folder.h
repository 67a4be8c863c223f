/*
 * An attempt's folder from the daemon's side: writing it before the launch, reading what is left
 * after the end, and proving that nothing lives.  Thread pool: everything here blocks.
 *
 * The folder is its owner's (owner.h): all but attempt_folder_prove, which sees to it itself, is
 * called between owner_enter and owner_leave.  What it says of the attempt (lock, alive, shim.json,
 * exit.json, outcome.json) is the owner's word, and is believed of this job alone.
 */
#ifndef ATTEMPT_FOLDER_H
#define ATTEMPT_FOLDER_H

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"
#include "daemon/jobs_folder.h"
#include "daemon/launch.h"
#include "daemon/mpirun.h"
#include "daemon/owner.h"

#include <stdbool.h>
#include <stdint.h>

/* Names the attempt in the environment of all its processes, so that strays can be found. */
#define ATTEMPT_MARK "CAMBRIAN_SCRATCH"

/* What an attempt's files are made from, beside the order. */
struct attempt_surroundings {
    const char *queue;
    const char *endpoint;
    const struct mpirun *mpirun;
    const char *worker;
    int cores;
    int64_t kill_grace_ms;
    int64_t log_bytes_max;
};

/* Writes JOB/job.yaml, job.json and the attempt's token, endpoint and attempt.json.  The job's
 * folder is claimed already; said is told what was moved aside for the attempt's (jobs_folder.h).
 */
CAM_CHECKED enum cam_code attempt_folder_write(const char *job_dir,
                                               const struct launch_order *order,
                                               const struct attempt_surroundings *around,
                                               char said[JOBS_SAID_SIZE], struct cam_err *err);

/* The environment of an attempt, NULL-terminated, in the arena: an allowlist of this process's
 * (HOME, USER and LOGNAME are the owner's), the job's own, and the mark (scratch; NULL: none).
 * NULL when memory is short. */
char **attempt_folder_environment(const char *env_json, const struct owner *owner,
                                  const char *scratch, struct cam_arena *arena);

enum attempt_finding {
    ATTEMPT_LIVES,        /* its shim holds the lock */
    ATTEMPT_ENDED,        /* the shim left its record */
    ATTEMPT_SHIM_DIED,    /* it was started; whether ranks live is to be proved */
    ATTEMPT_NEVER_STARTED /* and now never will be */
};

struct attempt_found {
    enum attempt_finding finding;
    int pidfd;     /* of a shim that lives, else -1; the caller's */
    bool rebooted; /* it belongs to another boot */
};

/* How an attempt of an earlier daemon is. */
CAM_CHECKED enum cam_code attempt_folder_find(const char *job_dir, int attempt, int64_t owner_uid,
                                              struct attempt_found *out, struct cam_err *err);

/* Whether an attempt, whose shim has gone, had not come as far as shim.json; if so it now never
 * will.  False also where the disk does not tell. */
bool attempt_folder_never_began(const char *job_dir, int attempt);

/* Tells the ranks where to report; writes nothing where they know already.  A failure leaves them
 * as they were: they train on, unheard. */
CAM_CHECKED enum cam_code attempt_folder_point(const char *job_dir, int attempt,
                                               const char *endpoint, struct cam_err *err);

/* After the shim has gone: ends strays, and is true once nothing of the attempt lives (every
 * rank's lock is free and no process carries the mark) or the shim left its record. */
bool attempt_folder_prove(const char *job_dir, int attempt, const char *scratch,
                          const struct owner *owner);

/* Reads what the attempt left; never fails: what cannot be read is mortem->warning.
 * job_id, attempt, never_started and rebooted are the caller's. */
void attempt_folder_read(const char *job_dir, struct post_mortem *mortem);

#endif
