/*
 * Kind gan (Goodfellow 2014): each step updates the discriminator, then the generator.
 *
 *   discriminator  n_critic times, each with a batch of its own: D(real), then D(G(z)), two calls,
 *                  so each has its own batch statistics, as in pytorch/examples; d_loss = loss of
 *                  both, and penalties; gradients of D alone
 *   generator      D(G(z)) with new noise; g_loss; gradients of G alone, through D.  A loss of
 *                  pairs compares with D(real) of the batch that D's last update had
 *   discriminator_penalty  in place of the first, where penalties are lazy
 *
 * Wasserstein's weights are clipped at the end of every update of D (algorithm 1 of the paper; its
 * code clips before the next one, so there only the generator meets weights up to one update past
 * the bound).
 *
 * Both parts are in training mode in both phases, so running statistics of G move in D's phase and
 * of D in G's.  D gives one logit a sample; a sigmoid at its end is left out, since the losses are
 * computed on logits.
 */
#include "model/recipes/gan.h"

#include <string.h>

static enum cam_code find_parts(struct gan *gan)
{
    struct training_build *build = gan->build;
    gan->generator = -1;
    gan->discriminator = -1;
    for (int i = 0; i < build->job->part_count; i++) {
        if (strcmp(build->specs[i].name, "generator") == 0) {
            gan->generator = i;
            build->input_names[i] = "latent";
        } else if (strcmp(build->specs[i].name, "discriminator") == 0) {
            gan->discriminator = i;
            build->input_names[i] = "image";
        }
    }
    if (gan->generator < 0 || gan->discriminator < 0) {
        return jobfile_fail(build->job, "model", build->err,
                            "a job of kind gan needs the parts generator and discriminator");
    }
    return CAM_OK;
}

static enum cam_code check_outputs(struct gan *gan, const struct shape *generated,
                                   const struct shape *logits)
{
    struct training_build *build = gan->build;
    char found[96];
    char wanted[96];
    struct shape image = shape_sample(&gan->image);
    if (!shape_equal(generated, &gan->image)) {
        struct shape sample = shape_sample(generated);
        return doc_fail(build->job->file_name, build->specs[gan->generator].line, build->err,
                        "generator gives images of %s (height, width, channels), the data are %s",
                        shape_text(&sample, found, sizeof found),
                        shape_text(&image, wanted, sizeof wanted));
    }
    if (shape_count(logits) != logits->dim[0]) {
        struct shape sample = shape_sample(logits);
        return doc_fail(build->job->file_name, build->specs[gan->discriminator].line, build->err,
                        "discriminator gives %s a sample, one number is expected: end it with "
                        "flatten and dense: {units: 1}",
                        shape_text(&sample, found, sizeof found));
    }
    return CAM_OK;
}

/* In the order in which the job names the parts, which is that of the tables. */
static enum cam_code declare(struct gan *gan)
{
    struct shape generated = {0};
    struct shape logits = {0};
    enum cam_code rc = CAM_OK;
    for (int i = 0; rc == CAM_OK && i < gan->build->job->part_count; i++) {
        if (i == gan->generator) {
            rc = build_declare(gan->build, i, &gan->latent, &generated);
        } else if (i == gan->discriminator) {
            rc = build_declare(gan->build, i, &gan->image, &logits);
        }
    }
    return rc == CAM_OK ? check_outputs(gan, &generated, &logits) : rc;
}

static enum cam_code generate(const struct gan *gan, struct phase_build *phase,
                              struct gan_images *out)
{
    int latent = NODE_NONE;
    enum cam_code rc = phase_latent(phase, gan->latent.dim[0], gan->latent.dim[1], &latent);
    rc = rc == CAM_OK ? gan_drawn_labels(gan, phase, &out->label) : rc;
    if (rc != CAM_OK) {
        return rc;
    }
    return phase_call(phase,
                      &(struct phase_call){.part = gan->generator,
                                           .input = latent,
                                           .training = true,
                                           .labelled = gan->conditional,
                                           .label = out->label},
                      &out->image);
}

enum cam_code gan_judge(const struct gan *gan, struct phase_build *phase,
                        const struct gan_images *images, int *logits_out)
{
    int image = NODE_NONE;
    enum cam_code rc = gan_augment(gan, phase, images->image, &image);
    return rc != CAM_OK ? rc
                        : phase_call(phase,
                                     &(struct phase_call){.part = gan->discriminator,
                                                          .input = image,
                                                          .training = true,
                                                          .logits = true,
                                                          .labelled = gan->conditional,
                                                          .label = images->label},
                                     logits_out);
}

static struct gan_images real_images(const struct gan *gan, struct phase_build *phase)
{
    graph_set_path(phase->graph, "image");
    return (struct gan_images){.image = graph_leaf(phase->graph, OP_INPUT, 0, &gan->image),
                               .label = gan_real_labels(gan, phase)};
}

/* lazy: with the penalties that are not in every update. */
static enum cam_code build_discriminator(const struct gan *gan, bool lazy, struct phase *out)
{
    struct phase_build phase;
    struct gan_judged judged = {.phase = &phase};
    struct phase_loss loss = {0};
    enum cam_code rc =
        phase_begin(gan->build, lazy ? "discriminator_penalty" : "discriminator", &phase);
    if (rc != CAM_OK) {
        return rc;
    }
    judged.real = real_images(gan, &phase);
    rc = gan_judge(gan, &phase, &judged.real, &judged.logits.real);
    rc = rc == CAM_OK ? generate(gan, &phase, &judged.generated) : rc;
    if (rc == CAM_OK) {
        judged.generated.image = graph_unary(phase.graph, OP_STOP_GRADIENT, judged.generated.image);
        rc = gan_judge(gan, &phase, &judged.generated, &judged.logits.generated);
    }
    phase_loss_add(&loss, "d_loss", NODE_NONE);
    rc = rc == CAM_OK ? gan_add_penalties(gan, &judged, lazy, &loss) : rc;
    if (rc == CAM_OK) {
        graph_set_path(phase.graph, "d_loss");
        loss.nodes[0] = gan->loss->discriminator(phase.graph, &judged.logits, &gan->options);
        rc = phase_finish(&phase, gan->discriminator, &loss, out);
        out->takes_batch = true;
        out->repeat = (int)gan->build->training->critic.regular;
        out->update.weight_clip = gan->options.clip;
    }
    return rc;
}

static enum cam_code build_lazy(const struct gan *gan)
{
    struct training_build *build = gan->build;
    int index = build->training->phase_count;
    if (gan->lazy == 0) {
        return CAM_OK;
    }
    enum cam_code rc = build_discriminator(gan, true, &build->phases[index]);
    build->phases[index].base = 0;
    build->phases[index].repeat = 0;
    build->phases[0].variant = index;
    build->phases[0].variant_every = gan->lazy;
    build->training->phase_count++;
    return rc;
}

static enum cam_code build_generator(const struct gan *gan, struct phase *out)
{
    struct phase_build phase;
    struct loss_logits logits = {NODE_NONE, NODE_NONE};
    struct phase_loss loss = {0};
    struct gan_images generated;
    enum cam_code rc = phase_begin(gan->build, "generator", &phase);
    if (rc == CAM_OK && gan->loss->pairs) {
        const struct gan_images real = real_images(gan, &phase);
        rc = gan_judge(gan, &phase, &real, &logits.real);
    }
    rc = rc == CAM_OK ? generate(gan, &phase, &generated) : rc;
    rc = rc == CAM_OK ? gan_judge(gan, &phase, &generated, &logits.generated) : rc;
    if (rc == CAM_OK) {
        graph_set_path(phase.graph, "g_loss");
        phase_loss_add(&loss, "g_loss", gan->loss->generator(phase.graph, &logits));
        rc = phase_finish(&phase, gan->generator, &loss, out);
        out->shares_batch = gan->loss->pairs;
    }
    return rc;
}

/* With clipped weights the first ones are clipped too, so that every update starts from such. */
static void clip_initial(const struct gan *gan)
{
    struct training_build *build = gan->build;
    const struct part_info *part = &build->parts[gan->discriminator];
    struct graph *graph = build->tensors.initial;
    double most = gan->options.clip;
    for (int i = 0; most > 0.0 && i < part->parameter_count; i++) {
        struct tensor_info *row = &build->tensors.parameters.rows[part->parameter_first + i];
        int low = graph_constant(graph, -most, &row->shape);
        int high = graph_constant(graph, most, &row->shape);
        row->initial =
            graph_binary(graph, OP_MIN, graph_binary(graph, OP_MAX, row->initial, low), high);
    }
}

static enum cam_code build_sample(const struct gan *gan)
{
    struct phase_build phase;
    int latent = NODE_NONE;
    int label = NODE_NONE;
    enum cam_code rc = phase_begin(gan->build, "sample", &phase);
    rc =
        rc == CAM_OK ? phase_latent(&phase, gan_sample_rows(gan), gan->latent.dim[1], &latent) : rc;
    if (rc != CAM_OK) {
        return rc;
    }
    gan_sample_labels(gan, &phase, &latent, &label);
    gan->build->training->sample = phase.graph;
    return phase_call(
        &phase,
        &(struct phase_call){
            .part = gan->generator, .input = latent, .labelled = gan->conditional, .label = label},
        &gan->build->training->sample_node);
}

enum cam_code gan_build(struct training_build *build)
{
    const struct data_shape *data = build->data;
    struct training *training = build->training;
    struct gan gan = {.build = build};
    gan.latent = (struct shape){.rank = 2, .dim = {training->rows, build->job->latent}};
    gan.image = (struct shape){.rank = 4,
                               .dim = {training->rows, data->height, data->width, data->channels}};
    build->inputs[0] = (struct input_info){.name = "image", .shape = gan.image};
    training->input_count = 1;
    training->phase_count = 2;
    enum cam_code rc = loss_read(build->job, &gan.loss, &gan.options, build->err);
    rc = rc == CAM_OK ? gan_read_penalties(&gan) : rc;
    rc = rc == CAM_OK ? gan_read_augment(&gan) : rc;
    rc = rc == CAM_OK ? gan_read_condition(&gan) : rc;
    rc = rc == CAM_OK ? gan_read_critic(&gan) : rc;
    rc = rc == CAM_OK ? find_parts(&gan) : rc;
    rc = rc == CAM_OK ? declare(&gan) : rc;
    if (rc == CAM_OK) {
        clip_initial(&gan);
        rc = build_discriminator(&gan, false, &build->phases[0]);
    }
    rc = rc == CAM_OK ? build_generator(&gan, &build->phases[1]) : rc;
    rc = rc == CAM_OK ? gan_read_ema(&gan, &build->phases[1].update.ema) : rc;
    rc = rc == CAM_OK ? build_lazy(&gan) : rc;
    return rc == CAM_OK ? build_sample(&gan) : rc;
}
