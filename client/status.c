/* cambrian status: the daemon itself. */
#include "client/connection.h"
#include "client/output.h"
#include "client/render.h"
#include "client/render_job.h"

#include <inttypes.h>

static enum cam_code print_text(const Cam__StatusReply *status, struct cam_err *err)
{
    char value[RENDER_SIZE];
    struct cam_text out = {0};
    cam_text_add(&out, "daemon           %s, process %" PRId64 ", since %s\n",
                 status->daemon_version, status->pid, render_time(status->started_at_ms, value));
    cam_text_add(&out, "slots            %d, %d free\n", status->slots, status->slots_free);
    cam_text_add(&out,
                 "jobs             %" PRId64 " queued, %" PRId64 " running, %" PRId64 " ended\n",
                 status->jobs_queued, status->jobs_running, status->jobs_ended);
    cam_text_add(&out, "state            %s\n", status->state_dir);
    cam_text_add(&out, "job folders      %s\n", status->jobs_dir);
    cam_text_add(&out, "database         %s, schema %d\n",
                 render_bytes(status->database_bytes, value), status->schema_version);
    cam_text_add(&out, "disk             %s free\n", render_bytes(status->disk_free_bytes, value));
    if (status->warning[0] != '\0') {
        cam_text_add(&out, "WARNING          %s\n", status->warning);
    }
    return output_text(&out, err);
}

enum cam_code command_status(struct invocation *in, struct cam_err *err)
{
    Cam__StatusRequest status = CAM__STATUS_REQUEST__INIT;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_STATUS_REQUEST;
    request.status_request = &status;
    Cam__Envelope *reply = NULL;
    enum cam_code rc = connection_ask(in, &request, CAM__ENVELOPE__BODY_STATUS_REPLY, &reply, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = in->given[OPTION_JSON] ? output_json(render_status_json(reply->status_reply), err)
                                : print_text(reply->status_reply, err);
    cam__envelope__free_unpacked(reply, NULL);
    return rc;
}
