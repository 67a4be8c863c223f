/*
 * The built-in data set: the digits 0 to 9 drawn with a pen by a hand that is never the same
 * twice.  Sample i is a pure function of (seed, i): any of them is made when it is asked for.
 *
 * Each digit is a few strokes through hand-placed points.  A sample moves the points a little,
 * scales, turns, slants and shifts the whole, picks a pen, and draws every stroke as a smooth
 * curve of short segments.  Only additions, multiplications and divisions of doubles are used,
 * which IEEE 754 fixes to the last bit: the pictures are the same on every machine.
 */
#include "base/mem.h"
#include "base/philox.h"
#include "data/format.h"

#include <assert.h>
#include <string.h>

enum {
    SIDE = 28,
    CLASSES = 10,
    STROKES_MAX = 3,
    POINTS_MAX = 11,
    PIECES = 6,  /* segments between two points of a stroke */
    VERSION = 1, /* of the pictures: part of the data's identity */
};

struct point {
    double x;
    double y;
};

/* A curve through points of the unit square, y downwards. */
struct stroke {
    int count;
    struct point points[POINTS_MAX];
};

struct glyph {
    int count;
    struct stroke strokes[STROKES_MAX];
};

/* clang-format off */
static const struct glyph GLYPHS[CLASSES] = {
    {1, {{9, {{.50, .05}, {.22, .17}, {.12, .50}, {.22, .82}, {.50, .95}, {.78, .82}, {.88, .50},
              {.79, .18}, {.48, .05}}}}},
    {2, {{2, {{.30, .27}, {.56, .05}}},
         {3, {{.56, .05}, {.54, .50}, {.51, .95}}}}},
    {2, {{7, {{.15, .28}, {.29, .09}, {.58, .05}, {.80, .23}, {.70, .48}, {.42, .72}, {.14, .93}}},
         {3, {{.14, .93}, {.50, .91}, {.87, .93}}}}},
    {2, {{5, {{.18, .15}, {.46, .04}, {.77, .16}, {.73, .37}, {.42, .47}}},
         {5, {{.42, .47}, {.78, .55}, {.85, .78}, {.54, .96}, {.14, .85}}}}},
    {2, {{4, {{.60, .05}, {.36, .36}, {.12, .65}, {.90, .62}}},
         {3, {{.68, .33}, {.66, .65}, {.63, .96}}}}},
    {2, {{3, {{.82, .06}, {.52, .07}, {.25, .08}}},
         {7, {{.25, .08}, {.21, .27}, {.20, .45}, {.54, .39}, {.83, .60}, {.68, .90},
              {.15, .88}}}}},
    {1, {{9, {{.72, .05}, {.42, .20}, {.20, .50}, {.22, .82}, {.50, .96}, {.80, .80}, {.74, .56},
              {.46, .51}, {.22, .70}}}}},
    {2, {{3, {{.14, .08}, {.50, .08}, {.87, .07}}},
         {3, {{.87, .07}, {.60, .45}, {.40, .95}}}}},
    {1, {{11, {{.50, .48}, {.25, .30}, {.32, .08}, {.66, .06}, {.77, .27}, {.50, .48}, {.20, .68},
               {.28, .93}, {.69, .95}, {.82, .70}, {.50, .48}}}}},
    {2, {{7, {{.79, .28}, {.56, .47}, {.26, .39}, {.24, .15}, {.53, .04}, {.78, .16}, {.80, .28}}},
         {3, {{.80, .28}, {.74, .62}, {.58, .96}}}}},
};
/* clang-format on */

struct glyphs {
    int64_t count;
    uint64_t seed;
};

/* Random numbers of one sample, in order. */
struct dice {
    uint32_t counter[4];
    uint32_t key[2];
    uint32_t words[4];
    int used;
};

static struct dice dice_of(uint64_t seed, int64_t index)
{
    struct dice dice = {.used = 4};
    dice.counter[0] = (uint32_t)index;
    dice.counter[1] = (uint32_t)((uint64_t)index >> 32);
    dice.key[0] = (uint32_t)seed;
    dice.key[1] = (uint32_t)(seed >> 32);
    return dice;
}

/* Even in [least, most). */
static double roll(struct dice *dice, double least, double most)
{
    if (dice->used == 4) {
        philox4x32_10(dice->counter, dice->key, dice->words);
        dice->counter[2]++;
        dice->used = 0;
    }
    double unit = (double)dice->words[dice->used++] / 4294967296.0;
    return least + unit * (most - least);
}

/* How this sample's hand draws: unit square -> pixels, and its pen. */
struct hand {
    double a, b, c, d; /* x' = a x + b y, y' = c x + d y, around the middle */
    double dx, dy;
    double radius; /* of the pen's full ink, in pixels */
    double ink;
};

static struct hand hand_of(struct dice *dice)
{
    double width = roll(dice, 12.0, 18.5);
    double height = roll(dice, 18.0, 21.0);
    double slant = roll(dice, -0.12, 0.35);
    /* A turn by twice the arc tangent of t, from t alone: no sine needed. */
    double t = roll(dice, -0.07, 0.07);
    double cosine = (1 - t * t) / (1 + t * t);
    double sine = 2 * t / (1 + t * t);
    struct hand hand = {.a = cosine * width, .c = sine * width};
    hand.b = -sine * height - slant * cosine * height;
    hand.d = cosine * height - slant * sine * height;
    hand.dx = (double)SIDE / 2.0 + roll(dice, -1.8, 1.8);
    hand.dy = (double)SIDE / 2.0 + roll(dice, -1.8, 1.8);
    hand.radius = roll(dice, 0.55, 1.35);
    hand.ink = roll(dice, 215.0, 255.0);
    return hand;
}

static double clamp(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

/* Squared distance of (x, y) from the segment p q. */
static double distance2(double x, double y, struct point p, struct point q)
{
    double ux = q.x - p.x;
    double uy = q.y - p.y;
    double length2 = ux * ux + uy * uy;
    double along = length2 > 0 ? ((x - p.x) * ux + (y - p.y) * uy) / length2 : 0;
    along = clamp(along, 0, 1);
    double dx = x - p.x - along * ux;
    double dy = y - p.y - along * uy;
    return dx * dx + dy * dy;
}

/* Full ink within the radius, none a pixel further out, fading in between; darker wins. */
static void draw_segment(uint8_t *image, const struct hand *hand, struct point p, struct point q)
{
    double inner = hand->radius * hand->radius;
    double reach = hand->radius + 1.0;
    double outer = reach * reach;
    int x0 = (int)clamp((p.x < q.x ? p.x : q.x) - reach, 0, SIDE);
    int x1 = (int)clamp((p.x < q.x ? q.x : p.x) + reach + 1, 0, SIDE);
    int y0 = (int)clamp((p.y < q.y ? p.y : q.y) - reach, 0, SIDE);
    int y1 = (int)clamp((p.y < q.y ? q.y : p.y) + reach + 1, 0, SIDE);
    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++) {
            double d2 = distance2(x + 0.5, y + 0.5, p, q);
            double cover = clamp((outer - d2) / (outer - inner), 0, 1);
            uint8_t value = (uint8_t)(cover * hand->ink);
            if (value > image[y * SIDE + x]) {
                image[y * SIDE + x] = value;
            }
        }
    }
}

/* Catmull-Rom: the curve through b and c that leaves towards a's and d's sides. */
static double spline(double a, double b, double c, double d, double t)
{
    double linear = c - a;
    double square = 2 * a - 5 * b + 4 * c - d;
    double cube = 3 * b - a - 3 * c + d;
    return b + 0.5 * t * (linear + t * (square + t * cube));
}

static void draw_stroke(uint8_t *image, const struct hand *hand, const struct stroke *stroke,
                        struct dice *dice)
{
    const double wobble = 0.035;
    assert(stroke->count >= 2 && stroke->count <= POINTS_MAX);
    struct point at[POINTS_MAX] = {{0, 0}};
    for (int i = 0; i < stroke->count; i++) {
        double x = stroke->points[i].x - 0.5 + roll(dice, -wobble, wobble);
        double y = stroke->points[i].y - 0.5 + roll(dice, -wobble, wobble);
        at[i] = (struct point){hand->a * x + hand->b * y + hand->dx,
                               hand->c * x + hand->d * y + hand->dy};
    }
    int last = stroke->count - 1;
    struct point from = at[0];
    for (int i = 0; i < last; i++) {
        struct point a = at[i > 0 ? i - 1 : 0];
        struct point b = at[i];
        struct point c = at[i + 1];
        struct point d = at[i + 2 <= last ? i + 2 : last];
        for (int piece = 1; piece <= PIECES; piece++) {
            double t = (double)piece / (double)PIECES;
            struct point to = {spline(a.x, b.x, c.x, d.x, t), spline(a.y, b.y, c.y, d.y, t)};
            draw_segment(image, hand, from, to);
            from = to;
        }
    }
}

static enum cam_code glyphs_open(const struct data_spec *spec, void **state_out,
                                 struct source_info *info, const char **role_out,
                                 struct cam_err *err)
{
    (void)role_out; /* no files */
    struct glyphs *glyphs = cam_alloc(1, sizeof *glyphs);
    if (glyphs == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "glyph generator: out of memory");
    }
    glyphs->count = spec->count;
    glyphs->seed = (uint64_t)spec->seed;
    *info = (struct source_info){
        .count = spec->count, .height = SIDE, .width = SIDE, .channels = 1, .classes = CLASSES};
    *state_out = glyphs;
    return CAM_OK;
}

static enum cam_code glyphs_load(void *state, struct cam_err *err)
{
    (void)state;
    (void)err;
    return CAM_OK;
}

static void glyphs_read(const void *state, int64_t index, float *values, float *labels)
{
    const struct glyphs *glyphs = state;
    uint8_t image[SIDE * SIDE];
    memset(image, 0, sizeof image);
    int label = (int)(index % CLASSES); /* the classes are equally large */
    struct dice dice = dice_of(glyphs->seed, index);
    struct hand hand = hand_of(&dice);
    for (int i = 0; i < GLYPHS[label].count; i++) {
        draw_stroke(image, &hand, &GLYPHS[label].strokes[i], &dice);
    }
    for (int i = 0; i < SIDE * SIDE; i++) {
        values[i] = format_pixel(image[i]);
    }
    *labels = (float)label;
}

static int glyphs_files(const struct data_spec *spec, struct format_file out[FORMAT_FILES_MAX])
{
    (void)spec;
    (void)out;
    return 0;
}

static json_t *glyphs_describe(const struct data_spec *spec)
{
    return json_pack("{s:s, s:i, s:I, s:I}", "format", "glyphs", "version", VERSION, "count",
                     (json_int_t)spec->count, "seed", (json_int_t)spec->seed);
}

const struct source_format GLYPHS_FORMAT = {
    .name = "glyphs",
    .open = glyphs_open,
    .load = glyphs_load,
    .read = glyphs_read,
    .close = cam_free,
    .files = glyphs_files,
    .describe = glyphs_describe,
};
