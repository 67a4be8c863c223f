/*
 * Presets: as many parameters as the models they are named after, names of tensors as published,
 * and refusals.  Where no number is published, it is a formula written out here.
 */
#include "../unit.h"

#include "job_text.h"

static const struct data_shape IMAGENET = {
    .count = 64, .height = 224, .width = 224, .channels = 3, .classes = 1000};
static const struct data_shape CIFAR = {
    .count = 64, .height = 32, .width = 32, .channels = 3, .classes = 10};
static const struct data_shape SIDE_64 = {.count = 64, .height = 64, .width = 64, .channels = 3};
static const struct data_shape SIDE_128 = {.count = 64, .height = 128, .width = 128, .channels = 3};
static const struct data_shape GPT2_TEXT = {.count = 64, .length = 1024, .classes = 50257};
/* One token, so that the pooler, one vector a window, can be made a logit of each place. */
static const struct data_shape BERT_TEXT = {.count = 64, .length = 512, .classes = 1};
static const struct data_shape WIKITEXT2 = {.count = 64, .length = 35, .classes = 33278};
static const struct data_shape SHAKESPEARE = {.count = 64, .length = 64, .classes = 65};

#define TAIL "optimizer: {adam: {lr: 2e-4}}\ntrain: {epochs: 1, batch: 16, shards: 1}\n"
#define CLASSIFY(encoder)                                                                          \
    "name: test\nkind: finetune\nrecipe: classification\ndata: glyphs\nmodel:\n  "                 \
    "encoder: " encoder "\n" TAIL
#define LANGUAGE(encoder)                                                                          \
    "name: test\nkind: pretrain\nrecipe: causal_lm\ndata: {format: text, path: a}\nmodel:\n"       \
    "  encoder: " encoder "\n" TAIL
#define PLAY(generator, discriminator)                                                             \
    "name: test\nkind: gan\ndata: glyphs\nmodel:\n  latent: 128\n  generator: " generator          \
    "\n  discriminator: " discriminator "\n" TAIL
/* A discriminator of one parameter more than the image has numbers. */
#define SMALL_D "[flatten, {dense: {units: 1}}]"

/* What a residual block of sngan_resnet has, from a to b channels. */
#define RISE(a, b) (2 * (a) + 9 * (a) * (b) + (b) + 2 * (b) + 9 * (b) * (b) + (b) + (a) * (b) + (b))
#define FALL(a, hidden, b, shortcut)                                                               \
    (9 * (a) * (hidden) + (hidden) + 9 * (hidden) * (b) + (b) + (shortcut) * ((a) + 1) * (b))

struct counted {
    const char *text;
    const struct data_shape *data;
    int part;
    int64_t parameters;
};

static const struct counted COUNTED[] = {
    /* torchvision, 1,000 classes */
    {CLASSIFY("{preset: resnet18, classes: 1000}"), &IMAGENET, 0, 11689512},
    {CLASSIFY("{preset: resnet34, classes: 1000}"), &IMAGENET, 0, 21797672},
    {CLASSIFY("{preset: resnet50, classes: 1000}"), &IMAGENET, 0, 25557032},
    {CLASSIFY("{preset: vgg11, classes: 1000}"), &IMAGENET, 0, 132863336},
    {CLASSIFY("{preset: vgg13, classes: 1000}"), &IMAGENET, 0, 133047848},
    {CLASSIFY("{preset: vgg16, classes: 1000}"), &IMAGENET, 0, 138357544},
    {CLASSIFY("{preset: vgg19, classes: 1000}"), &IMAGENET, 0, 143667240},
    {CLASSIFY("{preset: vgg11, batch_norm: true, classes: 1000}"), &IMAGENET, 0, 132868840},
    {CLASSIFY("{preset: vgg16, batch_norm: true, classes: 1000}"), &IMAGENET, 0, 138365992},
    /* kuangliu/pytorch-cifar, 10 classes */
    {CLASSIFY("{preset: resnet18, stem: small, classes: 10}"), &CIFAR, 0, 11173962},
    {CLASSIFY("{preset: resnet34, stem: small, classes: 10}"), &CIFAR, 0, 21282122},
    {CLASSIFY("{preset: resnet50, stem: small, classes: 10}"), &CIFAR, 0, 23520842},
    /* timm, 1,000 classes */
    {CLASSIFY("{preset: vit, size: tiny, classes: 1000}"), &IMAGENET, 0, 5717416},
    {CLASSIFY("{preset: vit, size: small, classes: 1000}"), &IMAGENET, 0, 22050664},
    {CLASSIFY("{preset: vit, classes: 1000}"), &IMAGENET, 0, 86567656},
    /* examples of Keras: mnist_mlp */
    {CLASSIFY("{preset: mlp, classes: 10}"), &MNIST, 0, 669706},
    /* Hugging Face: gpt2, gpt2-medium; bert-base-uncased as BertModel with its pooler */
    {LANGUAGE("{preset: gpt}"), &GPT2_TEXT, 0, 124439808},
    {LANGUAGE("{preset: gpt, layers: 24, heads: 16, width: 1024}"), &GPT2_TEXT, 0, 354823168},
    {LANGUAGE("{preset: bert, pooler: true, vocabulary: 30522}\n"
              "  head: [{dense: {units: 512}}, {reshape: [512, 1]}]"),
     &BERT_TEXT, 0, 109482240},
    /* nanoGPT on a CPU: 4 layers, 4 heads, 128, no biases; by formula */
    {LANGUAGE("{preset: gpt, layers: 4, heads: 4, width: 128, use_bias: false}"), &SHAKESPEARE, 0,
     65 * 128 + 64 * 128 + 4 * (12 * 128 * 128 + 2 * 128) + 128},
    {LANGUAGE("{preset: lstm_lm}"), &WIKITEXT2, 0,
     33278 * 200 + 2 * (2 * 200 * 800 + 1600) + 33278 * 201},
    {LANGUAGE("{preset: lstm_lm, tied: true}"), &WIKITEXT2, 0,
     33278 * 200 + 2 * (2 * 200 * 800 + 1600) + 33278},
    {LANGUAGE("{preset: lstm_lm, width: 256}"), &SHAKESPEARE, 0,
     65 * 256 + 2 * (2 * 256 * 1024 + 2048) + 65 * 257},
    {PLAY("{preset: sngan_resnet}", "{preset: sngan_resnet}"), &MNIST, 0,
     129 * 49 * 256 + 2 * RISE(256, 256) + 512 + 9 * 256 + 1},
    {PLAY("{preset: sngan_resnet}", "{preset: sngan_resnet}"), &CIFAR, 0,
     129 * 16 * 256 + 3 * RISE(256, 256) + 512 + 9 * 256 * 3 + 3},
    {PLAY("{preset: sngan_resnet}", "{preset: sngan_resnet}"), &CIFAR, 1,
     FALL(3, 128, 128, 1) + FALL(128, 128, 128, 1) + 2 * FALL(128, 128, 128, 0) + 129},
    {PLAY("{preset: sngan_resnet}", "{preset: sngan_resnet}"), &SIDE_64, 0,
     129 * 16 * 1024 + RISE(1024, 512) + RISE(512, 256) + RISE(256, 128) + RISE(128, 64) + 128 +
         9 * 64 * 3 + 3},
    {PLAY("{preset: sngan_resnet}", "{preset: sngan_resnet}"), &SIDE_64, 1,
     FALL(3, 64, 64, 1) + FALL(64, 64, 128, 1) + FALL(128, 128, 256, 1) + FALL(256, 256, 512, 1) +
         FALL(512, 512, 1024, 1) + 1025},
    {PLAY("{preset: sngan_resnet}", "{preset: sngan_resnet}"), &SIDE_128, 0,
     129 * 16 * 1024 + RISE(1024, 1024) + RISE(1024, 512) + RISE(512, 256) + RISE(256, 128) +
         RISE(128, 64) + 128 + 9 * 64 * 3 + 3},
    {PLAY("{preset: sngan_resnet}", "{preset: sngan_resnet}"), &SIDE_128, 1,
     FALL(3, 64, 64, 1) + FALL(64, 64, 128, 1) + FALL(128, 128, 256, 1) + FALL(256, 256, 512, 1) +
         FALL(512, 512, 1024, 1) + FALL(1024, 1024, 1024, 0) + 1025},
    {PLAY("{preset: mlp}", "{preset: mlp}"), &MNIST, 0, 129 * 512 + 513 * 512 + 513 * 784},
    {PLAY("{preset: mlp}", "{preset: mlp}"), &MNIST, 1, 785 * 512 + 513 * 512 + 513},
    {PLAY("{preset: unet_decoder, width: 8}", SMALL_D), &MNIST, 0,
     129 * 49 * 32 + (4 * 32 * 16 + 16 + 9 * 16 * 16 * 2 + 64) +
         (4 * 16 * 8 + 8 + 9 * 8 * 8 * 2 + 32) + 9},
};

static struct training *train(const char *text, const struct data_shape *data)
{
    struct parsed_job job = parse_job(text, NULL, 0);
    struct training *training = NULL;
    struct cam_err err = {0};
    ASSERT_OK(training_create(&job.file, data, &training, &err), err);
    cam_arena_destroy(job.arena);
    return training;
}

static void test_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof COUNTED / sizeof COUNTED[0]; i++) {
        const struct counted *c = &COUNTED[i];
        struct training *t = train(c->text, c->data);
        int64_t count = 0;
        for (int k = 0; k < t->parameter_count; k++) {
            count += t->parameters[k].part == c->part ? shape_count(&t->parameters[k].shape) : 0;
        }
        if (count != c->parameters) {
            fail_msg("%s: part %d has %lld parameters, wanted %lld", c->text, c->part,
                     (long long)count, (long long)c->parameters);
        }
        training_destroy(t);
    }
}

struct named {
    const char *text;
    const struct data_shape *data;
    const char *name;
    struct shape shape; /* in checkpoints */
};

#define SMALL_GPT LANGUAGE("{preset: gpt, layers: 2, heads: 2, width: 8}")
#define SMALL_BERT                                                                                 \
    LANGUAGE("{preset: bert, layers: 2, heads: 2, width: 8}\n  head: [{dense: {units: 65}}]")
#define SMALL_VIT   CLASSIFY("{preset: vit, layers: 2, heads: 2, width: 8, patch: 8, classes: 10}")
#define SMALL_SNGAN PLAY("{preset: sngan_resnet, width: 8}", "{preset: sngan_resnet, width: 4}")

static const struct named NAMED[] = {
    {CLASSIFY("{preset: resnet18, classes: 10}"),
     &CIFAR,
     "encoder.layer1.0.conv1.weight",
     {.rank = 4, .dim = {64, 64, 3, 3}}},
    {CLASSIFY("{preset: resnet18, classes: 10}"),
     &CIFAR,
     "encoder.layer4.0.downsample.0.weight",
     {.rank = 4, .dim = {512, 256, 1, 1}}},
    {CLASSIFY("{preset: resnet50, classes: 10}"),
     &CIFAR,
     "encoder.layer3.5.bn3.bias",
     {.rank = 1, .dim = {1024}}},
    {CLASSIFY("{preset: resnet18, classes: 10}"),
     &CIFAR,
     "encoder.fc.weight",
     {.rank = 2, .dim = {10, 512}}},
    {CLASSIFY("{preset: vgg16, width: 4, classes: 10}"),
     &CIFAR,
     "encoder.features.28.weight",
     {.rank = 4, .dim = {32, 32, 3, 3}}},
    {CLASSIFY("{preset: vgg16, width: 4, classes: 10}"),
     &CIFAR,
     "encoder.classifier.6.bias",
     {.rank = 1, .dim = {10}}},
    {SMALL_VIT, &CIFAR, "encoder.cls_token", {.rank = 1, .dim = {8}}},
    {SMALL_VIT, &CIFAR, "encoder.pos_embed", {.rank = 2, .dim = {17, 8}}},
    {SMALL_VIT, &CIFAR, "encoder.patch_embed.proj.weight", {.rank = 4, .dim = {8, 3, 8, 8}}},
    {SMALL_VIT, &CIFAR, "encoder.blocks.1.attn.qkv.weight", {.rank = 2, .dim = {24, 8}}},
    {SMALL_VIT, &CIFAR, "encoder.blocks.1.mlp.fc2.bias", {.rank = 1, .dim = {8}}},
    {SMALL_VIT, &CIFAR, "encoder.norm.weight", {.rank = 1, .dim = {8}}},
    {SMALL_GPT, &SHAKESPEARE, "encoder.transformer.wte.weight", {.rank = 2, .dim = {65, 8}}},
    {SMALL_GPT, &SHAKESPEARE, "encoder.transformer.wpe.weight", {.rank = 2, .dim = {64, 8}}},
    {SMALL_GPT,
     &SHAKESPEARE,
     "encoder.transformer.h.1.attn.c_attn.weight",
     {.rank = 2, .dim = {8, 24}}},
    {SMALL_GPT,
     &SHAKESPEARE,
     "encoder.transformer.h.0.mlp.c_proj.weight",
     {.rank = 2, .dim = {32, 8}}},
    {SMALL_GPT, &SHAKESPEARE, "encoder.transformer.h.0.ln_2.bias", {.rank = 1, .dim = {8}}},
    {SMALL_GPT, &SHAKESPEARE, "encoder.transformer.ln_f.weight", {.rank = 1, .dim = {8}}},
    {SMALL_BERT,
     &SHAKESPEARE,
     "encoder.embeddings.token_type_embeddings.weight",
     {.rank = 2, .dim = {2, 8}}},
    {SMALL_BERT,
     &SHAKESPEARE,
     "encoder.encoder.layer.1.attention.output.LayerNorm.bias",
     {.rank = 1, .dim = {8}}},
    {SMALL_BERT,
     &SHAKESPEARE,
     "encoder.encoder.layer.0.output.dense.weight",
     {.rank = 2, .dim = {8, 32}}},
    {LANGUAGE("{preset: lstm_lm, width: 8}"),
     &SHAKESPEARE,
     "encoder.rnn.weight_hh_l1",
     {.rank = 2, .dim = {32, 8}}},
    {LANGUAGE("{preset: lstm_lm, width: 8}"),
     &SHAKESPEARE,
     "encoder.decoder.weight",
     {.rank = 2, .dim = {65, 8}}},
    {SMALL_SNGAN, &CIFAR, "generator.block2.c_sc.bias", {.rank = 1, .dim = {8}}},
    {SMALL_SNGAN, &CIFAR, "generator.b5.weight", {.rank = 1, .dim = {8}}},
    {SMALL_SNGAN, &CIFAR, "discriminator.block4.c2.weight", {.rank = 4, .dim = {4, 4, 3, 3}}},
    {SMALL_SNGAN, &CIFAR, "discriminator.l5.weight", {.rank = 2, .dim = {1, 4}}},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof NAMED / sizeof NAMED[0]; i++) {
        const struct named *n = &NAMED[i];
        struct training *t = train(n->text, n->data);
        int found = -1;
        for (int k = 0; k < t->parameter_count; k++) {
            found = strcmp(t->parameters[k].name, n->name) == 0 ? k : found;
        }
        if (found < 0) {
            fail_msg("%s: no tensor %s", n->text, n->name);
        }
        struct shape shape = tensor_export_shape(&t->parameters[found]);
        if (!shape_equal(&shape, &n->shape)) {
            char text[96];
            fail_msg("%s is stored as %s", n->name, shape_text(&shape, text, sizeof text));
        }
        training_destroy(t);
    }
}

static const struct {
    const char *text;
    const struct data_shape *data;
    const char *line;
    const char *words;
} REFUSALS[] = {
    {CLASSIFY("{preset: resnet20}"), &CIFAR,
     "job.yaml:6: ", "unknown preset 'resnet20' of encoder, did you mean 'resnet"},
    {CLASSIFY("{preset: dcgan}"), &CIFAR,
     "job.yaml:6: ", "preset dcgan makes no encoder; allowed: generator, discriminator"},
    {CLASSIFY("{preset: resnet18, steam: small}"), &CIFAR,
     "job.yaml:6: ", "unknown key 'steam' of resnet18, did you mean 'stem'?"},
    {CLASSIFY("{preset: resnet18, stem: smal}"), &CIFAR, "job.yaml:6: ", "did you mean 'small'?"},
    {CLASSIFY("{preset: gpt}"), &CIFAR,
     "job.yaml:6: ", "preset gpt needs text, the data are images of 32 x 32"},
    {LANGUAGE("{preset: vit}"), &SHAKESPEARE,
     "job.yaml:6: ", "preset vit needs images, the data are text"},
    {LANGUAGE("{preset: gpt, vocabulary: 64}"), &SHAKESPEARE,
     "job.yaml:6: ", "vocabulary is '64', a whole number from 65"},
    {LANGUAGE("{preset: gpt, heads: 7}"), &SHAKESPEARE,
     "job.yaml:6: ", "heads is 7, it must divide the 768 channels"},
    {LANGUAGE("{preset: lstm_lm, tied: true, embedding: 8}"), &SHAKESPEARE,
     "job.yaml:6: ", "found 8 and width 200"},
    {CLASSIFY("{preset: vit}"), &MNIST,
     "job.yaml:6: ", "patches of 16 x 16, the data are 28 x 28, patch must divide both"},
    {CLASSIFY("{preset: vgg16}"), &MNIST, "job.yaml:6: ", "at least 32 x 32 is allowed"},
    {PLAY("{preset: sngan_resnet}", SMALL_D), &IMAGENET,
     "job.yaml:6: ", "images of 28 x 28, 32 x 32, 64 x 64 and 128 x 128, the data are 224 x 224"},
    {PLAY("{preset: sngan_resnet, width: 40}", SMALL_D), &SIDE_64,
     "job.yaml:6: ", "width of sngan_resnet is 40, a multiple of 16 is expected"},
    {PLAY("{preset: unet_decoder, levels: 3}", SMALL_D), &MNIST,
     "job.yaml:6: ", "sides divisible by 8, the data are 28 x 28"},
    {PLAY("{preset: mlp, classes: 3}", SMALL_D), &MNIST, "job.yaml:6: ", "has no classes"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        struct parsed_job job = parse_job(REFUSALS[i].text, NULL, 0);
        struct training *training = NULL;
        struct cam_err err = {0};
        enum cam_code rc = training_create(&job.file, REFUSALS[i].data, &training, &err);
        if (rc != CAM_INVALID ||
            strncmp(err.text, REFUSALS[i].line, strlen(REFUSALS[i].line)) != 0 ||
            strstr(err.text, REFUSALS[i].words) == NULL) {
            fail_msg("case %zu: wanted %s...%s, found %s", i, REFUSALS[i].line, REFUSALS[i].words,
                     err.text);
        }
        cam_arena_destroy(job.arena);
    }
}

/* Names with dots are still layers that recomputation can cut at. */
static void test_recompute(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        LANGUAGE("{preset: gpt, layers: 9, heads: 2, width: 64}"),
        LANGUAGE("{preset: bert, layers: 9, heads: 2, width: 64, pooler: false}\n"
                 "  head: [{dense: {units: 65}}]"),
        CLASSIFY("{preset: vit, layers: 9, heads: 2, width: 64, patch: 4, classes: 10}"),
        CLASSIFY("{preset: resnet34, stem: small, width: 8, classes: 10}")};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        int64_t bytes[2];
        for (int blocks = 0; blocks < 2; blocks++) {
            const char *const set[] = {blocks ? "train.recompute=blocks" : "train.recompute=none"};
            struct parsed_job job = parse_job(TEXTS[i], set, 1);
            struct job_figures figures;
            struct cam_err err = {0};
            const struct data_shape *data = i < 2 ? &SHAKESPEARE : &CIFAR;
            ASSERT_OK(model_check(&job.file, data, 1, &figures, &err), err);
            bytes[blocks] = figures.activation_bytes;
            cam_arena_destroy(job.arena);
        }
        if (bytes[1] * 3 > bytes[0] * 2) {
            fail_msg("%s: %lld bytes of activations, %lld with recompute", TEXTS[i],
                     (long long)bytes[0], (long long)bytes[1]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_recompute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
