/*
 * Brings this rank's rows of every batch into memory ahead of the step.
 * One thread of its own decodes into a bounded ring; the training thread takes batches in order.
 * Nothing is allocated after loader_create.
 *
 *   loader_create → (loader_take → use → loader_give_back)* → loader_destroy
 *
 * Batch b is batch b % per_epoch of epoch b / per_epoch; its row r is the sample at place
 * (b % per_epoch) * batch + r of that epoch's permutation.  What is left of the set after
 * per_epoch batches is dropped, another remainder each epoch.
 */
#ifndef LOADER_H
#define LOADER_H

#include "base/status.h"
#include "data/source.h"

#include <stdint.h>

struct loader;

struct loader_options {
    const struct source *source; /* loaded; outlives the loader */
    uint64_t seed;
    int64_t batch;     /* rows of the global batch */
    int64_t per_epoch; /* batches an epoch consumes */
    int64_t row_first; /* of this rank in the global batch */
    int64_t row_count;
    int64_t batch_first; /* the first batch wanted */
    int64_t batch_end;   /* past the last one */
};

struct loader_batch {
    const float
        *values; /* (row_count,H,W,C) in [-1, 1], or tokens (row_count,T); 64-byte aligned */
    const float *labels; /* (row_count): the class, or -1; or the next tokens (row_count,T) */
};

/* How many bytes its ring takes. */
int64_t loader_bytes(const struct source_info *info, int64_t row_count);

/* Allocates the ring and starts decoding.  CAM_NO_MEMORY, CAM_UNAVAILABLE (no thread). */
CAM_CHECKED enum cam_code loader_create(const struct loader_options *options, struct loader **out,
                                        struct cam_err *err);

/* Stops the thread; NULL is allowed. */
void loader_destroy(struct loader *loader);

/* Waits for the next batch; it stays readable until loader_give_back.  A sample that cannot be
 * decoded is the source's error, with the sample and the batch named. */
CAM_CHECKED enum cam_code loader_take(struct loader *loader, struct loader_batch *out,
                                      struct cam_err *err);
void loader_give_back(struct loader *loader);

/* The sample in a row of this rank's, of the batch that was taken last. */
int64_t loader_sample(const struct loader *loader, int64_t row);

/* Nanoseconds that loader_take has waited so far. */
int64_t loader_waited_ns(const struct loader *loader);

#endif
