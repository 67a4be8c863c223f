/*
 * One connection of a rank to the daemon's report endpoint.  Blocking with short limits; the
 * report thread's alone.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "base/status.h"
#include "proto/frame.h"

#include <stdbool.h>
#include <stdint.h>

struct connection {
    int fd; /* -1: closed */
    struct frame_reader reader;
};

/* Connects to "unix:PATH" or "tcp:HOST:PORT" within limit_ms.  CAM_UNAVAILABLE, CAM_INVALID. */
CAM_CHECKED enum cam_code connection_open(struct connection *connection, const char *endpoint,
                                          int64_t limit_ms, struct cam_err *err);

/* NULL-safe in spirit: a zeroed one with fd -1 is fine. */
void connection_close(struct connection *connection);

/* Sends one envelope within limit_ms; packs on the caller's stack, so nothing is allocated.
 * CAM_PEER_LOST, CAM_TIMEOUT; CAM_PROTOCOL where it is larger than any report may be. */
CAM_CHECKED enum cam_code connection_send(struct connection *connection,
                                          const Cam__Envelope *envelope, int64_t limit_ms,
                                          struct cam_err *err);

/* Waits up to wait_ms for an envelope; *out is NULL when none came, else it ends with
 * cam__envelope__free_unpacked.  CAM_PEER_LOST, CAM_PROTOCOL. */
CAM_CHECKED enum cam_code connection_receive(struct connection *connection, int64_t wait_ms,
                                             Cam__Envelope **out, struct cam_err *err);

#endif
