/*
 * Finds a thing by its job's id: an open-addressed table of pointers, 16 bytes an entry.
 * Zero-initialise; one thread.  It owns nothing but the table.
 */
#ifndef JOB_INDEX_H
#define JOB_INDEX_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct job_slot {
    int64_t id; /* 0: free */
    void *value;
};

struct job_index {
    struct job_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

/* id must be positive and not there yet. */
CAM_CHECKED enum cam_code job_index_add(struct job_index *index, int64_t id, void *value,
                                        struct cam_err *err);
/* NULL when there is none. */
void *job_index_get(const struct job_index *index, int64_t id);
void job_index_remove(struct job_index *index, int64_t id);
/* Walks in no order: start with *at 0; NULL at the end.  The index must not change meanwhile. */
void *job_index_walk(const struct job_index *index, size_t *at);
void job_index_release(struct job_index *index);

#endif
