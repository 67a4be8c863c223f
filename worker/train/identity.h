/*
 * What a job was started with, and must go on with: the data's identity (JOB/data.json) and the
 * numeric profile (JOB/profile.json).  The first attempt writes them, later ones compare.
 * Rank 0 only, blocking.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"
#include "kernels/backend.h"
#include "proto/attempt.h"
#include "proto/jobfile.h"

/* Digest of the job's text and its --set pairs. */
CAM_CHECKED enum cam_code identity_of_job(const char *text, size_t size,
                                          const struct attempt_job *job,
                                          char hex_out[CAM_DIGEST_HEX_SIZE], struct cam_err *err);

/* Reads or writes JOB/data.json and gives the digest of what it says.  A file whose size and time
 * are as recorded is taken as unchanged; else its bytes are digested.  CAM_CHANGED names the file,
 * what it was and what it is. */
CAM_CHECKED enum cam_code identity_keep_data(const char *job_dir, const struct data_spec *data,
                                             char hex_out[CAM_DIGEST_HEX_SIZE],
                                             struct cam_err *err);

/* All that the bits depend on besides job and data, as one line of JSON; ends with
 * cam_text_release. */
struct identity_numbers {
    const struct backend *backend;
    const struct backend_instance *instance;
    int64_t shards; /* 0: no job is known, and nothing that a job file decides is told */
    int64_t threads_per_shard;
    const char *test; /* a further member, for tests; NULL: none */
};
CAM_CHECKED enum cam_code identity_profile(const struct identity_numbers *numbers,
                                           struct cam_text *out, struct cam_err *err);

/* Reads or writes JOB/profile.json.  CAM_OTHER_PROFILE names what differs (proto/profile.h). */
CAM_CHECKED enum cam_code identity_keep_profile(const char *job_dir, const char *profile,
                                                struct cam_err *err);

#endif
