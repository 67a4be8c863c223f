/*
 * Kind gan: losses and penalties against their closed forms, gradients of whole phases against
 * finite differences in double, the critic's schedule.
 */
#include "../unit.h"

#include "gan_rig.h"
#include "model/losses/loss.h"
#include "model/recipes/ema.h"

static void assert_near(double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-9 * (1.0 + fabs(wanted)))) {
        fail_msg("found %.12g, wanted %.12g", found, wanted);
    }
}

static double dot(const double *a, const double *b, int count)
{
    double sum = 0.0;
    for (int i = 0; i < count; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static const double *weights_of(const struct gan_rig *rig, const char *name)
{
    for (int i = 0; i < rig->training->parameter_count; i++) {
        if (strcmp(rig->training->parameters[i].name, name) == 0) {
            return rig->parameters + rig->training->parameters[i].offset;
        }
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

/* A linear discriminator has the gradient w everywhere: penalties are known by hand. */
static void test_penalties_of_a_linear_discriminator(void **state)
{
    (void)state;
    struct gan_rig rig = rig_create(GAN_JOB(
        LINEAR, "wasserstein",
        "gan: {penalties: [gradient_penalty, {r1: {weight: 3}}, {r2: {weight: 5, every: 4}}, "
        "{dragan: {weight: 2}}]}\n"));
    const double *w = weights_of(&rig, "discriminator.1.weight");
    double norm = sqrt(dot(w, w, 16));
    double to_one = RIG_ROWS * (norm - 1.0) * (norm - 1.0);
    assert_int_equal(rig.training->phase_count, 3);
    for (int i = 0; i < 3; i += 2) {
        assert_near(rig_metric(&rig, i, "gradient_penalty"), 10.0 * to_one);
        assert_near(rig_metric(&rig, i, "dragan"), 2.0 * to_one);
        assert_near(rig_metric(&rig, i, "r1"), 0.5 * 3.0 * RIG_ROWS * norm * norm);
    }
    assert_near(rig_metric(&rig, 2, "r2"), 0.5 * 4.0 * 5.0 * RIG_ROWS * norm * norm);
    assert_int_equal(rig.training->phases[0].metric_count, 4);
    rig_release(&rig);
}

static void test_gradient_penalty_of_no_gradient_is_finite(void **state)
{
    (void)state;
    struct gan_rig rig =
        rig_create(GAN_JOB(LINEAR, "wasserstein", "gan: {penalties: [gradient_penalty]}\n"));
    double *out = cam_alloc_aligned((size_t)rig.training->phases[0].output_floats * sizeof *out);
    memset(rig.parameters, 0, (size_t)rig.training->parameter_floats * sizeof *rig.parameters);
    rig_run(&rig, 0, out);
    for (int i = 0; i < 16; i++) {
        assert_true(isfinite(out[i]));
    }
    /* ||g|| is sqrt(1e-12) there */
    assert_near(rig_metric(&rig, 0, "gradient_penalty"), 40.0 * (1.0 - 1e-6) * (1.0 - 1e-6));
    cam_free(out);
    rig_release(&rig);
}

/* The logits of real samples, by hand; generated ones follow from the wasserstein loss's parts. */
static void test_wasserstein_by_hand(void **state)
{
    (void)state;
    struct gan_rig rig = rig_create(GAN_JOB(LINEAR, "wasserstein", ""));
    const double *w = weights_of(&rig, "discriminator.1.weight");
    double real = 0.0;
    for (int i = 0; i < RIG_ROWS; i++) {
        real += dot(w, rig.images + i * 16, 16);
    }
    double loss = rig_metric(&rig, 0, "d_loss");
    memset(rig.images, 0, sizeof rig.images);
    assert_near(loss, rig_metric(&rig, 0, "d_loss") - real);
    rig_release(&rig);
}

static void check_phases(const char *text)
{
    struct gan_rig rig = rig_create(text);
    for (int i = 0; i < rig.training->phase_count; i++) {
        rig_check_gradients(&rig, i);
    }
    rig_release(&rig);
}

static void test_gradients_of_losses(void **state)
{
    (void)state;
    check_phases(GAN_JOB(CONVOLUTION, "minimax", ""));
    check_phases(GAN_JOB(CONVOLUTION, "{non_saturating: {label_smoothing: 0.1}}", ""));
    check_phases(GAN_JOB(CONVOLUTION, "least_squares", ""));
    check_phases(GAN_JOB(CONVOLUTION, "{wasserstein: {clip: 0.01}}", ""));
    check_phases(GAN_JOB(CONVOLUTION, "hinge", ""));
    check_phases(GAN_JOB(CONVOLUTION, "relativistic", ""));
}

static void test_gradients_of_penalties(void **state)
{
    (void)state;
    check_phases(GAN_JOB(CONVOLUTION, "wasserstein", "gan: {penalties: [gradient_penalty]}\n"));
    check_phases(GAN_JOB(CONVOLUTION, "hinge", "gan: {penalties: [dragan]}\n"));
    check_phases(
        GAN_JOB(CONVOLUTION, "relativistic", "gan: {penalties: [r1, {r2: {every: 2}}]}\n"));
}

static void test_gradients_through_augmentations(void **state)
{
    (void)state;
    check_phases(GAN_JOB(CONVOLUTION, "hinge", "gan: {augment: [colour, translation, cutout]}\n"));
    check_phases(
        GAN_JOB(CONVOLUTION, "non_saturating", "gan: {augment: [translation], penalties: [r1]}\n"));
}

/* A discriminator that adds all pixels: what a transform does to the images' sum is known. */
static void test_augmentations(void **state)
{
    (void)state;
    static const char *const JOBS[] = {
        GAN_JOB(LINEAR, "wasserstein", "gan: {augment: [translation]}\n"),
        GAN_JOB(LINEAR, "wasserstein", "gan: {augment: [cutout]}\n"),
        GAN_JOB(LINEAR, "wasserstein", "gan: {augment: [colour]}\n")};
    bool differs[3] = {false};
    for (int k = 0; k < 3; k++) {
        struct gan_rig rig = rig_create(JOBS[k]);
        for (int64_t i = 0; i < rig.training->parameter_floats; i++) {
            rig.parameters[i] = i >= rig.training->parts[1].block_first * BLOCK_FLOATS ? 1.0 : 0.0;
        }
        for (int i = 0; i < RIG_ROWS * 16; i++) {
            rig.images[i] = 1.0; /* and generated ones are 0 */
        }
        double sum = -rig_metric(&rig, 0, "d_loss") / RIG_ROWS;
        /* a row and a column of 4 at most go; a rectangle of 2 x 2 at most; nothing is bounded */
        const double least[] = {9.0, 12.0, -1e9};
        assert_true(k == 2 || (sum >= least[k] && sum <= 16.0));
        differs[k] = sum != 16.0;
        rig_release(&rig);
    }
    assert_true(differs[0] && differs[1] && differs[2]);
}

/* logit = w x + b' x with b' the row of the label */
static void test_projection_by_hand(void **state)
{
    (void)state;
    struct gan_rig rig = rig_create(GAN_JOB(LINEAR, "wasserstein", "gan: {conditional: true}\n"));
    const double *w = weights_of(&rig, "discriminator.1.weight");
    const double *rows = weights_of(&rig, "discriminator.label_projection.weight");
    double real = 0.0;
    for (int i = 0; i < RIG_ROWS; i++) {
        const double *row = rows + (int)rig.labels[i] * 16;
        real += dot(w, rig.images + i * 16, 16) + dot(row, rig.images + i * 16, 16);
    }
    double loss = rig_metric(&rig, 0, "d_loss");
    memset(rig.images, 0, sizeof rig.images);
    assert_near(loss, rig_metric(&rig, 0, "d_loss") - real);
    assert_int_equal(rig.training->input_count, 2);
    assert_string_equal(rig.training->inputs[1].name, "label");
    const struct training *t = rig.training;
    assert_int_equal(graph_node(t->sample, t->sample_node)->shape.dim[0], 3 * SAMPLE_COLUMNS);
    rig_release(&rig);
}

static void test_gradients_with_classes(void **state)
{
    (void)state;
    check_phases(GAN_JOB(CONVOLUTION, "hinge", "gan: {conditional: true}\n"));
    check_phases(
        GAN_JOB(CONVOLUTION, "relativistic", "gan: {conditional: true, penalties: [r1, r2]}\n"));
#define BY_NAME                                                                                    \
    "    - flatten: {name: pixels}\n    - embedding: {vocabulary: 3, units: 4, input: label, "     \
    "name: class}\n    - concat: {input: [pixels, class]}\n    - dense: {units: 5, activation: "   \
    "tanh}\n    - dense: {units: 1}\n"
    check_phases(GAN_JOB(BY_NAME, "wasserstein",
                         "gan: {conditional: true, penalties: [gradient_penalty]}\n"));
}

static void test_a_layer_within_another_reads_classes(void **state)
{
    (void)state;
    struct cam_err err = {0};
#define WITHIN                                                                                     \
    "    - flatten\n    - dense: {units: 4}\n    - residual: [{embedding: {vocabulary: 3, "        \
    "units: 4, input: label}}]\n    - dense: {units: 1}\n"
    struct training *t = rig_training(GAN_JOB(WITHIN, "hinge", "gan: {conditional: true}\n"), &err);
    assert_non_null(t);
    for (int i = 0; i < t->parameter_count; i++) {
        assert_string_not_equal(t->parameters[i].name, "discriminator.label_projection.weight");
    }
    training_destroy(t);
}

/* Layers whose samples do not mix, with second derivatives of their own. */
static void test_gradients_of_other_discriminators(void **state)
{
    (void)state;
#define NORMS                                                                                      \
    "    - flatten\n    - dense: {units: 6}\n    - layer_norm\n    - leaky_relu\n"                 \
    "    - dense: {units: 1}\n"
#define ATTENTION                                                                                  \
    "    - reshape: [4, 4]\n    - attention: {heads: 2}\n    - flatten\n    - dense: {units: 1}\n"
#define RECURRENT                                                                                  \
    "    - reshape: [4, 4]\n    - lstm: {units: 3}\n    - flatten\n    - dense: {units: 1}\n"
    check_phases(GAN_JOB(NORMS, "wasserstein", "gan: {penalties: [gradient_penalty]}\n"));
    check_phases(GAN_JOB(ATTENTION, "hinge", "gan: {penalties: [r1]}\n"));
    check_phases(GAN_JOB(RECURRENT, "wasserstein", "gan: {penalties: [gradient_penalty]}\n"));
}

static void test_clip(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct training *t = rig_training(GAN_JOB(LINEAR, "{wasserstein: {clip: 0.01}}", ""), &err);
    assert_non_null(t);
    assert_true(t->phases[0].update.weight_clip == 0.01);
    assert_true(t->phases[1].update.weight_clip == 0.0);
    training_destroy(t);
}

static void test_average_of_weights(void **state)
{
    (void)state;
    const struct ema half = {.half_life = 100.0};
    const struct ema decay = {.decay = 0.9};
    assert_true(ema_keep(&half, 4, 0) == 0.0);
    assert_near(ema_keep(&half, 4, 10), pow(0.5, 4.0 / (0.05 * 40.0)));
    assert_near(ema_keep(&half, 4, 1), pow(0.5, 4.0 / (0.05 * 4.0)));
    assert_near(ema_keep(&half, 4, 1000000), pow(0.5, 4.0 / 100.0));
    assert_true(ema_keep(&decay, 4, 0) == 0.0);
    assert_near(ema_keep(&decay, 4, 1), 0.9);
    struct cam_err err = {0};
    struct training *t =
        rig_training(GAN_JOB(LINEAR, "hinge", "gan: {ema: {half_life: 100}}\n"), &err);
    assert_non_null(t);
    assert_int_equal(training_ema_part(t), t->phases[1].part);
    assert_int_equal(training_ema_state(t), 4); /* behind two of each adam */
    assert_string_equal(t->phases[1].update.state_names[2], "ema");
    assert_int_equal(t->phases[0].update.state_count, 2);
    training_destroy(t);
    t = rig_training(GAN_JOB(LINEAR, "hinge", ""), &err);
    assert_int_equal(training_ema_state(t), -1);
    training_destroy(t);
}

static void test_critic_schedule(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct training *t = rig_training(
        GAN_JOB(LINEAR, "wasserstein",
                "gan: {n_critic: 5, critic_start: {steps: 3, n_critic: 20, every: 10}}\n"),
        &err);
    assert_non_null(t);
    int64_t batches = 0;
    for (int64_t step = 0; step < 60; step++) {
        assert_int_equal(training_batches_before(t, step), batches);
        assert_int_equal(training_repeat(t, 1, step), 1);
        bool special = step < 3 || step % 10 == 0;
        assert_int_equal(training_repeat(t, 0, step), special ? 20 : 5);
        batches += special ? 20 : 5;
    }
    /* 640 samples in batches of 4, two epochs: 320 batches, 60 for the first three steps; each ten
     * steps then take 65: 3 + 7 (35), 10, 10, 10 (195), 20 + 2 * 5. */
    assert_int_equal(t->steps_per_epoch, 43 / 2);
    assert_int_equal(t->batches_per_pass, 160);
    training_destroy(t);
    t = rig_training(GAN_JOB(LINEAR, "wasserstein", "gan: {n_critic: 7}\n"), &err);
    assert_non_null(t);
    assert_int_equal(t->steps_per_epoch, 160 / 7);
    assert_int_equal(t->batches_per_pass, 160 / 7 * 7);
    training_destroy(t);
}

static void test_lazy_schedule(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct training *t = rig_training(
        GAN_JOB(LINEAR, "non_saturating", "gan: {penalties: [{r1: {every: 4}}]}\n"), &err);
    assert_non_null(t);
    for (int64_t i = 0; i < 12; i++) {
        assert_int_equal(training_variant(t, 0, i), i % 4 == 0 ? 2 : 0);
        assert_int_equal(training_variant(t, 1, i), 1);
    }
    assert_int_equal(training_own_states(t, 0), 2);
    assert_int_equal(training_own_states(t, 2), 0);
    training_destroy(t);
}

static void expect_refusal(const char *text, const char *words)
{
    struct cam_err err = {0};
    assert_null(rig_training(text, &err));
    if (strstr(err.text, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, words);
    }
}

static void test_refusals(void **state)
{
    (void)state;
#define NORMED "    - conv2d: {filters: 3, kernel: 3, norm: batch}\n" LINEAR
    expect_refusal(GAN_JOB(NORMED, "wasserstein", "gan: {penalties: [gradient_penalty]}\n"),
                   "gradient_penalty with batch norm at discriminator.0.norm");
#define FEW "    - embedding: {vocabulary: 2, units: 4, input: label}\n    - dense: {units: 1}\n"
    expect_refusal(GAN_JOB(FEW, "hinge", "gan: {conditional: true}\n"),
                   "discriminator.0 has a vocabulary of 2, the data have 3 different classes");
    expect_refusal(GAN_JOB(LINEAR, "hinge", "gan: {ema: {decay: 1}}\n"), "0.999999 is expected");
    expect_refusal(GAN_JOB(LINEAR, "hing", ""), "did you mean 'hinge'?");
    expect_refusal(GAN_JOB(LINEAR, "{hinge: {clip: 1}}", ""), "clip");
    expect_refusal(GAN_JOB(LINEAR, "hinge", "gan: {penalties: [r3]}\n"), "unknown penalty 'r3'");
    expect_refusal(GAN_JOB(LINEAR, "hinge", "gan: {penalties: [r1, r1]}\n"), "a second r1");
    expect_refusal(
        GAN_JOB(LINEAR, "hinge", "gan: {penalties: [{r1: {every: 2}}, {r2: {every: 3}}]}\n"),
        "must agree");
    expect_refusal(GAN_JOB(LINEAR, "hinge", "gan: {ema: {decay: 0.9, half_life: 9}}\n"), "both");
    expect_refusal(GAN_JOB(LINEAR, "hinge", "gan: {augment: [color]}\n"), "mean 'colour'");
    expect_refusal(GAN_JOB(LINEAR, "hinge", "gan: {n_critic: 200}\n"), "less than one step");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_penalties_of_a_linear_discriminator),
        cmocka_unit_test(test_gradient_penalty_of_no_gradient_is_finite),
        cmocka_unit_test(test_wasserstein_by_hand),
        cmocka_unit_test(test_gradients_of_losses),
        cmocka_unit_test(test_gradients_of_penalties),
        cmocka_unit_test(test_gradients_through_augmentations),
        cmocka_unit_test(test_augmentations),
        cmocka_unit_test(test_projection_by_hand),
        cmocka_unit_test(test_gradients_with_classes),
        cmocka_unit_test(test_a_layer_within_another_reads_classes),
        cmocka_unit_test(test_gradients_of_other_discriminators),
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_average_of_weights),
        cmocka_unit_test(test_critic_schedule),
        cmocka_unit_test(test_lazy_schedule),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
