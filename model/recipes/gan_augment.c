/*
 * Differentiable augmentation (Zhao et al. 2020): the same random transforms before every call of
 * the discriminator, each call and sample with draws of its own; gradients flow through.
 *
 *   colour       brightness x + (u - 1/2); saturation: distance from the mean over channels, times
 *                2 u; contrast: distance from the image's mean, times u + 1/2
 *   translation  up to 1/8 of each side, whole pixels, zeros come in
 *   cutout       a rectangle of half of each side around a random pixel becomes 0
 *
 * Shifts are products with matrices of zeros and ones, made of iota and equal, so no operator of
 * their own is needed; on float images they are exact.
 */
#include "model/recipes/gan.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* The images while they pass through the transforms. */
struct augment {
    const struct gan *gan;
    struct phase_build *phase;
    struct graph *graph;
    int call;
    int drawn; /* draws of this call so far */
    int image; /* (N,H,W,C) */
    enum cam_code rc;
};

/* One uniform number a sample, (N,1,1,1). */
static int draw(struct augment *a)
{
    char name[96];
    uint32_t stream = 0;
    const struct shape shape = {.rank = 4,
                                .dim = {graph_node(a->graph, a->image)->shape.dim[0], 1, 1, 1}};
    (void)snprintf(name, sizeof name, "%s/augment/%d/%d", a->phase->name, a->call, a->drawn++);
    if (a->rc == CAM_OK) {
        a->rc = streams_take(&a->phase->build->streams, name, &stream, a->gan->build->err);
    }
    return a->rc == CAM_OK ? graph_random(a->graph, OP_UNIFORM, &shape, stream, true) : NODE_NONE;
}

/* floor(u * count) + first: whole numbers, each as likely. */
static int draw_whole(struct augment *a, int64_t first, int64_t count)
{
    int scaled = graph_scale(a->graph, draw(a), (double)count);
    return graph_offset(a->graph, graph_unary(a->graph, OP_FLOOR, scaled), (double)first);
}

/* mean + (x - mean) * factor */
static void spread(struct augment *a, uint32_t axes, int factor)
{
    int mean = graph_mean(a->graph, a->image, axes);
    int away = graph_binary(a->graph, OP_SUB, a->image, mean);
    a->image = graph_binary(a->graph, OP_ADD, graph_binary(a->graph, OP_MUL, away, factor), mean);
}

static void colour(struct augment *a)
{
    a->image = graph_binary(a->graph, OP_ADD, a->image, graph_offset(a->graph, draw(a), -0.5));
    spread(a, 8u, graph_scale(a->graph, draw(a), 2.0));
    spread(a, 14u, graph_offset(a->graph, draw(a), 0.5));
}

/* x (N,rows,...) -> y with y[n,i] = x[n, i + shift[n]], zeros from outside; shift is (N,1,1,1). */
static int shifted(struct augment *a, int x, int shift)
{
    struct graph *graph = a->graph;
    const struct shape whole = graph_node(graph, x)->shape;
    int64_t n = whole.dim[0];
    int64_t size = whole.dim[1];
    const struct shape square = {.rank = 3, .dim = {n, size, size}};
    const struct shape rows = {.rank = 3, .dim = {n, size, shape_count(&whole) / (n * size)}};
    const struct shape one = {.rank = 3, .dim = {n, 1, 1}};
    int from = graph_binary(graph, OP_ADD, graph_iota(graph, &square, 1),
                            graph_reshape(graph, shift, &one));
    int matrix = graph_binary(graph, OP_EQUAL, from, graph_iota(graph, &square, 2));
    int y = graph_matmul(graph, matrix, graph_reshape(graph, x, &rows), false, false);
    return graph_reshape(graph, y, &whole);
}

static int64_t side(const struct augment *a, int axis)
{
    return graph_node(a->graph, a->image)->shape.dim[axis];
}

/* Within [-s, s], s = side / 8, rounded; draws are made whatever the side. */
static int draw_shift(struct augment *a, int axis)
{
    int64_t most = (side(a, axis) + 4) / 8;
    return draw_whole(a, -most, 2 * most + 1);
}

static void translation(struct augment *a)
{
    static const int TURN[] = {0, 2, 1, 3};
    int down = draw_shift(a, 1);
    int right = draw_shift(a, 2);
    a->image = shifted(a, a->image, down);
    int turned = shifted(a, graph_permute(a->graph, a->image, TURN), right);
    a->image = graph_permute(a->graph, turned, TURN);
}

/* 1 where a pixel's place on an axis is in the rectangle, as (N,size,1,1) or (N,1,size,1). */
static int in_rectangle(struct augment *a, int axis)
{
    struct graph *graph = a->graph;
    int64_t size = side(a, axis);
    int64_t cut = (size + 1) / 2;
    struct shape shape = {.rank = 4, .dim = {side(a, 0), 1, 1, 1}};
    shape.dim[axis] = size;
    int centre = draw_whole(a, 0, size + 1 - cut % 2);
    int place = graph_binary(graph, OP_SUB, graph_iota(graph, &shape, axis), centre);
    int low = graph_constant(graph, (double)(-(cut / 2)) - 0.5, &shape);
    int high = graph_constant(graph, (double)(cut - cut / 2) - 0.5, &shape);
    return graph_binary(graph, OP_MUL, graph_binary(graph, OP_GREATER, place, low),
                        graph_binary(graph, OP_GREATER, high, place));
}

static void cutout(struct augment *a)
{
    struct graph *graph = a->graph;
    int rows = in_rectangle(a, 1);
    int columns = in_rectangle(a, 2);
    int kept = graph_offset(
        graph, graph_unary(graph, OP_NEG, graph_binary(graph, OP_MUL, rows, columns)), 1.0);
    a->image = graph_binary(graph, OP_MUL, a->image, kept);
}

static const struct {
    const char *name;
    void (*apply)(struct augment *a);
} AUGMENTATIONS[] = {
    {"colour", colour},
    {"translation", translation},
    {"cutout", cutout},
};
enum { AUGMENTATION_COUNT = sizeof AUGMENTATIONS / sizeof AUGMENTATIONS[0] };

static const char *const NAMES[] = {"colour", "translation", "cutout"};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == AUGMENTATION_COUNT, "a name for each");

const char *const *gan_augmentation_names(size_t *count_out)
{
    *count_out = AUGMENTATION_COUNT;
    return NAMES;
}

enum cam_code gan_read_augment(struct gan *gan)
{
    const struct job_file *job = gan->build->job;
    const struct typed_list *list = &job->gan.augment;
    for (int i = 0; i < list->count; i++) {
        const struct typed_spec *spec = &list->items[i];
        int k = 0;
        while (k < AUGMENTATION_COUNT && strcmp(NAMES[k], spec->type) != 0) {
            k++;
        }
        if (k == AUGMENTATION_COUNT) {
            const char *near = cam_nearest(spec->type, NAMES, AUGMENTATION_COUNT);
            return doc_fail(job->file_name, spec->line, gan->build->err,
                            "unknown augmentation '%s'%s%s%s; allowed: colour, translation, cutout",
                            spec->type, near != NULL ? ", did you mean '" : "",
                            near != NULL ? near : "", near != NULL ? "'?" : "");
        }
        if (spec->attributes != NULL) {
            return doc_fail(job->file_name, spec->line, gan->build->err,
                            "%s with options, it has none", spec->type);
        }
        gan->augments[k] = true;
    }
    return CAM_OK;
}

enum cam_code gan_augment(const struct gan *gan, struct phase_build *phase, int image,
                          int *image_out)
{
    struct augment a = {.gan = gan,
                        .phase = phase,
                        .graph = phase->graph,
                        .call = phase->calls[gan->discriminator],
                        .image = image};
    for (int i = 0; i < AUGMENTATION_COUNT; i++) {
        if (gan->augments[i]) {
            graph_set_path(phase->graph, NAMES[i]);
            AUGMENTATIONS[i].apply(&a);
        }
    }
    *image_out = a.image;
    return a.rc == CAM_OK ? graph_status(phase->graph, gan->build->err) : a.rc;
}
