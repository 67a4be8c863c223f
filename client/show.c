/* cambrian show: one job, with its epochs. */
#include "client/show.h"

#include "base/mem.h"
#include "client/output.h"
#include "client/render_job.h"

static enum cam_code ask_page(const struct invocation *in, int64_t id, int64_t after_epoch,
                              Cam__Envelope **out, struct cam_err *err)
{
    Cam__ShowRequest show = CAM__SHOW_REQUEST__INIT;
    show.id = id;
    show.after_epoch = after_epoch;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_SHOW_REQUEST;
    request.show_request = &show;
    return connection_ask(in, &request, CAM__ENVELOPE__BODY_SHOW_REPLY, out, err);
}

/* Packed messages one after the other are one message with the repeated fields of both. */
static enum cam_code append_epochs(Cam__ShowReply *reply, const Cam__Job *page, struct cam_err *err)
{
    Cam__Job epochs = CAM__JOB__INIT;
    epochs.n_epochs_done = page->n_epochs_done;
    epochs.epochs_done = page->epochs_done;
    size_t first = cam__job__get_packed_size(reply->job);
    size_t size = first + cam__job__get_packed_size(&epochs);
    uint8_t *bytes = cam_alloc(1, size);
    Cam__Job *both = NULL;
    if (bytes != NULL) {
        (void)cam__job__pack(reply->job, bytes);
        (void)cam__job__pack(&epochs, bytes + first);
        both = cam__job__unpack(NULL, size, bytes);
    }
    cam_free(bytes);
    if (both == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the epochs of job %lld: out of memory",
                        (long long)reply->job->id);
    }
    cam__job__free_unpacked(reply->job, NULL);
    reply->job = both;
    return CAM_OK;
}

static int64_t last_epoch(const Cam__Job *job)
{
    return job->n_epochs_done == 0 ? 0 : job->epochs_done[job->n_epochs_done - 1]->epoch;
}

enum cam_code show_ask(const struct invocation *in, int64_t id, Cam__Envelope **out,
                       struct cam_err *err)
{
    Cam__Envelope *whole = NULL;
    enum cam_code rc = ask_page(in, id, 0, &whole, err);
    bool more = rc == CAM_OK && whole->show_reply->job->n_epochs_done > 0;
    while (more && last_epoch(whole->show_reply->job) < whole->show_reply->job->epoch) {
        Cam__Envelope *page = NULL;
        rc = ask_page(in, id, last_epoch(whole->show_reply->job), &page, err);
        more = rc == CAM_OK && page->show_reply->job->n_epochs_done > 0;
        if (more) {
            rc = append_epochs(whole->show_reply, page->show_reply->job, err);
            more = rc == CAM_OK;
        }
        if (page != NULL) {
            cam__envelope__free_unpacked(page, NULL);
        }
    }
    if (rc != CAM_OK && whole != NULL) {
        cam__envelope__free_unpacked(whole, NULL);
        whole = NULL;
    }
    *out = whole;
    return rc;
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
