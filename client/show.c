/* cambrian show: one job, with its epochs. */
#include "client/show.h"

#include "client/output.h"
#include "client/render_job.h"

enum cam_code show_ask(const struct invocation *in, int64_t id, Cam__Envelope **out,
                       struct cam_err *err)
{
    Cam__ShowRequest show = CAM__SHOW_REQUEST__INIT;
    show.id = id;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_SHOW_REQUEST;
    request.show_request = &show;
    return connection_ask(in, &request, CAM__ENVELOPE__BODY_SHOW_REPLY, out, err);
}

enum cam_code command_show(struct invocation *in, struct cam_err *err)
{
    int64_t id = 0;
    Cam__Envelope *reply = NULL;
    enum cam_code rc = invocation_id(in, 0, &id, err);
    if (rc == CAM_OK) {
        rc = show_ask(in, id, &reply, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    if (in->given[OPTION_JSON]) {
        rc = output_json(render_job_json(reply->show_reply->job, true), err);
    } else {
        struct cam_text text = {0};
        render_job(&text, reply->show_reply->job);
        rc = output_text(&text, err);
    }
    cam__envelope__free_unpacked(reply, NULL);
    return rc;
}
