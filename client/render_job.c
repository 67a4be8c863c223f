#include "client/render_job.h"

#include "base/mem.h"
#include "client/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    bool ended;
} STATES[] = {
    [CAM__JOB__STATE__UNKNOWN] = {"unknown", false},
    [CAM__JOB__STATE__QUEUED] = {"queued", false},
    [CAM__JOB__STATE__HELD] = {"held", false},
    [CAM__JOB__STATE__STARTING] = {"starting", false},
    [CAM__JOB__STATE__RUNNING] = {"running", false},
    [CAM__JOB__STATE__STOPPING] = {"stopping", false},
    [CAM__JOB__STATE__SUCCEEDED] = {"succeeded", true},
    [CAM__JOB__STATE__FAILED] = {"failed", true},
    [CAM__JOB__STATE__CANCELLED] = {"cancelled", true},
    [CAM__JOB__STATE__INTERRUPTED] = {"interrupted", true},
};
enum { STATE_COUNT = sizeof STATES / sizeof STATES[0] };

const char *render_state(Cam__Job__State state)
{
    return (unsigned)state < STATE_COUNT ? STATES[state].name : "unknown";
}

Cam__Job__State render_state_of(const char *name)
{
    for (int i = CAM__JOB__STATE__QUEUED; i < STATE_COUNT; i++) {
        if (strcmp(STATES[i].name, name) == 0) {
            return (Cam__Job__State)i;
        }
    }
    return CAM__JOB__STATE__UNKNOWN;
}

void render_states(struct cam_text *out)
{
    for (int i = CAM__JOB__STATE__QUEUED; i < STATE_COUNT; i++) {
        cam_text_add(out, "%s%s", i == CAM__JOB__STATE__QUEUED ? "allowed: " : ", ",
                     STATES[i].name);
    }
}

bool render_is_ended(Cam__Job__State state)
{
    return (unsigned)state < STATE_COUNT && STATES[state].ended;
}

double render_metric(Cam__Metric *const *metrics, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(metrics[i]->name, name) == 0) {
            return metrics[i]->value;
        }
    }
    return __builtin_nan("");
}

void render_error(struct cam_text *out, const Cam__JobError *error)
{
    if (error == NULL) {
        return;
    }
    if (error->rank >= 0) {
        cam_text_add(out, "rank %d, ", error->rank);
    }
    if (error->step >= 0) {
        cam_text_add(out, "step %" PRId64 ", ", error->step);
    }
    cam_text_add(out, "%s: %s", error->code, error->text);
}

/* The last column of the queue: what there is to say about this job now. */
static void add_note(struct cam_text *out, const Cam__Job *job)
{
    char text[RENDER_SIZE];
    if (job->error != NULL) {
        render_error(out, job->error);
    } else if (job->state == CAM__JOB__STATE__RUNNING && job->eta_s >= 0) {
        cam_text_add(out, "%s left", render_duration(job->eta_s, text));
    } else if (job->reason[0] != '\0') {
        cam_text_add(out, "%s", job->reason);
    } else if (job->state == CAM__JOB__STATE__SUCCEEDED) {
        cam_text_add(out, "in %s",
                     render_duration((double)(job->ended_at_ms - job->started_at_ms) / 1000, text));
    }
}

enum { QUEUE_COLUMNS = 7, QUEUE_LOSSES_MAX = 2 };

static const struct render_column QUEUE[QUEUE_COLUMNS] = {
    {"ID", true},    {"NAME", false},   {"STATE", false}, {"RANKS", true},
    {"EPOCH", true}, {"LOSSES", false}, {"", false},
};

/* "d_loss 1.2345  g_loss 0.9876": the metrics whose names end so; `show` has all. */
static void add_losses(struct cam_text *out, const Cam__Job *job)
{
    char text[RENDER_SIZE];
    int shown = 0;
    for (size_t i = 0; i < job->n_metrics && shown < QUEUE_LOSSES_MAX; i++) {
        const char *name = job->metrics[i]->name;
        size_t length = strlen(name);
        if (length >= 4 && strcmp(name + length - 4, "loss") == 0) {
            cam_text_add(out, "%s%s %s", shown++ == 0 ? "" : "  ", name,
                         render_loss(job->metrics[i]->value, text));
        }
    }
    cam_text_add(out, "%s", shown == 0 ? "-" : "");
}

/* One row's texts, in the order of QUEUE; each ends with cam_free. */
static void fill_row(const Cam__Job *job, char **cells)
{
    struct cam_text built[QUEUE_COLUMNS] = {0};
    cam_text_add(&built[0], "%" PRId64, job->id);
    cam_text_add(&built[1], "%s", job->name);
    cam_text_add(&built[2], "%s", render_state(job->state));
    cam_text_add(&built[3], "%d", job->ranks);
    cam_text_add(&built[4], "%" PRId64 "/%" PRId64, job->epoch, job->epochs);
    add_losses(&built[5], job);
    add_note(&built[6], job);
    for (int i = 0; i < QUEUE_COLUMNS; i++) {
        cells[i] = built[i].bytes;
    }
}

void render_queue(struct cam_text *out, Cam__Job *const *jobs, size_t count)
{
    char **built = cam_alloc(count * QUEUE_COLUMNS + 1, sizeof *built);
    const char **cells = cam_alloc(count * QUEUE_COLUMNS + 1, sizeof *cells);
    if (built == NULL || cells == NULL) {
        out->failed = true;
    } else {
        for (size_t i = 0; i < count; i++) {
            fill_row(jobs[i], built + i * QUEUE_COLUMNS);
        }
        for (size_t i = 0; i < count * QUEUE_COLUMNS; i++) {
            cells[i] = built[i] != NULL ? built[i] : "";
        }
        render_table(out, QUEUE, QUEUE_COLUMNS, cells, count);
        for (size_t i = 0; i < count * QUEUE_COLUMNS; i++) {
            cam_free(built[i]);
        }
    }
    cam_free(built);
    cam_free(cells);
}

void render_epoch_line(struct cam_text *out, const Cam__Job *job, const Cam__Epoch *epoch)
{
    char text[RENDER_SIZE];
    cam_text_add(out, "epoch %" PRId64 "/%" PRId64, epoch->epoch, job->epochs);
    for (size_t i = 0; i < epoch->n_metrics; i++) {
        cam_text_add(out, "  %s %s", epoch->metrics[i]->name,
                     render_loss(epoch->metrics[i]->value, text));
    }
    cam_text_add(out, "  %s samples/s", render_count((int64_t)epoch->samples_per_s, text));
    cam_text_add(out, "  %s\n", render_duration(epoch->seconds, text));
}

static void add_line(struct cam_text *out, const char *name, const char *value)
{
    if (value[0] != '\0') {
        cam_text_add(out, "%-16s %s\n", name, value);
    }
}

static void add_times(struct cam_text *out, const Cam__Job *job)
{
    char text[RENDER_SIZE];
    add_line(out, "submitted", render_time(job->submitted_at_ms, text));
    if (job->started_at_ms > 0) {
        add_line(out, "started", render_time(job->started_at_ms, text));
    }
    if (job->ended_at_ms > 0) {
        add_line(out, "ended", render_time(job->ended_at_ms, text));
    }
    if (job->not_before_ms > 0 && job->state == CAM__JOB__STATE__QUEUED) {
        add_line(out, "not before", render_time(job->not_before_ms, text));
    }
    if (job->eta_s >= 0 && !render_is_ended(job->state)) {
        add_line(out, "time left", render_duration(job->eta_s, text));
    }
}

static void add_plan(struct cam_text *out, const Cam__Job *job)
{
    char text[RENDER_SIZE];
    cam_text_add(out, "%-16s %d (asked for %d", "ranks", job->ranks, job->ranks_min);
    if (job->ranks_max > job->ranks_min) {
        cam_text_add(out, " to %d", job->ranks_max);
    }
    cam_text_add(out, ")\n");
    cam_text_add(out, "%-16s %d\n", "attempts", job->attempts);
    cam_text_add(out, "%-16s epoch %" PRId64 "/%" PRId64 ", step %" PRId64 "/%" PRId64 "\n",
                 "progress", job->epoch, job->epochs, job->step,
                 job->steps_per_epoch * job->epochs);
    cam_text_add(out, "%-16s %s", "plan", render_count(job->parameters, text));
    cam_text_add(out, " parameters, %sFLOP a step,",
                 render_rate((double)job->flops_per_step, text));
    cam_text_add(out, " %s a rank\n", render_bytes(job->bytes_per_rank, text));
}

void render_job(struct cam_text *out, const Cam__Job *job)
{
    cam_text_add(out, "%-16s %" PRId64 "\n", "job", job->id);
    add_line(out, "name", job->name);
    add_line(out, "kind", job->kind);
    add_line(out, "state", render_state(job->state));
    add_line(out, "reason", job->reason);
    if (job->error != NULL) {
        cam_text_add(out, "%-16s ", "error");
        render_error(out, job->error);
        cam_text_add(out, "\n");
    }
    add_plan(out, job);
    add_times(out, job);
    add_line(out, "weights_sha256", job->weights_sha256);
    add_line(out, "folder", job->job_dir);
    for (size_t i = 0; i < job->n_epochs_done; i++) {
        render_epoch_line(out, job, job->epochs_done[i]);
    }
}
