/*
 * Whose the folder of jobs is, and whose a job's folder in it.  Job numbers begin at 1 in every
 * database: a folder that a former queue, or this one before a backup was restored, left behind is
 * moved aside or refused, and never read as the new job's.  Blocks: start of the daemon, and pool.
 *
 * Where the daemon is root, JOBS and the names in it are root's, JOBS/ID and all below its owner's:
 * looking into it is done with the rights of whomever it belongs to (owner.h).
 */
#ifndef JOBS_FOLDER_H
#define JOBS_FOLDER_H

#include "base/file.h"
#include "base/status.h"
#include "proto/attempt.h"

#include <stdbool.h>
#include <stdint.h>

enum { JOBS_SAID_SIZE = 1016 };

/* A queue as its database names it. */
struct jobs_owner {
    char queue[ATTEMPT_QUEUE_SIZE];
    int64_t last_id; /* the largest that it has given to a job; 0: none yet */
    bool everybody;  /* it serves all users */
};

/*
 * Creates the folder where missing, makes path absolute, locks it for this process (JOBS/lock; the
 * descriptor stays open until the process ends) and writes JOBS/queue.json where there is none.
 * everybody: its mode is 0711, so that owners reach their jobs' folders; otherwise new ones are
 * 0700. CAM_CONFLICT: another daemon has it after wait_ms, or it is of another queue.
 */
CAM_CHECKED enum cam_code jobs_folder_take(char path[CAM_PATH_SIZE], const struct jobs_owner *owner,
                                           int64_t wait_ms, int *fd_out, struct cam_err *err);

/* Which job a folder must be of. */
struct jobs_claim {
    const char *queue;
    int64_t job_id;
    int64_t submitted_at_ms;
    int64_t owner_uid; /* owner.h */
    int64_t owner_gid;
    bool first_start; /* nothing of the job can be there yet */
};

/*
 * Moves job_dir aside (JOBS/ID.stale-TIME) where it is not this job's, and writes into said what
 * was done; otherwise said stays as it is.  CAM_CONFLICT: something of it still lives.  After any
 * failure the folder must not be read for the job.
 */
CAM_CHECKED enum cam_code jobs_folder_claim(const char *job_dir, const struct jobs_claim *claim,
                                            char said[JOBS_SAID_SIZE], struct cam_err *err);

/* Creates JOBS/ID, mode 0700, for its owner; one that is there must be the owner's, CAM_DENIED. */
CAM_CHECKED enum cam_code jobs_folder_create(const char *job_dir, int64_t owner_uid,
                                             int64_t owner_gid, struct cam_err *err);

/* With the owner's rights.  Creates JOB/attempts/N anew; one that is there already is moved aside,
 * as jobs_folder_claim. CAM_CONFLICT: something lives in it or in that of a later attempt (a backup
 * was restored). */
CAM_CHECKED enum cam_code jobs_folder_new_attempt(const char *job_dir, int attempt,
                                                  char said[JOBS_SAID_SIZE], struct cam_err *err);

#endif
