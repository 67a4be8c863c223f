/* Trainings: tables, phases and layouts of the presets by formulas written out here. */
#include "../unit.h"

#include "base/mem.h"
#include "job_text.h"
#include "model/graph/op.h"
#include "model/plan/plan_verify.h"

#include <math.h>

static struct training *make_training(const char *text, const struct data_shape *data)
{
    struct parsed_job job = parse_job(text, NULL, 0);
    struct training *training = NULL;
    struct cam_err err = {0};
    ASSERT_OK(training_create(&job.file, data, &training, &err), err);
    cam_arena_destroy(job.arena); /* a training needs its job no longer */
    return training;
}

static int64_t parameters_of(const struct training *t, int part)
{
    int64_t count = 0;
    for (int i = 0; i < t->parameter_count; i++) {
        count += t->parameters[i].part == part ? shape_count(&t->parameters[i].shape) : 0;
    }
    return count;
}

static void check_tables(const struct training *t)
{
    int64_t blocks = 0;
    int parameters = 0;
    for (int p = 0; p < t->part_count; p++) {
        assert_int_equal(t->parts[p].block_first, blocks);
        assert_int_equal(t->parts[p].parameter_first, parameters);
        blocks += t->parts[p].block_count;
        parameters += t->parts[p].parameter_count;
    }
    assert_int_equal(blocks * BLOCK_FLOATS, t->parameter_floats);
    assert_int_equal(parameters, t->parameter_count);
    blocks = 0;
    for (int i = 0; i < t->parameter_count; i++) {
        const struct tensor_info *info = &t->parameters[i];
        const struct part_info *part = &t->parts[info->part];
        assert_int_equal(info->block_first, blocks);
        assert_int_equal(info->offset, blocks * BLOCK_FLOATS);
        assert_true(i >= part->parameter_first &&
                    i < part->parameter_first + part->parameter_count);
        assert_int_equal(strncmp(info->name, part->name, strlen(part->name)), 0);
        assert_true(shape_equal(&graph_node(t->initial, info->initial)->shape, &info->shape));
        blocks += info->block_count;
    }
}

static struct plan *plan_of(const struct training *t, const struct graph *graph, const int *nodes,
                            const int64_t *offsets, int count)
{
    struct plan_output *outputs = cam_alloc((size_t)count, sizeof *outputs);
    int64_t *parameters = cam_alloc((size_t)t->parameter_count + 1, sizeof *parameters);
    int64_t *buffers = cam_alloc((size_t)t->buffer_count + 1, sizeof *buffers);
    struct plan *plan = NULL;
    struct cam_err err = {0};
    for (int i = 0; i < count; i++) {
        outputs[i] = (struct plan_output){nodes[i], offsets[i]};
    }
    for (int i = 0; i < t->parameter_count; i++) {
        parameters[i] = t->parameters[i].offset;
    }
    for (int i = 0; i < t->buffer_count; i++) {
        buffers[i] = t->buffers[i].offset;
    }
    struct plan_request request = {.graph = graph,
                                   .outputs = outputs,
                                   .output_count = count,
                                   .parameter_offsets = parameters,
                                   .buffer_offsets = buffers,
                                   .fuse = true};
    ASSERT_OK(plan_create(&request, &plan, &err), err);
    ASSERT_OK(plan_verify(plan, &err), err);
    cam_free(outputs);
    cam_free(parameters);
    cam_free(buffers);
    return plan;
}

/* The block's layout, and a sound plan for every graph of the training. */
static void check_phases(const struct training *t)
{
    for (int i = 0; i < t->phase_count; i++) {
        const struct phase *phase = &t->phases[i];
        assert_int_equal(phase->gradient_floats, t->parts[phase->part].block_count * BLOCK_FLOATS);
        assert_int_equal(phase->output_floats % BLOCK_FLOATS, 0);
        assert_int_equal(phase->metrics[0].offset,
                         phase->gradient_floats + phase->statistics_floats);
        assert_true(phase->metrics[0].offset < phase->output_floats);
        struct plan *plan = plan_of(t, phase->graph, phase->output_nodes, phase->output_offsets,
                                    phase->output_count);
        assert_true(plan->output_floats <= phase->output_floats);
        assert_true(plan->flops > 0);
        plan_destroy(plan);
        if (phase->replicated != NULL) {
            int64_t offsets[64] = {0};
            for (int k = 0; k < phase->replicated_count; k++) {
                offsets[k] = k * BLOCK_FLOATS;
            }
            plan = plan_of(t, phase->replicated, phase->replicated_nodes, offsets,
                           phase->replicated_count);
            assert_int_equal(plan->input_count, 1);
            plan_destroy(plan);
        }
    }
    struct plan *plan = plan_of(t, t->sample, &t->sample_node, &(int64_t){0}, 1);
    assert_int_equal(plan->input_count, 0);
    plan_destroy(plan);
}

static void test_dcgan_by_formula(void **state)
{
    (void)state;
    const int64_t w = 16;
    struct training *t = make_training(PRESET_JOB("dcgan", "16"), &MNIST);
    check_tables(t);
    check_phases(t);
    /* G: dense 100 -> 7 7 2w, norm, convT 2w -> w, norm, convT w -> 1 */
    assert_int_equal(parameters_of(t, 0),
                     100 * 49 * 2 * w + 2 * 2 * w + 16 * 2 * w * w + 2 * w + 16 * w);
    /* D: conv 1 -> w, conv w -> 2w, norm, dense 7 7 2w -> 1 */
    assert_int_equal(parameters_of(t, 1), 16 * w + 16 * w * 2 * w + 2 * 2 * w + 49 * 2 * w);
    assert_int_equal(t->rows, 16);
    assert_int_equal(t->buffer_count, 6);
    assert_int_equal(t->warning_count, 0);
    assert_string_equal(t->parameters[0].name, "generator.0.weight");
    assert_int_equal(t->parameters[0].layout, EXPORT_MATRIX_TO_IMAGE);
    assert_string_equal(t->buffers[0].name, "generator.2.running_mean");
    assert_string_equal(t->phases[0].name, "discriminator");
    assert_true(t->phases[0].takes_batch && !t->phases[1].takes_batch);
    assert_string_equal(t->phases[0].metrics[0].name, "d_loss");
    assert_string_equal(t->phases[1].metrics[0].name, "g_loss");
    /* D's phase sees G's two norms once and D's one twice; G's phase each once. */
    assert_int_equal(t->phases[0].replicated_count, 6);
    assert_int_equal(t->phases[0].statistics_floats, 2 * (2 * w + w + 2 * 2 * w));
    assert_int_equal(t->phases[1].statistics_floats, 2 * (2 * w + w + 2 * w));
    const struct node *sample = graph_node(t->sample, t->sample_node);
    assert_int_equal(sample->shape.dim[0], SAMPLES);
    assert_int_equal(sample->shape.dim[3], 1);
    training_destroy(t);
}

static void test_dcgan_of_64_pixels(void **state)
{
    (void)state;
    struct data_shape data = {.count = 1000, .height = 64, .width = 64, .channels = 3};
    struct training *t = make_training(PRESET_JOB("dcgan", "8"), &data);
    check_tables(t);
    /* G: dense to 4 4 8w, then 4w, 2w, w, 3. */
    const int64_t w = 8;
    int64_t conv = 16 * (8 * w * 4 * w + 4 * w * 2 * w + 2 * w * w + w * 3);
    assert_int_equal(parameters_of(t, 0), 100 * 16 * 8 * w + conv + 2 * (8 + 4 + 2 + 1) * w);
    training_destroy(t);
}

static void test_classic_by_formula(void **state)
{
    (void)state;
    const int64_t w = 8;
    struct training *t = make_training(PRESET_JOB("classic", "8"), &MNIST);
    check_tables(t);
    check_phases(t);
    assert_int_equal(parameters_of(t, 0), 101 * 49 * w + 4 * (25 * w * w + w) + 49 * w + 1);
    assert_int_equal(parameters_of(t, 1), 25 * w + w + 25 * w * w + w + 784 * w + 1);
    assert_int_equal(t->buffer_count, 0);
    assert_null(t->phases[0].replicated);
    for (int i = 0; i < graph_count(t->phases[0].graph); i++) {
        /* D's sigmoid is part of the loss; softplus' slope is the only one left. */
        const struct node *node = graph_node(t->phases[0].graph, i);
        assert_true(node->op != OP_SIGMOID || strcmp(node->path, "d_loss") == 0);
    }
    training_destroy(t);
}

/* Width w at 28 x 28, a sample: G is 5x5 convolutions, one at 14 x 14 and three at 28 x 28, and the
 * 7x7 one; D is two.  D's phase: G, D twice; D's weight gradients twice, the second convolution's
 * input gradient twice.  G's phase: G, D; D's input gradients; G's weight and input gradients. */
static void test_classic_costs_what_it_should(void **state)
{
    (void)state;
    struct training *t = make_training(PRESET_JOB("classic", "32"), &MNIST);
    const int64_t w = 32;
    const int64_t square = 2 * 784 * 25 * w * w;
    const int64_t edge = 2 * 784 * 25 * w;
    const int64_t last = 2 * 784 * 49 * w;
    const int64_t dense = 2 * 100 * 49 * w;
    const int64_t logit = 2 * 784 * w;
    const int64_t g = dense + square / 4 + 3 * square + last;
    const int64_t d = edge + square + logit;
    const int64_t expected[] = {
        g + 2 * d + 2 * (d + square + logit),
        g + d + d + g + (g - dense),
    };
    for (int i = 0; i < t->phase_count; i++) {
        const struct phase *phase = &t->phases[i];
        struct plan *plan = plan_of(t, phase->graph, phase->output_nodes, phase->output_offsets,
                                    phase->output_count);
        assert_int_equal(plan->flops / t->rows, expected[i]);
        plan_destroy(plan);
    }
    training_destroy(t);
}

static void test_names_and_layouts_of_a_written_model(void **state)
{
    (void)state;
    struct training *t = make_training(
        JOB_HEAD "model:\n"
                 "  latent: 10\n"
                 "  generator:\n"
                 "    - dense: {units: 98, name: stem, norm: batch, activation: relu}\n"
                 "    - reshape: [7, 7, 2]\n"
                 "    - upsample2d\n"
                 "    - conv2d_transpose: {filters: 3, kernel: 4, stride: 2, padding: 1}\n"
                 "    - leaky_relu: 0.1\n"
                 "    - conv2d: {filters: 1, kernel: 3, padding: same, activation: tanh}\n"
                 "  discriminator:\n"
                 "    - conv2d: {filters: 4, kernel: 3, stride: 2, name: a}\n"
                 "    - dropout: 0.3\n"
                 "    - relu: {name: left}\n"
                 "    - tanh: {input: a, name: right}\n"
                 "    - concat: {input: [left, right]}\n"
                 "    - flatten\n"
                 "    - dense: {units: 1, activation: sigmoid}\n" JOB_TAIL,
        &MNIST);
    static const struct {
        const char *name;
        enum export_layout layout;
    } EXPECTED[] = {
        {"generator.stem.weight", EXPORT_MATRIX_TO_IMAGE},
        {"generator.stem.norm.weight", EXPORT_VECTOR_TO_IMAGE},
        {"generator.stem.norm.bias", EXPORT_VECTOR_TO_IMAGE},
        {"generator.3.weight", EXPORT_CONV_TRANSPOSE},
        {"generator.3.bias", EXPORT_SAME},
        {"generator.5.weight", EXPORT_CONV},
        {"generator.5.bias", EXPORT_SAME},
        {"discriminator.a.weight", EXPORT_CONV},
        {"discriminator.a.bias", EXPORT_SAME},
        {"discriminator.6.weight", EXPORT_MATRIX_FROM_IMAGE},
        {"discriminator.6.bias", EXPORT_SAME},
    };
    check_tables(t);
    check_phases(t);
    assert_int_equal(t->parameter_count, sizeof EXPECTED / sizeof EXPECTED[0]);
    for (int i = 0; i < t->parameter_count; i++) {
        assert_string_equal(t->parameters[i].name, EXPECTED[i].name);
        assert_int_equal(t->parameters[i].layout, EXPECTED[i].layout);
    }
    assert_string_equal(t->buffers[1].name, "generator.stem.norm.running_var");
    assert_int_equal(t->buffers[1].layout, EXPORT_VECTOR_TO_IMAGE);
    training_destroy(t);
}

/* D has two, and is called twice in its own phase; in G's phase they stay as they are. */
static void test_spectral_norms_step_with_their_part(void **state)
{
    (void)state;
    struct training *t =
        make_training(JOB_HEAD "model:\n"
                               "  latent: 10\n"
                               "  generator:\n"
                               "    - dense: {units: 784, norm: batch}\n"
                               "    - reshape: [28, 28, 1]\n"
                               "  discriminator:\n"
                               "    - conv2d: {filters: 20, kernel: 3, spectral_norm: true}\n"
                               "    - flatten\n"
                               "    - dense: {units: 1, spectral_norm: true}\n" JOB_TAIL,
                      &MNIST);
    check_tables(t);
    check_phases(t);
    assert_int_equal(t->buffer_count, 4);
    assert_string_equal(t->buffers[2].name, "discriminator.0.weight_u");
    assert_string_equal(t->buffers[3].name, "discriminator.2.weight_u");
    assert_int_equal(t->phases[0].replicated_count, 4);
    assert_int_equal(t->phases[0].replicated_buffers[2], 2);
    assert_int_equal(t->phases[0].statistics_floats, 2 * 784 + 32 + 16);
    assert_int_equal(t->phases[1].replicated_count, 2);
    assert_int_equal(t->phases[1].statistics_floats, 2 * 784);
    training_destroy(t);
}

static void test_random_streams_differ(void **state)
{
    (void)state;
    struct training *t = make_training(
        JOB_HEAD "model:\n  generator:\n    - dense: {units: 784}\n    - dropout: 0.5\n"
                 "    - reshape: [28, 28, 1]\n"
                 "  discriminator: [dropout: 0.5, flatten, dense: {units: 1}]\n" JOB_TAIL,
        &MNIST);
    uint32_t streams[32];
    int count = 0;
    const struct graph *graphs[] = {t->phases[0].graph, t->phases[1].graph, t->initial, t->sample};
    for (size_t g = 0; g < sizeof graphs / sizeof graphs[0]; g++) {
        for (int i = 0; i < graph_count(graphs[g]); i++) {
            const struct node *node = graph_node(graphs[g], i);
            if (op_get(node->op)->class == OP_CLASS_RANDOM) {
                assert_int_equal(node->attr.by_row, graphs[g] != t->initial);
                streams[count++] = node->attr.stream;
            }
        }
    }
    /* D's phase: latent, dropout of G, of D twice; G's: latent and both; weights 2 x 2; sample. */
    assert_int_equal(count, 4 + 3 + 4 + 1);
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < i; k++) {
            assert_int_not_equal(streams[i], streams[k]);
        }
    }
    training_destroy(t);
}

static void test_export_is_pytorchs_order_and_import_its_inverse(void **state)
{
    (void)state;
    static const struct {
        struct tensor_info info;
        struct shape shape;
        int64_t index; /* of the checkpoint ... */
        float value;   /* ... holds the arena's element of this number */
    } CASES[] = {
        {{.shape = {{4}, 1}}, {{4}, 1}, 3, 3},
        {{.shape = {{2, 3}, 2}, .layout = EXPORT_MATRIX}, {{3, 2}, 2}, 1, 3},
        /* (KH,KW,I,O) = (2,3,4,5): element (o,i,h,w) = (1,2,1,2) */
        {{.shape = {{2, 3, 4, 5}, 4}, .layout = EXPORT_CONV},
         {{5, 4, 2, 3}, 4},
         ((1 * 4 + 2) * 2 + 1) * 3 + 2,
         (float)(((1 * 3 + 2) * 4 + 2) * 5 + 1)},
        {{.shape = {{2, 3, 4, 5}, 4}, .layout = EXPORT_CONV_TRANSPOSE},
         {{5, 4, 2, 3}, 4},
         ((1 * 4 + 2) * 2 + 1) * 3 + 2,
         (float)(((1 * 3 + 2) * 4 + 2) * 5 + 1)},
        /* (H,W,C) = (2,3,4), 5 outputs: element (o, c,h,w) = (1, 2,1,2) */
        {{.shape = {{24, 5}, 2}, .layout = EXPORT_MATRIX_FROM_IMAGE, .image = {2, 3, 4}},
         {{5, 24}, 2},
         1 * 24 + (2 * 2 + 1) * 3 + 2,
         (float)(((1 * 3 + 2) * 4 + 2) * 5 + 1)},
        /* 5 inputs: element (c,h,w, i) = (2,1,2, 1) */
        {{.shape = {{5, 24}, 2}, .layout = EXPORT_MATRIX_TO_IMAGE, .image = {2, 3, 4}},
         {{24, 5}, 2},
         ((2 * 2 + 1) * 3 + 2) * 5 + 1,
         (float)(1 * 24 + (1 * 3 + 2) * 4 + 2)},
        {{.shape = {{24}, 1}, .layout = EXPORT_VECTOR_TO_IMAGE, .image = {2, 3, 4}},
         {{24}, 1},
         (2 * 2 + 1) * 3 + 2,
         (float)((1 * 3 + 2) * 4 + 2)},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        float arena[128];
        float file[128];
        float back[128];
        int64_t count = shape_count(&CASES[i].info.shape);
        struct shape shape = tensor_export_shape(&CASES[i].info);
        for (int k = 0; k < 128; k++) {
            arena[k] = (float)k;
        }
        tensor_export(&CASES[i].info, arena, file);
        tensor_import(&CASES[i].info, file, back);
        assert_true(shape_equal(&shape, &CASES[i].shape));
        assert_true(file[CASES[i].index] == CASES[i].value);
        assert_memory_equal(arena, back, (size_t)count * sizeof(float));
    }
}

static void test_updates(void **state)
{
    (void)state;
    struct training *t = make_training(PRESET_JOB("dcgan", "4"), &MNIST);
    const struct update_info *update = &t->phases[0].update;
    float scalars[UPDATE_SCALAR_COUNT];
    struct graph *graph = NULL;
    struct cam_err err = {0};
    int out[1 + UPDATE_STATES_MAX];
    assert_int_equal(update->state_count, 2);
    assert_string_equal(update->state_names[1], "exp_avg_sq");
    ASSERT_OK(training_update_graph(update, 2048, &graph, out, &err), err);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(shape_count(&graph_node(graph, out[i])->shape), 2048);
    }
    struct plan *plan = plan_of(t, graph, out, (int64_t[]){0, 2048, 4096}, 3);
    assert_int_equal(plan->step_count, 1); /* one pass over memory */
    assert_int_equal(plan->activation_floats, 0);
    plan_destroy(plan);
    graph_destroy(graph);
    const struct update_moment third = {.execution = 2, .rate_factor = 1.0};
    training_update_scalars(t, update, &third, scalars);
    assert_true(scalars[UPDATE_LEARNING_RATE] == (float)2e-4);
    assert_true(scalars[UPDATE_GRADIENT_SCALE] == 1.0f / 64.0f);
    assert_true(scalars[UPDATE_CORRECTION_1] == (float)(1.0 / (1.0 - 0.125)));
    assert_true(fabs((double)scalars[UPDATE_CORRECTION_2] * (1.0 - 0.999 * 0.999 * 0.999) - 1.0) <
                1e-6);
    const struct update_moment late = {.execution = 1999999, .rate_factor = 1.0};
    training_update_scalars(t, update, &late, scalars);
    assert_true(scalars[UPDATE_CORRECTION_2] == 1.0f);
    training_destroy(t);
}

static void test_memory_short_is_an_error(void **state)
{
    (void)state;
    struct parsed_job job = parse_job(PRESET_JOB("dcgan", "4"), NULL, 0);
    for (long n = 0;; n++) {
        struct training *t = NULL;
        struct cam_err err;
        cam_fault_after(n);
        enum cam_code rc = training_create(&job.file, &MNIST, &t, &err);
        cam_fault_after(-1);
        if (rc == CAM_OK) {
            training_destroy(t);
            assert_true(n > 10);
            break;
        }
        assert_int_equal(rc, CAM_NO_MEMORY);
    }
    cam_arena_destroy(job.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dcgan_by_formula),
        cmocka_unit_test(test_dcgan_of_64_pixels),
        cmocka_unit_test(test_classic_by_formula),
        cmocka_unit_test(test_classic_costs_what_it_should),
        cmocka_unit_test(test_names_and_layouts_of_a_written_model),
        cmocka_unit_test(test_spectral_norms_step_with_their_part),
        cmocka_unit_test(test_random_streams_differ),
        cmocka_unit_test(test_export_is_pytorchs_order_and_import_its_inverse),
        cmocka_unit_test(test_updates),
        cmocka_unit_test(test_memory_short_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
