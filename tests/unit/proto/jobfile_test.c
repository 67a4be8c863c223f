/* The job file: a good one field by field, a table of bad ones with the line and words of each
 * refusal, and damage at random that must never crash. */
#include "../unit.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/philox.h"
#include "proto/jobfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char GOOD[] =
    "name: mnist-dcgan\n"                                                      /* 1 */
    "kind: gan\n"                                                              /* 2 */
    "data: {format: idx, images: i.gz, labels: /abs/l.gz}\n"                   /* 3 */
    "model:\n"                                                                 /* 4 */
    "  latent: 64\n"                                                           /* 5 */
    "  generator:\n"                                                           /* 6 */
    "    - dense: {units: 6272, activation: relu, name: stem}\n"               /* 7 */
    "    - reshape: [7, 7, 128]\n"                                             /* 8 */
    "    - conv2d_transpose: {filters: 1, input: [stem, latent], kernel: 4}\n" /* 9 */
    "  discriminator:\n"                                                       /* 10 */
    "    - flatten\n"                                                          /* 11 */
    "    - dropout: 0.3\n"                                                     /* 12 */
    "    - flatten: {}\n"                                                      /* 13 */
    "    - dense:\n"                                                           /* 14 */
    "        units: 1\n"                                                       /* 15 */
    "loss: minimax\n"                                                          /* 16 */
    "optimizer:\n"                                                             /* 17 */
    "  generator: {adam: {lr: 2e-4, beta1: 0.5}}\n"                            /* 18 */
    "  discriminator: sgd\n"                                                   /* 19 */
    "train: {epochs: 20, batch: 256, shards: 4, seed: 7, precision: f32}\n"    /* 20 */
    "resources: {ranks: 1..4, device: cpu, time_limit: 2h}\n"                  /* 21 */
    "checkpoint: {every: 10 steps, keep_last: 3}\n"                            /* 22 */
    "retry: {max: 5, backoff: 1500ms}\n"                                       /* 23 */
    "env: {NCCL_DEBUG: WARN, N: 1}\n";                                         /* 24 */

struct fixture {
    struct cam_arena *arena;
    struct job_file job;
    struct cam_err err;
};

static enum cam_code parse(struct fixture *f, const char *text, size_t size, const char *set)
{
    f->arena = cam_arena_create();
    assert_non_null(f->arena);
    f->err.text[0] = '\0';
    struct job_text from = {.file_name = "job.yaml",
                            .base_dir = "/base",
                            .text = text,
                            .size = size,
                            .set = &set,
                            .set_count = set != NULL ? 1 : 0};
    return jobfile_parse(&from, f->arena, &f->job, &f->err);
}

static void test_every_field(void **state)
{
    (void)state;
    struct fixture f;
    ASSERT_OK(parse(&f, GOOD, strlen(GOOD), NULL), f.err);
    const struct job_file *job = &f.job;
    assert_string_equal(job->name, "mnist-dcgan");
    assert_int_equal(job->data.format, DATA_IDX);
    assert_string_equal(job->data.images, "/base/i.gz");
    assert_string_equal(job->data.labels, "/abs/l.gz");
    assert_int_equal(job->latent, 64);
    assert_int_equal(job->part_count, 2);
    const struct part_spec *g = jobfile_part(job, "generator");
    assert_int_equal(g->layer_count, 3);
    assert_string_equal(g->layers[0].name, "stem");
    assert_null(doc_get(g->layers[0].attributes, "name"));
    assert_string_equal(doc_get(g->layers[0].attributes, "activation")->text, "relu");
    assert_int_equal(g->layers[1].attributes->kind, DOC_LIST);
    assert_int_equal(g->layers[2].line, 9);
    assert_int_equal(g->layers[2].input_count, 2);
    assert_string_equal(g->layers[2].inputs[1], "latent");
    assert_int_equal(g->layers[2].attributes->count, 2);
    const struct part_spec *d = jobfile_part(job, "discriminator");
    assert_int_equal(d->layer_count, 4);
    assert_null(d->layers[0].attributes);
    assert_string_equal(d->layers[1].attributes->text, "0.3");
    assert_int_equal(d->layers[3].line, 14);
    assert_string_equal(job->loss.type, "minimax");
    assert_string_equal(jobfile_optimizer(job, "generator")->type, "adam");
    assert_string_equal(jobfile_optimizer(job, "discriminator")->type, "sgd");
    assert_null(jobfile_optimizer(job, "discriminator")->attributes);
    assert_int_equal(job->train.epochs, 20);
    assert_int_equal(job->train.shards, 4);
    assert_int_equal(job->train.seed, 7);
    assert_int_equal(job->train.threads_per_shard, 1);
    assert_int_equal(job->resources.ranks_min, 1);
    assert_int_equal(job->resources.ranks_max, 4);
    assert_int_equal(job->resources.device, DEVICE_CPU);
    assert_int_equal(job->resources.time_limit_ms, 7200000);
    assert_int_equal(job->checkpoint.every.unit, INTERVAL_STEPS);
    assert_int_equal(job->checkpoint.every.count, 10);
    assert_int_equal(job->retry.max, 5);
    assert_int_equal(job->retry.backoff_ms, 1500);
    assert_int_equal(job->env_count, 2);
    assert_string_equal(job->env[1].value, "1");
    cam_arena_destroy(f.arena);
}

static const char SHORT[] = "name: s\n"
                            "kind: gan\n"
                            "data: glyphs\n"
                            "model:\n"
                            "  generator: {preset: dcgan, width: 8}\n"
                            "  discriminator: {preset: dcgan}\n"
                            "optimizer: {adam: {lr: 2e-4}}\n"
                            "train: {epochs: 1}\n";

static void test_defaults_and_short_forms(void **state)
{
    (void)state;
    struct fixture f;
    ASSERT_OK(parse(&f, SHORT, strlen(SHORT), NULL), f.err);
    assert_int_equal(f.job.data.format, DATA_GLYPHS);
    assert_int_equal(f.job.data.count, 6000);
    assert_int_equal(f.job.latent, 100);
    assert_string_equal(f.job.loss.type, "non_saturating");
    assert_string_equal(f.job.parts[0].preset, "dcgan");
    assert_non_null(doc_get(f.job.parts[0].preset_attributes, "width"));
    assert_null(f.job.parts[1].preset_attributes);
    assert_string_equal(jobfile_optimizer(&f.job, "discriminator")->type, "adam");
    assert_int_equal(f.job.train.batch, 64);
    assert_int_equal(f.job.train.shards, 4);
    assert_int_equal(f.job.resources.ranks_max, 1);
    assert_int_equal(f.job.checkpoint.every.unit, INTERVAL_EPOCHS);
    assert_int_equal(f.job.retry.backoff_ms, 10000);
    assert_int_equal(f.job.resources.time_limit_ms, 0);
    cam_arena_destroy(f.arena);
}

static void test_default_shards(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        int64_t shards;
    } CASES[] = {{"train.batch=256", 8}, {"train.batch=128", 8}, {"train.batch=64", 4},
                 {"train.batch=48", 3},  {"train.batch=31", 1},  {"train.batch=1", 1},
                 {"train.batch=100", 5}, {"train.batch=34", 2}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct fixture f;
        ASSERT_OK(parse(&f, SHORT, strlen(SHORT), CASES[i].set), f.err);
        assert_int_equal(f.job.train.shards, CASES[i].shards);
        cam_arena_destroy(f.arena);
    }
}

static void test_set(void **state)
{
    (void)state;
    struct fixture f;
    ASSERT_OK(parse(&f, SHORT, strlen(SHORT), "data.count=12"), f.err);
    assert_int_equal(f.job.data.count, 12);
    cam_arena_destroy(f.arena);
    ASSERT_OK(parse(&f, SHORT, strlen(SHORT), "data={format: idx, images: x}"), f.err);
    assert_string_equal(f.job.data.images, "/base/x");
    cam_arena_destroy(f.arena);
    ASSERT_OK(parse(&f, SHORT, strlen(SHORT), "env.A.x=1") == CAM_INVALID ? CAM_OK : CAM_INVALID,
              f.err);
    assert_string_equal(f.err.text, "job.yaml: --set: env.A is a map, a text is expected");
    cam_arena_destroy(f.arena);
    ASSERT_OK(parse(&f, GOOD, strlen(GOOD), "model.generator.0.dense.units=5"), f.err);
    assert_string_equal(doc_get(f.job.parts[0].layers[0].attributes, "units")->text, "5");
    cam_arena_destroy(f.arena);
}

/* The good file with one line replaced (line 0: the whole text), where it must fail and with
 * which words. */
struct bad_file {
    int line;
    const char *text;
    int error_line;
    const char *words;
};

/* clang-format off */
static const struct bad_file BAD[] = {
    {0, "", 1, "nothing but blanks"},
    {0, "# only this\n", 1, "nothing but blanks"},
    {0, "- a\n- b\n", 1, "a list of 2"},
    {0, "just words\n", 1, "'just words'"},
    {0, "name: a\n", 1, "kind is missing"},
    {0, "name: a\nkind: gan\n---\nname: b\n", 3, "second document"},
    {0, "name: a\nname: b\n", 2, "stands in line 1 already"},
    {0, "name: [a\nkind: gan\n", 2, "not YAML"},
    {0, "name: a\n\tkind: gan\n", 2, "not YAML"},
    {0, "name: \"a\\0b\"\nkind: gan\n", 1, "zero byte"},
    {0, "name: &x a\nkind: *x\n", 1, "anchor '&x'"},
    {0, "name: a\nkind: *x\n", 2, "alias '*x'"},
    {0, "name: a\nkind: !!str gan\n", 2, "tags are not allowed"},
    {0, "? [a]\n: b\n", 1, "a list as a key"},
    {0, "name: a\n\xff\xfe: b\n", 2, "not YAML text"},
    {1, "name: [a]", 1, "name is a list of 1"},
    {1, "name:", 1, "name is no value"},
    {1, "nane: a", 1, "did you mean 'name'"},
    {1, "<<: {name: a}", 1, "unknown key '<<'"},
    {2, "kind: gann", 2, "did you mean 'gan'"},
    {2, "kind: pretraim", 2, "did you mean 'pretrain'"},
    {2, "kind: pretrain", 2, "recipe is missing, kind pretrain needs it: causal_lm"},
    {2, "kind: pretrain\nrecipe: causal_lm", 6, "model.latent with kind pretrain"},
    {2, "kind: gan\nrecipe: causal_lm", 3, "it belongs to pretrain; allowed: gan"},
    {2, "kind: gan\nrecipe: clasification", 3, "did you mean 'classification'"},
    {3, "data: {format: idx, images: a, validation_fraction: 0.1}", 3, "validation_fraction with"},
    {3, "data: {format: idx, images: a, validation: {image: b}}", 3, "did you mean 'images'"},
    {3, "data: {format: idx, images: a, validation: 3}", 3, "validation"},
    {3, "data: {format: text}", 3, "data.path is missing, data.format text needs it"},
    {3, "data: {format: text, path: a, length: 0}", 3, "from 1 to 1048576"},
    {3, "data: {format: text, path: a, split: 1.5}", 3, "a number from 0 to 1 is expected"},
    {3, "data: {format: text, path: a, vocabulary: words}", 3, "characters, bytes"},
    {3, "data: {format: png}", 3, "allowed: glyphs, idx"},
    {3, "data: {format: idx}", 3, "data.images is missing"},
    {3, "data: {format: glyphs, images: x}", 3, "belongs to idx only"},
    {3, "data: {format: glyphs, layout: ring}", 3, "belongs to gaussians only"},
    {3, "data: {format: text, path: a, seed: 1}", 3, "belongs to glyphs, gaussians only"},
    {3, "data: gaussians", 3, "data.layout is missing, data.format gaussians needs it"},
    {3, "data: {format: gaussians, layout: rings}", 3, "did you mean 'ring'"},
    {3, "data: {format: glyphs, count: 0}", 3, "from 1 to 100000000"},
    {3, "data: glyphz", 3, "did you mean 'glyphs'"},
    {3, "data: {format: idx, images: {}}", 3, "the path of a file"},
    {3, "data:", 3, "data.format is missing"},
    {3, "", 1, "data is missing, every job file has it"},
    {20, "", 1, "train is missing, every job file has it"},
    {5, "  latent: 0", 5, "model.latent is '0', a whole number from 1 to 65536"},
    {5, "  latent: \"64\"", 5, "model.latent is '64'"},
    {5, "  latent: 1e2", 5, "a whole number"},
    {5, "  latent: 99999999999999999999", 5, "a whole number"},
    {5, "  critic: []", 5, "unknown key 'critic' of model"},
    {7, "    - dense:\n      units: 3", 8, "second key 'units'"},
    {7, "    - 7", 7, "type '7'"},
    {7, "    - dense: {units: 1, name: 9x}", 7, "name is '9x'"},
    {7, "    -", 7, "a layer is no value"},
    {8, "    - flatten: {name: stem}", 8, "a second layer named 'stem'"},
    {9, "    - add: {input: []}", 9, "one name or a list of names"},
    {9, "    - add: {input: [a, {}]}", 9, "input is a map"},
    {0,
     "name: a\nkind: gan\ndata: glyphs\nmodel: {generator: {width: 3}, discriminator: x}\n"
     "optimizer: adam\ntrain: {epochs: 1}\n",
     4, "model.generator is a map without preset"},
    {0,
     "name: a\nkind: gan\ndata: glyphs\nmodel:\n  discriminator: dcgan\n  generator: []\n"
     "optimizer: adam\ntrain: {epochs: 1}\n",
     5, "model.discriminator is 'dcgan', a list of layers or {preset: NAME}"},
    {10, "  discriminator: dcgan\n  generator2:", 11, "did you mean 'generator'"},
    {10, "  discriminatr:", 10, "did you mean 'discriminator'"},
    {16, "loss: []", 16, "loss is a list of 0"},
    {18, "  generator: {adam: {}, sgd: {}}", 18, "of several keys"},
    {0,
     "name: a\nkind: gan\ndata: glyphs\nmodel: {generator: [relu], discriminator: [relu]}\n"
     "optimizer: {adam: {}, sgd: {}}\ntrain: {epochs: 1}\n",
     5,
     "optimizer is a map of 2 (adam, sgd), one optimizer for all parts is expected, or one for "
     "each of generator, discriminator"},
    {18, "  genrator: {adam: {}}\n  x: {sgd: {}}", 18, "did you mean 'generator'"},
    {18, "  generator: {adam: 3}", 18, "adam is '3', a map"},
    {18, "  critic: {adam: {}}", 18, "unknown key 'critic' of optimizer"},
    {18, "", 17, "optimizer.generator is missing"},
    {20, "train: 5", 20, "train is '5', a map"},
    {20, "train: {epochs: 2, on_nan: rolback}", 20, "'rolback', did you mean 'rollback'"},
    {20, "train: {epochs: 2, on_nan: {stop: {most: 2}}}", 20, "unknown key 'most' of stop"},
    {20, "train: {epochs: 2, on_nan: {rollback: {most: 0}}}", 20, "most"},
    {20, "train: {epochs: 2, on_nan: {rollback: {factor: 2}}}", 20, "factor"},
    {20, "train: {epochs: 2, anchor_every: 5m}", 20, "train.anchor_every is a time"},
    {20, "train: {epochs: 2, anchor_every: 2 epochs}", 20, "anchor_every is several epochs"},
    {20, "train: {epochs: 20, batch: 256, shards: 3}", 20, "does not divide train.batch 256"},
    {20, "train:\n  epochs: 2\n  batch: 10\n  shards: 4", 23, "allowed: 1, 2, 5, 10"},
    {20, "train: {batch: 256}", 20, "train.epochs is missing"},
    {20, "train: {epochs: -1}", 20, "train.epochs is '-1'"},
    {20, "train: {epochs: 1, shards: 2048, batch: 2048}", 20, "from 1 to 1024"},
    {20, "train: {epochs: 1, precision: bf16}", 20, "allowed: f32"},
    {20, "train: {epochs: 1, reduce: fast}", 20, "allowed: exact"},
    {20, "train: {epochs: 1, seed: -3}", 20, "of at least 0"},
    {20, "train: {epoch: 1}", 20, "did you mean 'epochs'"},
    {21, "resources: {ranks: 5}", 21, "at most train.shards 4"},
    {21, "resources: {ranks: 3..2}", 21, "a range such as 1..4"},
    {21, "resources: {ranks: 0}", 21, "from 1 to 1024"},
    {21, "resources: {device: tpu}", 21, "allowed: auto, cpu, reference"},
    {21, "resources: {device: cuda}", 21,
     "resources.device is 'cuda', allowed: auto, cpu, reference"},
    {21, "resources: {time_limit: 30}", 21, "such as 30s"},
    {21, "resources: {time_limit: 99999999999999999h}", 21, "such as 30s"},
    {22, "checkpoint: {every: 0 steps}", 22, "such as 10 steps"},
    {22, "checkpoint: {every: 10 stesp}", 22, "such as 10 steps"},
    {22, "checkpoint: {keep_last: 0}", 22, "from 1 to 1000"},
    {23, "retry: {backoff: -1s}", 23, "such as 30s"},
    {24, "env: {a-b: 1}", 24, "no name for an environment variable"},
    {24, "env: {A: [1]}", 24, "env.A is a list of 1"},
    {24, "env: {OMPI_X: 1}", 24, "set by the launcher"},
    {24, "env: [A]", 24, "a map of names and texts"},
};
/* clang-format on */

/* GOOD with one line replaced. */
static size_t replace_line(char *out, size_t size, const struct bad_file *bad)
{
    const char *start = GOOD;
    for (int line = 1; line < bad->line; line++) {
        start = strchr(start, '\n') + 1;
    }
    const char *end = strchr(start, '\n');
    int length = bad->line == 0
                     ? snprintf(out, size, "%s", bad->text)
                     : snprintf(out, size, "%.*s%s%s", (int)(start - GOOD), GOOD, bad->text, end);
    assert_true(length >= 0 && (size_t)length < size);
    return (size_t)length;
}

static void test_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char text[4096];
        size_t size = replace_line(text, sizeof text, &BAD[i]);
        struct fixture f;
        if (parse(&f, text, size, NULL) != CAM_INVALID) {
            fail_msg("case %zu was not refused: %s", i, BAD[i].text);
        }
        char prefix[32];
        (void)snprintf(prefix, sizeof prefix, "job.yaml:%d: ", BAD[i].error_line);
        if (strncmp(f.err.text, prefix, strlen(prefix)) != 0 ||
            strstr(f.err.text, BAD[i].words) == NULL || strchr(f.err.text, '\n') != NULL) {
            fail_msg("case %zu (%s): expected %s...%s..., got: %s", i, BAD[i].text, prefix,
                     BAD[i].words, f.err.text);
        }
        cam_arena_destroy(f.arena);
    }
}

static void test_bad_sets(void **state)
{
    (void)state;
    /* clang-format off */
    static const char *const CASES[][2] = {
        {"train.epochs", "--set train.epochs: KEY=VALUE"},
        {"=5", "--set =5: a path"},
        {"train..epochs=5", "--set train..epochs=5: a path"},
        {"name.x=5", "which is no map"},
        {"model.generator.9.dense=5", "'9' is no item of a list of 3"},
        {"train.epochs=[", "--set train.epochs=["},
        {"train.epochs=x", "job.yaml: --set: train.epochs is 'x'"},
        {"train.epoch=5", "job.yaml: --set: unknown key 'epoch'"},
        {"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1", "a path"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct fixture f;
        assert_int_equal(parse(&f, GOOD, strlen(GOOD), CASES[i][0]), CAM_INVALID);
        if (strstr(f.err.text, CASES[i][1]) == NULL) {
            fail_msg("%s: expected %s, got %s", CASES[i][0], CASES[i][1], f.err.text);
        }
        cam_arena_destroy(f.arena);
    }
}

static void test_depth_and_width_are_limited(void **state)
{
    (void)state;
    enum { LEVELS = 100000 };
    char *text = malloc(LEVELS + 1);
    assert_non_null(text);
    memset(text, '[', LEVELS);
    struct fixture f;
    assert_int_equal(parse(&f, text, LEVELS, NULL), CAM_INVALID);
    assert_non_null(strstr(f.err.text, "nested more than 32 deep"));
    cam_arena_destroy(f.arena);
    size_t size = 0;
    for (int i = 0; i < 2000; i++) {
        size += (size_t)snprintf(text + size, LEVELS - size, "k%d: 1\n", i);
    }
    assert_int_equal(parse(&f, text, size, NULL), CAM_INVALID);
    assert_non_null(strstr(f.err.text, "job.yaml:1001: more than 1000 keys"));
    cam_arena_destroy(f.arena);
    free(text);
}

/* Files of other editors: a byte order mark, line ends of two bytes. */
static void test_other_editors(void **state)
{
    (void)state;
    char text[2 * sizeof GOOD] = "\xEF\xBB\xBF";
    size_t size = 3;
    for (const char *c = GOOD; *c != '\0'; c++) {
        if (*c == '\n') {
            text[size++] = '\r';
        }
        text[size++] = *c;
    }
    struct fixture f;
    ASSERT_OK(parse(&f, text, size, NULL), f.err);
    assert_int_equal(jobfile_part(&f.job, "discriminator")->layers[3].line, 14);
    assert_string_equal(f.job.env[1].value, "1");
    cam_arena_destroy(f.arena);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    enum cam_code rc = CAM_NO_MEMORY;
    for (long n = 0; rc != CAM_OK; n++) {
        struct cam_err err = {0};
        struct job_file job;
        const struct job_text from = {
            .file_name = "job.yaml", .base_dir = "/base", .text = GOOD, .size = strlen(GOOD)};
        assert_in_range(n, 0, 100);
        cam_fault_after(n);
        struct cam_arena *arena = cam_arena_create();
        rc = arena == NULL ? CAM_NO_MEMORY : jobfile_parse(&from, arena, &job, &err);
        cam_fault_after(-1);
        cam_arena_destroy(arena);
        assert_true(rc == CAM_OK || rc == CAM_NO_MEMORY);
    }
}

/* Damages the good file at random; whatever comes, no crash, and every refusal names a line. */
static void test_damage(void **state)
{
    (void)state;
    enum { ROUNDS = 3000 };
    char text[sizeof GOOD];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        memcpy(text, GOOD, sizeof GOOD);
        size_t size = sizeof GOOD - 1;
        uint32_t flips[4];
        philox4x32_10((const uint32_t[4]){round, 0, 0, 0}, (const uint32_t[2]){1, 2}, flips);
        for (int i = 0; i < 3; i++) {
            text[flips[i] % size] = (char)(flips[i] >> 24);
        }
        size = flips[3] % 4 == 0 ? flips[3] / 4 % size : size;
        struct fixture f;
        enum cam_code rc = parse(&f, text, size, NULL);
        assert_true(rc == CAM_OK || rc == CAM_INVALID);
        if (rc == CAM_INVALID && strncmp(f.err.text, "job.yaml:", 9) != 0) {
            fail_msg("round %u: %s", round, f.err.text);
        }
        cam_arena_destroy(f.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_defaults_and_short_forms),
        cmocka_unit_test(test_default_shards),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_sets),
        cmocka_unit_test(test_depth_and_width_are_limited),
        cmocka_unit_test(test_other_editors),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
