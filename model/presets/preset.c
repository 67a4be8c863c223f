#include "model/presets/preset.h"

#include "base/text.h"

#include <string.h>

enum { ROLES_MAX = 4 };

struct role {
    const char *part; /* NULL after the last */
    void (*build)(struct preset_build *build);
};

struct preset {
    const char *name;
    int variant;
    const char *keys[PRESET_KEYS_MAX]; /* NULL after the last */
    struct role roles[ROLES_MAX];
};

#define GAN_ROLES(g, d)                                                                            \
    {                                                                                              \
        {"generator", g},                                                                          \
        {                                                                                          \
            "discriminator", d                                                                     \
        }                                                                                          \
    }
#define VGG(number)                                                                                \
    {                                                                                              \
        "vgg" #number, number, {"width", "hidden", "batch_norm", "dropout", "classes"},            \
        {                                                                                          \
            {                                                                                      \
                "encoder", vgg_encoder                                                             \
            }                                                                                      \
        }                                                                                          \
    }
#define RESNET(number)                                                                             \
    {                                                                                              \
        "resnet" #number, number, {"stem", "width", "classes"},                                    \
        {                                                                                          \
            {                                                                                      \
                "encoder", resnet_encoder                                                          \
            }                                                                                      \
        }                                                                                          \
    }

static const struct preset PRESETS[] = {
    {"dcgan", 0, {"width"}, GAN_ROLES(dcgan_generator, dcgan_discriminator)},
    {"classic", 0, {"width"}, GAN_ROLES(classic_generator, classic_discriminator)},
    {"sngan_resnet", 0, {"width"}, GAN_ROLES(sngan_generator, sngan_discriminator)},
    {"mlp",
     0,
     {"width", "layers", "activation", "dropout", "classes"},
     {{"generator", mlp_generator},
      {"discriminator", mlp_discriminator},
      {"encoder", mlp_encoder},
      {"head", mlp_head}}},
    {"unet_decoder", 0, {"width", "levels"}, {{"generator", unet_decoder}}},
    VGG(11),
    VGG(13),
    VGG(16),
    VGG(19),
    RESNET(18),
    RESNET(34),
    RESNET(50),
    {"vit",
     0,
     {"size", "patch", "width", "layers", "heads", "mlp", "dropout", "classes"},
     {{"encoder", vit_encoder}}},
    {"gpt",
     0,
     {"width", "layers", "heads", "dropout", "use_bias", "activation", "vocabulary"},
     {{"encoder", gpt_encoder}}},
    {"bert",
     0,
     {"width", "layers", "heads", "mlp", "dropout", "pooler", "vocabulary"},
     {{"encoder", bert_encoder}}},
    {"lstm_lm",
     0,
     {"width", "embedding", "layers", "dropout", "tied", "vocabulary"},
     {{"encoder", lstm_lm_encoder}}},
};
enum { PRESET_COUNT = sizeof PRESETS / sizeof PRESETS[0] };

/* The same names in the same order, as cam_nearest wants them. */
static const char *const NAMES[] = {
    "dcgan", "classic",  "sngan_resnet", "mlp",      "unet_decoder", "vgg11", "vgg13", "vgg16",
    "vgg19", "resnet18", "resnet34",     "resnet50", "vit",          "gpt",   "bert",  "lstm_lm"};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == PRESET_COUNT, "a name for every preset");

const char *const *preset_names(size_t *count_out)
{
    *count_out = PRESET_COUNT;
    return NAMES;
}

static const struct preset *find(const char *name)
{
    for (int i = 0; i < PRESET_COUNT; i++) {
        if (strcmp(PRESETS[i].name, name) == 0) {
            return &PRESETS[i];
        }
    }
    return NULL;
}

const char *const *preset_keys(const char *name)
{
    const struct preset *preset = find(name);
    return preset != NULL ? preset->keys : NULL;
}

static enum cam_code fail_unknown(const struct job_file *job, const struct part_spec *part,
                                  struct cam_err *err)
{
    const char *near = cam_nearest(part->preset, NAMES, PRESET_COUNT);
    struct cam_text all = {0};
    for (int i = 0; i < PRESET_COUNT; i++) {
        cam_text_add(&all, "%s%s", i == 0 ? "" : ", ", NAMES[i]);
    }
    enum cam_code rc = doc_fail(
        job->file_name, part->line, err, "unknown preset '%s' of %s%s%s%s; allowed: %s",
        part->preset, part->name, near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
        near != NULL ? "'?" : "", all.bytes != NULL ? all.bytes : "none");
    cam_text_release(&all);
    return rc;
}

/* The function of the part's kind, or NULL with the error set. */
static const struct role *find_role(const struct preset *preset, struct preset_build *build)
{
    struct cam_text allowed = {0};
    const struct role *found = NULL;
    for (int i = 0; i < ROLES_MAX && preset->roles[i].part != NULL; i++) {
        const struct role *role = &preset->roles[i];
        cam_text_add(&allowed, "%s%s", i == 0 ? "" : ", ", role->part);
        found = strcmp(role->part, build->part->name) == 0 ? role : found;
    }
    if (found == NULL) {
        preset_fail(build, "preset %s makes no %s; allowed: %s", preset->name, build->part->name,
                    allowed.bytes != NULL ? allowed.bytes : "none");
    }
    cam_text_release(&allowed);
    return found;
}

enum cam_code preset_expand(const struct job_file *job, const struct part_spec *part,
                            const struct data_shape *data, struct cam_arena *arena,
                            struct part_spec *out, struct cam_err *err)
{
    *out = *part;
    if (part->preset == NULL) {
        return CAM_OK;
    }
    const struct preset *preset = find(part->preset);
    if (preset == NULL) {
        return fail_unknown(job, part, err);
    }
    struct preset_build build = {.job = job,
                                 .part = part,
                                 .data = data,
                                 .arena = arena,
                                 .variant = preset->variant,
                                 .err = err};
    build.layers = cam_arena_alloc(arena, PRESET_LAYERS_MAX, sizeof *build.layers);
    if (build.layers == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for the preset of %s", part->name);
    }
    const struct role *role = find_role(preset, &build);
    size_t count = 0;
    while (count < PRESET_KEYS_MAX && preset->keys[count] != NULL) {
        count++;
    }
    if (build.rc == CAM_OK) {
        build.rc = doc_check_keys(part->preset_attributes, part->preset, preset->keys, count, err);
    }
    if (build.rc == CAM_OK) {
        role->build(&build);
    }
    out->layers = build.layers;
    out->layer_count = build.layer_count;
    out->tensor_names = build.names;
    out->tensor_name_count = build.name_count;
    return build.rc;
}
