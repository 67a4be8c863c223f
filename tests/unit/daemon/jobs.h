/*
 * A job as admitted, and a temporary folder, for tests of the store and what stands on it.
 */
#ifndef JOBS_H
#define JOBS_H

#include "daemon/records.h"

#include <stdio.h>

static inline struct new_job test_job(const char *key)
{
    return (struct new_job){
        .request_key = key,
        .name = "tiny",
        .kind = "gan",
        .spec_sha256 = "0123",
        .spec_text = "name: tiny\n",
        .file_name = "tiny.yaml",
        .base_dir = "/data",
        .set_json = "[]",
        .env_json = "{}",
        .ranks_min = 1,
        .ranks_max = 2,
        .shards = 2,
        .threads_per_shard = 1,
        .epochs = 3,
        .batch = 8,
        .steps_per_epoch = 10,
        .retry_max = 2,
        .backoff_ms = 1000,
    };
}

#endif
