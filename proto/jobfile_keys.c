#include "proto/jobfile_keys.h"

#include <stdio.h>
#include <string.h>

enum {
    NAME_BYTES_MAX = 128,
    LATENT_MAX = 65536,
    EPOCHS_MAX = 1000000,
    BATCH_MAX = 1048576,
    SHARDS_MAX = 1024, /* ENGINE.md, limits */
    THREADS_MAX = 256,
    RANKS_MAX = 1024,
    KEEP_MAX = 1000,
    RETRY_MAX = 1000,
    GLYPHS_MAX = 100000000,
    CRITIC_MAX = 1000,
    LENGTH_MAX = 1048576,
};
#define YEAR_MS (INT64_C(365) * 24 * 3600 * 1000)
#define DAY_MS  (INT64_C(24) * 3600 * 1000)

static const char *const KINDS[JOB_KIND_COUNT + 1] = {
    [JOB_KIND_GAN] = "gan", [JOB_KIND_FINETUNE] = "finetune", [JOB_KIND_PRETRAIN] = "pretrain"};
static const char *const RECIPES[RECIPE_COUNT + 1] = {[RECIPE_GAN] = "gan",
                                                      [RECIPE_CLASSIFICATION] = "classification",
                                                      [RECIPE_CAUSAL_LM] = "causal_lm"};
static const enum job_kind RECIPE_KINDS[RECIPE_COUNT] = {
    [RECIPE_GAN] = JOB_KIND_GAN,
    [RECIPE_CLASSIFICATION] = JOB_KIND_FINETUNE,
    [RECIPE_CAUSAL_LM] = JOB_KIND_PRETRAIN,
};
static const char *const FORMATS[DATA_FORMAT_COUNT + 1] = {[DATA_GLYPHS] = "glyphs",
                                                           [DATA_IDX] = "idx",
                                                           [DATA_TEXT] = "text",
                                                           [DATA_GAUSSIANS] = "gaussians"};
static const char *const LAYOUTS[LAYOUT_COUNT + 1] = {
    [LAYOUT_RING] = "ring", [LAYOUT_GRID] = "grid"};
static const char *const VOCABULARIES[VOCABULARY_COUNT + 1] = {
    [VOCABULARY_CHARACTERS] = "characters", [VOCABULARY_BYTES] = "bytes"};
/* The devices that there are: all but `auto` are names of backends. */
static const char *const DEVICES[DEVICE_COUNT + 1] = {
    [DEVICE_AUTO] = "auto", [DEVICE_CPU] = "cpu", [DEVICE_REFERENCE] = "reference"};
static const char *const ISAS[ISA_COUNT + 1] = {[ISA_AVX2] = "avx2", [ISA_NATIVE] = "native"};
static const char *const EMA[] = {"half_life", "decay", NULL};
static const char *const CRITIC_START[] = {"steps", "n_critic", "every", NULL};
static const char *const PRECISIONS[] = {"f32", NULL};
static const char *const RECOMPUTES[RECOMPUTE_COUNT + 1] = {
    [RECOMPUTE_NONE] = "none", [RECOMPUTE_BLOCKS] = "blocks"};
static const char *const REDUCES[] = {"exact", NULL};

static const struct job_section SECTIONS[] = {
    {"", "The whole file."},
    {"data", "What is trained on. `data: glyphs` is short for `data: {format: glyphs}`."},
    {"data.validation", "Further samples, judged after every epoch and never trained on. Kinds "
                        "`finetune` and `pretrain`."},
    {"model", "The networks."},
    {"gan", "How generator and discriminator are played against each other. All of it makes the "
            "weights."},
    {"train", "How long, in which pieces, from which seed. All of it makes the weights."},
    {"resources", "Where the job runs. None of it makes the weights, but for `device`."},
    {"checkpoint", "How often the job can be resumed from."},
    {"retry", "What happens when an attempt was lost to a signal, a hang or a host."},
};

#define AT(field) offsetof(struct job_file, field)
#define GENERATED (KEY_FORMAT(DATA_GLYPHS) | KEY_FORMAT(DATA_GAUSSIANS))
#define GAN       KEY_KIND(JOB_KIND_GAN)
#define NOT_GAN   (KEY_KIND(JOB_KIND_FINETUNE) | KEY_KIND(JOB_KIND_PRETRAIN))

static const struct job_key KEYS[] = {
    {.path = "name",
     .type = KEY_TEXT,
     .required = true,
     .most = NAME_BYTES_MAX,
     .offset = AT(name),
     .help = "What the queue shows."},
    {.path = "kind",
     .type = KEY_CHOICE,
     .required = true,
     .choices = KINDS,
     .offset = AT(kind),
     .help = "What is trained: `gan` is a generator against a discriminator, `pretrain` a network "
             "on data without labels, `finetune` one on data with labels."},
    {.path = "recipe",
     .type = KEY_CHOICE,
     .fallback_note = "`gan` for kind `gan`; the other kinds need it",
     .choices = RECIPES,
     .offset = AT(recipe),
     .help = "How: `classification` (kind `finetune`) learns the class of every image; "
             "`causal_lm` (kind `pretrain`) learns the next token of a text."},

    {.path = "data.format",
     .type = KEY_CHOICE,
     .required = true,
     .choices = FORMATS,
     .offset = AT(data.format),
     .help =
         "`idx`: files in the format of MNIST, gzipped or not. `glyphs`: drawn digits from a "
         "built-in generator, 28 x 28 grey pixels in 10 classes. `text`: a file of text, gzipped "
         "or not. `gaussians`: points of the plane around some means, from a built-in generator, "
         "as "
         "images of 1 x 1 with 2 channels; their class is the mean."},
    {.path = "data.images",
     .type = KEY_FILE,
     .offset = AT(data.images),
     .formats = KEY_FORMAT(DATA_IDX),
     .needed_by_format = true,
     .help = "The images: 8-bit, (count, height, width) or (count, height, width, channels). "
             "Needed by `idx`. Relative to the job file."},
    {.path = "data.labels",
     .type = KEY_FILE,
     .offset = AT(data.labels),
     .formats = KEY_FORMAT(DATA_IDX),
     .help = "The class of every image: 8-bit, (count). Relative to the job file."},
    {.path = "data.count",
     .type = KEY_INT,
     .fallback = "6000",
     .least = 1,
     .most = GLYPHS_MAX,
     .offset = AT(data.count),
     .formats = GENERATED,
     .help = "How many samples there are."},
    {.path = "data.seed",
     .type = KEY_INT,
     .fallback = "1",
     .least = 0,
     .most = INT64_MAX,
     .offset = AT(data.seed),
     .formats = GENERATED,
     .help = "Which samples they are: another seed draws others."},
    {.path = "data.layout",
     .type = KEY_CHOICE,
     .fallback_note = "none",
     .choices = LAYOUTS,
     .offset = AT(data.layout),
     .formats = KEY_FORMAT(DATA_GAUSSIANS),
     .needed_by_format = true,
     .help =
         "Where the means are. `ring`: 8 on a circle of radius 0.9, each with a standard "
         "deviation of 0.009 (Metz 2017, scaled). `grid`: 5 x 5, 0.45 apart around 0, each with "
         "0.01125 (Dumoulin 2017, scaled). Needed by `gaussians`."},
    {.path = "data.validation_fraction",
     .type = KEY_REAL,
     .fallback = "0",
     .least = 0,
     .most = 1,
     .offset = AT(data.validation_fraction),
     .kinds = NOT_GAN,
     .help = "The share of the samples that is kept out of training and judged after every epoch. "
             "Which ones depends on the data's size alone, so every job keeps the same out."},
    {.path = "data.path",
     .type = KEY_FILE,
     .offset = AT(data.path),
     .formats = KEY_FORMAT(DATA_TEXT),
     .needed_by_format = true,
     .help = "The text: UTF-8, or anything where `vocabulary` is `bytes`. Relative to the job "
             "file."},
    {.path = "data.length",
     .type = KEY_INT,
     .fallback = "64",
     .least = 1,
     .most = LENGTH_MAX,
     .offset = AT(data.length),
     .formats = KEY_FORMAT(DATA_TEXT),
     .help =
         "Tokens of a sample, which is a window of the text; each is to foretell the next one."},
    {.path = "data.stride",
     .type = KEY_INT,
     .fallback_note = "`data.length`",
     .least = 1,
     .most = LENGTH_MAX,
     .offset = AT(data.stride),
     .formats = KEY_FORMAT(DATA_TEXT),
     .help = "Tokens from the start of a window to the start of the next one that is trained on; "
             "validation always takes windows side by side."},
    {.path = "data.vocabulary",
     .type = KEY_CHOICE,
     .fallback = "characters",
     .choices = VOCABULARIES,
     .offset = AT(data.vocabulary),
     .formats = KEY_FORMAT(DATA_TEXT),
     .help = "Tokens: `characters` are the UTF-8 code points that occur in the file, sorted; "
             "`bytes` are the 256 bytes."},
    {.path = "data.split",
     .type = KEY_REAL,
     .fallback = "0.9",
     .least = 0,
     .most = 1,
     .offset = AT(data.split),
     .formats = KEY_FORMAT(DATA_TEXT),
     .help =
         "The share of the tokens, from the front, that is trained on; the rest is judged after "
         "every epoch. `1`: all of it is trained on."},
    {.path = "data.validation.images",
     .type = KEY_FILE,
     .offset = AT(data.validation_images),
     .formats = KEY_FORMAT(DATA_IDX),
     .kinds = NOT_GAN,
     .help = "Images of the same size as `data.images`."},
    {.path = "data.validation.labels",
     .type = KEY_FILE,
     .offset = AT(data.validation_labels),
     .formats = KEY_FORMAT(DATA_IDX),
     .kinds = NOT_GAN,
     .help = "The class of each."},

    {.path = "model.latent",
     .type = KEY_INT,
     .fallback = "100",
     .least = 1,
     .most = LATENT_MAX,
     .offset = AT(latent),
     .kinds = GAN,
     .help = "Numbers in the random vector that the generator starts from."},
    {.path = "model.generator",
     .type = KEY_PART,
     .kinds = GAN,
     .needed_by_kind = true,
     .offset = KEY_STORED_ELSEWHERE,
     .help = "From the latent vector to an image with values in [-1, 1]."},
    {.path = "model.discriminator",
     .type = KEY_PART,
     .kinds = GAN,
     .needed_by_kind = true,
     .offset = KEY_STORED_ELSEWHERE,
     .help = "From an image to one logit (no sigmoid at the end): large for real."},
    {.path = "model.encoder",
     .type = KEY_PART,
     .kinds = NOT_GAN,
     .needed_by_kind = true,
     .offset = KEY_STORED_ELSEWHERE,
     .help = "From an image or a row of tokens to features, or to logits where there is no head."},
    {.path = "model.head",
     .type = KEY_PART,
     .kinds = NOT_GAN,
     .offset = KEY_STORED_ELSEWHERE,
     .help = "From the encoder's features to logits: one a class, or one a token of the "
             "vocabulary."},
    {.path = "loss",
     .type = KEY_TYPED,
     .fallback = "non_saturating",
     .definition = "loss",
     .offset = AT(loss),
     .kinds = GAN,
     .help = "Computed on logits: `non_saturating`, `minimax`, `least_squares` (with "
             "`label_smoothing`), `wasserstein` (with `clip`), `hinge`, `relativistic`."},
    {.path = "optimizer",
     .type = KEY_OPTIMIZER,
     .required = true,
     .offset = KEY_STORED_ELSEWHERE,
     .help = "One for all parts, `{adam: {lr: 2e-4}}`, or one a part, "
             "`{generator: {adam: {…}}, discriminator: {sgd: {…}}}`."},

    {.path = "gan.n_critic",
     .kinds = GAN,
     .type = KEY_INT,
     .fallback = "1",
     .least = 1,
     .most = CRITIC_MAX,
     .offset = AT(gan.n_critic),
     .help = "Updates of the discriminator before each of the generator; every one takes a batch "
             "of its own. A step is one update of the generator."},
    {.path = "gan.critic_start",
     .kinds = GAN,
     .type = KEY_MAP,
     .choices = CRITIC_START,
     .offset = AT(gan.critic_start),
     .help = "Another `n_critic` in the first `steps` steps, and then in each step whose number is "
             "a multiple of `every` (0: none)."},
    {.path = "gan.conditional",
     .kinds = GAN,
     .type = KEY_BOOL,
     .fallback = "false",
     .offset = AT(gan.conditional),
     .help = "Whether both networks see classes: the generator's are drawn, those of real images "
             "are the data's. Samples then have a row for each."},
    {.path = "gan.augment",
     .kinds = GAN,
     .type = KEY_TYPED_LIST,
     .definition = "augmentation",
     .offset = AT(gan.augment),
     .help = "Random transforms of all images that the discriminator sees, real and generated: "
             "`colour`, `translation`, `cutout` (DiffAugment, Zhao 2020)."},
    {.path = "gan.ema",
     .kinds = GAN,
     .type = KEY_MAP,
     .choices = EMA,
     .offset = AT(gan.ema),
     .help = "An average of the generator's weights over its updates, which then makes the samples "
             "and is saved beside it as `generator_ema`: its `half_life` in images, or its `decay` "
             "an update."},
    {.path = "gan.penalties",
     .kinds = GAN,
     .type = KEY_TYPED_LIST,
     .definition = "penalty",
     .offset = AT(gan.penalties),
     .help = "Added to the discriminator's loss: `gradient_penalty`, `dragan`, `r1`, `r2`, each "
             "with a `weight`; `every: 16` computes it in every 16th update, 16 times as heavy."},

    {.path = "train.epochs",
     .type = KEY_INT,
     .required = true,
     .least = 1,
     .most = EPOCHS_MAX,
     .offset = AT(train.epochs),
     .help = "Passes over the data; each has floor(samples / batch) steps, or `steps_per_epoch`; "
             "with `gan.n_critic` so many times fewer."},
    {.path = "train.steps_per_epoch",
     .type = KEY_INT,
     .fallback_note = "floor(samples / batch)",
     .least = 1,
     .most = INT32_MAX,
     .offset = AT(train.steps_per_epoch),
     .help = "Ends an epoch early, at most after floor(samples / batch) steps. Every epoch has "
             "another order of the samples, so each has its turn."},
    {.path = "train.batch",
     .type = KEY_INT,
     .fallback = "64",
     .least = 1,
     .most = BATCH_MAX,
     .offset = AT(train.batch),
     .help = "Samples a step, over all ranks."},
    {.path = "train.shards",
     .type = KEY_INT,
     .fallback_note = "the largest divisor of batch up to 8 that leaves 16 samples a shard",
     .least = 1,
     .most = SHARDS_MAX,
     .offset = AT(train.shards),
     .help = "Equal pieces that every batch is cut into, whatever the number of ranks; it must "
             "divide batch. Batch norm is per shard."},
    {.path = "train.threads_per_shard",
     .type = KEY_INT,
     .fallback = "1",
     .least = 1,
     .most = THREADS_MAX,
     .offset = AT(train.threads_per_shard),
     .help = "Threads that compute one shard. It changes the last bits, so it stands here."},
    {.path = "train.seed",
     .type = KEY_INT,
     .fallback = "0",
     .least = 0,
     .most = INT64_MAX,
     .offset = AT(train.seed),
     .help = "Of all random numbers: first weights, latent vectors, dropout, order of the data."},
    {.path = "train.label_smoothing",
     .type = KEY_REAL,
     .fallback = "0",
     .least = 0,
     .most = 1,
     .offset = AT(train.label_smoothing),
     .kinds = NOT_GAN,
     .help = "The share of every target that is spread evenly over all classes, in training only."},
    {.path = "train.on_nan",
     .type = KEY_TYPED,
     .fallback = "stop",
     .definition = "on_nan",
     .offset = AT(train.on_nan),
     .help =
         "Where a loss or gradient is not finite, no rank applies the step; then the job fails, "
         "or with `rollback` goes back to the last anchor with the learning rates times "
         "`factor` (0.5), at most `most` (3) times."},
    {.path = "train.anchor_every",
     .type = KEY_INTERVAL,
     .fallback = "1 epoch",
     .least = 1,
     .most = YEAR_MS,
     .offset = AT(train.anchor_every),
     .help = "With `rollback`: checkpoints to go back to, at every epoch's end and every so many "
             "`steps` of an epoch."},
    {.path = "train.precision",
     .type = KEY_CHOICE,
     .fallback = "f32",
     .choices = PRECISIONS,
     .offset = KEY_STORED_ELSEWHERE,
     .help = "Of the arithmetic."},
    {.path = "train.reduce",
     .type = KEY_CHOICE,
     .fallback = "exact",
     .choices = REDUCES,
     .offset = KEY_STORED_ELSEWHERE,
     .help = "How gradients are summed: `exact` gives the same bits for any number of ranks."},
    {.path = "train.isa",
     .type = KEY_CHOICE,
     .fallback = "avx2",
     .choices = ISAS,
     .offset = AT(train.isa),
     .help = "Instruction set on a CPU. `native` takes the best there is: faster on some "
             "machines, but the weights then depend on the machine."},
    {.path = "train.recompute",
     .type = KEY_CHOICE,
     .fallback = "none",
     .choices = RECOMPUTES,
     .offset = AT(train.recompute),
     .help = "What the backward pass computes again so as to keep less of the forward pass: "
             "`blocks` of layers, for less memory and about a third more arithmetic. The weights "
             "are the same to the bit."},

    {.path = "resources.ranks",
     .type = KEY_RANKS,
     .fallback = "1",
     .least = 1,
     .most = RANKS_MAX,
     .offset = AT(resources.ranks_min),
     .help = "Processes, at most as many as shards. `1..4` takes what it can get at once."},
    {.path = "resources.device",
     .type = KEY_CHOICE,
     .fallback = "auto",
     .choices = DEVICES,
     .offset = AT(resources.device),
     .help = "`cpu`: the vector units of the CPU. `reference`: plain loops, slow. `auto`: `cpu` "
             "where it is installed, else `reference`."},
    {.path = "resources.time_limit",
     .type = KEY_DURATION,
     .fallback = "0s",
     .least = 0,
     .most = YEAR_MS,
     .offset = AT(resources.time_limit_ms),
     .help = "Running time over all attempts, after which the job fails; `0s`: none."},

    {.path = "checkpoint.every",
     .type = KEY_INTERVAL,
     .fallback = "1 epoch",
     .least = 1,
     .most = YEAR_MS,
     .offset = AT(checkpoint.every),
     .help = "`10 steps`, `1 epoch` or a time such as `5m`."},
    {.path = "checkpoint.keep_last",
     .type = KEY_INT,
     .fallback = "2",
     .least = 1,
     .most = KEEP_MAX,
     .offset = AT(checkpoint.keep_last),
     .help = "Checkpoints kept; older ones are removed."},
    {.path = "retry.max",
     .type = KEY_INT,
     .fallback = "3",
     .least = 0,
     .most = RETRY_MAX,
     .offset = AT(retry.max),
     .help = "Lost attempts in a row without a newer checkpoint before the job fails."},
    {.path = "retry.backoff",
     .type = KEY_DURATION,
     .fallback = "10s",
     .least = 0,
     .most = DAY_MS,
     .offset = AT(retry.backoff_ms),
     .help = "Wait before the next attempt."},
    {.path = "env",
     .type = KEY_ENV,
     .offset = AT(env),
     .help = "Environment variables of the job's ranks, as `{NAME: value}`."},
};

const struct job_key *jobfile_keys(size_t *count_out)
{
    *count_out = sizeof KEYS / sizeof KEYS[0];
    return KEYS;
}

const struct job_section *jobfile_sections(size_t *count_out)
{
    *count_out = sizeof SECTIONS / sizeof SECTIONS[0];
    return SECTIONS;
}

const struct job_key *jobfile_key(const char *path)
{
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) {
        if (strcmp(KEYS[i].path, path) == 0) {
            return &KEYS[i];
        }
    }
    return NULL;
}

/* What is left of a path behind a section, where that is one name. */
static const char *name_in(const char *path, const char *section)
{
    size_t length = strlen(section);
    const char *name = path;
    if (length > 0) {
        if (strncmp(name, section, length) != 0 || name[length] != '.') {
            return NULL;
        }
        name += length + 1;
    }
    return name[0] != '\0' && strchr(name, '.') == NULL ? name : NULL;
}

const char *jobfile_key_in(const struct job_key *key, const char *section)
{
    return name_in(key->path, section);
}

const char *jobfile_section_in(const struct job_section *section, const char *outer)
{
    return name_in(section->path, outer);
}

size_t jobfile_choice_count(const struct job_key *key)
{
    size_t count = 0;
    while (key->choices != NULL && key->choices[count] != NULL) {
        count++;
    }
    return count;
}

bool jobfile_key_of_format(const struct job_key *key, enum data_format format)
{
    return key->formats == 0 || (key->formats & KEY_FORMAT(format)) != 0;
}

void jobfile_key_formats(const struct job_key *key, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < DATA_FORMAT_COUNT && used < size; i++) {
        if ((key->formats & KEY_FORMAT(i)) != 0) {
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", FORMATS[i]);
        }
    }
}

const char *job_kind_name(enum job_kind kind)
{
    return (unsigned)kind < JOB_KIND_COUNT ? KINDS[kind] : "?";
}

const char *job_recipe_name(enum job_recipe recipe)
{
    return (unsigned)recipe < RECIPE_COUNT ? RECIPES[recipe] : "?";
}

enum job_kind job_recipe_kind(enum job_recipe recipe)
{
    return RECIPE_KINDS[recipe];
}

const char *isa_choice_name(enum isa_choice isa)
{
    return (unsigned)isa < ISA_COUNT ? ISAS[isa] : "?";
}

const char *device_choice_name(enum device_choice device)
{
    return (unsigned)device < DEVICE_COUNT ? DEVICES[device] : "?";
}
