/*
 * With logits d and sp = softplus: -log s(d) = sp(-d) and -log(1 - s(d)) = sp(d), without overflow.
 *
 *   minimax, non_saturating  Goodfellow et al. (2014), equation 1 and section 3
 *   least_squares            Mao et al. (2017), equation 9 (a 0, b = c = 1)
 *   wasserstein              Arjovsky et al. (2017), algorithm 1
 *   hinge                    Miyato et al. (2018), equations 16 and 17
 *   relativistic             Jolicoeur-Martineau (2018), pairs, as R3GAN (Huang et al. 2024)
 */
#include "model/losses/loss.h"

#include "base/text.h"

#include <string.h>

enum { CLIP_MOST = 1000 };

/* A sum over everything, as rank 0. */
static int total(struct graph *graph, int x)
{
    if (x < 0) {
        return NODE_NONE;
    }
    uint32_t axes = (1u << graph_node(graph, x)->shape.rank) - 1u;
    return graph_reshape(graph, graph_sum(graph, x, axes), &(struct shape){0});
}

/* Sum of sp(sign * logits). */
static int softplus_sum(struct graph *graph, int logits, double sign)
{
    int signed_logits = sign < 0 ? graph_unary(graph, OP_NEG, logits) : logits;
    return total(graph, graph_unary(graph, OP_SOFTPLUS, signed_logits));
}

/* L_D = sum sp(-D(x)) + sum sp(D(G(z))).  Smoothing by s is a cross-entropy with the target 1 - s
 * on real samples: (1 - s) sp(-d) + s sp(d) = sp(-d) + s d. */
static int log_discriminator(struct graph *graph, const struct loss_logits *logits,
                             const struct loss_options *options)
{
    int real = softplus_sum(graph, logits->real, -1.0);
    if (options->label_smoothing > 0.0) {
        int shift = graph_scale(graph, total(graph, logits->real), options->label_smoothing);
        real = graph_binary(graph, OP_ADD, real, shift);
    }
    return graph_binary(graph, OP_ADD, real, softplus_sum(graph, logits->generated, 1.0));
}

/* L_G = -sum sp(D(G(z))), that is sum log(1 - s(D(G(z)))) */
static int minimax_generator(struct graph *graph, const struct loss_logits *logits)
{
    return graph_unary(graph, OP_NEG, softplus_sum(graph, logits->generated, 1.0));
}

/* L_G = sum sp(-D(G(z))), that is -sum log s(D(G(z))) */
static int non_saturating_generator(struct graph *graph, const struct loss_logits *logits)
{
    return softplus_sum(graph, logits->generated, -1.0);
}

/* Sum of (logits - target)^2 / 2. */
static int half_squares(struct graph *graph, int logits, double target)
{
    int distance = graph_offset(graph, logits, -target);
    return graph_scale(graph, total(graph, graph_binary(graph, OP_MUL, distance, distance)), 0.5);
}

static int squares_discriminator(struct graph *graph, const struct loss_logits *logits,
                                 const struct loss_options *options)
{
    return graph_binary(graph, OP_ADD,
                        half_squares(graph, logits->real, 1.0 - options->label_smoothing),
                        half_squares(graph, logits->generated, 0.0));
}

static int squares_generator(struct graph *graph, const struct loss_logits *logits)
{
    return half_squares(graph, logits->generated, 1.0);
}

/* L_D = sum D(G(z)) - sum D(x) */
static int critic_discriminator(struct graph *graph, const struct loss_logits *logits,
                                const struct loss_options *options)
{
    (void)options;
    return graph_binary(graph, OP_SUB, total(graph, logits->generated), total(graph, logits->real));
}

/* L_G = -sum D(G(z)) */
static int critic_generator(struct graph *graph, const struct loss_logits *logits)
{
    return graph_unary(graph, OP_NEG, total(graph, logits->generated));
}

/* Sum of max(0, 1 + sign * logits). */
static int hinge_sum(struct graph *graph, int logits, double sign)
{
    if (logits < 0) {
        return NODE_NONE;
    }
    int zero = graph_constant(graph, 0.0, &graph_node(graph, logits)->shape);
    int margin = graph_offset(graph, graph_scale(graph, logits, sign), 1.0);
    return total(graph, graph_binary(graph, OP_MAX, margin, zero));
}

/* L_D = sum max(0, 1 - D(x)) + sum max(0, 1 + D(G(z))) */
static int hinge_discriminator(struct graph *graph, const struct loss_logits *logits,
                               const struct loss_options *options)
{
    (void)options;
    return graph_binary(graph, OP_ADD, hinge_sum(graph, logits->real, -1.0),
                        hinge_sum(graph, logits->generated, 1.0));
}

/* L_D = sum sp(-(D(x) - D(G(z)))), real and generated paired by their place in the shard. */
static int pairs_discriminator(struct graph *graph, const struct loss_logits *logits,
                               const struct loss_options *options)
{
    (void)options;
    return softplus_sum(graph, graph_binary(graph, OP_SUB, logits->real, logits->generated), -1.0);
}

/* L_G = sum sp(-(D(G(z)) - D(x))) */
static int pairs_generator(struct graph *graph, const struct loss_logits *logits)
{
    return softplus_sum(graph, graph_binary(graph, OP_SUB, logits->generated, logits->real), -1.0);
}

static const char *const NAMES[] = {"minimax",     "non_saturating", "least_squares",
                                    "wasserstein", "hinge",          "relativistic"};
static const struct loss LOSSES[] = {
    {.name = "minimax",
     .keys = {"label_smoothing"},
     .discriminator = log_discriminator,
     .generator = minimax_generator},
    {.name = "non_saturating",
     .keys = {"label_smoothing"},
     .discriminator = log_discriminator,
     .generator = non_saturating_generator},
    {.name = "least_squares",
     .keys = {"label_smoothing"},
     .discriminator = squares_discriminator,
     .generator = squares_generator},
    {.name = "wasserstein",
     .keys = {"clip"},
     .discriminator = critic_discriminator,
     .generator = critic_generator},
    {.name = "hinge", .discriminator = hinge_discriminator, .generator = critic_generator},
    {.name = "relativistic",
     .pairs = true,
     .discriminator = pairs_discriminator,
     .generator = pairs_generator},
};
enum { LOSS_COUNT = sizeof LOSSES / sizeof LOSSES[0] };
_Static_assert(sizeof NAMES / sizeof NAMES[0] == LOSS_COUNT, "a name for every loss");

const struct loss *loss_find(const char *name)
{
    for (int i = 0; i < LOSS_COUNT; i++) {
        if (strcmp(LOSSES[i].name, name) == 0) {
            return &LOSSES[i];
        }
    }
    return NULL;
}

const char *const *loss_names(size_t *count_out)
{
    *count_out = LOSS_COUNT;
    return NAMES;
}

static enum cam_code fail_unknown(const struct job_file *job, struct cam_err *err)
{
    const char *near = cam_nearest(job->loss.type, NAMES, LOSS_COUNT);
    struct cam_text all = {0};
    for (int i = 0; i < LOSS_COUNT; i++) {
        cam_text_add(&all, "%s%s", i == 0 ? "" : ", ", NAMES[i]);
    }
    enum cam_code rc =
        jobfile_fail(job, "loss", err, "unknown loss '%s'%s%s%s; allowed: %s", job->loss.type,
                     near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                     near != NULL ? "'?" : "", all.bytes != NULL ? all.bytes : "none");
    cam_text_release(&all);
    return rc;
}

enum cam_code loss_read(const struct job_file *job, const struct loss **out,
                        struct loss_options *options_out, struct cam_err *err)
{
    const struct doc_node *map = job->loss.attributes;
    const struct loss *loss = loss_find(job->loss.type);
    size_t count = 0;
    *options_out = (struct loss_options){0};
    if (loss == NULL) {
        return fail_unknown(job, err);
    }
    while (count < LOSS_KEYS_MAX && loss->keys[count] != NULL) {
        count++;
    }
    enum cam_code rc = doc_check_keys(map, loss->name, loss->keys, count, err);
    rc = rc == CAM_OK
             ? doc_read_real(map, "label_smoothing", 0.0, 0.5, &options_out->label_smoothing, err)
             : rc;
    rc = rc == CAM_OK ? doc_read_real(map, "clip", 0.0, CLIP_MOST, &options_out->clip, err) : rc;
    *out = loss;
    return rc;
}
