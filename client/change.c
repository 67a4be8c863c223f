/* cambrian cancel, hold, release, resume: one request a job, one line of answer. */
#include "client/connection.h"
#include "client/output.h"
#include "client/render_job.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* Every message of these lives here, so that the envelope can point at the right one. */
struct change {
    Cam__CancelRequest cancel;
    Cam__HoldRequest hold;
    Cam__ReleaseRequest release;
    Cam__ResumeRequest resume;
    Cam__Envelope envelope;
};

static void fill_cancel(struct change *c, const struct invocation *in, int64_t id)
{
    c->cancel.id = id;
    c->cancel.now = in->given[OPTION_NOW];
    c->envelope.body_case = CAM__ENVELOPE__BODY_CANCEL_REQUEST;
    c->envelope.cancel_request = &c->cancel;
}

static void fill_hold(struct change *c, const struct invocation *in, int64_t id)
{
    (void)in;
    c->hold.id = id;
    c->envelope.body_case = CAM__ENVELOPE__BODY_HOLD_REQUEST;
    c->envelope.hold_request = &c->hold;
}

static void fill_release(struct change *c, const struct invocation *in, int64_t id)
{
    (void)in;
    c->release.id = id;
    c->envelope.body_case = CAM__ENVELOPE__BODY_RELEASE_REQUEST;
    c->envelope.release_request = &c->release;
}

static void fill_resume(struct change *c, const struct invocation *in, int64_t id)
{
    (void)in;
    c->resume.id = id;
    c->envelope.body_case = CAM__ENVELOPE__BODY_RESUME_REQUEST;
    c->envelope.resume_request = &c->resume;
}

static const struct {
    const char *name;
    void (*fill)(struct change *c, const struct invocation *in, int64_t id);
} CHANGES[] = {
    {"cancel", fill_cancel},
    {"hold", fill_hold},
    {"release", fill_release},
    {"resume", fill_resume},
};

static enum cam_code change_one(const struct invocation *in, int64_t id, json_t *list,
                                struct cam_err *err)
{
    struct change change = {.cancel = CAM__CANCEL_REQUEST__INIT,
                            .hold = CAM__HOLD_REQUEST__INIT,
                            .release = CAM__RELEASE_REQUEST__INIT,
                            .resume = CAM__RESUME_REQUEST__INIT,
                            .envelope = CAM__ENVELOPE__INIT};
    for (size_t i = 0; i < sizeof CHANGES / sizeof CHANGES[0]; i++) {
        if (strcmp(CHANGES[i].name, in->command->name) == 0) {
            CHANGES[i].fill(&change, in, id);
        }
    }
    assert(change.envelope.body_case != CAM__ENVELOPE__BODY__NOT_SET);
    Cam__Envelope *reply = NULL;
    enum cam_code rc =
        connection_ask(in, &change.envelope, CAM__ENVELOPE__BODY_CHANGE_REPLY, &reply, err);
    if (rc != CAM_OK) {
        return rc;
    }
    const Cam__Job *job = reply->change_reply->job;
    if (in->given[OPTION_JSON]) {
        (void)json_array_append_new(list, render_job_json(job, false));
    } else {
        struct cam_text text = {0};
        cam_text_add(&text, "job %" PRId64 " %s\n", job->id, render_state(job->state));
        rc = output_text(&text, err);
    }
    cam__envelope__free_unpacked(reply, NULL);
    return rc;
}

enum cam_code command_change(struct invocation *in, struct cam_err *err)
{
    json_t *list = json_array();
    enum cam_code rc = CAM_OK;
    for (int i = 0; rc == CAM_OK && i < in->argument_count; i++) {
        int64_t id = 0;
        rc = invocation_id(in, i, &id, err);
        if (rc == CAM_OK) {
            rc = change_one(in, id, list, err);
        }
    }
    if (rc == CAM_OK && in->given[OPTION_JSON]) {
        rc = output_json(list, err);
        list = NULL;
    }
    json_decref(list);
    return rc;
}
