/*
 * One connection that carries framed envelopes (proto/frame.h), with its opening handshake.
 * Loop thread.  Owner: the listener that accepted it; others who answer later hold a reference.
 *
 * The first envelope must be Hello with this protocol's version; the stream answers it itself.  A
 * wrong version, a frame that cannot be followed, or a frame that stops midway ends this
 * connection and no other.  A peer that does not read is not read from.
 */
#ifndef STREAM_H
#define STREAM_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Cam__Envelope Cam__Envelope;
struct uv_stream_s;
struct loop;
struct stream;

struct stream_handlers {
    void *self;
    /* An envelope after the handshake; valid during the call. */
    void (*received)(void *self, struct stream *stream, const Cam__Envelope *envelope);
    /* The connection is gone; sends do nothing from here on. */
    void (*closed)(void *self, struct stream *stream);
};

struct stream_options {
    struct loop *loop;
    struct stream_handlers handlers;
    int64_t frame_limit_ms; /* a frame, and the handshake, must be whole within this */
};

enum { STREAM_BACKLOG_MAX = 4 * 1024 * 1024 };

/* Accepts from a listening libuv stream (a pipe).  The stream frees itself when it has closed and
 * nobody holds it. */
CAM_CHECKED enum cam_code stream_accept(struct uv_stream_s *listener,
                                        const struct stream_options *options, struct stream **out,
                                        struct cam_err *err);

/* The peer's user and group by SO_PEERCRED. */
CAM_CHECKED enum cam_code stream_peer(const struct stream *stream, int64_t *uid_out,
                                      int64_t *gid_out, struct cam_err *err);

/* Starts reading. */
void stream_begin(struct stream *stream);

/* Packs and sends; does nothing on a closed stream.  Memory short: the connection is closed. */
void stream_send(struct stream *stream, const Cam__Envelope *envelope);

/* ErrorReply to request_id. */
void stream_send_error(struct stream *stream, uint64_t request_id, enum cam_code code,
                       const char *text);

/* Calls fn once, when less than STREAM_BACKLOG_MAX waits to be sent or the stream has closed. */
void stream_when_drained(struct stream *stream, void (*fn)(void *context), void *context);

/* Closes once everything was sent. */
void stream_finish(struct stream *stream);
void stream_close(struct stream *stream);
bool stream_is_open(const struct stream *stream);

void stream_hold(struct stream *stream);
void stream_drop(struct stream *stream);

/* Room for the handler's own pointer. */
void stream_set_data(struct stream *stream, void *data);
void *stream_data(const struct stream *stream);

#endif
