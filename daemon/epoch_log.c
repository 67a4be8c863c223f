#include "daemon/epoch_log.h"

#include "base/file.h"
#include "base/mem.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOG_BYTES_MAX = 256 * 1024 * 1024,
    METRICS_MAX = 256,
    LINE_BYTES_MIN = 40, /* its five names alone are longer */
};

const char *epoch_metrics_json(struct cam_arena *arena, const char *const *names,
                               const double *values, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; object != NULL && i < count; i++) {
        /* JSON has no NaN: a metric that is none is null. */
        json_t *value = isfinite(values[i]) ? json_real(values[i]) : json_null();
        if (json_object_set_new(object, names[i], value) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    char *text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(object);
    const char *copy = text == NULL ? NULL : cam_arena_strdup(arena, text);
    free(text); /* jansson's, from malloc */
    return copy;
}

static bool read_metrics(json_t *metrics, struct cam_arena *arena, const char **out)
{
    const char *names[METRICS_MAX];
    double values[METRICS_MAX];
    size_t count = 0;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(metrics, name, value)
    {
        if (count == METRICS_MAX || !(json_is_number(value) || json_is_null(value))) {
            return false;
        }
        names[count] = name;
        values[count++] = json_is_null(value) ? (double)NAN : json_number_value(value);
    }
    *out = epoch_metrics_json(arena, names, values, count);
    return *out != NULL;
}

static bool read_line(const char *line, size_t size, struct cam_arena *arena, struct epoch_row *out)
{
    json_int_t epoch = 0;
    json_int_t steps = 0;
    json_t *metrics = NULL;
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    bool good = object != NULL &&
                json_unpack(object, "{sI sI sF sF so}", "epoch", &epoch, "steps", &steps, "seconds",
                            &out->seconds, "samples_per_s", &out->samples_per_s, "metrics",
                            &metrics) == 0 &&
                epoch >= 1 && json_is_object(metrics) &&
                read_metrics(metrics, arena, &out->metrics_json);
    out->epoch = epoch;
    out->steps = steps;
    json_decref(object);
    return good;
}

/*
 * A writer that was cut off (power, full disk) leaves a piece of a line, which the next append ends
 * and follows with the whole line: such a piece is passed over.  Returns the
 * number of the first that no line made good, or 0.
 */
static size_t take_lines(const char *text, const char *end, struct cam_arena *arena,
                         struct epoch_row *rows, size_t *count_out)
{
    size_t number = 1;
    size_t bad = 0; /* the first such line since the last whole one */
    size_t lost = 0;
    int64_t last = 0;
    const char *stop = NULL;
    for (const char *line = text;
         line < end && (stop = memchr(line, '\n', (size_t)(end - line))) != NULL;
         line = stop + 1, number++) {
        struct epoch_row *row = &rows[*count_out];
        if (stop - line < LINE_BYTES_MIN || !read_line(line, (size_t)(stop - line), arena, row)) {
            bad = bad == 0 ? number : bad;
            continue;
        }
        lost = lost == 0 && bad != 0 && row->epoch > last + 1 ? bad : lost;
        bad = 0;
        last = row->epoch;
        (*count_out)++;
    }
    return lost;
}

enum cam_code epoch_log_read(const char *job_dir, struct cam_arena *arena,
                             struct epoch_row **rows_out, size_t *count_out, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    char *text = NULL;
    size_t size = 0;
    *rows_out = NULL;
    *count_out = 0;
    enum cam_code rc = cam_path(path, err, "%s/epochs.jsonl", job_dir);
    if (rc == CAM_OK) {
        rc = cam_file_read_plain(path, LOG_BYTES_MAX, &text, &size, err);
    }
    if (rc != CAM_OK) {
        return rc == CAM_NOT_FOUND ? CAM_OK : rc;
    }
    size_t lines = 0;
    /* Rows are larger than empty lines: a file of those must not ask for more than its size. */
    for (size_t i = 0, start = 0; i < size; i++) {
        if (text[i] == '\n') {
            lines += i - start >= LINE_BYTES_MIN ? 1 : 0;
            start = i + 1;
        }
    }
    struct epoch_row *rows = cam_arena_alloc(arena, lines + 1, sizeof *rows);
    if (rows == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
        goto out;
    }
    *rows_out = rows;
    size_t lost = take_lines(text, text + size, arena, rows, count_out);
    if (lost > 0) {
        rc = cam_fail(err, CAM_CORRUPT, "%s:%zu: not an epoch's line", path, lost);
    }
out:
    cam_free(text);
    return rc;
}
