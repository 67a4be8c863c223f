#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT_BYTES = 64 };

static atomic_long g_successes_left = -1;
static atomic_ulong g_requests = 0;

/* Counts the request and says whether the fault injector lets it pass. */
static bool request_passes(void)
{
    atomic_fetch_add_explicit(&g_requests, 1, memory_order_relaxed);
    long left = atomic_load_explicit(&g_successes_left, memory_order_relaxed);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&g_successes_left, &left, left - 1)) {
            return true;
        }
    }
    return left < 0;
}

void *cam_alloc(size_t count, size_t size)
{
    return request_passes() ? calloc(count, size) : NULL;
}

void *cam_grow(void *memory, size_t old_count, size_t new_count, size_t size)
{
    if (!request_passes() || (size != 0 && new_count > SIZE_MAX / size)) {
        return NULL;
    }
    size_t bytes = new_count * size;
    char *grown = realloc(memory, bytes == 0 ? 1 : bytes); /* of 0 it may free and say NULL */
    if (grown != NULL && new_count > old_count) {
        memset(grown + old_count * size, 0, (new_count - old_count) * size);
    }
    return grown;
}

char *cam_strdup(const char *text)
{
    return request_passes() ? strdup(text) : NULL;
}

void *cam_alloc_aligned(size_t size_bytes)
{
    if (!request_passes() || size_bytes > SIZE_MAX - ALIGNMENT_BYTES) {
        return NULL;
    }
    size_t rounded = (size_bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    void *memory = aligned_alloc(ALIGNMENT_BYTES, rounded == 0 ? ALIGNMENT_BYTES : rounded);
    if (memory != NULL) {
        memset(memory, 0, rounded);
    }
    return memory;
}

void cam_free(void *memory)
{
    free(memory);
}

void cam_give_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void cam_fault_after(long n)
{
    atomic_store(&g_successes_left, n);
}

unsigned long cam_alloc_count(void)
{
    return atomic_load(&g_requests);
}
