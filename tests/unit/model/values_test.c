/*
 * What model/ builds, run on the reference backend in double and compared with formulas written
 * out by hand: losses on two samples, Adam and SGD, running statistics, first weights.
 */
#include "../unit.h"

#include "job_text.h"
#include "model/layers/streams.h"
#include "model/losses/loss.h"
#include "run_graph.h"

#include <math.h>

/* log s(d) and log(1 - s(d)) as the paper writes them: fine for small logits. */
static double log_real(double d)
{
    return log(1.0 / (1.0 + exp(-d)));
}

static double log_generated(double d)
{
    return log(1.0 - 1.0 / (1.0 + exp(-d)));
}

static void test_losses_of_two_samples(void **state)
{
    (void)state;
    const double real[2] = {0.7, -1.3};
    const double generated[2] = {0.4, 2.1};
    const struct shape shape = {.rank = 2, .dim = {2, 1}};
    const struct feed feed = {.inputs = {real, generated}};
    const double a0 = real[0], a1 = real[1], b0 = generated[0], b1 = generated[1];
    const double cross = -log_real(a0) - log_real(a1) - log_generated(b0) - log_generated(b1);
    const double smooth = -0.9 * (log_real(a0) + log_real(a1)) -
                          0.1 * (log_generated(a0) + log_generated(a1)) - log_generated(b0) -
                          log_generated(b1);
    const double squares = 0.5 * ((a0 - 1) * (a0 - 1) + (a1 - 1) * (a1 - 1) + b0 * b0 + b1 * b1);
    const struct {
        const char *name;
        struct loss_options options;
        double discriminator;
        double generator;
    } cases[] = {
        {"minimax", {.clip = 0}, cross, log_generated(b0) + log_generated(b1)},
        {"non_saturating", {.clip = 0}, cross, -log_real(b0) - log_real(b1)},
        {"non_saturating", {.label_smoothing = 0.1}, smooth, -log_real(b0) - log_real(b1)},
        {"least_squares", {.clip = 0}, squares, 0.5 * ((b0 - 1) * (b0 - 1) + (b1 - 1) * (b1 - 1))},
        {"wasserstein", {.clip = 0}, b0 + b1 - a0 - a1, -b0 - b1},
        {"hinge", {.clip = 0}, (1 - a0) + (1 - a1) + (1 + b0) + (1 + b1), -b0 - b1},
        {"relativistic",
         {.clip = 0},
         -log_real(a0 - b0) - log_real(a1 - b1),
         -log_real(b0 - a0) - log_real(b1 - a1)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct graph *graph = graph_create();
        const struct loss *loss = loss_find(cases[i].name);
        const struct loss_logits logits = {graph_leaf(graph, OP_INPUT, 0, &shape),
                                           graph_leaf(graph, OP_INPUT, 1, &shape)};
        const int nodes[2] = {loss->discriminator(graph, &logits, &cases[i].options),
                              loss->generator(graph, &logits)};
        double out[2];
        run_graph(graph, &feed, nodes, (int64_t[]){0, 1}, 2, out);
        assert_near(out[0], cases[i].discriminator);
        assert_near(out[1], cases[i].generator);
        graph_destroy(graph);
    }
}

static void test_losses_of_large_logits_are_finite(void **state)
{
    (void)state;
    const double real[2] = {-200.0, 200.0};
    const double generated[2] = {300.0, -300.0};
    const struct shape shape = {.rank = 2, .dim = {2, 1}};
    const struct feed feed = {.inputs = {real, generated}};
    struct graph *graph = graph_create();
    const struct loss *loss = loss_find("non_saturating");
    const struct loss_logits logits = {graph_leaf(graph, OP_INPUT, 0, &shape),
                                       graph_leaf(graph, OP_INPUT, 1, &shape)};
    const struct loss_options plain = {0};
    const int nodes[2] = {loss->discriminator(graph, &logits, &plain),
                          loss->generator(graph, &logits)};
    double out[2];
    run_graph(graph, &feed, nodes, (int64_t[]){0, 1}, 2, out);
    assert_near(out[0], 200.0 + 300.0);
    assert_near(out[1], 300.0);
    graph_destroy(graph);
}

static struct training *make_training(const char *text, const char *set)
{
    struct parsed_job job = parse_job(text, &set, set == NULL ? 0 : 1);
    struct training *training = NULL;
    struct cam_err err = {0};
    ASSERT_OK(training_create(&job.file, &MNIST, &training, &err), err);
    cam_arena_destroy(job.arena);
    return training;
}

/* The update of one element at its t-th execution; states go in and come out. */
static double update_one(const struct training *t, double p, double g, double *states, int64_t step)
{
    const struct update_info *update = &t->phases[0].update;
    struct graph *graph = NULL;
    struct cam_err err = {0};
    int nodes[1 + UPDATE_STATES_MAX];
    float scalars[UPDATE_SCALAR_COUNT];
    double out[1 + UPDATE_STATES_MAX];
    ASSERT_OK(training_update_graph(update, 1, &graph, nodes, &err), err);
    const struct update_moment moment = {.execution = step - 1, .rate_factor = 1.0};
    training_update_scalars(t, update, &moment, scalars);
    struct feed feed = {.inputs = {&p, &g}, .scalars = scalars};
    for (int i = 0; i < update->state_count; i++) {
        feed.inputs[2 + i] = &states[i];
    }
    run_graph(graph, &feed, nodes, (int64_t[]){0, 1, 2, 3, 4}, 1 + update->state_count, out);
    memcpy(states, out + 1, (size_t)update->state_count * sizeof *states);
    graph_destroy(graph);
    return out[0];
}

static void test_adam_by_hand(void **state)
{
    (void)state;
    struct training *t =
        make_training(PRESET_JOB("classic", "2"), "optimizer={adam: {lr: 0.1, beta1: 0.5}}");
    double states[UPDATE_STATES_MAX] = {0};
    double p = 1.0;
    double m = 0.0;
    double v = 0.0;
    double expected = 1.0;
    for (int step = 1; step <= 3; step++) {
        double sum = 64.0 * (0.3 * step - 0.5);
        double g = sum / 64.0;
        p = update_one(t, p, sum, states, step);
        m = 0.5 * m + 0.5 * g;
        v = 0.999 * v + (1.0 - 0.999) * g * g;
        expected -=
            0.1 * (m / (1.0 - pow(0.5, step))) / (sqrt(v / (1.0 - pow(0.999, step))) + 1e-8);
        assert_near(p, expected);
        assert_near(states[0], m);
        assert_near(states[1], v);
    }
    training_destroy(t);
}

static void test_sgd_with_momentum_by_hand(void **state)
{
    (void)state;
    struct training *t =
        make_training(PRESET_JOB("classic", "2"), "optimizer={sgd: {lr: 0.1, momentum: 0.9}}");
    double states[UPDATE_STATES_MAX] = {0};
    assert_int_equal(t->phases[0].update.state_count, 1);
    double p = update_one(t, 1.0, 64.0 * 0.5, states, 1);
    assert_near(p, 1.0 - 0.1 * 0.5);
    p = update_one(t, p, 64.0 * 0.25, states, 2);
    assert_near(p, 0.95 - 0.1 * (0.9 * 0.5 + 0.25));
    training_destroy(t);
}

/* D's norm is called twice in D's phase: two updates, one after the other. */
static void test_running_statistics_by_hand(void **state)
{
    (void)state;
    struct training *t = make_training(PRESET_JOB("dcgan", "2"), NULL);
    const struct phase *phase = &t->phases[0];
    static double sums[VALUES_MAX];
    static double buffers[VALUES_MAX];
    static double out[VALUES_MAX];
    int64_t buffer_offsets[16];
    int64_t offsets[16];
    float share = 1.0f / (float)t->shards;
    int d_mean = 0;
    for (int i = 0; i < t->buffer_count; i++) {
        buffer_offsets[i] = t->buffers[i].offset;
        d_mean = strcmp(t->buffers[i].name, "discriminator.3.running_mean") == 0 ? i : d_mean;
    }
    for (int i = 0; i < phase->statistics_floats; i++) {
        /* Per block of 16: means, then mean squares that are large enough. */
        sums[i] = (double)t->shards * (i / 16 % 2 == 0 ? 0.1 * (i % 16) : 2.0 + 0.01 * i);
    }
    for (int i = 0; i < VALUES_MAX; i++) {
        buffers[i] = 0.5;
    }
    for (int i = 0; i < phase->replicated_count; i++) {
        offsets[i] = i * 64;
    }
    const struct feed feed = {
        .inputs = {sums}, .buffers = buffers, .buffer_offsets = buffer_offsets, .scalars = &share};
    run_graph(phase->replicated, &feed, phase->replicated_nodes, offsets, phase->replicated_count,
              out);
    /* D real is the phase's first call, D generated its last: blocks of 16 floats for 4 channels,
     * D real at 0 and 16, G's norms of 4 and 2 channels, D generated at 96 and 112. */
    const double count = 64.0 * 7 * 7;
    const int channel = 3;
    double mean = 0.5;
    double variance = 0.5;
    static const int CALLS[] = {0, 96};
    for (int i = 0; i < 2; i++) {
        double m = sums[CALLS[i] + channel] / (double)t->shards;
        double square = sums[CALLS[i] + 16 + channel] / (double)t->shards;
        mean = 0.9 * mean + 0.1 * m;
        variance = 0.9 * variance + 0.1 * (square - m * m) * count / (count - 1.0);
    }
    int checked = 0;
    for (int i = 0; i < phase->replicated_count; i++) {
        if (phase->replicated_buffers[i] == d_mean) {
            assert_near(out[offsets[i] + channel], mean);
            checked++;
        } else if (phase->replicated_buffers[i] == d_mean + 1) {
            assert_near(out[offsets[i] + channel], variance);
            checked++;
        }
    }
    assert_int_equal(checked, 2);
    training_destroy(t);
}

struct spread {
    double mean;
    double deviation;
    double most;
};

static struct spread initial_spread(const struct training *t, int parameter, uint64_t seed)
{
    static double values[1 << 16];
    const struct tensor_info *info = &t->parameters[parameter];
    const struct feed feed = {.seed = seed};
    int64_t count = shape_count(&info->shape);
    struct spread spread = {0};
    assert_true(count <= 1 << 16);
    run_graph(t->initial, &feed, &info->initial, &(int64_t){0}, 1, values);
    for (int64_t i = 0; i < count; i++) {
        spread.mean += values[i] / (double)count;
        spread.most = fabs(values[i]) > spread.most ? fabs(values[i]) : spread.most;
    }
    for (int64_t i = 0; i < count; i++) {
        double away = values[i] - spread.mean;
        spread.deviation += away * away / (double)count;
    }
    spread.deviation = sqrt(spread.deviation);
    return spread;
}

static void test_first_weights(void **state)
{
    (void)state;
    struct training *dcgan = make_training(PRESET_JOB("dcgan", "4"), NULL);
    struct spread normal = initial_spread(dcgan, 0, 7); /* (100, 392): N(0, 0.02) */
    assert_true(fabs(normal.mean) < 5e-4);
    assert_true(fabs(normal.deviation - 0.02) < 5e-4);
    struct spread gain = initial_spread(dcgan, 1, 7); /* of 8 channels: N(1, 0.02) */
    assert_true(fabs(gain.mean - 1.0) < 0.05);
    training_destroy(dcgan);

    struct training *classic = make_training(PRESET_JOB("classic", "4"), NULL);
    struct spread uniform = initial_spread(classic, 0, 7); /* dense of 100: +- 1 / sqrt(100) */
    assert_true(uniform.most <= 0.1 && uniform.most > 0.0999);
    assert_true(fabs(uniform.deviation - 0.1 / sqrt(3.0)) < 1e-3);
    struct spread bias = initial_spread(classic, 1, 7);
    assert_true(bias.most <= 0.1 && bias.most > 0.09);
    struct spread other = initial_spread(classic, 0, 8);
    assert_true(other.mean != uniform.mean);
    training_destroy(classic);
}

/* Stream numbers are part of what makes the weights: these must never change. */
static void test_golden_streams(void **state)
{
    (void)state;
    assert_int_equal(streams_hash(""), 0xab3e7c0bu);
    assert_int_equal(streams_hash("generator.0.weight"), 0x020e45b0u);
    assert_int_equal(streams_hash("discriminator/latent/0"), 0x68933a63u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_of_two_samples),
        cmocka_unit_test(test_losses_of_large_logits_are_finite),
        cmocka_unit_test(test_adam_by_hand),
        cmocka_unit_test(test_sgd_with_momentum_by_hand),
        cmocka_unit_test(test_running_statistics_by_hand),
        cmocka_unit_test(test_first_weights),
        cmocka_unit_test(test_golden_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
