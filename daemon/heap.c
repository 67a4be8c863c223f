#include "daemon/heap.h"

#include "base/mem.h"

enum { FIRST_CAPACITY = 64 };

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void put(struct heap *heap, size_t at, struct heap_node *node)
{
    heap->nodes[at] = node;
    node->place = (uint32_t)at + 1;
}

static void sift_up(struct heap *heap, size_t at, struct heap_node *node)
{
    while (at > 0 && before(node, heap->nodes[(at - 1) / 2])) {
        put(heap, at, heap->nodes[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(heap, at, node);
}

static void sift_down(struct heap *heap, size_t at, struct heap_node *node)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < heap->count && before(heap->nodes[child + 1], heap->nodes[child])) {
            child++;
        }
        if (child >= heap->count || !before(heap->nodes[child], node)) {
            break;
        }
        put(heap, at, heap->nodes[child]);
        at = child;
    }
    put(heap, at, node);
}

enum cam_code heap_add(struct heap *heap, struct heap_node *node, struct cam_err *err)
{
    if (heap->count == heap->capacity) {
        size_t capacity = heap->capacity == 0 ? FIRST_CAPACITY : heap->capacity * 2;
        struct heap_node **grown =
            cam_grow(heap->nodes, heap->capacity, capacity, sizeof(struct heap_node *));
        if (grown == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "a queue of %zu entries", capacity);
        }
        heap->nodes = grown;
        heap->capacity = capacity;
    }
    heap->count++;
    sift_up(heap, heap->count - 1, node);
    return CAM_OK;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    size_t at = node->place - 1;
    node->place = 0;
    heap->count--;
    if (at == heap->count) {
        return;
    }
    struct heap_node *moved = heap->nodes[heap->count];
    if (at > 0 && before(moved, heap->nodes[(at - 1) / 2])) {
        sift_up(heap, at, moved);
    } else {
        sift_down(heap, at, moved);
    }
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}

void heap_release(struct heap *heap)
{
    cam_free(heap->nodes);
    *heap = (struct heap){0};
}
