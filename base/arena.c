#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK_BYTES = 16 * 1024, ALIGNMENT_BYTES = 16 };

struct block {
    struct block *next;
    size_t used;
    size_t capacity;
    _Alignas(ALIGNMENT_BYTES) unsigned char bytes[];
};

struct cam_arena {
    struct block *newest;
};

struct cam_arena *cam_arena_create(void)
{
    return cam_alloc(1, sizeof(struct cam_arena));
}

void cam_arena_destroy(struct cam_arena *arena)
{
    if (arena == NULL) {
        return;
    }
    for (struct block *block = arena->newest; block != NULL;) {
        struct block *next = block->next;
        cam_free(block);
        block = next;
    }
    cam_free(arena);
}

void *cam_arena_alloc(struct cam_arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > (SIZE_MAX / 2) / size) {
        return NULL;
    }
    size_t wanted = (count * size + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    struct block *block = arena->newest;
    if (block == NULL || block->capacity - block->used < wanted) {
        size_t capacity = wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES;
        block = cam_alloc(1, sizeof *block + capacity);
        if (block == NULL) {
            return NULL;
        }
        block->capacity = capacity;
        block->next = arena->newest;
        arena->newest = block;
    }
    void *memory = block->bytes + block->used;
    block->used += wanted;
    return memory;
}

char *cam_arena_strdup(struct cam_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = cam_arena_alloc(arena, size, 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

char *cam_arena_printf(struct cam_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : cam_arena_alloc(arena, (size_t)length + 1, 1);
    if (text != NULL) {
        va_start(args, format);
        (void)vsnprintf(text, (size_t)length + 1, format, args);
        va_end(args);
    }
    return text;
}
