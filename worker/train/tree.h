/*
 * The tree of sums over shards: node [first, end) splits at the largest power of two below its
 * size.  It depends on the number of shards alone, so any number of ranks adds in one order.
 * Pure; any thread.
 */
#ifndef TREE_H
#define TREE_H

#include <stdbool.h>

enum {
    TREE_SHARDS_MAX = 1024,
    TREE_COVER_MAX = 24, /* maximal subtrees inside any range: at most 2 log2(shards) */
};

struct tree_node {
    int first;
    int end;
};

/* Where a node of at least two shards splits: [first, split) and [split, end). */
int tree_split(struct tree_node node);

/* The shards of a rank: contiguous, sizes differ by at most one; ranks <= shards. */
struct tree_node tree_range(int shards, int ranks, int rank);

/* The maximal subtrees inside a range, left to right; returns how many. */
int tree_cover(int shards, struct tree_node range, struct tree_node out[TREE_COVER_MAX]);

/* Whether left and right are the two halves of one node. */
bool tree_siblings(int shards, struct tree_node left, struct tree_node right);

#endif
