/*
 * Which buffer holds what while a rank computes its shards, and in which order sums are added.
 * Made once before step 0; every rank makes the schedules of all ranks, so each knows where its
 * peers keep their partial sums.  Pure but for the heap.
 *
 * A rank computes its shards in rounds of `lanes`; after a round the finished shards are merged as
 * far as the tree allows.  At the end one partial sum is left for each maximal subtree inside the
 * rank's range.  A rank needs at most lanes + log2(shards) buffers, or as many as it has partials.
 */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include "base/status.h"
#include "worker/train/tree.h"

/* dst += src, elementwise. */
struct schedule_merge {
    int dst;
    int src;
};

struct schedule_round {
    int shard_first;
    int shard_count; /* at most the lanes; shard_first + i goes to buffer[i] */
    const int *buffer;
    int merge_count; /* after the round, in this order */
    const struct schedule_merge *merges;
};

struct schedule {
    int round_count;
    struct schedule_round *rounds;
    int partial_count;
    struct tree_node partial[TREE_COVER_MAX];
    int partial_buffer[TREE_COVER_MAX];
    int buffer_count;
    int *buffers; /* storage of the rounds */
    struct schedule_merge *merges;
};

/* CAM_NO_MEMORY is the only failure; end it with schedule_release (a zeroed one is fine too). */
CAM_CHECKED enum cam_code schedule_init(struct schedule *schedule, int shards,
                                        struct tree_node range, int lanes, struct cam_err *err);
void schedule_release(struct schedule *schedule);

/*
 * How the owner of a segment adds all ranks' partials.  Operands below partial_count are partials
 * (read only), the others scratch: partial_count + s is scratch s.
 */
struct combine_step {
    int left;
    int right;
    int out; /* scratch, may be left or right */
};

struct combine {
    int partial_count;
    int step_count;
    struct combine_step *steps;
    int scratch_count;
    int result; /* operand that holds the sum: a partial where there is only one */
};

/* partials cover [0, shards) left to right.  CAM_NO_MEMORY; end with combine_release. */
CAM_CHECKED enum cam_code combine_init(struct combine *combine, int shards,
                                       const struct tree_node *partials, int count,
                                       struct cam_err *err);
void combine_release(struct combine *combine);

#endif
