/*
 * Kind gan (Goodfellow 2014): each step, one phase of the discriminator, then one of the generator.
 *
 *   discriminator  D(real), then D(G(z)): two calls, so each has its own batch statistics, as in
 *                  pytorch/examples; d_loss = loss of both; gradients of D alone
 *   generator      D(G(z)) with new noise; g_loss; gradients of G alone, through D
 *
 * Both parts are in training mode in both phases, so running statistics of G move in D's phase and
 * of D in G's.  D gives one logit a sample; a sigmoid at its end is left out, since the losses are
 * computed on logits.
 */
#include "model/losses/loss.h"
#include "model/recipes/build.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

struct gan {
    struct training_build *build;
    const struct loss *loss;
    int generator;     /* part */
    int discriminator; /* part */
    struct shape latent;
    struct shape image;
};

static enum cam_code find_loss(struct gan *gan)
{
    const struct job_file *job = gan->build->job;
    size_t count = 0;
    const char *const *names = loss_names(&count);
    gan->loss = loss_find(job->loss);
    if (gan->loss != NULL) {
        return CAM_OK;
    }
    const char *near = cam_nearest(job->loss, names, count);
    return jobfile_fail(job, "loss", gan->build->err,
                        "unknown loss '%s'%s%s%s; allowed: minimax, non_saturating", job->loss,
                        near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                        near != NULL ? "'?" : "");
}

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

static enum cam_code generate(const struct gan *gan, struct phase_build *phase, int *image_out)
{
    int latent = NODE_NONE;
    enum cam_code rc = phase_latent(phase, gan->latent.dim[0], gan->latent.dim[1], &latent);
    if (rc != CAM_OK) {
        return rc;
    }
    return phase_call(
        phase, &(struct phase_call){.part = gan->generator, .input = latent, .training = true},
        image_out);
}

static enum cam_code judge(const struct gan *gan, struct phase_build *phase, int image,
                           int *logits_out)
{
    return phase_call(
        phase,
        &(struct phase_call){
            .part = gan->discriminator, .input = image, .training = true, .logits = true},
        logits_out);
}

static enum cam_code build_discriminator(const struct gan *gan, struct phase *out)
{
    struct phase_build phase;
    int real = NODE_NONE;
    int generated = NODE_NONE;
    enum cam_code rc = phase_begin(gan->build, "discriminator", &phase);
    if (rc != CAM_OK) {
        return rc;
    }
    graph_set_path(phase.graph, "image");
    rc = judge(gan, &phase, graph_leaf(phase.graph, OP_INPUT, 0, &gan->image), &real);
    rc = rc == CAM_OK ? generate(gan, &phase, &generated) : rc;
    if (rc == CAM_OK) {
        generated = graph_unary(phase.graph, OP_STOP_GRADIENT, generated);
        rc = judge(gan, &phase, generated, &generated);
    }
    if (rc == CAM_OK) {
        graph_set_path(phase.graph, "d_loss");
        struct phase_loss loss = {.metric = "d_loss"};
        loss.node = gan->loss->discriminator(phase.graph, real, generated);
        rc = phase_finish(&phase, gan->discriminator, &loss, out);
        out->takes_batch = true;
    }
    return rc;
}

static enum cam_code build_generator(const struct gan *gan, struct phase *out)
{
    struct phase_build phase;
    int logits = NODE_NONE;
    enum cam_code rc = phase_begin(gan->build, "generator", &phase);
    rc = rc == CAM_OK ? generate(gan, &phase, &logits) : rc;
    rc = rc == CAM_OK ? judge(gan, &phase, logits, &logits) : rc;
    if (rc == CAM_OK) {
        graph_set_path(phase.graph, "g_loss");
        struct phase_loss loss = {.metric = "g_loss"};
        loss.node = gan->loss->generator(phase.graph, logits);
        rc = phase_finish(&phase, gan->generator, &loss, out);
    }
    return rc;
}

static enum cam_code build_sample(const struct gan *gan)
{
    struct phase_build phase;
    int latent = NODE_NONE;
    enum cam_code rc = phase_begin(gan->build, "sample", &phase);
    rc = rc == CAM_OK ? phase_latent(&phase, SAMPLES, gan->latent.dim[1], &latent) : rc;
    if (rc != CAM_OK) {
        return rc;
    }
    gan->build->training->sample = phase.graph;
    return phase_call(&phase, &(struct phase_call){.part = gan->generator, .input = latent},
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
    enum cam_code rc = find_loss(&gan);
    rc = rc == CAM_OK ? find_parts(&gan) : rc;
    rc = rc == CAM_OK ? declare(&gan) : rc;
    rc = rc == CAM_OK ? build_discriminator(&gan, &build->phases[0]) : rc;
    rc = rc == CAM_OK ? build_generator(&gan, &build->phases[1]) : rc;
    return rc == CAM_OK ? build_sample(&gan) : rc;
}
