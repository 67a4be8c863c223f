/*
 * cambrian watch: on a terminal the epochs so far and a live picture below them; elsewhere a line
 * for each change of state and each epoch.
 */
#include "client/follow.h"
#include "client/output.h"
#include "client/render.h"
#include "client/render_job.h"
#include "client/screen.h"
#include "client/show.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct watch {
    struct invocation *in;
    bool live; /* on a terminal */
    struct screen screen;
    int64_t epochs_seen;
    Cam__Job__State state_seen;
    char reason_seen[256];
};

static int terminal_width(void)
{
    enum { USUAL = 80 };
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : USUAL;
}

static void add_epochs(struct watch *watch, const Cam__Job *job, struct cam_text *out)
{
    for (size_t i = 0; i < job->n_epochs_done; i++) {
        const Cam__Epoch *epoch = job->epochs_done[i];
        if (epoch->epoch > watch->epochs_seen) {
            watch->epochs_seen = epoch->epoch;
            render_epoch_line(out, job, epoch);
            screen_take_epoch(&watch->screen, epoch);
        }
    }
}

/* An update may tell the number of epochs only: then show tells the rest. */
static enum cam_code add_new_epochs(struct watch *watch, const Cam__Job *job, struct cam_text *out,
                                    struct cam_err *err)
{
    add_epochs(watch, job, out);
    if (job->epoch <= watch->epochs_seen) {
        return CAM_OK;
    }
    Cam__Envelope *reply = NULL;
    enum cam_code rc = show_ask(watch->in, job->id, &reply, err);
    if (rc == CAM_OK) {
        add_epochs(watch, reply->show_reply->job, out);
        cam__envelope__free_unpacked(reply, NULL);
    }
    return rc;
}

/* While it runs the reason is the phase of the step, which changes all the time. */
static void add_change(struct watch *watch, const Cam__Job *job, struct cam_text *out)
{
    bool running = job->state == CAM__JOB__STATE__RUNNING;
    bool same_reason = running || strcmp(job->reason, watch->reason_seen) == 0;
    if (job->state == watch->state_seen && same_reason) {
        return;
    }
    watch->state_seen = job->state;
    (void)snprintf(watch->reason_seen, sizeof watch->reason_seen, "%s", job->reason);
    if (!watch->live && !render_is_ended(job->state)) {
        cam_text_add(out, "job %" PRId64 " %s%s%s\n", job->id, render_state(job->state),
                     running || job->reason[0] == '\0' ? "" : ": ", running ? "" : job->reason);
    }
}

static void add_end(struct watch *watch, const Cam__Job *job, struct cam_text *out)
{
    if (!render_is_ended(job->state)) {
        return;
    }
    watch->in->exit_code = job->state == CAM__JOB__STATE__SUCCEEDED ? EXIT_DONE : EXIT_REFUSED;
    cam_text_add(out, "job %" PRId64 " %s", job->id, render_state(job->state));
    if (job->error != NULL) {
        cam_text_add(out, ": ");
        render_error(out, job->error);
    } else if (job->weights_sha256[0] != '\0') {
        cam_text_add(out, "  weights_sha256 %s", job->weights_sha256);
    }
    cam_text_add(out, "\n");
}

static enum cam_code take_update(void *context, const Cam__Job *job, struct cam_err *err)
{
    struct watch *watch = context;
    struct cam_text out = {0};
    if (watch->live) {
        watch->screen.width = terminal_width();
        screen_erase(&watch->screen, &out);
    }
    add_change(watch, job, &out);
    enum cam_code rc = add_new_epochs(watch, job, &out, err);
    if (rc == CAM_OK && watch->live) {
        screen_take(&watch->screen, job);
        screen_draw(&watch->screen, job, &out);
    }
    add_end(watch, job, &out);
    enum cam_code printed = output_text(&out, err);
    return rc != CAM_OK ? rc : printed;
}

static void on_interrupt(int number)
{
    (void)number; /* being interrupted is all that is wanted of it */
}

/* SIGINT reaches only the waits of connection.c and follow.c, which end with CAM_STOPPED. */
static void catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigset_t interrupt;
    (void)sigemptyset(&interrupt);
    (void)sigaddset(&interrupt, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &interrupt, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

enum cam_code command_watch(struct invocation *in, struct cam_err *err)
{
    int64_t id = 0;
    enum cam_code rc = invocation_id(in, 0, &id, err);
    if (rc != CAM_OK) {
        return rc;
    }
    struct watch watch = {.in = in, .live = isatty(STDOUT_FILENO) == 1};
    screen_init(&watch.screen, terminal_width(), render_is_unicode());
    catch_interrupt();
    rc = follow_job(in, id, take_update, &watch, err);
    if (rc == CAM_STOPPED) {
        struct cam_text text = {0};
        cam_text_add(&text,
                     "\njob %" PRId64 " goes on: `cambrian watch %" PRId64
                     "` shows it again, `cambrian cancel %" PRId64 "` ends it\n",
                     id, id, id);
        rc = output_text(&text, err);
    }
    return rc;
}
