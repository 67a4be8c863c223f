#include "proto/frame.h"

#include "base/mem.h"
#include "cambrian.pb-c.h"

#include <string.h>

static void put_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < FRAME_HEADER_BYTES; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t get_u32(const uint8_t *bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < FRAME_HEADER_BYTES; i++) {
        value |= (uint32_t)bytes[i] << (8 * i);
    }
    return value;
}

enum cam_code frame_pack(const Cam__Envelope *envelope, uint8_t **bytes_out, size_t *size_out,
                         struct cam_err *err)
{
    size_t size = cam__envelope__get_packed_size(envelope);
    if (size == 0 || size > FRAME_BYTES_MAX) {
        return cam_fail(err, CAM_PROTOCOL, "message of %zu bytes, at most %d are allowed", size,
                        FRAME_BYTES_MAX);
    }
    uint8_t *bytes = cam_alloc(1, FRAME_HEADER_BYTES + size);
    if (bytes == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "message of %zu bytes: out of memory", size);
    }
    put_u32(bytes, (uint32_t)size);
    (void)cam__envelope__pack(envelope, bytes + FRAME_HEADER_BYTES);
    *bytes_out = bytes;
    *size_out = FRAME_HEADER_BYTES + size;
    return CAM_OK;
}

/* Refuses the frame at the reader's start as soon as its header is there. */
static enum cam_code check_header(const struct frame_reader *reader, struct cam_err *err)
{
    if (reader->size - reader->start < FRAME_HEADER_BYTES) {
        return CAM_OK;
    }
    uint32_t size = get_u32(reader->bytes + reader->start);
    if (size == 0 || size > FRAME_BYTES_MAX) {
        return cam_fail(err, CAM_PROTOCOL, "frame of %u bytes, 1 to %d are allowed", size,
                        FRAME_BYTES_MAX);
    }
    return CAM_OK;
}

enum cam_code frame_reader_add(struct frame_reader *reader, const void *bytes, size_t size,
                               struct cam_err *err)
{
    if (reader->start > 0) {
        memmove(reader->bytes, reader->bytes + reader->start, reader->size - reader->start);
        reader->size -= reader->start;
        reader->start = 0;
    }
    if (reader->capacity - reader->size < size) {
        size_t capacity = reader->capacity * 2 + size;
        uint8_t *grown = cam_grow(reader->bytes, reader->capacity, capacity, 1);
        if (grown == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "connection buffer of %zu bytes", capacity);
        }
        reader->bytes = grown;
        reader->capacity = capacity;
    }
    if (size > 0) {
        memcpy(reader->bytes + reader->size, bytes, size);
        reader->size += size;
    }
    return check_header(reader, err);
}

enum cam_code frame_reader_next(struct frame_reader *reader, Cam__Envelope **out,
                                struct cam_err *err)
{
    *out = NULL;
    enum cam_code rc = check_header(reader, err);
    size_t here = reader->size - reader->start;
    if (rc != CAM_OK || here < FRAME_HEADER_BYTES) {
        return rc;
    }
    const uint8_t *frame = reader->bytes + reader->start;
    size_t size = get_u32(frame);
    if (here - FRAME_HEADER_BYTES < size) {
        return CAM_OK;
    }
    Cam__Envelope *envelope = cam__envelope__unpack(NULL, size, frame + FRAME_HEADER_BYTES);
    if (envelope == NULL) {
        return cam_fail(err, CAM_PROTOCOL, "frame of %zu bytes is not a message of this protocol",
                        size);
    }
    reader->start += FRAME_HEADER_BYTES + size;
    *out = envelope;
    return CAM_OK;
}

void frame_reader_release(struct frame_reader *reader)
{
    cam_free(reader->bytes);
    *reader = (struct frame_reader){0};
}
