/* cambrian wait: silent until the job has ended; its outcome is the exit code. */
#include "client/follow.h"
#include "client/output.h"
#include "client/render_job.h"

#include <inttypes.h>

/* The end of a job as one line. */
static enum cam_code take_update(void *context, const Cam__Job *job, struct cam_err *err)
{
    struct invocation *in = context;
    if (!render_is_ended(job->state)) {
        return CAM_OK;
    }
    in->exit_code = job->state == CAM__JOB__STATE__SUCCEEDED ? EXIT_DONE : EXIT_REFUSED;
    struct cam_text text = {0};
    cam_text_add(&text, "job %" PRId64 " %s", job->id, render_state(job->state));
    if (job->error != NULL) {
        cam_text_add(&text, ": ");
        render_error(&text, job->error);
    }
    cam_text_add(&text, "\n");
    return output_text(&text, err);
}

enum cam_code command_wait(struct invocation *in, struct cam_err *err)
{
    int64_t id = 0;
    enum cam_code rc = invocation_id(in, 0, &id, err);
    return rc == CAM_OK ? follow_job(in, id, take_update, in, err) : rc;
}
