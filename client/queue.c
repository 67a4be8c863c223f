/* cambrian queue: the daemon pages its list, this puts the pages together. */
#include "base/mem.h"
#include "client/connection.h"
#include "client/output.h"
#include "client/render_job.h"

/* The pages so far: jobs point into them. */
struct listing {
    Cam__Envelope **pages;
    size_t page_count;
    Cam__Job **jobs;
    size_t job_count;
};

static void listing_release(struct listing *listing)
{
    for (size_t i = 0; i < listing->page_count; i++) {
        cam__envelope__free_unpacked(listing->pages[i], NULL);
    }
    cam_free(listing->pages);
    cam_free(listing->jobs);
}

/* Takes the page over, also when it fails. */
static enum cam_code listing_add(struct listing *listing, Cam__Envelope *page, struct cam_err *err)
{
    size_t more = page->queue_reply->n_jobs;
    Cam__Envelope **pages = cam_grow(listing->pages, listing->page_count, listing->page_count + 1,
                                     sizeof(Cam__Envelope *));
    if (pages == NULL) {
        cam__envelope__free_unpacked(page, NULL);
        return cam_fail(err, CAM_NO_MEMORY, "the queue: out of memory");
    }
    listing->pages = pages;
    pages[listing->page_count++] = page;
    Cam__Job **jobs = cam_grow(listing->jobs, listing->job_count, listing->job_count + more + 1,
                               sizeof(Cam__Job *));
    if (jobs == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the queue: out of memory");
    }
    listing->jobs = jobs;
    for (size_t i = 0; i < more; i++) {
        jobs[listing->job_count++] = page->queue_reply->jobs[i];
    }
    return CAM_OK;
}

static enum cam_code read_states(struct invocation *in, Cam__Job__State states[OPTION_VALUES_MAX],
                                 struct cam_err *err)
{
    for (size_t i = 0; i < in->state.count; i++) {
        states[i] = render_state_of(in->state.value[i]);
        if (states[i] == CAM__JOB__STATE__UNKNOWN) {
            struct cam_text allowed = {0};
            render_states(&allowed);
            enum cam_code rc = invocation_fail(in, err, "--state is '%s'; %s", in->state.value[i],
                                               allowed.bytes != NULL ? allowed.bytes : "");
            cam_text_release(&allowed);
            return rc;
        }
    }
    return CAM_OK;
}

/* One connection for all pages, so that a long list costs one handshake. */
static enum cam_code fetch(const struct invocation *in, Cam__QueueRequest *queue,
                           struct listing *listing, struct cam_err *err)
{
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_QUEUE_REQUEST;
    request.queue_request = queue;
    struct connection *connection = NULL;
    enum cam_code rc = connection_open(in, &connection, err);
    for (bool more = true; rc == CAM_OK && more;) {
        Cam__Envelope *page = NULL;
        rc = connection_send(connection, &request, err);
        if (rc == CAM_OK) {
            rc = connection_receive(connection, CAM__ENVELOPE__BODY_QUEUE_REPLY, &page, err);
        }
        if (rc == CAM_OK) {
            more = page->queue_reply->next_after_id > queue->after_id;
            queue->after_id = page->queue_reply->next_after_id;
            rc = listing_add(listing, page, err);
        }
    }
    connection_close(connection);
    return rc;
}

enum cam_code command_queue(struct invocation *in, struct cam_err *err)
{
    Cam__Job__State states[OPTION_VALUES_MAX];
    struct listing listing = {0};
    Cam__QueueRequest queue = CAM__QUEUE_REQUEST__INIT;
    enum cam_code rc = read_states(in, states, err);
    queue.all = in->given[OPTION_ALL];
    queue.states = states;
    queue.n_states = in->state.count;
    if (rc == CAM_OK) {
        rc = fetch(in, &queue, &listing, err);
    }
    if (rc == CAM_OK && in->given[OPTION_JSON]) {
        json_t *list = json_array();
        for (size_t i = 0; i < listing.job_count; i++) {
            (void)json_array_append_new(list, render_job_json(listing.jobs[i], false));
        }
        rc = output_json(list, err);
    } else if (rc == CAM_OK) {
        struct cam_text text = {0};
        render_queue(&text, listing.jobs, listing.job_count);
        rc = output_text(&text, err);
    }
    listing_release(&listing);
    return rc;
}
