/*
 * A bump allocator for things that live and die together: one a graph, one a job file, one a
 * request.  Owner: whoever created it; one thread at a time.
 */
#ifndef CAM_ARENA_H
#define CAM_ARENA_H

#include <stddef.h>

struct cam_arena;

/* Creates an empty arena, or NULL when memory is short. */
struct cam_arena *cam_arena_create(void);

/* Frees everything ever taken from it; NULL is allowed. */
void cam_arena_destroy(struct cam_arena *arena);

/* Zeroed memory, aligned for any type, that lives as long as the arena; NULL when short. */
void *cam_arena_alloc(struct cam_arena *arena, size_t count, size_t size);

/* Copies of text into the arena; NULL when memory is short. */
char *cam_arena_strdup(struct cam_arena *arena, const char *text);
char *cam_arena_printf(struct cam_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
