/*
 * What the ranks of an attempt do together.  One interface, three implementations:
 *   self      one rank: nothing to do
 *   windows   ranks of one host: they read each other's memory in MPI shared-memory windows
 *   messages  ranks of several hosts: MPI point to point
 * All give the same bits, since they only move floats: sums are the caller's.
 *
 * One thread (the training thread, lane 0) calls everything here.  Every call but the lookups is
 * collective: all ranks call the same ones in the same order.  An MPI failure is CAM_PEER_LOST.
 * Memory handed out belongs to the collectives and lives until collectives_close.
 */
#ifndef COLLECTIVES_H
#define COLLECTIVES_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* The description of an exchange: fixed tables, the same on every rank but for `views`. */
struct exchange {
    const int64_t *segment; /* ranks + 1 limits in floats: rank r owns [segment[r], [r+1]) */
    int64_t tail_first;     /* floats; what every rank wants from every partial */
    int64_t tail_floats;
    int64_t stride;                   /* floats from one buffer to the next */
    const int *partial_count;         /* by rank */
    const int *const *partial_buffer; /* [rank][k]: the buffer in that rank's partials memory */
    /* Out: by partial, ranks in order: the start of this rank's segment, and of the tail. */
    const float **segment_view;
    const float **tail_view;
};

struct collectives_ops;

struct collectives {
    int rank;
    int size;
    const char *name; /* "self", "windows", "messages" */
    const struct collectives_ops *ops;
};

struct collectives_ops {
    void (*close)(struct collectives *c);
    enum cam_code (*barrier)(struct collectives *c, struct cam_err *err);
    enum cam_code (*broadcast)(struct collectives *c, int root, void *bytes, size_t size,
                               struct cam_err *err);
    enum cam_code (*agree)(struct collectives *c, int64_t *value, struct cam_err *err);
    enum cam_code (*replica)(struct collectives *c, int64_t floats, float **out,
                             struct cam_err *err);
    enum cam_code (*partials)(struct collectives *c, int64_t floats, float **out,
                              struct cam_err *err);
    enum cam_code (*reserve)(struct collectives *c, const struct exchange *x, struct cam_err *err);
    enum cam_code (*exchange)(struct collectives *c, const struct exchange *x, uint64_t *control,
                              struct cam_err *err);
    enum cam_code (*share)(struct collectives *c, float *replica, const int64_t *segment,
                           struct cam_err *err);
    enum cam_code (*publish)(struct collectives *c, float *replica, int64_t floats,
                             struct cam_err *err);
    enum cam_code (*collect)(struct collectives *c, const float *mine, const int64_t *segment,
                             float *whole, struct cam_err *err);
    enum cam_code (*distribute)(struct collectives *c, const float *whole, const int64_t *segment,
                                float *mine, struct cam_err *err);
};

/* The collectives of one rank.  CAM_NO_MEMORY is the only failure. */
CAM_CHECKED enum cam_code collectives_self(struct collectives **out, struct cam_err *err);

/* NULL is allowed. */
void collectives_close(struct collectives *c);

CAM_CHECKED enum cam_code collectives_barrier(struct collectives *c, struct cam_err *err);

/* size bytes of the root's to all. */
CAM_CHECKED enum cam_code collectives_broadcast(struct collectives *c, int root, void *bytes,
                                                size_t size, struct cam_err *err);

/* The largest of all ranks' values, to all. */
CAM_CHECKED enum cam_code collectives_agree(struct collectives *c, int64_t *value,
                                            struct cam_err *err);

/* Zeroed memory that holds the same on every rank (the parameters); ranks that can share one copy
 * do, so only its owner may write an element, and only between exchange and share. */
CAM_CHECKED enum cam_code collectives_replica(struct collectives *c, int64_t floats, float **out,
                                              struct cam_err *err);

/* Zeroed memory of this rank's own for gradient buffers, which exchange reads; once only. */
CAM_CHECKED enum cam_code collectives_partials(struct collectives *c, int64_t floats, float **out,
                                               struct cam_err *err);

/* Takes the memory that an exchange of this form needs, before step 0. */
CAM_CHECKED enum cam_code collectives_reserve(struct collectives *c, const struct exchange *x,
                                              struct cam_err *err);

/*
 * Every owner comes to see all ranks' partials of its segment, and everyone the tails.  The views
 * may be read, and no rank may write its partials, until the next share has returned.
 * *control: every rank's word goes in, the bitwise or of all comes out, the same everywhere.
 */
CAM_CHECKED enum cam_code collectives_exchange(struct collectives *c, const struct exchange *x,
                                               uint64_t *control, struct cam_err *err);

/* Every rank's segment of the replica becomes everyone's (all-gather). */
CAM_CHECKED enum cam_code collectives_share(struct collectives *c, float *replica,
                                            const int64_t *segment, struct cam_err *err);

/* Rank 0's first `floats` of the replica become everyone's. */
CAM_CHECKED enum cam_code collectives_publish(struct collectives *c, float *replica, int64_t floats,
                                              struct cam_err *err);

/* Every rank's own segment (mine) into rank 0's whole; and the way back. */
CAM_CHECKED enum cam_code collectives_collect(struct collectives *c, const float *mine,
                                              const int64_t *segment, float *whole,
                                              struct cam_err *err);
CAM_CHECKED enum cam_code collectives_distribute(struct collectives *c, const float *whole,
                                                 const int64_t *segment, float *mine,
                                                 struct cam_err *err);

#endif
