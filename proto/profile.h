/*
 * The numeric profile: all that a job's bits depend on besides the job file and the data, as one
 * JSON object ("isa": "avx2", "onednn": "2.6.3", ...).  The first attempt's is kept; daemon and
 * ranks compare with it.  Pure; any thread.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include "base/status.h"

/* CAM_OTHER_PROFILE with "oneDNN 3.7.0 here, the first attempt used 2.6.3" (whose, others: "here",
 * "the first attempt"); of several members that differ the first few are named.  CAM_CORRUPT where
 * one is no JSON object. */
CAM_CHECKED enum cam_code profile_compare(const char *whose, const char *profile,
                                          const char *others, const char *other,
                                          struct cam_err *err);

/* The same for what `cambrian-worker --profile` says of this host: it knows no job, so the members
 * that the job file decides (shards, threads_per_shard) are left out. */
CAM_CHECKED enum cam_code profile_compare_host(const char *host, const char *wanted,
                                               struct cam_err *err);

#endif
