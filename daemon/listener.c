#include "daemon/listener.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum { WAITING_CONNECTIONS = 512 };

struct listener {
    uv_pipe_t pipe;
    struct listener_options options;
    char path[CAM_PATH_SIZE];
    int lock_fd;
};

static void allow_or_refuse(struct listener *listener, struct stream *stream)
{
    struct cam_err err;
    char text[160];
    int64_t uid = -1;
    int64_t gid = -1;
    enum cam_code rc = stream_peer(stream, &uid, &gid, &err);
    if (rc == CAM_OK && (listener->options.everybody || uid == 0 || uid == (int64_t)getuid())) {
        listener->options.accepted(listener->options.stream.handlers.self, stream, uid, gid);
        stream_begin(stream);
        return;
    }
    (void)snprintf(text, sizeof text,
                   "this daemon serves user %lld, you are user %lld: start your own cambriand",
                   (long long)getuid(), (long long)uid);
    cam_log(CAM_LOG_WARN, "server", "connection of user %lld refused", (long long)uid);
    stream_send_error(stream, 0, CAM_DENIED, text);
    stream_finish(stream);
}

static void connection(uv_stream_t *uv, int status)
{
    struct listener *listener = uv->data;
    struct stream *stream = NULL;
    struct cam_err err;
    if (status != 0) {
        cam_log(CAM_LOG_WARN, "server", "%s: %s", listener->path, uv_strerror(status));
    } else if (stream_accept(uv, &listener->options.stream, &stream, &err) != CAM_OK) {
        cam_log(CAM_LOG_WARN, "server", "%s", err.text);
    } else {
        allow_or_refuse(listener, stream);
    }
}

static enum cam_code lock_beside(struct listener *listener, struct cam_err *err)
{
    char lock[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(lock, err, "%.*s.lock", CAM_PATH_SIZE - 16, listener->path);
    if (rc != CAM_OK) {
        return rc;
    }
    listener->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (listener->lock_fd < 0) {
        return cam_fail_errno(err, errno, "%s: cannot open", lock);
    }
    if (flock(listener->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return cam_fail(err, CAM_CONFLICT, "%s: another cambriand listens there", listener->path);
    }
    return CAM_OK;
}

static enum cam_code listen_on(struct listener *listener, struct cam_err *err)
{
    /* The mask, not a later chmod: between bind and chmod anybody could connect. */
    (void)unlink(listener->path);
    mode_t before = umask(0177);
    int failed = uv_pipe_bind(&listener->pipe, listener->path);
    (void)umask(before);
    if (failed == 0 && listener->options.everybody && chmod(listener->path, 0666) != 0) {
        return cam_fail_errno(err, errno, "%s: cannot let users connect", listener->path);
    }
    if (failed == 0) {
        failed = uv_listen((uv_stream_t *)&listener->pipe, WAITING_CONNECTIONS, connection);
    }
    return failed == 0 ? CAM_OK
                       : cam_fail(err, CAM_IO, "%s: cannot listen: %s", listener->path,
                                  uv_strerror(failed));
}

static enum cam_code make_folder(const struct listener *listener, const char *folder,
                                 struct cam_err *err)
{
    /* One that is there is as whoever made it wants it: a group's, say. */
    bool made = access(folder, F_OK) != 0;
    enum cam_code rc = cam_folder_create(folder, 0700, err);
    if (rc == CAM_OK && made && listener->options.everybody && chmod(folder, 0755) != 0) {
        rc = cam_fail_errno(err, errno, "%s: cannot let users connect", folder);
    }
    return rc;
}

static void pipe_closed(uv_handle_t *handle)
{
    cam_free(handle->data);
}

bool listener_answers(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path) {
        return false;
    }
    memcpy(to.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool answers = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return answers;
}

enum cam_code listener_open(const struct listener_options *options, struct listener **out,
                            struct cam_err *err)
{
    enum { SOCKET_PATH_MAX = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1 };
    char folder[CAM_PATH_SIZE];
    if (strlen(options->path) > SOCKET_PATH_MAX) {
        return cam_fail(err, CAM_INVALID,
                        "%s: a socket's path of %zu bytes, at most %d are "
                        "possible: choose a shorter folder",
                        options->path, strlen(options->path), (int)SOCKET_PATH_MAX);
    }
    struct listener *listener = cam_alloc(1, sizeof *listener);
    if (listener == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", options->path);
    }
    listener->options = *options;
    listener->lock_fd = -1;
    (void)uv_pipe_init(loop_uv(options->stream.loop), &listener->pipe, 0);
    listener->pipe.data = listener;
    enum cam_code rc = cam_path(listener->path, err, "%s", options->path);
    (void)snprintf(folder, sizeof folder, "%s", listener->path);
    char *slash = strrchr(folder, '/');
    if (rc == CAM_OK && slash != NULL && slash != folder) {
        *slash = '\0';
        rc = make_folder(listener, folder, err);
    }
    if (rc == CAM_OK) {
        rc = lock_beside(listener, err);
    }
    if (rc == CAM_OK) {
        rc = listen_on(listener, err);
    }
    if (rc != CAM_OK) {
        if (listener->lock_fd >= 0) {
            (void)close(listener->lock_fd);
        }
        uv_close((uv_handle_t *)&listener->pipe, pipe_closed);
        return rc;
    }
    *out = listener;
    return CAM_OK;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    (void)unlink(listener->path);
    (void)close(listener->lock_fd);
    uv_close((uv_handle_t *)&listener->pipe, pipe_closed);
}
