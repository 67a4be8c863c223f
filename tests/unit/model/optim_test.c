/*
 * Optimizers, five steps each, against their formulas written out in double; a tensor that decays
 * and one that does not side by side; schedules against libm; what a job file may say.
 */
#include "../unit.h"

#include "job_text.h"
#include "run_graph.h"

#include <math.h>

/* One block of each of two tensors: `weights` decays, `bias` does not where decay is of weights. */
enum { BLOCKS = 2, FLOATS = BLOCKS * BLOCK_FLOATS, STEPS = 5, BATCH = 64 };

static struct training *make_training(const char *optimizer)
{
    struct parsed_job job = parse_job(PRESET_JOB("dcgan", "2"), &optimizer, 1);
    struct training *training = NULL;
    struct cam_err err = {0};
    ASSERT_OK(training_create(&job.file, &MNIST, &training, &err), err);
    cam_arena_destroy(job.arena);
    return training;
}

/* What a formula sees of an element, and its memory. */
struct element {
    double p;
    double g; /* mean over the batch, clipped by value */
    double lr;
    int t; /* from 1 */
    bool decays;
    double trust;
    double state[UPDATE_STATES_MAX];
};

static void sgd(struct element *e)
{
    e->p -= e->lr * e->g;
}

static void sgd_momentum(struct element *e)
{
    double g = e->g + 0.1 * e->p;
    e->state[0] = 0.9 * e->state[0] + g;
    e->p -= e->lr * e->state[0];
}

static void sgd_nesterov(struct element *e)
{
    double g = e->g + (e->decays ? 0.1 * e->p : 0.0);
    e->state[0] = 0.8 * e->state[0] + g;
    e->p -= e->lr * (g + 0.8 * e->state[0]);
}

static void adam_step(struct element *e, double g, double b1, double b2)
{
    e->state[0] = b1 * e->state[0] + (1.0 - b1) * g;
    e->state[1] = b2 * e->state[1] + (1.0 - b2) * g * g;
    double m = e->state[0] / (1.0 - pow(b1, e->t));
    double v = e->state[1] / (1.0 - pow(b2, e->t));
    e->p -= e->lr * m / (sqrt(v) + 1e-6);
}

static void adam(struct element *e)
{
    adam_step(e, e->g + 0.2 * e->p, 0.5, 0.99);
}

static void adamw(struct element *e)
{
    e->p *= e->decays ? 1.0 - e->lr * 0.2 : 1.0;
    adam_step(e, e->g, 0.9, 0.999);
}

static void adamw_all(struct element *e)
{
    e->p *= 1.0 - e->lr * 0.2;
    adam_step(e, e->g, 0.9, 0.999);
}

static void rmsprop(struct element *e)
{
    e->state[0] = 0.9 * e->state[0] + 0.1 * e->g * e->g;
    e->p -= e->lr * e->g / (sqrt(e->state[0]) + 1e-8);
}

static void rmsprop_whole(struct element *e)
{
    double g = e->g + 0.05 * e->p;
    e->state[0] = 0.9 * e->state[0] + 0.1 * g * g;
    e->state[1] = 0.9 * e->state[1] + 0.1 * g;
    double size = sqrt(e->state[0] - e->state[1] * e->state[1]) + 1e-3;
    e->state[2] = 0.7 * e->state[2] + g / size;
    e->p -= e->lr * e->state[2];
}

static void lars(struct element *e)
{
    double g = e->g + (e->decays ? 0.01 * e->p : 0.0);
    e->state[0] = 0.9 * e->state[0] + e->trust * g;
    e->p -= e->lr * e->state[0];
}

static const struct optimizer_case {
    const char *text;
    void (*formula)(struct element *e);
    int states;
    double clip;
} CASES[] = {
    {"optimizer={sgd: {lr: 0.1}}", sgd, 0, 0},
    {"optimizer={sgd: {lr: 0.1, clip_value: 0.25}}", sgd, 0, 0.25},
    {"optimizer={sgd: {lr: 0.1, momentum: 0.9, weight_decay: 0.1}}", sgd_momentum, 1, 0},
    {"optimizer={sgd: {lr: 0.1, momentum: 0.8, nesterov: true, weight_decay: 0.1, decay: weights}}",
     sgd_nesterov, 1, 0},
    {"optimizer={adam: {lr: 0.1, beta1: 0.5, beta2: 0.99, epsilon: 1e-6, weight_decay: 0.2}}", adam,
     2, 0},
    {"optimizer={adamw: {lr: 0.1, weight_decay: 0.2, epsilon: 1e-6}}", adamw, 2, 0},
    {"optimizer={adamw: {lr: 0.1, weight_decay: 0.2, epsilon: 1e-6, decay: all}}", adamw_all, 2, 0},
    {"optimizer={rmsprop: {lr: 0.1, alpha: 0.9}}", rmsprop, 1, 0},
    {"optimizer={rmsprop: {lr: 0.1, alpha: 0.9, epsilon: 1e-3, centered: true, momentum: 0.7, "
     "weight_decay: 0.05}}",
     rmsprop_whole, 3, 0},
    {"optimizer={lars: {lr: 0.1, weight_decay: 0.01}}", lars, 1, 0},
};

/* Parameters, gradients of the batch and states of the two blocks, as the engine keeps them. */
struct arena {
    double p[FLOATS];
    double g[FLOATS];
    double state[UPDATE_STATES_MAX][FLOATS];
    double out[(1 + UPDATE_STATES_MAX) * FLOATS];
};

static const double DECAYS[BLOCKS] = {1.0, 0.0};
static const double TRUST[BLOCKS] = {0.03125, 1.0};

static void run_update(const struct training *t, int64_t execution, struct arena *a)
{
    const struct update_info *update = &t->phases[0].update;
    struct graph *graph = NULL;
    struct cam_err err = {0};
    int nodes[1 + UPDATE_STATES_MAX];
    int64_t offsets[1 + UPDATE_STATES_MAX];
    float scalars[UPDATE_SCALAR_COUNT];
    const struct update_moment moment = {.execution = execution, .rate_factor = 1.0};
    struct feed feed = {.scalars = scalars};
    ASSERT_OK(training_update_graph(update, FLOATS, &graph, nodes, &err), err);
    training_update_scalars(t, update, &moment, scalars);
    feed.inputs[UPDATE_PARAMETER] = a->p;
    feed.inputs[UPDATE_GRADIENT] = a->g;
    feed.inputs[UPDATE_DECAYS] = DECAYS;
    feed.inputs[UPDATE_TRUST] = TRUST;
    for (int i = 0; i <= update->state_count; i++) {
        offsets[i] = (int64_t)i * FLOATS;
    }
    for (int i = 0; i < update->state_count; i++) {
        feed.inputs[UPDATE_STATES + i] = a->state[i];
    }
    run_graph(graph, &feed, nodes, offsets, 1 + update->state_count, a->out);
    memcpy(a->p, a->out, sizeof a->p);
    for (int i = 0; i < update->state_count; i++) {
        memcpy(a->state[i], a->out + (i + 1) * FLOATS, sizeof a->state[i]);
    }
    graph_destroy(graph);
}

static void check_optimizer(const struct optimizer_case *one)
{
    struct training *t = make_training(one->text);
    struct arena *a = cam_alloc(1, sizeof *a);
    struct element *wanted = cam_alloc(FLOATS, sizeof *wanted);
    assert_int_equal(t->phases[0].update.state_count, one->states);
    for (int i = 0; i < FLOATS; i++) {
        a->p[i] = (double)(i % 17) / 8.0 - 1.0;
        wanted[i] = (struct element){.p = a->p[i],
                                     .lr = 0.1,
                                     .decays = DECAYS[i / BLOCK_FLOATS] != 0.0,
                                     .trust = TRUST[i / BLOCK_FLOATS]};
    }
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < FLOATS; i++) {
            struct element *e = &wanted[i];
            double g = (double)((i * 7 + step * 5) % 23) / 16.0 - 0.625;
            a->g[i] = g * BATCH;
            e->g = one->clip > 0.0 ? fmin(fmax(g, -one->clip), one->clip) : g;
            e->t = step + 1;
            one->formula(e);
        }
        run_update(t, step, a);
        for (int i = 0; i < FLOATS; i++) {
            if (!(fabs(a->p[i] - wanted[i].p) <= 1e-5 * (1.0 + fabs(wanted[i].p)))) {
                fail_msg("%s: step %d, element %d: %.9g, wanted %.9g", one->text, step, i, a->p[i],
                         wanted[i].p);
            }
            for (int k = 0; k < one->states; k++) {
                assert_near(a->state[k][i], wanted[i].state[k]);
            }
        }
    }
    cam_free(wanted);
    cam_free(a);
    training_destroy(t);
}

static void test_every_optimizer_by_its_formula(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        check_optimizer(&CASES[i]);
    }
}

/* Every update is one pass over memory, also where blocks have numbers of their own. */
static void test_every_optimizer_is_one_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct training *t = make_training(CASES[i].text);
        struct update_info update = t->phases[0].update;
        struct graph *graph = NULL;
        struct plan *plan = NULL;
        struct cam_err err = {0};
        int nodes[1 + UPDATE_STATES_MAX];
        struct plan_output outputs[1 + UPDATE_STATES_MAX];
        update.clip_norm = 1.0;
        ASSERT_OK(training_update_graph(&update, FLOATS, &graph, nodes, &err), err);
        for (int k = 0; k <= update.state_count; k++) {
            outputs[k] = (struct plan_output){nodes[k], (int64_t)k * FLOATS};
        }
        const struct plan_request request = {.graph = graph,
                                             .outputs = outputs,
                                             .output_count = 1 + update.state_count,
                                             .fuse = true};
        ASSERT_OK(plan_create(&request, &plan, &err), err);
        assert_int_equal(plan->step_count, 1);
        assert_int_equal(plan->activation_floats, 0);
        plan_destroy(plan);
        graph_destroy(graph);
        training_destroy(t);
    }
}

static void test_clip_norm_scales_the_whole_gradient(void **state)
{
    (void)state;
    struct training *t = make_training("optimizer={sgd: {lr: 1.0, clip_norm: 2.0}}");
    const struct update_info *update = &t->phases[0].update;
    float scalars[UPDATE_SCALAR_COUNT];
    struct update_moment moment = {.rate_factor = 1.0, .gradient_norm = 8.0};
    assert_true(update_needs_norms(update));
    training_update_scalars(t, update, &moment, scalars);
    assert_near((double)scalars[UPDATE_CLIP],
                2.0 / (8.0 + 1e-6)); /* torch.nn.utils.clip_grad_norm_ */
    moment.gradient_norm = 1.5;
    training_update_scalars(t, update, &moment, scalars);
    assert_true(scalars[UPDATE_CLIP] == 1.0f);
    training_destroy(t);
    t = make_training("optimizer={sgd: {lr: 1.0}}");
    assert_false(update_needs_norms(&t->phases[0].update));
    training_destroy(t);
}

static void test_trust_of_lars(void **state)
{
    (void)state;
    struct training *t =
        make_training("optimizer={lars: {lr: 0.5, eta: 0.02, weight_decay: 0.001}}");
    const struct update_info *update = &t->phases[0].update;
    const struct update_moment moment = {.rate_factor = 1.0, .gradient_norm = 4.0};
    const struct tensor_info weight = {.shape = {.rank = 2, .dim = {3, 4}}};
    const struct tensor_info bias = {.shape = {.rank = 1, .dim = {4}}};
    assert_near((double)update_trust(update, &weight, &moment, 10.0, 2.0),
                0.02 * 10.0 / (2.0 + 0.001 * 10.0));
    assert_true(update_trust(update, &bias, &moment, 10.0, 2.0) == 1.0f);
    assert_true(update_trust(update, &weight, &moment, 0.0, 2.0) == 1.0f);
    assert_true(update_trust(update, &weight, &moment, 10.0, 0.0) == 1.0f);
    assert_true(update_decays(update, &weight) && !update_decays(update, &bias));
    training_destroy(t);
    t = make_training("optimizer={lars: {lr: 0.5, eta: 0.02, clip_lr: true, clip_norm: 1.0}}");
    update = &t->phases[0].update;
    /* the norms are 4: clipped to a quarter; then min(0.02 * 10 / 0.5, 0.5) / 0.5 */
    assert_near((double)update_trust(update, &weight, &moment, 10.0, 2.0), 0.4 / 0.5);
    assert_true(update_trust(update, &weight, &moment, 100.0, 2.0) == 1.0f);
    training_destroy(t);
}

static struct rate rate_of(const char *optimizer)
{
    struct training *t = make_training(optimizer);
    struct rate rate = t->phases[0].update.rate;
    training_destroy(t);
    return rate;
}

static void assert_close(double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-12)) {
        fail_msg("found %.17g, wanted %.17g", found, wanted);
    }
}

static void test_schedules(void **state)
{
    (void)state;
    struct rate rate = rate_of("optimizer={sgd: {lr: 0.5}}");
    assert_false(rate_changes(&rate));
    assert_true(rate_at(&rate, 0) == 0.5 && rate_at(&rate, 1000000) == 0.5);
    rate = rate_of("optimizer={sgd: {lr: 0.5, schedule: {step: {every: 10, factor: 0.25}}}}");
    assert_true(rate_changes(&rate));
    assert_true(rate_at(&rate, 9) == 0.5 && rate_at(&rate, 10) == 0.125);
    assert_true(rate_at(&rate, 39) == 0.5 / 64.0);
    rate = rate_of("optimizer={sgd: {lr: 0.5, warmup: 4, schedule: {linear: {steps: 8}}}}");
    assert_true(rate_at(&rate, 0) == 0.125 && rate_at(&rate, 3) == 0.5);
    assert_true(rate_at(&rate, 4) == 0.5 && rate_at(&rate, 8) == 0.25 && rate_at(&rate, 12) == 0.0);
    assert_true(rate_at(&rate, 1000) == 0.0);
    rate = rate_of("optimizer={adam: {lr: 0.5, warmup: 3, "
                   "schedule: {cosine: {steps: 997, to: 0.125}}}}");
    for (int64_t t = 3; t < 1100; t++) {
        double s = t - 3 < 997 ? (double)(t - 3) / 997.0 : 1.0;
        assert_close(rate_at(&rate, t), 0.125 + 0.375 * (1.0 + cos(acos(-1.0) * s)) / 2.0);
    }
    assert_true(rate_at(&rate, 3) == 0.5 && rate_at(&rate, 1000) == 0.125);
    for (int i = 0; i <= 100000; i++) {
        assert_close(rate_cos_pi(i / 100000.0), cos(acos(-1.0) * (i / 100000.0)));
    }
    assert_true(rate_cos_pi(0.0) == 1.0 && rate_cos_pi(0.5) == 0.0 && rate_cos_pi(1.0) == -1.0);
}

static void test_a_factor_lowers_the_rate(void **state)
{
    (void)state;
    struct training *t = make_training("optimizer={adamw: {lr: 0.5, weight_decay: 0.5}}");
    float scalars[UPDATE_SCALAR_COUNT];
    const struct update_moment moment = {.rate_factor = 0.25};
    training_update_scalars(t, &t->phases[0].update, &moment, scalars);
    assert_true(scalars[UPDATE_LEARNING_RATE] == 0.125f);
    assert_true(scalars[UPDATE_KEEP] == 1.0f - 0.0625f);
    training_destroy(t);
}

static void test_what_a_job_may_not_say(void **state)
{
    (void)state;
    static const char *const REFUSED[][2] = {
        {"optimizer={sgd: {nesterov: true}}", "nesterov and no momentum"},
        {"optimizer={sgd: {schedule: cosine}}", "steps is missing, the schedule cosine needs it"},
        {"optimizer={sgd: {schedule: {step: {factor: 0.5}}}}", "every is missing"},
        {"optimizer={sgd: {schedule: {linear: {steps: 9, every: 2}}}}", "unknown key 'every'"},
        {"optimizer={sgd: {schedule: {wave: {steps: 9}}}}", "schedule is wave"},
        {"optimizer={sgd: {schedule: }}", "schedule is no value"},
        {"optimizer={sgd: {schedule: [1]}}", "schedule is a list"},
        {"optimizer={sgd: {warmup: -1}}", "warmup"},
        {"optimizer={adam: {clip_norm: 0}}", "clip_norm"},
        {"optimizer={adamw: {decay: biases}}", "decay"},
        {"optimizer={sgd: {centered: true}}", "unknown key 'centered' of sgd"},
        {"optimizer={lamb: {}}", "allowed: adam, adamw, lars, rmsprop, sgd"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        struct parsed_job job = parse_job(PRESET_JOB("dcgan", "2"), &REFUSED[i][0], 1);
        struct training *t = NULL;
        struct cam_err err = {0};
        assert_int_equal(training_create(&job.file, &MNIST, &t, &err), CAM_INVALID);
        if (strstr(err.text, REFUSED[i][1]) == NULL) {
            fail_msg("%s: %s", REFUSED[i][0], err.text);
        }
        cam_arena_destroy(job.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_optimizer_by_its_formula),
        cmocka_unit_test(test_every_optimizer_is_one_pass),
        cmocka_unit_test(test_clip_norm_scales_the_whole_gradient),
        cmocka_unit_test(test_trust_of_lars),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_a_factor_lowers_the_rate),
        cmocka_unit_test(test_what_a_job_may_not_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
