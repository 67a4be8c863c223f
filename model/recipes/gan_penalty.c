/*
 * Penalties of the discriminator: where its gradient is taken.
 *
 * r1 and r2 take that of the calls that the loss has anyway.  gradient_penalty and dragan call the
 * discriminator once more, on x = a + u (b - a) with one uniform number u a sample: a real and b
 * generated; or a real and b = a + std / 2 * (uniform numbers a pixel), std being that of all
 * pixels of the shard's real images (as the authors' code has it of the batch's).
 */
#include "model/recipes/gan.h"

#include "model/graph/gradient.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum cam_code gan_read_penalties(struct gan *gan)
{
    const struct job_file *job = gan->build->job;
    const struct typed_list *list = &job->gan.penalties;
    struct cam_err *err = gan->build->err;
    for (int i = 0; i < list->count; i++) {
        struct penalty_use use;
        enum cam_code rc = penalty_read(job, &list->items[i], &use, err);
        if (rc != CAM_OK) {
            return rc;
        }
        for (int k = 0; k < gan->penalty_count; k++) {
            if (gan->penalties[k].penalty == use.penalty) {
                return doc_fail(job->file_name, use.line, err, "a second %s, one is allowed",
                                use.penalty->name);
            }
        }
        if (use.every > 1 && gan->lazy > 1 && gan->lazy != use.every) {
            return doc_fail(job->file_name, use.line, err,
                            "%s with every: %" PRId64 " beside another of every: %" PRId64
                            "; penalties that are not computed in every update must agree",
                            use.penalty->name, use.every, gan->lazy);
        }
        gan->lazy = use.every > 1 ? use.every : gan->lazy;
        gan->penalties[gan->penalty_count++] = use;
    }
    return CAM_OK;
}

static enum cam_code uniform(struct phase_build *phase, const char *name, const struct shape *shape,
                             int *node_out)
{
    char whole[96];
    uint32_t stream = 0;
    (void)snprintf(whole, sizeof whole, "%s/%s", phase->name, name);
    enum cam_code rc = streams_take(&phase->build->streams, whole, &stream, phase->build->err);
    *node_out =
        rc == CAM_OK ? graph_random(phase->graph, OP_UNIFORM, shape, stream, true) : NODE_NONE;
    return rc;
}

/* a + u (b - a), one u a sample. */
static enum cam_code between(struct phase_build *phase, const char *name, int a, int b,
                             int *node_out)
{
    struct graph *graph = phase->graph;
    struct shape shape = {.rank = 4, .dim = {graph_node(graph, a)->shape.dim[0], 1, 1, 1}};
    int u = NODE_NONE;
    enum cam_code rc = uniform(phase, name, &shape, &u);
    if (rc == CAM_OK) {
        int way = graph_binary(graph, OP_MUL, graph_binary(graph, OP_SUB, b, a), u);
        *node_out = graph_binary(graph, OP_ADD, a, way);
    }
    return rc;
}

static enum cam_code between_samples(const struct gan_judged *judged, int *node_out)
{
    return between(judged->phase, "between", judged->real.image, judged->generated.image, node_out);
}

/* sqrt(E x^2 - (E x)^2 + tiny) over everything, of shape (1,1,1,1) */
static int deviation(struct graph *graph, int x)
{
    int mean = graph_mean(graph, x, 15u);
    int squares = graph_mean(graph, graph_binary(graph, OP_MUL, x, x), 15u);
    int variance = graph_binary(graph, OP_SUB, squares, graph_binary(graph, OP_MUL, mean, mean));
    int zero = graph_constant(graph, 0.0, &graph_node(graph, variance)->shape);
    return graph_unary(graph, OP_SQRT, graph_binary(graph, OP_MAX, variance, zero));
}

static enum cam_code near_real(const struct gan_judged *judged, int *node_out)
{
    struct phase_build *phase = judged->phase;
    struct graph *graph = phase->graph;
    int noise = NODE_NONE;
    enum cam_code rc =
        uniform(phase, "noise", &graph_node(graph, judged->real.image)->shape, &noise);
    if (rc != CAM_OK) {
        return rc;
    }
    int width = graph_scale(graph, deviation(graph, judged->real.image), 0.5);
    int moved =
        graph_binary(graph, OP_ADD, judged->real.image, graph_binary(graph, OP_MUL, noise, width));
    return between(phase, "near", judged->real.image, moved, node_out);
}

static enum cam_code (*const PLACES[])(const struct gan_judged *judged, int *node_out) = {
    [PENALTY_BETWEEN] = between_samples,
    [PENALTY_NEAR_REAL] = near_real,
    [PENALTY_REAL] = NULL, /* a call of the loss */
    [PENALTY_GENERATED] = NULL,
};
_Static_assert(sizeof PLACES / sizeof PLACES[0] == PENALTY_PLACE_COUNT, "a row for every place");

/* The gradient of a sample's logit is that of the sum of all of them, as long as no sample's logit
 * depends on another sample: batch norm breaks this. */
static enum cam_code check_norms(const struct gan *gan, const struct phase_build *phase,
                                 const struct penalty_use *use)
{
    struct training_build *build = gan->build;
    for (int i = 0; i < phase->statistic_count; i++) {
        const struct tensor_info *row =
            &build->tensors.buffers.rows[phase->statistics[i].mean_buffer];
        if (row->part == gan->discriminator) {
            int layer = (int)(strrchr(row->name, '.') - row->name);
            return doc_fail(build->job->file_name, use->line, build->err,
                            "%s with batch norm at %.*s: a penalty of each sample's gradient needs "
                            "a discriminator whose samples do not depend on one another; take "
                            "the norm away or use one of a sample (layer_norm)",
                            use->penalty->name, layer, row->name);
        }
    }
    return CAM_OK;
}

static enum cam_code add_one(const struct gan *gan, struct gan_judged *judged,
                             const struct penalty_use *use, int *term_out)
{
    struct phase_build *phase = judged->phase;
    enum penalty_place place = use->penalty->place;
    int image = place == PENALTY_REAL ? judged->real.image : judged->generated.image;
    int *logits = place == PENALTY_REAL ? &judged->logits.real : &judged->logits.generated;
    int own = NODE_NONE;
    int gradient = NODE_NONE;
    enum cam_code rc = CAM_OK;
    graph_set_path(phase->graph, use->penalty->name);
    if (PLACES[place] != NULL) {
        logits = &own;
        rc = PLACES[place](judged, &image);
        const struct gan_images images = {image, judged->real.label};
        rc = rc == CAM_OK ? gan_judge(gan, phase, &images, logits) : rc;
    }
    rc = rc == CAM_OK ? check_norms(gan, phase, use) : rc;
    if (rc != CAM_OK) {
        return rc;
    }
    *logits = gradient_append(phase->graph, *logits, &image, 1, &gradient);
    graph_set_path(phase->graph, use->penalty->name);
    *term_out = penalty_build(phase->graph, use, gradient);
    return phase_status(phase);
}

enum cam_code gan_add_penalties(const struct gan *gan, struct gan_judged *judged, bool lazy,
                                struct phase_loss *loss)
{
    for (int i = 0; i < gan->penalty_count; i++) {
        const struct penalty_use *use = &gan->penalties[i];
        int term = NODE_NONE;
        if (use->every > 1 && !lazy) {
            continue;
        }
        enum cam_code rc = add_one(gan, judged, use, &term);
        if (rc != CAM_OK) {
            return rc;
        }
        phase_loss_add(loss, use->penalty->name, term);
    }
    return CAM_OK;
}
