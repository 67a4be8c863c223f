/*
 * May this job run at all?  Form, data headers, shapes, memory and slots, before it is accepted:
 * what cannot run is refused with the line of the job file.
 *
 * Called in the thread pool, by several threads at once.  The outcome of the costly part is kept,
 * keyed by the digest of everything it depends on, the data's identity included: a thousand
 * submits of one job file parse it once.  The owner is part of the key: what one may read tells
 * nothing of another.
 */
#ifndef ADMISSION_H
#define ADMISSION_H

#include "base/arena.h"
#include "base/status.h"
#include "daemon/owner.h"
#include "daemon/records.h"

#include <stdint.h>

struct admission;

/* slots and cores: of this host; the cores tell how many shards a rank computes at once, and so
 * its memory. */
CAM_CHECKED enum cam_code admission_create(int32_t slots, int cores, struct admission **out,
                                           struct cam_err *err);
void admission_destroy(struct admission *admission);

/* What a submit brings; texts belong to the caller. */
struct admission_request {
    const char *text;
    size_t text_size;
    const char *file_name;
    const char *base_dir;
    const char *const *set;
    size_t set_count;
    const struct owner *owner; /* with whose rights the data are opened */
};

/* Fills what the job file decides in *out (texts in the arena); key, owner, hold and after stay.
 * CAM_INVALID with "FILE:LINE: ...", or the data's own error. */
CAM_CHECKED enum cam_code admission_check(struct admission *admission,
                                          const struct admission_request *request,
                                          struct cam_arena *arena, struct new_job *out,
                                          struct cam_err *err);

#endif
