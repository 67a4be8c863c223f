/* cambrian events: what happened to a job, page by page. */
#include "client/connection.h"
#include "client/output.h"
#include "client/render.h"
#include "client/render_job.h"

#include <string.h>

static void add_event(struct cam_text *out, const Cam__Event *event)
{
    char time[RENDER_SIZE];
    cam_text_add(out, "%s  ", render_time(event->at_ms, time));
    if (event->attempt > 0) {
        cam_text_add(out, "attempt %-3d ", event->attempt);
    } else {
        cam_text_add(out, "%-12s", "");
    }
    if (strcmp(event->kind, "state") == 0 && event->from_state[0] != '\0') {
        cam_text_add(out, "%s -> %s", event->from_state, event->to_state);
    } else {
        cam_text_add(out, "%s", event->to_state[0] != '\0' ? event->to_state : event->kind);
    }
    cam_text_add(out, event->text[0] != '\0' ? ": %s\n" : "%s\n", event->text);
}

enum cam_code command_events(struct invocation *in, struct cam_err *err)
{
    Cam__EventsRequest events = CAM__EVENTS_REQUEST__INIT;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_EVENTS_REQUEST;
    request.events_request = &events;
    struct cam_text text = {0};
    json_t *list = json_array();
    struct connection *connection = NULL;
    enum cam_code rc = invocation_id(in, 0, &events.id, err);
    if (rc == CAM_OK) {
        rc = connection_open(in, &connection, err);
    }
    for (bool more = true; rc == CAM_OK && more;) {
        Cam__Envelope *page = NULL;
        rc = connection_send(connection, &request, err);
        if (rc == CAM_OK) {
            rc = connection_receive(connection, CAM__ENVELOPE__BODY_EVENTS_REPLY, &page, err);
        }
        if (rc != CAM_OK) {
            break;
        }
        const Cam__EventsReply *reply = page->events_reply;
        for (size_t i = 0; i < reply->n_events; i++) {
            add_event(&text, reply->events[i]);
            (void)json_array_append_new(list, render_event_json(reply->events[i]));
        }
        more = reply->n_events > 0 && reply->next_after_event_id > events.after_event_id;
        events.after_event_id = reply->next_after_event_id;
        cam__envelope__free_unpacked(page, NULL);
    }
    connection_close(connection);
    if (rc == CAM_OK && in->given[OPTION_JSON]) {
        rc = output_json(list, err);
        list = NULL;
    } else if (rc == CAM_OK) {
        rc = output_text(&text, err);
    }
    json_decref(list);
    cam_text_release(&text);
    return rc;
}
