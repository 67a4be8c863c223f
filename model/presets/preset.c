#include "model/presets/preset.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH_MAX = 8192 };

struct preset {
    const char *name;
    int64_t width; /* the default */
    void (*generator)(struct preset_build *build);
    void (*discriminator)(struct preset_build *build);
};

static const char *const NAMES[] = {"dcgan", "classic"};
static const struct preset PRESETS[] = {
    {"dcgan", 64, dcgan_generator, dcgan_discriminator},
    {"classic", 128, classic_generator, classic_discriminator},
};
enum { PRESET_COUNT = sizeof PRESETS / sizeof PRESETS[0] };
_Static_assert(sizeof NAMES / sizeof NAMES[0] == PRESET_COUNT, "a name for every preset");

static const char *const KEYS[] = {"width"};
enum { KEY_COUNT = sizeof KEYS / sizeof KEYS[0] };

const char *const *preset_names(size_t *count_out)
{
    *count_out = PRESET_COUNT;
    return NAMES;
}

const char *const *preset_keys(size_t *count_out)
{
    *count_out = KEY_COUNT;
    return KEYS;
}

void preset_fail(struct preset_build *build, const char *format, ...)
{
    char text[512];
    if (build->rc != CAM_OK) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    build->rc = doc_fail(build->job->file_name, build->part->line, build->err, "%s", text);
}

/* Errors in what a preset wrote name the line where the preset was asked for. */
static void set_lines(struct doc_node *node, int line)
{
    node->line = line;
    for (size_t i = 0; i < node->count; i++) {
        set_lines(node->items[i], line);
        if (node->kind == DOC_MAP) {
            node->key_lines[i] = line;
        }
    }
}

void preset_layer(struct preset_build *build, const char *type, const char *format, ...)
{
    char text[256];
    struct doc_node *attributes = NULL;
    if (build->rc != CAM_OK || build->layer_count == PRESET_LAYERS_MAX) {
        preset_fail(build, "preset %s has more than %d layers", build->part->preset,
                    PRESET_LAYERS_MAX);
        return;
    }
    if (format != NULL) {
        va_list arguments;
        va_start(arguments, format);
        int size = vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        build->rc = document_parse(build->job->file_name, text, (size_t)size, build->arena,
                                   &attributes, build->err);
        if (build->rc != CAM_OK) {
            return;
        }
        set_lines(attributes, build->part->line);
    }
    build->layers[build->layer_count++] =
        (struct layer_spec){.type = type, .line = build->part->line, .attributes = attributes};
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

static enum cam_code fail_unknown(const struct job_file *job, const struct part_spec *part,
                                  struct cam_err *err)
{
    const char *near = cam_nearest(part->preset, NAMES, PRESET_COUNT);
    return doc_fail(job->file_name, part->line, err,
                    "unknown preset '%s' of %s%s%s%s; allowed: dcgan, classic", part->preset,
                    part->name, near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
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
    struct preset_build build = {
        .job = job, .part = part, .data = data, .arena = arena, .width = preset->width, .err = err};
    build.layers = cam_arena_alloc(arena, PRESET_LAYERS_MAX, sizeof *build.layers);
    if (build.layers == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for the preset of %s", part->name);
    }
    enum cam_code rc = doc_check_keys(part->preset_attributes, part->preset, KEYS, KEY_COUNT, err);
    if (rc == CAM_OK) {
        rc = doc_read_int(part->preset_attributes, "width", 1, WIDTH_MAX, &build.width, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    bool generator = strcmp(part->name, "generator") == 0;
    (generator ? preset->generator : preset->discriminator)(&build);
    out->layers = build.layers;
    out->layer_count = build.layer_count;
    return build.rc;
}
