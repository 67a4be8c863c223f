#include "client/screen.h"

#include "client/render.h"
#include "client/render_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void screen_init(struct screen *screen, int width, bool unicode)
{
    enum { LEAST_WIDTH = 20 };
    *screen = (struct screen){
        .unicode = unicode, .width = width < LEAST_WIDTH ? LEAST_WIDTH : width, .step = -1};
}

static struct screen_history *history_of(struct screen *screen, const char *name)
{
    for (int i = 0; i < screen->metric_count; i++) {
        if (strcmp(screen->metrics[i].name, name) == 0) {
            return &screen->metrics[i];
        }
    }
    if (screen->metric_count == SCREEN_METRICS_MAX) {
        return NULL;
    }
    struct screen_history *history = &screen->metrics[screen->metric_count++];
    *history = (struct screen_history){.stride = 1};
    (void)snprintf(history->name, sizeof history->name, "%s", name);
    return history;
}

static void remember(struct screen_history *history, double value)
{
    history->pending_sum += value;
    if (++history->pending_count < history->stride) {
        return;
    }
    if (history->count == SCREEN_HISTORY_MAX) {
        for (size_t i = 0; i < SCREEN_HISTORY_MAX / 2; i++) {
            history->values[i] = (history->values[2 * i] + history->values[2 * i + 1]) / 2;
        }
        history->count = SCREEN_HISTORY_MAX / 2;
        history->stride *= 2;
    }
    history->values[history->count++] = history->pending_sum / (double)history->pending_count;
    history->pending_sum = 0;
    history->pending_count = 0;
}

static void take_metrics(struct screen *screen, Cam__Metric *const *metrics, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct screen_history *history = history_of(screen, metrics[i]->name);
        if (history != NULL) {
            remember(history, metrics[i]->value);
        }
    }
}

void screen_take(struct screen *screen, const Cam__Job *job)
{
    if (job->step != screen->step) {
        screen->step = job->step;
        take_metrics(screen, job->metrics, job->n_metrics);
    }
}

void screen_take_epoch(struct screen *screen, const Cam__Epoch *epoch)
{
    take_metrics(screen, epoch->metrics, epoch->n_metrics);
}

void screen_erase(struct screen *screen, struct cam_text *out)
{
    if (screen->lines > 0) {
        cam_text_add(out, "\r\033[%dA\033[J", screen->lines);
        screen->lines = 0;
    }
}

/* One line, cut where the terminal ends, so that the count of lines stays true. */
static void add_line(struct screen *screen, struct cam_text *line, struct cam_text *out)
{
    const char *text = line->bytes != NULL ? line->bytes : "";
    size_t bytes = 0;
    int cells = 0;
    while (text[bytes] != '\0' && cells < screen->width - 1) {
        bytes++;
        while (((unsigned char)text[bytes] & 0xC0) == 0x80) {
            bytes++;
        }
        cells++;
    }
    cam_text_add_bytes(out, text, bytes);
    cam_text_add(out, "\033[K\n");
    screen->lines++;
    out->failed = out->failed || line->failed;
    cam_text_release(line);
}

static void draw_progress(struct screen *screen, const Cam__Job *job, struct cam_text *out)
{
    enum { BAR_MOST = 40, REST_CELLS = 48 };
    char text[RENDER_SIZE];
    struct cam_text line = {0};
    int64_t steps = job->steps_per_epoch * job->epochs;
    double share = steps > 0 ? (double)job->step / (double)steps : 0;
    int width = screen->width - REST_CELLS;
    width = width > BAR_MOST ? BAR_MOST : width < 8 ? 8 : width;
    int64_t open_epoch = job->epoch < job->epochs ? job->epoch + 1 : job->epochs;
    cam_text_add(&line, "epoch %" PRId64 "/%" PRId64 "  ", open_epoch, job->epochs);
    render_bar(&line, share, width, screen->unicode);
    cam_text_add(&line, " %3d %%  step %s", (int)(share * 100), render_count(job->step, text));
    cam_text_add(&line, "/%s", render_count(steps, text));
    add_line(screen, &line, out);
    if (job->samples_per_s > 0) {
        cam_text_add(&line, "%s samples/s", render_count((int64_t)job->samples_per_s, text));
    }
    if (job->eta_s >= 0 && !render_is_ended(job->state)) {
        cam_text_add(&line, "%s%s left", line.size > 0 ? "  " : "",
                     render_duration(job->eta_s, text));
    }
    if (line.size > 0) {
        add_line(screen, &line, out);
    }
}

/* "d_loss" is "D loss" to a person. */
static void write_title(const char *name, char out[SCREEN_NAME_SIZE])
{
    (void)snprintf(out, SCREEN_NAME_SIZE, "%s", name);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '_' ? ' ' : *c;
    }
    out[0] = out[0] >= 'a' && out[0] <= 'z' ? (char)(out[0] - 'a' + 'A') : out[0];
}

static int title_width(const struct screen *screen)
{
    size_t width = 0;
    for (int i = 0; i < screen->metric_count; i++) {
        size_t length = strlen(screen->metrics[i].name);
        width = length > width ? length : width;
    }
    return (int)width;
}

static void draw_metric(struct screen *screen, const struct screen_history *history, double now,
                        struct cam_text *out)
{
    enum { CURVE_MOST = 60, REST_CELLS = 13 };
    char text[RENDER_SIZE];
    char title[SCREEN_NAME_SIZE];
    struct cam_text line = {0};
    int titles = title_width(screen);
    int width = screen->width - titles - REST_CELLS;
    width = width > CURVE_MOST ? CURVE_MOST : width < 4 ? 4 : width;
    write_title(history->name, title);
    cam_text_add(&line, "%-*s %8s  ", titles, title, render_loss(now, text));
    render_curve(&line, history->values, history->count, width, screen->unicode);
    add_line(screen, &line, out);
}

void screen_draw(struct screen *screen, const Cam__Job *job, struct cam_text *out)
{
    struct cam_text line = {0};
    cam_text_add(&line, "job %" PRId64 "  %s  %s  %d rank%s", job->id, job->name,
                 render_state(job->state), job->ranks, job->ranks == 1 ? "" : "s");
    if (job->attempts > 1) {
        cam_text_add(&line, "  attempt %d", job->attempts);
    }
    if (job->reason[0] != '\0' && job->state != CAM__JOB__STATE__RUNNING) {
        cam_text_add(&line, "  (%s)", job->reason);
    }
    add_line(screen, &line, out);
    draw_progress(screen, job, out);
    for (int i = 0; i < screen->metric_count; i++) {
        double now = render_metric(job->metrics, job->n_metrics, screen->metrics[i].name);
        draw_metric(screen, &screen->metrics[i], now, out);
    }
}
