/*
 * Recipes with targets: loss and accuracy of two samples by hand, ties, and what a training of an
 * encoder and a head looks like.
 */
#include "../unit.h"

#include "job_text.h"
#include "model/recipes/supervised.h"
#include "run_graph.h"

enum { CLASSES = 3 };

/* Two samples of `places` places; out: loss and accuracy of each. */
static void judge(const double *logits, const double *labels, int64_t places, double out[4])
{
    struct graph *graph = graph_create();
    struct cam_err err = {0};
    assert_non_null(graph);
    struct shape label = {.rank = places == 1 ? 1 : 2, .dim = {2, places == 1 ? 0 : places}};
    struct shape logit = label;
    logit.dim[logit.rank++] = CLASSES;
    struct judged judged = {.graph = graph,
                            .logits = graph_leaf(graph, OP_INPUT, 0, &logit),
                            .label = graph_leaf(graph, OP_INPUT, 1, &label)};
    int nodes[2] = {
        supervised_rows(graph, graph_softmax_xent(graph, judged.logits, judged.label, 0.0)),
        supervised_accuracy(&judged),
    };
    ASSERT_OK(graph_status(graph, &err), err);
    double block[32 + 8];
    const struct feed feed = {.inputs = {logits, labels}};
    run_graph(graph, &feed, nodes, (const int64_t[]){0, 16}, 2, block);
    memcpy(out, block, 2 * sizeof *out);
    memcpy(out + 2, block + 16, 2 * sizeof *out);
    graph_destroy(graph);
}

static double softmax_xent(const double *logits, int label)
{
    return log(exp(logits[0]) + exp(logits[1]) + exp(logits[2])) - logits[label];
}

static void test_two_images_by_hand(void **state)
{
    (void)state;
    static const double logits[] = {1.0, -2.0, 0.5, 0.0, 3.0, 1.0};
    double out[4];
    judge(logits, (const double[]){0, 2}, 1, out);
    assert_near(out[0], softmax_xent(logits, 0));
    assert_near(out[1], softmax_xent(logits + 3, 2));
    assert_near(out[2], 1.0);
    assert_near(out[3], 0.0);
}

static void test_two_rows_of_tokens_by_hand(void **state)
{
    (void)state;
    static const double logits[] = {1.0, -2.0, 0.5, 0.0, 3.0, 1.0, 2.0, 2.5, 0.0, -1.0, -1.0, -3.0};
    double out[4];
    judge(logits, (const double[]){0, 2, 1, 1}, 2, out);
    assert_near(out[0], (softmax_xent(logits, 0) + softmax_xent(logits + 3, 2)) / 2);
    assert_near(out[1], (softmax_xent(logits + 6, 1) + softmax_xent(logits + 9, 1)) / 2);
    assert_near(out[2], 0.5);
    assert_near(out[3], (1.0 + 0.5) / 2); /* the last place is a tie of two */
}

/* A network that says nothing is right by chance alone. */
static void test_equal_logits_are_right_by_chance(void **state)
{
    (void)state;
    static const double logits[2 * CLASSES] = {0};
    double out[4];
    judge(logits, (const double[]){0, 2}, 1, out);
    assert_near(out[0], log(3.0));
    assert_near(out[2], 1.0 / 3);
    assert_near(out[3], 1.0 / 3);
}

#define CLASSIFIER                                                                                 \
    "name: test\nkind: finetune\nrecipe: classification\ndata: glyphs\nmodel:\n"                   \
    "  head:\n    - dense: {units: 10}\n"                                                          \
    "  encoder:\n    - flatten\n    - dense: {units: 7, norm: batch}\n"                            \
    "optimizer: {adam: {lr: 1e-3}}\ntrain: {epochs: 2, batch: 64, shards: 4}\n"

static struct training *make_training(const char *text, const struct data_shape *data)
{
    struct parsed_job job = parse_job(text, NULL, 0);
    struct training *training = NULL;
    struct cam_err err = {0};
    ASSERT_OK(training_create(&job.file, data, &training, &err), err);
    cam_arena_destroy(job.arena);
    return training;
}

/* Encoder and head, in whichever order they are written, are one range of blocks. */
static void test_encoder_and_head_are_updated_together(void **state)
{
    (void)state;
    struct training *t = make_training(CLASSIFIER, &MNIST);
    assert_int_equal(t->phase_count, 1);
    const struct phase *phase = &t->phases[0];
    assert_int_equal(phase->gradient_floats, t->parameter_floats);
    assert_true(phase->takes_batch);
    assert_int_equal(phase->metric_count, 2);
    assert_string_equal(phase->metrics[0].name, "loss");
    assert_string_equal(phase->metrics[1].name, "accuracy");
    assert_null(t->evaluation.graph);
    assert_null(t->sample);
    assert_string_equal(t->parameters[0].name, "encoder.1.weight");
    assert_string_equal(t->parameters[t->parameter_count - 1].name, "head.0.bias");
    training_destroy(t);
}

/* Of another graph than the one that trains: no batch statistics, weights for padding. */
static void test_evaluation(void **state)
{
    (void)state;
    struct data_shape data = MNIST;
    data.validation_count = 1000;
    struct training *t = make_training(CLASSIFIER, &data);
    const struct evaluation *evaluation = &t->evaluation;
    assert_non_null(evaluation->graph);
    assert_int_equal(evaluation->count, 1000);
    assert_int_equal(evaluation->weight_slot, t->input_count);
    assert_int_equal(evaluation->metric_count, 2);
    assert_string_equal(evaluation->metrics[0].name, "val_loss");
    assert_string_equal(evaluation->metrics[1].name, "val_accuracy");
    bool running = false;
    for (int i = 0; i < graph_count(evaluation->graph); i++) {
        running = running || graph_node(evaluation->graph, i)->op == OP_BUFFER;
    }
    assert_true(running);
    training_destroy(t);
}

static void test_attention_that_looks_ahead_is_warned_of(void **state)
{
    (void)state;
    static const struct data_shape text = {.count = 1000, .classes = 5, .length = 8};
    static const char *const SETS[] = {"model.encoder.1.attention.causal=false"};
    static const char JOB[] =
        "name: test\nkind: pretrain\nrecipe: causal_lm\n"
        "data: {format: text, path: t.txt, length: 8}\nmodel:\n  encoder:\n"
        "    - embedding: {vocabulary: 5, units: 4}\n    - attention: {heads: 2, causal: true}\n"
        "    - dense: {units: 5}\n"
        "optimizer: {adam: {lr: 1e-3}}\ntrain: {epochs: 2, batch: 64, shards: 4}\n";
    for (size_t sets = 0; sets < 2; sets++) {
        struct parsed_job job = parse_job(JOB, SETS, sets);
        struct training *training = NULL;
        struct cam_err err = {0};
        assert_int_equal(training_create(&job.file, &text, &training, &err), CAM_OK);
        assert_int_equal(training->warning_count, sets);
        if (sets == 1) {
            assert_non_null(strstr(training->warnings[0], "encoder.1 sees the tokens"));
        }
        training_destroy(training);
        cam_arena_destroy(job.arena);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct data_shape text = {.count = 1000, .classes = 5, .length = 8};
    static const struct data_shape unlabelled = {
        .count = 1000, .height = 28, .width = 28, .channels = 1};
    static const struct {
        const struct data_shape *data;
        const char *words;
    } BAD[] = {
        {&text, "data are text, recipe classification trains on images"},
        {&unlabelled, "needs labels of at least 2 classes, the data have none"},
    };
    struct parsed_job job = parse_job(CLASSIFIER, NULL, 0);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct training *training = NULL;
        struct cam_err err = {0};
        assert_int_equal(training_create(&job.file, BAD[i].data, &training, &err), CAM_INVALID);
        if (strstr(err.text, BAD[i].words) == NULL) {
            fail_msg("'%s' in: %s", BAD[i].words, err.text);
        }
    }
    cam_arena_destroy(job.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_images_by_hand),
        cmocka_unit_test(test_two_rows_of_tokens_by_hand),
        cmocka_unit_test(test_equal_logits_are_right_by_chance),
        cmocka_unit_test(test_encoder_and_head_are_updated_together),
        cmocka_unit_test(test_evaluation),
        cmocka_unit_test(test_attention_that_looks_ahead_is_warned_of),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
