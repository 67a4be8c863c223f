/*
 * A binary heap of nodes that live inside their owners; the smallest (key, tie) is first.  Ties
 * make the order total, so that two runs with the same input decide the same.
 * A node knows its place, so removal is O(log n) without a search.  One thread.
 */
#ifndef HEAP_H
#define HEAP_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    int64_t tie;
    void *owner;
    uint32_t place; /* from 1; 0: in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
};

/* CAM_NO_MEMORY leaves the heap unchanged.  The node must be in no heap. */
CAM_CHECKED enum cam_code heap_add(struct heap *heap, struct heap_node *node, struct cam_err *err);
/* Nothing happens to a node that is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
/* NULL when empty. */
struct heap_node *heap_first(const struct heap *heap);
void heap_release(struct heap *heap);

#endif
