/*
 * How many bytes a rank holds, from tables and plans alone: `check` shows them and admission
 * compares them with the hosts.  What the worker allocates stands here line by line, so a change of
 * either is a change of both.  Pure arithmetic; any thread.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include "model/check.h"
#include "model/recipes/training.h"

#include <stdbool.h>

enum {
    MEMORY_CHUNK_BLOCKS = 32, /* an update runs over so many blocks at once */
    MEMORY_RING = 3,          /* batches in flight between loader and training */
};

/* What plans say; floats. */
struct memory_plans {
    int64_t activation_floats;        /* of the largest plan that lanes run */
    int64_t sample_activation_floats; /* of the sample graph's plan */
    int64_t scratch_floats;           /* of a lane, for convolutions */
    int64_t packed_floats;            /* parameters that convolutions read, once a plan and way */
};

struct memory_request {
    const struct training *training;
    const struct data_shape *data;
    struct memory_plans plans;
    int ranks;
    int lanes;          /* that a rank has; it uses at most as many as it has shards */
    bool keeps_initial; /* training may go back to the values before step 0 */
};

/* Output blocks that a rank with the shards [first, end) of `shards` needs, `lanes` at a time: one
 * a lane, and one for each finished subtree that waits for its other half. */
int memory_gradient_buffers(int shards, int first, int end, int lanes);

/* Fills the bytes of *out for the rank that holds most. */
void memory_of_rank(const struct memory_request *request, struct job_figures *out);

#endif
