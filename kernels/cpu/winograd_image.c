#include "kernels/cpu/winograd_image.h"

#include "kernels/cpu/panel.h"

#include <string.h>

static int64_t piece_size(const struct winograd_axis *axis, int64_t piece)
{
    return piece < axis->threes ? 3 : piece < axis->threes + axis->twos ? 2 : 1;
}

/* The first output of a piece, which is its first cell, too. */
static int64_t piece_first(const struct winograd_axis *axis, int64_t piece)
{
    int64_t twos = piece > axis->threes ? piece - axis->threes : 0;
    return 3 * (piece - twos) + 2 * twos;
}

static void cut(struct winograd_axis *axis)
{
    int64_t y = axis->y;
    axis->threes = y < 3 ? 0 : y % 3 == 1 ? y / 3 - 1 : y / 3;
    axis->twos = (y - 3 * axis->threes) / 2;
    int64_t ones = y - 3 * axis->threes - 2 * axis->twos;
    axis->pieces = axis->threes + axis->twos + ones;
    const int64_t with[WINOGRAD_POINTS] = {axis->pieces, axis->pieces, axis->pieces - ones,
                                           axis->threes};
    memcpy(axis->with, with, sizeof with);
}

void winograd_shape_complete(struct winograd_shape *shape)
{
    cut(&shape->axis[0]);
    cut(&shape->axis[1]);
    shape->wide = shape->axis[0].stride * shape->axis[1].stride * shape->channels;
    shape->places = 0;
    for (int a = 0; a < WINOGRAD_POINTS; a++) {
        for (int b = 0; b < WINOGRAD_POINTS; b++) {
            shape->first[a][b] = shape->places;
            shape->places += shape->axis[0].with[a] * shape->axis[1].with[b];
        }
    }
}

int64_t winograd_line_floats(const struct winograd_shape *shape)
{
    return (shape->axis[1].y + 1) * shape->axis[1].stride * shape->channels;
}

/* Of one sample in a chunk, one piece of each axis. */
struct spot {
    int64_t sample;
    int64_t piece[2];
};

/* The row of a spot in the matrices of a pair of points. */
static float *place_of(const struct winograd_shape *w, float *matrices, int64_t columns,
                       const struct spot *spot, int a, int b)
{
    int64_t across = w->axis[0].with[a];
    int64_t along = w->axis[1].with[b];
    int64_t row = (spot->sample * across + spot->piece[0]) * along + spot->piece[1];
    return matrices + (w->first[a][b] * w->chunk + row) * columns;
}

/* A row of the image, or -1 where it is padding. */
static int64_t image_row(const struct winograd_axis *axis, int64_t cell, int64_t phase)
{
    int64_t row = cell * axis->stride + phase - axis->before;
    return row >= 0 && row < axis->x ? row : -1;
}

static float *x_line(const struct winograd_shape *w, const struct winograd_work *work,
                     int64_t point, int64_t phase)
{
    return work->x_lines + (point * w->axis[0].stride + phase) * winograd_line_floats(w);
}

static float *y_line(const struct winograd_shape *w, const struct winograd_work *work,
                     int64_t point)
{
    return work->y_lines + point * w->axis[1].y * w->outs;
}

void winograd_image_from_x(const struct winograd_shape *w, const struct winograd_work *work,
                           const float *image, int64_t sample)
{
    const struct winograd_axis *h = &w->axis[0];
    const struct winograd_axis *v = &w->axis[1];
    const int64_t row_floats = v->x * w->channels;
    const int64_t part = v->stride * w->channels;
    const float *in[WINOGRAD_POINTS];
    float *out[WINOGRAD_POINTS];
    struct spot spot = {.sample = sample};
    for (spot.piece[0] = 0; spot.piece[0] < h->pieces; spot.piece[0]++) {
        const int size = (int)piece_size(h, spot.piece[0]);
        for (int64_t phase = 0; phase < h->stride; phase++) {
            for (int k = 0; k <= size; k++) {
                int64_t row = image_row(h, piece_first(h, spot.piece[0]) + k, phase);
                in[k] = row < 0 ? work->zeros : image + row * row_floats;
                out[k] = x_line(w, work, k, phase) + v->before * w->channels;
            }
            winograd_from_x(size, in, out, (size_t)row_floats);
        }
        for (spot.piece[1] = 0; spot.piece[1] < v->pieces; spot.piece[1]++) {
            const int64_t first = piece_first(v, spot.piece[1]);
            const int along = (int)piece_size(v, spot.piece[1]);
            for (int64_t i = 0; i < (size + 1) * h->stride; i++) {
                const int point = (int)(i / h->stride);
                const int64_t phase = i % h->stride;
                for (int k = 0; k <= along; k++) {
                    in[k] = x_line(w, work, point, phase) + (first + k) * part;
                    out[k] = place_of(w, work->x, w->wide, &spot, point, k) + phase * part;
                }
                winograd_from_x(along, in, out, (size_t)part);
            }
        }
    }
}

void winograd_image_to_x(const struct winograd_shape *w, const struct winograd_work *work,
                         int64_t sample, float *image)
{
    const struct winograd_axis *h = &w->axis[0];
    const struct winograd_axis *v = &w->axis[1];
    const int64_t row_floats = v->x * w->channels;
    const int64_t part = v->stride * w->channels;
    const float *in[WINOGRAD_POINTS];
    float *out[WINOGRAD_POINTS];
    struct spot spot = {.sample = sample};
    for (spot.piece[0] = 0; spot.piece[0] < h->pieces; spot.piece[0]++) {
        const int size = (int)piece_size(h, spot.piece[0]);
        for (spot.piece[1] = 0; spot.piece[1] < v->pieces; spot.piece[1]++) {
            const int64_t first = piece_first(v, spot.piece[1]);
            const int along = (int)piece_size(v, spot.piece[1]);
            for (int64_t i = 0; i < (size + 1) * h->stride; i++) {
                const int point = (int)(i / h->stride);
                const int64_t phase = i % h->stride;
                for (int k = 0; k <= along; k++) {
                    in[k] = place_of(w, work->x, w->wide, &spot, point, k) + phase * part;
                    out[k] = x_line(w, work, point, phase) + (first + k) * part;
                }
                winograd_to_x(along, in, out, spot.piece[1] > 0, (size_t)part);
            }
        }
        for (int64_t phase = 0; phase < h->stride; phase++) {
            for (int k = 0; k <= size; k++) {
                int64_t row = image_row(h, piece_first(h, spot.piece[0]) + k, phase);
                in[k] = x_line(w, work, k, phase) + v->before * w->channels;
                out[k] = row < 0 ? work->waste : image + row * row_floats;
            }
            winograd_to_x(size, in, out, spot.piece[0] > 0, (size_t)row_floats);
        }
    }
}

void winograd_image_from_y(const struct winograd_shape *w, const struct winograd_work *work,
                           const float *image, int64_t sample)
{
    const struct winograd_axis *h = &w->axis[0];
    const struct winograd_axis *v = &w->axis[1];
    const int64_t row_floats = v->y * w->outs;
    const float *in[WINOGRAD_POINTS];
    float *out[WINOGRAD_POINTS];
    struct spot spot = {.sample = sample};
    for (spot.piece[0] = 0; spot.piece[0] < h->pieces; spot.piece[0]++) {
        const int size = (int)piece_size(h, spot.piece[0]);
        for (int k = 0; k <= size; k++) {
            in[k] = image + (piece_first(h, spot.piece[0]) + (k < size ? k : 0)) * row_floats;
            out[k] = y_line(w, work, k);
        }
        winograd_from_y(size, in, out, (size_t)row_floats);
        for (spot.piece[1] = 0; spot.piece[1] < v->pieces; spot.piece[1]++) {
            const int64_t first = piece_first(v, spot.piece[1]);
            const int along = (int)piece_size(v, spot.piece[1]);
            for (int point = 0; point <= size; point++) {
                for (int k = 0; k <= along; k++) {
                    in[k] = y_line(w, work, point) + (first + k) * w->outs;
                    out[k] = place_of(w, work->y, w->outs, &spot, point, k);
                }
                winograd_from_y(along, in, out, (size_t)w->outs);
            }
        }
    }
}

void winograd_image_to_y(const struct winograd_shape *w, const struct winograd_work *work,
                         int64_t sample, float *image)
{
    const struct winograd_axis *h = &w->axis[0];
    const struct winograd_axis *v = &w->axis[1];
    const int64_t row_floats = v->y * w->outs;
    const float *in[WINOGRAD_POINTS];
    float *out[WINOGRAD_POINTS];
    struct spot spot = {.sample = sample};
    for (spot.piece[0] = 0; spot.piece[0] < h->pieces; spot.piece[0]++) {
        const int size = (int)piece_size(h, spot.piece[0]);
        for (spot.piece[1] = 0; spot.piece[1] < v->pieces; spot.piece[1]++) {
            const int64_t first = piece_first(v, spot.piece[1]);
            const int along = (int)piece_size(v, spot.piece[1]);
            for (int point = 0; point <= size; point++) {
                for (int k = 0; k <= along; k++) {
                    in[k] = place_of(w, work->y, w->outs, &spot, point, k);
                    out[k] = y_line(w, work, point) + (first + (k < along ? k : 0)) * w->outs;
                }
                winograd_to_y(along, in, out, (size_t)w->outs);
            }
        }
        for (int k = 0; k <= size; k++) {
            in[k] = y_line(w, work, k);
            out[k] = image + (piece_first(h, spot.piece[0]) + (k < size ? k : 0)) * row_floats;
        }
        winograd_to_y(size, in, out, (size_t)row_floats);
    }
}

/* Weights are walked in blocks whose lines stay in the first-level cache. */
enum { WEIGHT_BLOCK = 256 };

/* Where tap (u, t) of a phase begins: the phases along a row are neighbours in memory. */
static int64_t tap_offset(const int64_t kernel[4], int64_t phase, int u, int t)
{
    int64_t row = (int64_t)u * (kernel[0] / WINOGRAD_TAPS) + phase;
    return (row * kernel[1] + (int64_t)t * (kernel[1] / WINOGRAD_TAPS)) * kernel[2] * kernel[3];
}

int64_t winograd_weight_floats(const int64_t kernel[4])
{
    const int taps = WINOGRAD_TAPS * WINOGRAD_TAPS;
    return kernel[0] * kernel[1] * kernel[2] * kernel[3] / taps * WINOGRAD_POINTS * WINOGRAD_POINTS;
}

/* A stretch of one panel: `rows` rows of 16 weights, which lie `row` and `lane` apart. */
struct stretch {
    int64_t phase[2];
    int64_t from; /* of the first weight behind its tap's */
    int64_t rows;
    int64_t row;
    int64_t lane;
};

enum { STRETCH_ROWS = WEIGHT_BLOCK / PANEL_WIDTH };

static void stretch_points(const int64_t kernel[4], const struct stretch *stretch,
                           const float *weights, float *points)
{
    float taps[WINOGRAD_TAPS][WINOGRAD_TAPS][WEIGHT_BLOCK];
    float lines[WINOGRAD_POINTS][WINOGRAD_TAPS][WEIGHT_BLOCK];
    const size_t count = (size_t)stretch->rows * PANEL_WIDTH;
    const int64_t pair = winograd_weight_floats(kernel) / (WINOGRAD_POINTS * WINOGRAD_POINTS);
    const int64_t along = stretch->phase[1] * kernel[2] * kernel[3] + stretch->from;
    for (int t = 0; t < WINOGRAD_TAPS; t++) {
        for (int u = 0; u < WINOGRAD_TAPS; u++) {
            const float *from = weights + tap_offset(kernel, stretch->phase[0], u, t) + along;
            for (int64_t i = 0; i < (int64_t)count; i++) {
                taps[t][u][i] =
                    from[i / PANEL_WIDTH * stretch->row + i % PANEL_WIDTH * stretch->lane];
            }
        }
        const float *const in[WINOGRAD_TAPS] = {taps[t][0], taps[t][1]};
        float *const out[WINOGRAD_POINTS] = {lines[0][t], lines[1][t], lines[2][t], lines[3][t]};
        winograd_from_w(in, out, count);
    }
    for (int k = 0; k < WINOGRAD_POINTS; k++) {
        const float *const in[WINOGRAD_TAPS] = {lines[k][0], lines[k][1]};
        float *out[WINOGRAD_POINTS];
        for (int m = 0; m < WINOGRAD_POINTS; m++) {
            out[m] = points + (k * WINOGRAD_POINTS + m) * pair;
        }
        winograd_from_w(in, out, count);
    }
}

/* Panels of outputs over rows of channels; crosswise, panels of channels over rows of outputs. */
static void weights_from(const int64_t kernel[4], bool crosswise, const float *weights,
                         float *points)
{
    const int64_t channels = kernel[2];
    const int64_t outs = kernel[3];
    const int64_t phases[2] = {kernel[0] / WINOGRAD_TAPS, kernel[1] / WINOGRAD_TAPS};
    const int64_t rows = crosswise ? outs : channels;
    const int64_t lanes = crosswise ? channels : outs;
    struct stretch stretch = {.row = crosswise ? 1 : outs, .lane = crosswise ? outs : 1};
    for (int64_t phase = 0; phase < phases[0] * phases[1]; phase++) {
        stretch.phase[0] = phase / phases[1];
        stretch.phase[1] = phase % phases[1];
        for (int64_t lane = 0; lane < lanes; lane += PANEL_WIDTH) {
            for (int64_t row = 0; row < rows; row += STRETCH_ROWS) {
                const int64_t left = rows - row;
                stretch.rows = left < STRETCH_ROWS ? left : STRETCH_ROWS;
                stretch.from = row * stretch.row + lane * stretch.lane;
                int64_t to = crosswise ? (phase * channels + lane) * outs + row * PANEL_WIDTH
                                       : lane * phases[0] * phases[1] * channels +
                                             (phase * channels + row) * PANEL_WIDTH;
                stretch_points(kernel, &stretch, weights, points + to);
            }
        }
    }
}

void winograd_weights_from(const int64_t kernel[4], const float *weights, float *points)
{
    weights_from(kernel, false, weights, points);
}

void winograd_weights_from_crosswise(const int64_t kernel[4], const float *weights, float *points)
{
    weights_from(kernel, true, weights, points);
}

void winograd_weights_to(const int64_t kernel[4], const float *points, float *weights)
{
    float lines[WINOGRAD_POINTS][WINOGRAD_TAPS][WEIGHT_BLOCK];
    const int64_t part = kernel[1] / WINOGRAD_TAPS * kernel[2] * kernel[3];
    const int64_t matrix = kernel[0] / WINOGRAD_TAPS * part;
    for (int64_t at = 0; at < matrix;) {
        const int64_t phase = at / part;
        const int64_t left = part - at % part;
        const int64_t count = left < WEIGHT_BLOCK ? left : WEIGHT_BLOCK;
        for (int k = 0; k < WINOGRAD_POINTS; k++) {
            const float *in[WINOGRAD_POINTS];
            float *const out[WINOGRAD_TAPS] = {lines[k][0], lines[k][1]};
            for (int m = 0; m < WINOGRAD_POINTS; m++) {
                in[m] = points + (k * WINOGRAD_POINTS + m) * matrix + at;
            }
            winograd_to_w(in, out, (size_t)count);
        }
        for (int t = 0; t < WINOGRAD_TAPS; t++) {
            const float *in[WINOGRAD_POINTS];
            float *out[WINOGRAD_TAPS];
            for (int k = 0; k < WINOGRAD_POINTS; k++) {
                in[k] = lines[k][t];
            }
            for (int u = 0; u < WINOGRAD_TAPS; u++) {
                out[u] = weights + tap_offset(kernel, phase, u, t) + at % part;
            }
            winograd_to_w(in, out, (size_t)count);
        }
        at += count;
    }
}
