/*
 * The only way this project asks for heap memory; tests make the nth request fail.
 * Any thread may call every function here.  The fault functions are for tests and for the
 * worker's proof that a training step allocates nothing.
 */
#ifndef CAM_MEM_H
#define CAM_MEM_H

#include <stddef.h>

/* Returns count*size zeroed bytes owned by the caller, or NULL when memory is short. */
void *cam_alloc(size_t count, size_t size);

/* Grows (or shrinks) a block of old_count elements to new_count; new elements are zero.  On NULL
 * the old block is unchanged and still the caller's. */
void *cam_grow(void *memory, size_t old_count, size_t new_count, size_t size);

/* A zero-terminated copy, or NULL when memory is short. */
char *cam_strdup(const char *text);

/* As malloc's aligned sibling: count zeroed bytes on a 64-byte boundary; ends with cam_free. */
void *cam_alloc_aligned(size_t size_bytes);

void cam_free(void *memory);

/* Gives freed pages back to the system, which the C library would keep for later.  Takes a while:
 * not inside a step.  Any thread. */
void cam_give_back(void);

/* Lets n requests of this process succeed, then fails every later one; negative n never fails. */
void cam_fault_after(long n);

/* Requests made by this process so far (both kept and refused). */
unsigned long cam_alloc_count(void);

#endif
