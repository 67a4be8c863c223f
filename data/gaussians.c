/*
 * A built-in data set for asking whether a GAN finds every mode: points of the plane around a few
 * means, as images of one pixel with two channels.  Sample i is a pure function of (seed, i).
 *
 * Normal numbers come from pairs in the unit disc (Marsaglia's polar method).  Additions,
 * multiplications, divisions and square roots of doubles are fixed by IEEE 754 to the last bit, and
 * the logarithm is made of them: the points are the same on every machine.
 */
#include "base/mem.h"
#include "base/philox.h"
#include "data/format.h"

#include <math.h>

enum {
    RING_MEANS = 8,
    GRID_SIDE = 5,
    LOG_TERMS = 12,
    VERSION = 1, /* of the points: part of the data's identity */
};

/* Published sets scaled so that all but the tails of the outer ones lie within [-1, 1]: a ring of
 * radius 2 with deviation 0.02, a grid 2 apart with deviation 0.05. */
static const double RING_RADIUS = 0.9;
static const double RING_DEVIATION = 0.009;
static const double GRID_STEP = 0.45;
static const double GRID_DEVIATION = 0.01125;

struct point {
    double x;
    double y;
};

#define HALF_ROOT 0.70710678118654752440
static const struct point CIRCLE[RING_MEANS] = {
    {1, 0},  {HALF_ROOT, HALF_ROOT},   {0, 1},  {-HALF_ROOT, HALF_ROOT},
    {-1, 0}, {-HALF_ROOT, -HALF_ROOT}, {0, -1}, {HALF_ROOT, -HALF_ROOT},
};

struct gaussians {
    int64_t count;
    uint64_t seed;
    enum gaussian_layout layout;
};

static int64_t mean_count(enum gaussian_layout layout)
{
    return layout == LAYOUT_RING ? RING_MEANS : GRID_SIDE * GRID_SIDE;
}

static struct point mean_of(enum gaussian_layout layout, int64_t mean)
{
    if (layout == LAYOUT_RING) {
        return (struct point){RING_RADIUS * CIRCLE[mean].x, RING_RADIUS * CIRCLE[mean].y};
    }
    int64_t middle = GRID_SIDE / 2;
    return (struct point){GRID_STEP * (double)(mean % GRID_SIDE - middle),
                          GRID_STEP * (double)(mean / GRID_SIDE - middle)};
}

/* Of x > 0: ln m + e ln 2 with x = m 2^e, and ln m = 2 artanh((m - 1) / (m + 1)) as a series, whose
 * terms fall by a factor of 9 or more. */
static double logarithm(double x)
{
    const double two = 0.69314718055994530942;
    int exponent = 0;
    double m = frexp(x, &exponent); /* exact; in [1/2, 1) */
    double t = (m - 1) / (m + 1);
    double sum = 0;
    double power = t;
    for (int i = 0; i < LOG_TERMS; i++) {
        sum += power / (double)(2 * i + 1);
        power *= t * t;
    }
    return 2 * sum + (double)exponent * two;
}

/* Two independent standard normal numbers. */
static struct point normal_pair(uint64_t seed, int64_t index)
{
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)((uint64_t)index >> 32), 0, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t words[4];
    double u = 0;
    double v = 0;
    double s = 0;
    do {
        philox4x32_10(counter, key, words);
        counter[2]++;
        u = ((double)words[0] + 0.5) / 2147483648.0 - 1;
        v = ((double)words[1] + 0.5) / 2147483648.0 - 1;
        s = u * u + v * v;
    } while (s >= 1);
    double factor = sqrt(-2 * logarithm(s) / s);
    return (struct point){u * factor, v * factor};
}

static enum cam_code gaussians_open(const struct data_spec *spec, void **state_out,
                                    struct source_info *info, const char **role_out,
                                    struct cam_err *err)
{
    (void)role_out; /* no files */
    struct gaussians *gaussians = cam_alloc(1, sizeof *gaussians);
    if (gaussians == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "generator of Gaussians: out of memory");
    }
    *gaussians = (struct gaussians){
        .count = spec->count, .seed = (uint64_t)spec->seed, .layout = spec->layout};
    *info = (struct source_info){.count = spec->count,
                                 .height = 1,
                                 .width = 1,
                                 .channels = 2,
                                 .classes = mean_count(spec->layout)};
    *state_out = gaussians;
    return CAM_OK;
}

static enum cam_code gaussians_load(void *state, struct cam_err *err)
{
    (void)state;
    (void)err;
    return CAM_OK;
}

static void gaussians_read(const void *state, int64_t index, float *values, float *labels)
{
    const struct gaussians *gaussians = state;
    bool ring = gaussians->layout == LAYOUT_RING;
    int64_t mean = index % mean_count(gaussians->layout); /* the classes are equally large */
    double deviation = ring ? RING_DEVIATION : GRID_DEVIATION;
    struct point at = mean_of(gaussians->layout, mean);
    struct point away = normal_pair(gaussians->seed, index);
    values[0] = (float)(at.x + deviation * away.x);
    values[1] = (float)(at.y + deviation * away.y);
    *labels = (float)mean;
}

static int gaussians_files(const struct data_spec *spec, struct format_file out[FORMAT_FILES_MAX])
{
    (void)spec;
    (void)out;
    return 0;
}

static json_t *gaussians_describe(const struct data_spec *spec)
{
    return json_pack("{s:s, s:i, s:s, s:I, s:I}", "format", "gaussians", "version", VERSION,
                     "layout", spec->layout == LAYOUT_RING ? "ring" : "grid", "count",
                     (json_int_t)spec->count, "seed", (json_int_t)spec->seed);
}

const struct source_format GAUSSIANS_FORMAT = {
    .name = "gaussians",
    .open = gaussians_open,
    .load = gaussians_load,
    .read = gaussians_read,
    .close = cam_free,
    .files = gaussians_files,
    .describe = gaussians_describe,
};
