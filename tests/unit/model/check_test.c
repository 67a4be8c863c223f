/* What check says of good jobs, and how it refuses bad ones: each with file, line and words. */
#include "../unit.h"

#include "base/mem.h"
#include "job_text.h"
#include "model/layers/layer.h"
#include "model/losses/loss.h"
#include "model/memory.h"

#include <stdlib.h>
#include <time.h>

struct refusal {
    const char *text;  /* of the job file */
    const char *set;   /* NULL: none */
    const char *line;  /* the error begins with this ... */
    const char *words; /* ... and has this in it */
};

/* Lines: model 4, latent 5, generator 6, its layers from 7. */
#define MODEL(generator, discriminator)                                                            \
    JOB_HEAD "model:\n  latent: 10\n  generator:\n" generator                                      \
             "  discriminator:\n" discriminator JOB_TAIL
#define GOOD_G "    - dense: {units: 784}\n    - reshape: [28, 28, 1]\n"
#define GOOD_D "    - flatten\n    - dense: {units: 1}\n"

static const struct refusal REFUSALS[] = {
    {MODEL("    - dens: {units: 784}\n", GOOD_D), NULL,
     "job.yaml:7: ", "unknown layer 'dens', did you mean 'dense'?"},
    {MODEL("    - zebra\n", GOOD_D), NULL,
     "job.yaml:7: ", "unknown layer 'zebra'; allowed: dense,"},
    {MODEL("    - dense: {unit: 784}\n", GOOD_D), NULL,
     "job.yaml:7: ", "unknown key 'unit' of dense, did you mean 'units'?"},
    {MODEL("    - dense\n", GOOD_D), NULL, "job.yaml:7: ", "units is missing, such as {units: 1}"},
    {MODEL("    - dense: 3\n", GOOD_D), NULL, "job.yaml:7: ", "dense is '3', a map of attributes"},
    {MODEL("    - dense:\n        units: 0\n", GOOD_D), NULL,
     "job.yaml:8: ", "units is '0', a whole number from 1"},
    {MODEL("    - dense: {units: 783}\n    - reshape: [28, 28, 1]\n", GOOD_D), NULL,
     "job.yaml:8: ", "cannot make 784 numbers (28, 28, 1) of a sample of 783 numbers"},
    {MODEL("    - dense: {units: 784}\n    - reshape: [28, -1, -1]\n", GOOD_D), NULL,
     "job.yaml:8: ", "a second size is -1, one -1 is allowed"},
    {MODEL("    - dense: {units: 784}\n    - upsample2d: 2\n", GOOD_D), NULL,
     "job.yaml:8: ", "takes images (height, width, channels), found (784)"},
    {MODEL("    - dense: {units: 784}\n    - reshape: [28, -1, 27]\n", GOOD_D), NULL,
     "job.yaml:8: ", "cannot make"},
    {MODEL("    - dense: {units: 784}\n    - reshape: [0]\n", GOOD_D), NULL,
     "job.yaml:8: ", "a size is '0'"},
    {MODEL("    - dense: {units: 196}\n    - reshape: [14, 14, 1]\n", GOOD_D), NULL, "job.yaml:6: ",
     "generator gives images of (14, 14, 1) (height, width, channels), the data are (28, 28, 1)"},
    {MODEL(GOOD_G, "    - conv2d: {filters: 4, kernel: 29}\n" GOOD_D), NULL, "job.yaml:10: ",
     "discriminator.0 (conv2d): a kernel that spans 29 is larger than the image (28, 28, 1)"},
    {MODEL(GOOD_G, "    - dense: {units: 1}\n"), NULL,
     "job.yaml:10: ", "takes features in a row, found (28, 28, 1); put flatten before it"},
    {MODEL(GOOD_G, "    - flatten\n    - dense: {units: 2}\n"), NULL,
     "job.yaml:9: ", "discriminator gives (2) a sample, one number is expected"},
    {MODEL("    - conv2d: {filters: 4, kernel: 3}\n", GOOD_D), NULL,
     "job.yaml:7: ", "takes images (height, width, channels), found (10)"},
    {MODEL(GOOD_G, "    - conv2d: {filters: 4, kernel: 3, padding: sane}\n" GOOD_D), NULL,
     "job.yaml:10: ", "did you mean 'same'?"},
    {MODEL(GOOD_G, "    - conv2d: {filters: 4, kernel: 3, groups: 3}\n" GOOD_D), NULL,
     "job.yaml:10: ", "groups is 3, it must divide"},
    {MODEL(GOOD_G, "    - conv2d: {filters: 4, kernel: [3, x]}\n" GOOD_D), NULL,
     "job.yaml:10: ", "a whole number or a list of two"},
    {MODEL(GOOD_G, "    - flatten: {input: nobody}\n    - dense: {units: 1}\n"), NULL,
     "job.yaml:10: ", "input 'nobody' is neither a layer named above this one in discriminator"},
    {MODEL(GOOD_G, "    - flatten: {name: image}\n    - dense: {units: 1}\n"), NULL,
     "job.yaml:10: ", "a layer is named 'image', which is how this part's input is called"},
    {MODEL(GOOD_G, "    - flatten: {name: f}\n    - add: {input: [f, image]}\n"
                   "    - dense: {units: 1}\n"),
     NULL, "job.yaml:11: ", "its inputs do not fit: (784) and (28, 28, 1)"},
    {MODEL("    - relu\n", GOOD_D), NULL, "job.yaml:6: ", "generator has no weights to train"},
    {MODEL(GOOD_G, GOOD_D), "loss=minmax",
     "job.yaml: --set: ", "unknown loss 'minmax', did you mean 'minimax'?"},
    {MODEL(GOOD_G, GOOD_D), "optimizer={adan: {lr: 1}}",
     "job.yaml: --set: ", "unknown optimizer 'adan', did you mean 'adam'?"},
    {MODEL(GOOD_G, GOOD_D), "optimizer={adam: {lr: 0}}",
     "job.yaml: --set: ", "lr is '0', a number from 1e-30 to 100 is expected"},
    {MODEL(GOOD_G, GOOD_D), "optimizer={sgd: {lr: 1e-400}}",
     "job.yaml: --set: ", "lr is '1e-400', a number from 1e-30 to 100 is expected"},
    {MODEL(GOOD_G, GOOD_D), "optimizer={adam: {beta: 1}}",
     "job.yaml: --set: ", "unknown key 'beta' of adam"},
    {MODEL(GOOD_G, GOOD_D), "train.batch=60004",
     "job.yaml: --set: ", "train.batch is 60004, the data have 60000 samples"},
    {JOB_HEAD "model:\n  generator: {preset: dcgam}\n  discriminator: {preset: dcgan}\n" JOB_TAIL,
     NULL, "job.yaml:5: ", "unknown preset 'dcgam' of generator, did you mean 'dcgan'?"},
    {JOB_HEAD "model:\n  generator: {preset: dcgan}\n"
              "  discriminator: {preset: dcgan, widht: 3}\n" JOB_TAIL,
     NULL, "job.yaml:6: ", "unknown key 'widht' of dcgan, did you mean 'width'?"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        const struct refusal *r = &REFUSALS[i];
        struct parsed_job job = parse_job(r->text, &r->set, r->set == NULL ? 0 : 1);
        struct job_figures figures;
        struct cam_err err = {0};
        enum cam_code rc = model_check(&job.file, &MNIST, 2, &figures, &err);
        if (rc != CAM_INVALID || strncmp(err.text, r->line, strlen(r->line)) != 0 ||
            strstr(err.text, r->words) == NULL) {
            fail_msg("case %zu: wanted %s...%s, found %s", i, r->line, r->words, err.text);
        }
        cam_arena_destroy(job.arena);
    }
}

static void test_presets_refuse_other_images(void **state)
{
    (void)state;
    struct data_shape data = {.count = 1000, .height = 30, .width = 30, .channels = 1};
    static const char *const TEXTS[] = {PRESET_JOB("dcgan", "8"), PRESET_JOB("classic", "8")};
    for (int i = 0; i < 2; i++) {
        struct parsed_job job = parse_job(TEXTS[i], NULL, 0);
        struct job_figures figures;
        struct cam_err err = {0};
        assert_int_equal(model_check(&job.file, &data, 2, &figures, &err), CAM_INVALID);
        assert_non_null(strstr(err.text, "the data are 30 x 30"));
        cam_arena_destroy(job.arena);
    }
}

static void test_figures(void **state)
{
    (void)state;
    struct parsed_job job = parse_job(MODEL(GOOD_G, GOOD_D), NULL, 0);
    struct job_figures f;
    struct cam_err err = {0};
    ASSERT_OK(model_check(&job.file, &MNIST, 2, &f, &err), err);
    assert_int_equal(f.steps_per_epoch, 937);
    assert_int_equal(f.parameters, 11 * 784 + 785);
    assert_string_equal(f.note, "");
    /* D's phase: G, D twice, D's weights twice; G's: G, D, D's input, G's weights. */
    int64_t g = (int64_t)2 * 64 * 10 * 784;
    int64_t d = (int64_t)2 * 64 * 784;
    assert_int_equal(f.flops_per_step, (g + 4 * d) + (g + 2 * d + g));
    assert_int_equal(f.traffic_bytes, 0);
    /* 8 blocks of G and its bias, 1 of D and its bias. */
    assert_int_equal(f.parameter_bytes, 4 * 1024 * (8 + 1 + 1 + 1));
    /* and two floats a block: does it decay, at which rate of its own */
    assert_int_equal(f.state_bytes, 2 * f.parameter_bytes + 2 * f.parameter_bytes / BLOCK_FLOATS);
    /* 4 shards over 2 lanes: two at work and one finished half that waits; G's block is larger. */
    assert_int_equal(f.gradient_bytes, 4 * 1024 * ((9 + 1) * 3 + 2));
    assert_int_equal(f.rank_bytes, f.parameter_bytes + f.state_bytes + f.gradient_bytes +
                                       f.activation_bytes + f.packed_bytes + f.data_bytes +
                                       f.checkpoint_bytes);
    cam_arena_destroy(job.arena);
}

static void test_few_samples_a_shard_are_noted(void **state)
{
    (void)state;
    const char *set = "train.shards=8";
    struct parsed_job job = parse_job(PRESET_JOB("dcgan", "2"), &set, 1);
    struct job_figures f;
    struct cam_err err = {0};
    ASSERT_OK(model_check(&job.file, &MNIST, 2, &f, &err), err);
    assert_non_null(strstr(f.note, "batch norm sees 8 samples a shard; below 16"));
    cam_arena_destroy(job.arena);
}

static void test_gradient_buffers(void **state)
{
    (void)state;
    static const struct {
        int shards, first, end, lanes, buffers;
    } CASES[] = {
        {1, 0, 1, 1, 1}, {4, 0, 4, 4, 4}, {4, 0, 4, 1, 3}, {8, 0, 8, 1, 4}, {8, 0, 8, 2, 4},
        {8, 4, 8, 1, 3}, {3, 0, 3, 1, 2}, {6, 1, 4, 1, 3}, {7, 0, 7, 2, 3}, {1024, 0, 1024, 1, 11},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_int_equal(
            memory_gradient_buffers(CASES[i].shards, CASES[i].first, CASES[i].end, CASES[i].lanes),
            CASES[i].buffers);
    }
}

static void test_names_match_their_rows(void **state)
{
    (void)state;
    size_t count = 0;
    const char *const *names = layer_names(&count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(layer_find(names[i])->name, names[i]);
        assert_non_null(layer_find(names[i])->build);
    }
    names = loss_names(&count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(loss_find(names[i])->name, names[i]);
    }
}

/* Job files with a few letters changed: accepted or refused in words, never a crash. */
static void test_damaged_job_files(void **state)
{
    (void)state;
    static const char GOOD[] =
        MODEL("    - dense: {units: 98, name: stem, norm: batch, activation: relu}\n"
              "    - reshape: [7, 7, 2]\n    - upsample2d: 2\n"
              "    - conv2d_transpose: {filters: 3, kernel: 4, stride: 2, padding: 1}\n"
              "    - leaky_relu: 0.1\n    - conv2d: {filters: 1, kernel: 3, padding: same}\n",
              "    - conv2d: {filters: 4, kernel: [3, 5], stride: 2, dilation: 1, groups: 1}\n"
              "    - dropout: 0.3\n    - batch_norm: {momentum: 0.2, initializer: {normal: 1}}\n"
              "    - flatten: {name: f}\n    - add: {input: [f, f]}\n    - dense: {units: 1}\n");
    static const char LETTERS[] = "0123456789-.eE[]{}:, abz~";
    uint64_t random = 5;
    int accepted = 0;
    for (int i = 0; i < 1000; i++) {
        char text[sizeof GOOD];
        struct parsed_job job = {.arena = cam_arena_create()};
        struct cam_err err = {0};
        struct job_figures figures;
        memcpy(text, GOOD, sizeof GOOD);
        for (int k = 0; k < 1 + i % 3; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            char *letter = &text[40 + (random >> 33) % (sizeof GOOD - 41)];
            bool digit = *letter >= '0' && *letter <= '9';
            /* Of every second file digits alone, so that many stay job files. */
            *letter = i % 2 == 0 ? LETTERS[(random >> 20) % (sizeof LETTERS - 1)]
                      : digit    ? LETTERS[(random >> 20) % 10]
                                 : *letter;
        }
        struct job_text request = {
            .file_name = "job.yaml", .base_dir = "/jobs", .text = text, .size = sizeof GOOD - 1};
        enum cam_code rc = jobfile_parse(&request, job.arena, &job.file, &err);
        rc = rc == CAM_OK ? model_check(&job.file, &MNIST, 2, &figures, &err) : rc;
        accepted += rc == CAM_OK ? 1 : 0;
        if (rc != CAM_OK &&
            (rc != CAM_INVALID || strncmp(err.text, "job.yaml:", strlen("job.yaml:")) != 0)) {
            fail_msg("%s: %s\nof\n%s", cam_code_name(rc), err.text, text);
        }
        cam_arena_destroy(job.arena);
    }
    assert_true(accepted > 100);
}

static void test_memory_short_is_an_error(void **state)
{
    (void)state;
    struct parsed_job job = parse_job(PRESET_JOB("dcgan", "2"), NULL, 0);
    enum cam_code rc = CAM_NO_MEMORY;
    for (long n = 0; rc != CAM_OK; n += 3) {
        struct job_figures figures;
        struct cam_err err;
        cam_fault_after(n);
        rc = model_check(&job.file, &MNIST, 2, &figures, &err);
        cam_fault_after(-1);
        assert_true(rc == CAM_OK || rc == CAM_NO_MEMORY);
    }
    cam_arena_destroy(job.arena);
}

/* It runs at every submit: the median of many is compared, and printed. */
static void test_check_is_quick(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {PRESET_JOB("dcgan", "64"), PRESET_JOB("classic", "128")};
    for (int k = 0; k < 2; k++) {
        struct parsed_job job = parse_job(TEXTS[k], NULL, 0);
        double best_ms = 1e9;
        for (int i = 0; i < 20; i++) {
            struct timespec start;
            struct timespec end;
            struct job_figures figures;
            struct cam_err err = {0};
            (void)clock_gettime(CLOCK_MONOTONIC, &start);
            ASSERT_OK(model_check(&job.file, &MNIST, 2, &figures, &err), err);
            (void)clock_gettime(CLOCK_MONOTONIC, &end);
            double ms = (double)(end.tv_sec - start.tv_sec) * 1e3 +
                        (double)(end.tv_nsec - start.tv_nsec) / 1e6;
            best_ms = ms < best_ms ? ms : best_ms;
        }
        print_message("model_check: %.2f ms\n", best_ms);
        assert_true(best_ms < 20.0); /* 2 is the aim; sanitizers and busy machines take longer */
        cam_arena_destroy(job.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_presets_refuse_other_images),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_few_samples_a_shard_are_noted),
        cmocka_unit_test(test_gradient_buffers),
        cmocka_unit_test(test_names_match_their_rows),
        cmocka_unit_test(test_damaged_job_files),
        cmocka_unit_test(test_memory_short_is_an_error),
        cmocka_unit_test(test_check_is_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
