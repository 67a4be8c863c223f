/*
 * Bytes of a data set that the processes of one attempt on one host hold once, as a file of their
 * private folder in memory.  Private to data/; one thread at a time for one folder and name.
 *
 * Whoever first has the file's lock fills it; the others wait for the lock and map what they find.
 * A filler that fails leaves an unfilled file and its own error: the next one tries anew and says
 * the same.  One that dies leaves the same, since the kernel takes the lock from it.
 */
#ifndef SHARE_H
#define SHARE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct share {
    uint8_t *bytes; /* read only; NULL: nothing is shared */
    int64_t size;
};

/* Puts size bytes into bytes. */
typedef enum cam_code (*share_fill_fn)(void *context, uint8_t *bytes, struct cam_err *err);

/*
 * Maps size bytes, filled by this process or by another.  CAM_UNSUPPORTED: the folder is not in
 * memory, or has too little room beside what MPI will want of it; the caller then holds its own
 * copy.  Else the filler's errors.
 */
CAM_CHECKED enum cam_code share_open(const char *folder, const char *name, int64_t size,
                                     share_fill_fn fill, void *context, struct share *out,
                                     struct cam_err *err);

/* A zeroed one is allowed. */
void share_close(struct share *share);

#endif
