#include "daemon/stream.h"

#include "base/mem.h"
#include "cambrian.pb-c.h"
#include "daemon/loop.h"
#include "proto/frame.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

enum {
    READ_BYTES = 64 * 1024,
    REFERENCES_MAX = 512, /* requests and answers under way; above, no more is read */
};

struct stream {
    uv_pipe_t pipe;
    uv_timer_t timer; /* runs while a frame is begun, or the handshake is not done */
    struct stream_options options;
    struct frame_reader reader;
    char *buffer; /* READ_BYTES, while reading */
    size_t backlog_bytes;
    int references;
    int open_handles;
    bool greeted;
    bool closing;
    bool finishing;
    bool reading;
    bool paused;              /* not reading until fewer requests and answers are under way */
    struct drain_wait *waits; /* who wants to send more, newest first */
    void *data;
};

static void stream_read(struct stream *stream);

struct drain_wait {
    struct drain_wait *next;
    void (*fn)(void *context);
    void *context;
};

struct stream_write {
    uv_write_t uv;
    struct stream *stream;
    uint8_t *bytes;
    size_t size;
};

void stream_hold(struct stream *stream)
{
    stream->references++;
}

static bool is_busy(const struct stream *stream)
{
    return stream->backlog_bytes > STREAM_BACKLOG_MAX || stream->references > REFERENCES_MAX;
}

void stream_drop(struct stream *stream)
{
    if (--stream->references > 0) {
        if (stream->paused && !is_busy(stream)) {
            stream_read(stream);
        }
        return;
    }
    frame_reader_release(&stream->reader);
    cam_free(stream->buffer);
    cam_free(stream);
}

static void tell_drained(struct stream *stream)
{
    struct drain_wait *wait = stream->waits;
    stream->waits = NULL;
    while (wait != NULL) {
        struct drain_wait *next = wait->next;
        wait->fn(wait->context);
        cam_free(wait);
        wait = next;
    }
}

static void handle_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    if (--stream->open_handles > 0) {
        return;
    }
    tell_drained(stream);
    stream->options.handlers.closed(stream->options.handlers.self, stream);
    stream_drop(stream); /* the libuv handles' own reference */
}

void stream_close(struct stream *stream)
{
    if (stream->closing) {
        return;
    }
    stream->closing = true;
    uv_close((uv_handle_t *)&stream->pipe, handle_closed);
    uv_close((uv_handle_t *)&stream->timer, handle_closed);
}

bool stream_is_open(const struct stream *stream)
{
    return !stream->closing;
}

enum cam_code stream_accept(struct uv_stream_s *listener, const struct stream_options *options,
                            struct stream **out, struct cam_err *err)
{
    struct stream *stream = cam_alloc(1, sizeof *stream);
    char *buffer = cam_alloc(1, READ_BYTES);
    if (stream == NULL || buffer == NULL) {
        cam_free(buffer);
        cam_free(stream);
        return cam_fail(err, CAM_NO_MEMORY, "a connection");
    }
    uv_loop_t *loop = loop_uv(options->loop);
    *stream =
        (struct stream){.options = *options, .buffer = buffer, .references = 1, .open_handles = 2};
    (void)uv_pipe_init(loop, &stream->pipe, 0);
    (void)uv_timer_init(loop, &stream->timer);
    stream->pipe.data = stream;
    stream->timer.data = stream;
    int failed = uv_accept(listener, (uv_stream_t *)&stream->pipe);
    if (failed != 0) {
        stream_close(stream);
        return cam_fail(err, CAM_IO, "cannot accept: %s", uv_strerror(failed));
    }
    *out = stream;
    return CAM_OK;
}

enum cam_code stream_peer(const struct stream *stream, int64_t *uid_out, int64_t *gid_out,
                          struct cam_err *err)
{
    uv_os_fd_t fd = -1;
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (uv_fileno((const uv_handle_t *)&stream->pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return cam_fail_errno(err, errno, "who is connecting");
    }
    *uid_out = peer.uid;
    *gid_out = peer.gid;
    return CAM_OK;
}

static void frame_late(uv_timer_t *timer)
{
    struct stream *stream = timer->data;
    if (!stream->finishing) {
        stream_send_error(stream, 0, CAM_TIMEOUT, "a message was begun and not finished in time");
    }
    stream_close(stream); /* what the peer's socket takes was sent by now */
}

void stream_finish(struct stream *stream)
{
    stream->finishing = true;
    if (stream->backlog_bytes == 0) {
        stream_close(stream);
    } else if (!stream->closing) {
        /* A peer that does not read must not keep us waiting for ever. */
        (void)uv_timer_start(&stream->timer, frame_late, (uint64_t)stream->options.frame_limit_ms,
                             0);
    }
}

/* Runs the frame's clock while one is open. */
static void watch_frame(struct stream *stream)
{
    bool open_frame = stream->reader.size > stream->reader.start || !stream->greeted;
    if (stream->closing || stream->finishing) {
        return;
    }
    if (!open_frame) {
        (void)uv_timer_stop(&stream->timer);
    } else if (!uv_is_active((uv_handle_t *)&stream->timer)) {
        (void)uv_timer_start(&stream->timer, frame_late, (uint64_t)stream->options.frame_limit_ms,
                             0);
    }
}

static void greet(struct stream *stream, const Cam__Envelope *envelope)
{
    if (envelope->body_case != CAM__ENVELOPE__BODY_HELLO) {
        stream_send_error(stream, envelope->request_id, CAM_PROTOCOL,
                          "the first message must be Hello");
        stream_finish(stream);
        return;
    }
    if (envelope->hello->protocol_version != PROTOCOL_VERSION) {
        char text[160];
        (void)snprintf(text, sizeof text,
                       "protocol version %u is not spoken here: this daemon (%s) speaks %d",
                       envelope->hello->protocol_version, CAMBRIAN_VERSION, PROTOCOL_VERSION);
        stream_send_error(stream, envelope->request_id, CAM_PROTOCOL, text);
        stream_finish(stream);
        return;
    }
    char version[] = CAMBRIAN_VERSION;
    Cam__HelloReply reply = CAM__HELLO_REPLY__INIT;
    Cam__Envelope answer = CAM__ENVELOPE__INIT;
    reply.protocol_version = PROTOCOL_VERSION;
    reply.daemon_version = version;
    answer.request_id = envelope->request_id;
    answer.body_case = CAM__ENVELOPE__BODY_HELLO_REPLY;
    answer.hello_reply = &reply;
    stream->greeted = true;
    stream_send(stream, &answer);
}

static void take_frames(struct stream *stream)
{
    struct cam_err err;
    Cam__Envelope *envelope = NULL;
    enum cam_code rc = CAM_OK;
    while (!stream->closing && !stream->finishing &&
           (rc = frame_reader_next(&stream->reader, &envelope, &err)) == CAM_OK &&
           envelope != NULL) {
        if (!stream->greeted) {
            greet(stream, envelope);
        } else {
            stream->options.handlers.received(stream->options.handlers.self, stream, envelope);
        }
        if (stream->greeted && !stream->finishing && !stream->closing) {
            (void)uv_timer_stop(&stream->timer); /* what follows is another frame, begun now */
        }
        cam__envelope__free_unpacked(envelope, NULL);
    }
    if (rc != CAM_OK) {
        stream_send_error(stream, 0, rc, err.text);
        stream_finish(stream);
    }
}

static void got_bytes(uv_stream_t *uv, ssize_t size, const uv_buf_t *buffer)
{
    struct stream *stream = uv->data;
    struct cam_err err;
    if (size < 0) {
        stream_close(stream);
        return;
    }
    if (stream->finishing) {
        return; /* nothing more is taken from a peer that was told to go */
    }
    stream_hold(stream);
    enum cam_code rc = frame_reader_add(&stream->reader, buffer->base, (size_t)size, &err);
    if (rc != CAM_OK) {
        stream_send_error(stream, 0, rc, err.text);
        stream_finish(stream);
    } else {
        take_frames(stream);
    }
    watch_frame(stream);
    if (is_busy(stream) && !stream->closing) {
        stream->reading = false;
        stream->paused = true;
        (void)uv_read_stop(uv);
        if (stream->greeted && !stream->finishing) {
            (void)uv_timer_stop(&stream->timer); /* the delay is ours */
        }
    }
    stream_drop(stream);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    const struct stream *stream = handle->data;
    *buffer = uv_buf_init(stream->buffer, READ_BYTES);
}

static void stream_read(struct stream *stream)
{
    if (!stream->reading && !stream->closing) {
        stream->reading = true;
        stream->paused = false;
        watch_frame(stream);
        if (uv_read_start((uv_stream_t *)&stream->pipe, give_buffer, got_bytes) != 0) {
            stream_close(stream);
        }
    }
}

void stream_begin(struct stream *stream)
{
    stream_read(stream);
}

static void wrote(uv_write_t *uv, int status)
{
    struct stream_write *write = uv->data;
    struct stream *stream = write->stream;
    stream->backlog_bytes -= write->size;
    cam_free(write->bytes);
    cam_free(write);
    if (status != 0 || (stream->finishing && stream->backlog_bytes == 0)) {
        stream_close(stream);
    }
    if (stream->backlog_bytes < STREAM_BACKLOG_MAX) {
        tell_drained(stream);
    }
    stream_drop(stream);
}

void stream_send(struct stream *stream, const Cam__Envelope *envelope)
{
    struct cam_err err;
    if (stream->closing) {
        return;
    }
    struct stream_write *write = cam_alloc(1, sizeof *write);
    enum cam_code rc = write == NULL ? cam_fail(&err, CAM_NO_MEMORY, "a message")
                                     : frame_pack(envelope, &write->bytes, &write->size, &err);
    if (rc != CAM_OK) {
        cam_free(write);
        if (rc == CAM_PROTOCOL) { /* longer than a frame; this answer is shorter */
            stream_send_error(stream, envelope->request_id, CAM_UNSUPPORTED, err.text);
        } else {
            stream_close(stream);
        }
        return;
    }
    uv_buf_t buffer = uv_buf_init((char *)write->bytes, (unsigned)write->size);
    write->stream = stream;
    write->uv.data = write;
    stream->backlog_bytes += write->size;
    stream_hold(stream);
    if (uv_write(&write->uv, (uv_stream_t *)&stream->pipe, &buffer, 1, wrote) != 0) {
        stream->backlog_bytes -= write->size;
        cam_free(write->bytes);
        cam_free(write);
        stream_close(stream);
        stream_drop(stream);
    }
}

void stream_send_error(struct stream *stream, uint64_t request_id, enum cam_code code,
                       const char *text)
{
    char name[32];
    char copy[1024];
    Cam__ErrorReply reply = CAM__ERROR_REPLY__INIT;
    Cam__Envelope answer = CAM__ENVELOPE__INIT;
    (void)snprintf(name, sizeof name, "%s", cam_code_name(code));
    (void)snprintf(copy, sizeof copy, "%s", text);
    reply.code = name;
    reply.text = copy;
    answer.request_id = request_id;
    answer.body_case = CAM__ENVELOPE__BODY_ERROR_REPLY;
    answer.error_reply = &reply;
    stream_send(stream, &answer);
}

void stream_when_drained(struct stream *stream, void (*fn)(void *context), void *context)
{
    struct drain_wait *wait = NULL;
    if (!stream->closing && stream->backlog_bytes >= STREAM_BACKLOG_MAX) {
        wait = cam_alloc(1, sizeof *wait);
    }
    if (wait == NULL) { /* also when memory is short: then the backlog grows a little more */
        fn(context);
        return;
    }
    *wait = (struct drain_wait){stream->waits, fn, context};
    stream->waits = wait;
}

void stream_set_data(struct stream *stream, void *data)
{
    stream->data = data;
}

void *stream_data(const struct stream *stream)
{
    return stream->data;
}
