/*
 * A Unix socket that accepts connections of the daemon's own user and of root, or of everybody.
 * A lock beside the socket keeps a second daemon from unlinking a live one.  Loop thread.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include "base/status.h"
#include "daemon/stream.h"

struct listener;

struct listener_options {
    const char *path; /* of the socket; its folder is made when missing */
    bool everybody;   /* the socket is 0666 and its new folder 0755; otherwise 0600 and 0700 */
    struct stream_options stream;
    /* An accepted, allowed peer; reading starts after it returns. */
    void (*accepted)(void *self, struct stream *stream, int64_t uid, int64_t gid);
};

/* Whether somebody answers at the path now: told before anything is made on disk. */
bool listener_answers(const char *path);

/* CAM_CONFLICT names the socket when another daemon has it; CAM_INVALID a path that is too long. */
CAM_CHECKED enum cam_code listener_open(const struct listener_options *options,
                                        struct listener **out, struct cam_err *err);
/* Stops accepting and removes the socket; connections stay.  NULL is allowed. */
void listener_close(struct listener *listener);

#endif
