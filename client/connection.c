#include "client/connection.h"

#include "base/file.h"
#include "base/mem.h"
#include "proto/endpoint.h"
#include "proto/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct connection {
    int fd;
    uint64_t request_id;
    struct frame_reader reader;
    char path[CAM_PATH_SIZE];
};

static enum cam_code socket_path(const struct invocation *in, char out[CAM_PATH_SIZE],
                                 struct cam_err *err)
{
    const char *given = in->socket_path;
    if (given == NULL) {
        given = getenv("CAMBRIAN_SOCKET");
    }
    if (given == NULL || given[0] == '\0') {
        return endpoint_default(out, err);
    }
    return cam_path(out, err, "%s", given);
}

static enum cam_code connect_to(struct connection *connection, struct cam_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = connection->path;
    if (strlen(path) >= sizeof address.sun_path) {
        return cam_fail(err, CAM_UNAVAILABLE, "socket %s: a socket's path has at most %zu bytes",
                        path, sizeof address.sun_path - 1);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) {
        return cam_fail_errno(err, errno, "socket");
    }
    if (connect(connection->fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        return CAM_OK;
    }
    bool nobody = errno == ECONNREFUSED || errno == ENOENT;
    return cam_fail(err, CAM_UNAVAILABLE, "no daemon at %s%s%s", path,
                    nobody ? " (start one with cambriand, or name its socket with --socket)" : ": ",
                    nobody ? "" : strerror(errno));
}

static enum cam_code lost(const struct connection *connection, int error_number,
                          struct cam_err *err)
{
    if (error_number == EINTR) {
        return cam_fail(err, CAM_STOPPED, "interrupted");
    }
    return cam_fail(err, CAM_PEER_LOST, "connection to the daemon at %s lost%s%s", connection->path,
                    error_number != 0 ? ": " : "", error_number != 0 ? strerror(error_number) : "");
}

enum cam_code connection_send(struct connection *connection, Cam__Envelope *request,
                              struct cam_err *err)
{
    request->request_id = ++connection->request_id;
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum cam_code rc = frame_pack(request, &bytes, &size, err);
    for (size_t done = 0; rc == CAM_OK && done < size;) {
        ssize_t sent = send(connection->fd, bytes + done, size - done, MSG_NOSIGNAL);
        if (sent < 0) {
            rc = lost(connection, errno, err);
        } else {
            done += (size_t)sent;
        }
    }
    cam_free(bytes);
    return rc;
}

/* A command that blocks SIGINT gets it here and nowhere else, so that none is missed between two
 * calls; for the others nothing is blocked and Ctrl-C just ends them. */
static enum cam_code wait_readable(const struct connection *connection, struct cam_err *err)
{
    struct pollfd poll_fd = {.fd = connection->fd, .events = POLLIN};
    sigset_t nothing;
    (void)sigemptyset(&nothing);
    return ppoll(&poll_fd, 1, NULL, &nothing) >= 0 ? CAM_OK : lost(connection, errno, err);
}

/* The next envelope of any kind. */
static enum cam_code next_envelope(struct connection *connection, Cam__Envelope **out,
                                   struct cam_err *err)
{
    enum { PIECE_BYTES = 64 * 1024 };
    uint8_t piece[PIECE_BYTES];
    for (;;) {
        enum cam_code rc = frame_reader_next(&connection->reader, out, err);
        if (rc != CAM_OK || *out != NULL) {
            return rc;
        }
        rc = wait_readable(connection, err);
        if (rc != CAM_OK) {
            return rc;
        }
        ssize_t got = recv(connection->fd, piece, sizeof piece, 0);
        if (got <= 0) {
            return lost(connection, got < 0 ? errno : 0, err);
        }
        rc = frame_reader_add(&connection->reader, piece, (size_t)got, err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
}

/* The daemon's refusal as our error.  It did answer: two of its codes would say otherwise here. */
static enum cam_code refused(const Cam__ErrorReply *reply, struct cam_err *err)
{
    enum cam_code code = cam_code_from_name(reply->code);
    code = code == CAM_OK ? CAM_INTERNAL : code;
    (void)cam_fail(err, code, "%s", reply->text);
    return code == CAM_UNAVAILABLE || code == CAM_PEER_LOST ? CAM_CONFLICT : code;
}

enum cam_code connection_receive(struct connection *connection, Cam__Envelope__BodyCase expected,
                                 Cam__Envelope **out, struct cam_err *err)
{
    for (;;) {
        Cam__Envelope *envelope = NULL;
        enum cam_code rc = next_envelope(connection, &envelope, err);
        if (rc != CAM_OK) {
            return rc;
        }
        bool error = envelope->body_case == CAM__ENVELOPE__BODY_ERROR_REPLY;
        /* An error about no request in particular ends the conversation too. */
        bool ours =
            envelope->request_id == connection->request_id || (error && envelope->request_id == 0);
        if (ours && envelope->body_case == expected) {
            *out = envelope;
            return CAM_OK;
        }
        if (ours && error) {
            rc = refused(envelope->error_reply, err);
        } else if (ours) {
            rc = cam_fail(err, CAM_PROTOCOL, "the daemon at %s answered with message %d, not %d",
                          connection->path, (int)envelope->body_case, (int)expected);
        }
        cam__envelope__free_unpacked(envelope, NULL);
        if (rc != CAM_OK) {
            return rc;
        }
    }
}

static enum cam_code shake_hands(struct connection *connection, struct cam_err *err)
{
    char program[] = "cambrian " CAMBRIAN_VERSION;
    Cam__Hello hello = CAM__HELLO__INIT;
    hello.protocol_version = PROTOCOL_VERSION;
    hello.program = program;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_HELLO;
    request.hello = &hello;
    Cam__Envelope *reply = NULL;
    enum cam_code rc = connection_send(connection, &request, err);
    /* A daemon that turns us away answers and closes, perhaps before it read: its answer counts. */
    if (rc == CAM_OK || rc == CAM_PEER_LOST) {
        rc = connection_receive(connection, CAM__ENVELOPE__BODY_HELLO_REPLY, &reply, err);
    }
    if (rc == CAM_OK && reply->hello_reply->protocol_version != PROTOCOL_VERSION) {
        rc = cam_fail(err, CAM_PROTOCOL, "the daemon %s speaks protocol %" PRIu32 ", this is %d",
                      reply->hello_reply->daemon_version, reply->hello_reply->protocol_version,
                      PROTOCOL_VERSION);
    }
    if (reply != NULL) {
        cam__envelope__free_unpacked(reply, NULL);
    }
    return rc;
}

enum cam_code connection_open(const struct invocation *in, struct connection **out,
                              struct cam_err *err)
{
    struct connection *connection = cam_alloc(1, sizeof *connection);
    if (connection == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "connection: out of memory");
    }
    connection->fd = -1;
    enum cam_code rc = socket_path(in, connection->path, err);
    if (rc == CAM_OK) {
        rc = connect_to(connection, err);
    }
    if (rc == CAM_OK) {
        rc = shake_hands(connection, err);
    }
    if (rc != CAM_OK) {
        connection_close(connection);
        return rc;
    }
    *out = connection;
    return CAM_OK;
}

void connection_close(struct connection *connection)
{
    if (connection == NULL) {
        return;
    }
    if (connection->fd >= 0) {
        (void)close(connection->fd);
    }
    frame_reader_release(&connection->reader);
    cam_free(connection);
}

enum cam_code connection_ask(const struct invocation *in, Cam__Envelope *request,
                             Cam__Envelope__BodyCase expected, Cam__Envelope **out,
                             struct cam_err *err)
{
    struct connection *connection = NULL;
    enum cam_code rc = connection_open(in, &connection, err);
    if (rc == CAM_OK) {
        rc = connection_send(connection, request, err);
    }
    if (rc == CAM_OK) {
        rc = connection_receive(connection, expected, out, err);
    }
    connection_close(connection);
    return rc;
}

enum cam_code connection_fetch(const struct invocation *in, Cam__Envelope *request,
                               chunk_taker *take, void *context, struct cam_err *err)
{
    struct connection *connection = NULL;
    enum cam_code rc = connection_open(in, &connection, err);
    if (rc == CAM_OK) {
        rc = connection_send(connection, request, err);
    }
    for (bool last = false; rc == CAM_OK && !last;) {
        Cam__Envelope *reply = NULL;
        rc = connection_receive(connection, CAM__ENVELOPE__BODY_CHUNK, &reply, err);
        if (rc == CAM_OK) {
            last = reply->chunk->last;
            rc = take(context, reply->chunk->data.data, reply->chunk->data.len, err);
            cam__envelope__free_unpacked(reply, NULL);
        }
    }
    connection_close(connection);
    return rc;
}
