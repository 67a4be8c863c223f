/*
 * The job's folder: what daemon, shim and worker agree on about one attempt of a job.
 *
 *   JOB/job.yaml              the job's text as submitted
 *   JOB/job.json              struct attempt_job: whose it is, name for errors, base folder, --set
 *                             pairs; there before the first attempt's folder
 *   JOB/data.json             identity of the data, written by rank 0 of the first attempt
 *   JOB/profile.json          numeric profile, written by rank 0 of the first attempt
 *   JOB/epochs.jsonl          one line an epoch, fsynced before any checkpoint that covers it
 *   JOB/samples/epoch-0001.png   or .csv, where samples are points
 *   JOB/attempts/N/
 *     attempt.json            struct attempt_order, written by the daemon before the shim starts
 *     token                   32 bytes, mode 0600: what ranks show when they report
 *     endpoint                "unix:PATH" or "tcp:HOST:PORT"; read anew at every connection: a
 *                             restarted daemon may write another
 *     void                    there: this attempt must never start
 *     lock                    flock: held by the shim while it lives
 *     alive                   flock shared: held by every rank while it lives
 *     shim.json               struct attempt_shim: written by the shim once it holds the lock
 *     exit.json               struct attempt_exit: written by the shim after the proof of death
 *     outcome.json            {"outcome": "succeeded"|"stopped", "weights_sha256", "step",
 *                             "model", "peak_bytes"}, rank 0's last act; "model" is relative
 *                             to JOB, "peak_bytes" the most memory that rank 0 held
 *     failure-RANK.json       {"code", "text", "rank", "step", "phase"}: a rank's own account
 *     failed                  there: a rank has a cause of its own in failure-RANK.json, so that
 *                             SIGTERM means its mates no polite end
 *     log, log.1              what mpirun and the ranks print, size-capped
 *     checkpoints/step-000000000042/
 *                             model.safetensors optimizer.safetensors state.json
 *     final/model.safetensors
 *
 * JOB is JOBS/ID.  Beside the jobs' folders:
 *   JOBS/queue.json           {"queue": "..."}: the identity of the queue (of the database) that
 *                             all jobs in it are of; a daemon of another refuses the folder
 *   JOBS/lock                 flock: held by the daemon that serves it; holds its pid
 *   JOBS/ID.stale-TIME        was found under ID and is of another job: nobody reads it
 *   JOB/attempts/N.stale-TIME the same for an attempt (after a backup was restored)
 *
 * Every file is replaced whole (base/file.h) except epochs.jsonl and the log.  A folder name is
 * never used twice: attempt numbers only grow, so a rank that was cut off cannot overwrite its
 * successor's files.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ATTEMPT_TOKEN_BYTES = 32, ATTEMPT_QUEUE_SIZE = 40 };

/* JOB/job.json */
struct attempt_job {
    int64_t id;
    const char *file_name;
    const char *base_dir;
    const char *const *set;
    size_t set_count;
    const char *queue; /* identity; "" in one that an early release wrote */
    int64_t submitted_at_ms;
};

/* JOB/attempts/N/attempt.json */
struct attempt_order {
    int64_t job_id;
    int attempt;
    int ranks;
    int lanes;               /* shards a rank computes at once */
    const char *scratch;     /* private folder in memory: Open MPI's session, segments, windows */
    const char *resume_from; /* checkpoint folder relative to JOB, or NULL: from the start */
    int64_t time_limit_ms;   /* left for this attempt; 0: none */
    int64_t grace_ms;        /* between a polite end and SIGKILL */
    int64_t log_bytes_max;   /* of log before it becomes log.1 */
    const char *const *argv; /* mpirun and its arguments; argv_count strings */
    size_t argv_count;
};

/* JOB/attempts/N/shim.json */
struct attempt_shim {
    int64_t pid;
    int64_t start_ticks; /* field 22 of /proc/PID/stat: tells a recycled pid */
    char boot_id[40];
};

/* The shim's own exit status where it leaves no record: a full disk kept it from writing one, or
 * it could not prove the death of all its processes (shim.log says why). */
enum { ATTEMPT_SHIM_DISK_FULL = 73, ATTEMPT_SHIM_NO_PROOF = 74 };

/* JOB/attempts/N/exit.json */
struct attempt_exit {
    int exit_code;       /* of mpirun; -1 where a signal ended it or it never started */
    int signal;          /* that ended mpirun, or 0 */
    bool timed_out;      /* the shim ended it at the time limit */
    bool stop_killed;    /* the shim ended it because it was told to (SIGTERM to the shim) */
    int64_t elapsed_ms;  /* from launch to proof of death: counts against the time limit */
    int64_t ended_at_ms; /* wall clock */
    char text[512];      /* why it never started, or "" */
    enum cam_code code;  /* of text */
};

/* "JOB/attempts/N", or "JOB/attempts/N/FILE" where file is not NULL. */
CAM_CHECKED enum cam_code attempt_path(const char *job_dir, int attempt, const char *file,
                                       char out[CAM_PATH_SIZE], struct cam_err *err);

/* Whole-file writes, synced but for the order's (base/file.h); the folder must exist.  CAM_IO,
 * CAM_DISK_FULL, CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code attempt_write_job(const char *job_dir, const struct attempt_job *job,
                                            struct cam_err *err);
CAM_CHECKED enum cam_code
attempt_write_order(const char *job_dir, const struct attempt_order *order, struct cam_err *err);
CAM_CHECKED enum cam_code attempt_write_shim(const char *job_dir, int attempt,
                                             const struct attempt_shim *shim, struct cam_err *err);
CAM_CHECKED enum cam_code attempt_write_exit(const char *job_dir, int attempt,
                                             const struct attempt_exit *exit, struct cam_err *err);

/* JOBS/queue.json.  CAM_NOT_FOUND where the folder has no owner yet, CAM_CORRUPT. */
CAM_CHECKED enum cam_code attempt_read_queue(const char *jobs_dir, char out[ATTEMPT_QUEUE_SIZE],
                                             struct cam_err *err);
CAM_CHECKED enum cam_code attempt_write_queue(const char *jobs_dir, const char *queue,
                                              struct cam_err *err);

/* Reads; strings live in the arena.  CAM_NOT_FOUND, or CAM_CORRUPT naming file and field. */
CAM_CHECKED enum cam_code attempt_read_job(const char *job_dir, struct cam_arena *arena,
                                           struct attempt_job *out, struct cam_err *err);
CAM_CHECKED enum cam_code attempt_read_order(const char *job_dir, int attempt,
                                             struct cam_arena *arena, struct attempt_order *out,
                                             struct cam_err *err);
CAM_CHECKED enum cam_code attempt_read_shim(const char *job_dir, int attempt,
                                            struct attempt_shim *out, struct cam_err *err);
CAM_CHECKED enum cam_code attempt_read_exit(const char *job_dir, int attempt,
                                            struct attempt_exit *out, struct cam_err *err);

#endif
