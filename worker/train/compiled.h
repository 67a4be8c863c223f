/*
 * A training made ready on a backend: plans and executables of every phase, of its update and its
 * replicated stage.  Made once, by one thread, before step 0; then read-only.
 */
#ifndef COMPILED_H
#define COMPILED_H

#include "base/status.h"
#include "kernels/backend.h"
#include "model/memory.h"
#include "model/recipes/training.h"

#include <stdint.h>

/* An update runs over chunks of neighbouring blocks: whole chunks, then single blocks.  It is
 * elementwise, so the cut does not change a bit. */
enum {
    UPDATE_CHUNK_BLOCKS = MEMORY_CHUNK_BLOCKS,
    UPDATE_CHUNK_FLOATS = UPDATE_CHUNK_BLOCKS * BLOCK_FLOATS
};

struct compiled_plan {
    struct plan *plan;
    struct executable *executable;
};

/* Floats of an output block that no output writes: they must be kept zero. */
struct compiled_gap {
    int64_t offset;
    int64_t floats;
};

struct compiled_phase {
    struct compiled_plan shard;
    struct compiled_plan update_chunk;
    struct compiled_plan update_block;
    struct compiled_plan replicated; /* executable NULL: none */
    int64_t *replicated_offsets;     /* of each output in its block, floats */
    struct compiled_gap *gaps;
    int gap_count;
};

struct compiled {
    const struct training *training;
    const struct backend *backend;
    struct backend_instance *instance;
    struct compiled_phase *phases;
    struct compiled_plan evaluation; /* executable NULL: none */
    int64_t activation_floats;       /* largest of all plans: one lane's arena */
    int64_t replicated_floats;       /* largest replicated output */
    int64_t *parameter_offsets;
    int64_t *buffer_offsets;
};

/* training, backend and instance outlive it.  The planner's and the backend's errors,
 * CAM_NO_MEMORY; CAM_UNSUPPORTED names an operator that the backend lacks. */
CAM_CHECKED enum cam_code compiled_create(const struct training *training,
                                          const struct backend *backend,
                                          struct backend_instance *instance, struct compiled **out,
                                          struct cam_err *err);
void compiled_destroy(struct compiled *compiled);

/* Plans and compiles one graph; ends with compiled_release. */
struct compiled_request {
    const struct graph *graph;
    const int *nodes;
    const int64_t *offsets;
    int count;
};
CAM_CHECKED enum cam_code compiled_plan(const struct compiled *compiled,
                                        const struct compiled_request *request,
                                        struct compiled_plan *out, struct cam_err *err);
void compiled_release(const struct backend *backend, struct compiled_plan *plan);

/* The values before step 0 into zeroed arenas of parameter_floats and buffer_floats.  Runs on
 * lane 0: the caller's thread has called lane_begin. */
CAM_CHECKED enum cam_code compiled_initial(const struct compiled *compiled, float *parameters,
                                           float *buffers, struct cam_err *err);

/* The sample graph's plan; its only output is at offset 0. */
CAM_CHECKED enum cam_code compiled_sample(const struct compiled *compiled,
                                          struct compiled_plan *out, struct cam_err *err);

#endif
