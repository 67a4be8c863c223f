/*
 * A job as lines for a person and as JSON for a program.  The JSON names are stable:
 * docs/cambrian.1 lists them, tests hold them.
 */
#ifndef RENDER_JOB_H
#define RENDER_JOB_H

#include "base/text.h"
#include "cambrian.pb-c.h"

#include <jansson.h>

/* "queued", "running", ...; "unknown" for what this version does not know. */
const char *render_state(Cam__Job__State state);

/* The state of a name; CAM__JOB__STATE__UNKNOWN where there is none. */
Cam__Job__State render_state_of(const char *name);

/* "allowed: queued, held, ..." */
void render_states(struct cam_text *out);

/* Whether a job in this state goes on no more by itself. */
bool render_is_ended(Cam__Job__State state);

/* The value of a metric of a list; NaN where it is not in it. */
double render_metric(Cam__Metric *const *metrics, size_t count, const char *name);

/* New JSON values, NULL when memory is short.  with_epochs: epochs_done too. */
json_t *render_job_json(const Cam__Job *job, bool with_epochs);
json_t *render_event_json(const Cam__Event *event);
json_t *render_status_json(const Cam__StatusReply *status);

/* The rows of `queue`, and the page of `show`. */
void render_queue(struct cam_text *out, Cam__Job *const *jobs, size_t count);
void render_job(struct cam_text *out, const Cam__Job *job);

/* "epoch 3/20  d_loss 1.2345  g_loss 0.9876  1,234 samples/s  12s": one line with its end. */
void render_epoch_line(struct cam_text *out, const Cam__Job *job, const Cam__Epoch *epoch);

/* "failed at rank 1, step 12: TEXT", or "" without an error; no end of line. */
void render_error(struct cam_text *out, const Cam__JobError *error);

#endif
