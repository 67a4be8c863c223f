#include "client/follow.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

enum { RETRY_MS = 10000, PAUSE_MS = 100 };

/* One connection's worth; *heard_out is whether it ever answered. */
static enum cam_code follow_once(const struct invocation *in, int64_t id, follow_update *update,
                                 void *context, bool *heard_out, struct cam_err *err)
{
    Cam__WatchRequest watch = CAM__WATCH_REQUEST__INIT;
    watch.id = id;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_WATCH_REQUEST;
    request.watch_request = &watch;
    struct connection *connection = NULL;
    enum cam_code rc = connection_open(in, &connection, err);
    if (rc == CAM_OK) {
        rc = connection_send(connection, &request, err);
    }
    for (bool last = false; rc == CAM_OK && !last;) {
        Cam__Envelope *reply = NULL;
        rc = connection_receive(connection, CAM__ENVELOPE__BODY_UPDATE_REPLY, &reply, err);
        if (rc == CAM_OK) {
            *heard_out = true;
            last = reply->update_reply->last;
            rc = update(context, reply->update_reply->job, err);
            cam__envelope__free_unpacked(reply, NULL);
        }
    }
    connection_close(connection);
    return rc;
}

/* Waits a little; false when a signal came. */
static bool pause_a_little(void)
{
    struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    sigset_t nothing;
    (void)sigemptyset(&nothing);
    return ppoll(NULL, 0, &pause, &nothing) == 0 || errno != EINTR;
}

enum cam_code follow_job(const struct invocation *in, int64_t id, follow_update *update,
                         void *context, struct cam_err *err)
{
    int64_t give_up_ns = 0; /* 0: the connection is or was good, or is the first */
    bool ever = false;
    for (;;) {
        bool heard = false;
        enum cam_code rc = follow_once(in, id, update, context, &heard, err);
        ever = ever || heard;
        bool again = rc == CAM_PEER_LOST || (rc == CAM_UNAVAILABLE && ever);
        if (!again) {
            return rc;
        }
        int64_t now_ns = cam_monotonic_ns();
        if (heard || give_up_ns == 0) {
            give_up_ns = now_ns + (int64_t)RETRY_MS * 1000000;
        }
        if (now_ns > give_up_ns) {
            return rc;
        }
        if (!pause_a_little()) {
            return cam_fail(err, CAM_STOPPED, "interrupted");
        }
    }
}
