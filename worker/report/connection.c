#include "worker/report/connection.h"

#include "base/clock.h"

#include "cambrian.pb-c.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPORT_BYTES_MAX = 32 * 1024, RECEIVE_BYTES = 4096, HOST_SIZE = 256 };

/* Waits for events on the socket; false at the limit. */
static bool wait_for(int fd, short events, int64_t limit_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int64_t end = cam_monotonic_ns() / 1000000 + limit_ms;
    for (;;) {
        int64_t left = end - cam_monotonic_ns() / 1000000;
        int ready = poll(&poll_fd, 1, left < 0 ? 0 : (int)left);
        if (ready != 0 && !(ready < 0 && errno == EINTR)) {
            return ready > 0;
        }
        if (left <= 0) {
            return false;
        }
    }
}

static enum cam_code connect_to(struct connection *connection, const struct sockaddr *address,
                                socklen_t size, int64_t limit_ms, const char *endpoint,
                                struct cam_err *err)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "cannot make a socket for %s", endpoint);
    }
    int failed = 0;
    socklen_t failed_size = sizeof failed;
    if (connect(fd, address, size) != 0) {
        failed = errno;
        if (failed == EINPROGRESS) {
            failed = ETIMEDOUT;
            if (wait_for(fd, POLLOUT, limit_ms)) {
                (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &failed_size);
            }
        }
    }
    if (failed != 0) {
        (void)close(fd);
        return cam_fail(err, CAM_UNAVAILABLE, "cannot connect to %s: %s", endpoint,
                        strerror(failed));
    }
    connection->fd = fd;
    return CAM_OK;
}

static enum cam_code connect_tcp(struct connection *connection, const char *host_and_port,
                                 int64_t limit_ms, const char *endpoint, struct cam_err *err)
{
    const char *colon = strrchr(host_and_port, ':');
    char host[HOST_SIZE];
    if (colon == NULL || (size_t)(colon - host_and_port) >= sizeof host) {
        return cam_fail(err, CAM_INVALID, "%s is no tcp:HOST:PORT", endpoint);
    }
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - host_and_port), host_and_port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host, colon + 1, &hints, &found);
    if (failed != 0) {
        return cam_fail(err, CAM_UNAVAILABLE, "cannot find %s: %s", endpoint, gai_strerror(failed));
    }
    enum cam_code rc = CAM_UNAVAILABLE;
    for (struct addrinfo *at = found; at != NULL && rc != CAM_OK; at = at->ai_next) {
        rc = connect_to(connection, at->ai_addr, at->ai_addrlen, limit_ms, endpoint, err);
    }
    freeaddrinfo(found);
    return rc;
}

enum cam_code connection_open(struct connection *connection, const char *endpoint, int64_t limit_ms,
                              struct cam_err *err)
{
    *connection = (struct connection){.fd = -1};
    if (strncmp(endpoint, "tcp:", 4) == 0) {
        return connect_tcp(connection, endpoint + 4, limit_ms, endpoint, err);
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strncmp(endpoint, "unix:", 5) != 0 || strlen(endpoint + 5) >= sizeof address.sun_path) {
        return cam_fail(err, CAM_INVALID,
                        "%s is neither unix:PATH (at most %zu bytes) nor tcp:", endpoint,
                        sizeof address.sun_path - 1);
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", endpoint + 5);
    return connect_to(connection, (const struct sockaddr *)(const void *)&address, sizeof address,
                      limit_ms, endpoint, err);
}

void connection_close(struct connection *connection)
{
    if (connection->fd >= 0) {
        (void)close(connection->fd);
    }
    frame_reader_release(&connection->reader);
    *connection = (struct connection){.fd = -1};
}

static enum cam_code send_all(struct connection *connection, const uint8_t *bytes, size_t size,
                              int64_t limit_ms, struct cam_err *err)
{
    while (size > 0) {
        ssize_t sent = send(connection->fd, bytes, size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(connection->fd, POLLOUT, limit_ms)) {
                return cam_fail(err, CAM_TIMEOUT, "the daemon does not read reports");
            }
        } else if (errno != EINTR) {
            return cam_fail(err, CAM_PEER_LOST, "the daemon's connection is gone: %s",
                            strerror(errno));
        }
    }
    return CAM_OK;
}

enum cam_code connection_send(struct connection *connection, const Cam__Envelope *envelope,
                              int64_t limit_ms, struct cam_err *err)
{
    uint8_t bytes[FRAME_HEADER_BYTES + REPORT_BYTES_MAX];
    size_t size = cam__envelope__get_packed_size(envelope);
    if (size > REPORT_BYTES_MAX) {
        return cam_fail(err, CAM_PROTOCOL, "a report of %zu bytes is larger than %d", size,
                        REPORT_BYTES_MAX);
    }
    for (unsigned i = 0; i < FRAME_HEADER_BYTES; i++) {
        bytes[i] = (uint8_t)(size >> (8 * i));
    }
    (void)cam__envelope__pack(envelope, bytes + FRAME_HEADER_BYTES);
    return send_all(connection, bytes, FRAME_HEADER_BYTES + size, limit_ms, err);
}

enum cam_code connection_receive(struct connection *connection, int64_t wait_ms,
                                 Cam__Envelope **out, struct cam_err *err)
{
    *out = NULL;
    enum cam_code rc = frame_reader_next(&connection->reader, out, err);
    if (rc != CAM_OK || *out != NULL || !wait_for(connection->fd, POLLIN, wait_ms)) {
        return rc;
    }
    uint8_t bytes[RECEIVE_BYTES];
    ssize_t size = recv(connection->fd, bytes, sizeof bytes, 0);
    if (size == 0) {
        return cam_fail(err, CAM_PEER_LOST, "the daemon closed the connection");
    }
    if (size < 0) {
        return errno == EAGAIN || errno == EINTR
                   ? CAM_OK
                   : cam_fail(err, CAM_PEER_LOST, "the daemon's connection is gone: %s",
                              strerror(errno));
    }
    rc = frame_reader_add(&connection->reader, bytes, (size_t)size, err);
    return rc == CAM_OK ? frame_reader_next(&connection->reader, out, err) : rc;
}
