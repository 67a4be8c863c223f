/*
 * Frames: a four-byte little-endian length, then that many bytes of one cam.Envelope.
 * A frame is at most FRAME_BYTES_MAX; a longer or empty one is CAM_PROTOCOL and the connection
 * must be closed, since the stream cannot be followed any more.
 *
 * Sending:   frame_pack gives one heap block to write.
 * Receiving: bytes of any cut go into a struct frame_reader; frame_reader_next yields envelopes.
 */
#ifndef FRAME_H
#define FRAME_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Cam__Envelope Cam__Envelope;

enum {
    PROTOCOL_VERSION = 1,
    FRAME_BYTES_MAX = 4 * 1024 * 1024,
    FRAME_HEADER_BYTES = 4,
    CHUNK_BYTES_MAX = 256 * 1024,
};

/* Packs an envelope with its header; *bytes_out ends with cam_free.  CAM_NO_MEMORY, or
 * CAM_PROTOCOL where it is larger than a frame may be. */
CAM_CHECKED enum cam_code frame_pack(const Cam__Envelope *envelope, uint8_t **bytes_out,
                                     size_t *size_out, struct cam_err *err);

/* Unconsumed bytes of one connection; zero-initialise, end with frame_reader_release. */
struct frame_reader {
    uint8_t *bytes;
    size_t size;
    size_t start; /* of the first unconsumed byte */
    size_t capacity;
};

/* Appends received bytes.  CAM_NO_MEMORY leaves the reader unchanged; CAM_PROTOCOL when the frame
 * that these bytes begin is too long or empty. */
CAM_CHECKED enum cam_code frame_reader_add(struct frame_reader *reader, const void *bytes,
                                           size_t size, struct cam_err *err);

/* The next whole envelope in *out (ends with cam__envelope__free_unpacked(e, NULL)), or NULL there
 * when more bytes are needed.  CAM_PROTOCOL for bytes that are no envelope. */
CAM_CHECKED enum cam_code frame_reader_next(struct frame_reader *reader, Cam__Envelope **out,
                                            struct cam_err *err);

void frame_reader_release(struct frame_reader *reader);

#endif
