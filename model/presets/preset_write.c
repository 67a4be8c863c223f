/* What presets are written with: layers as YAML, and attributes with the sticky error. */
#include "model/presets/preset.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH_MAX = 8192, CLASSES_MAX = 1 << 24, TEXT_SIZE = 512 };

void preset_fail(struct preset_build *build, const char *format, ...)
{
    char text[TEXT_SIZE];
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

/* Takes a key out of a map; its value, or NULL. */
static const struct doc_node *take(struct doc_node *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i], key) != 0) {
            continue;
        }
        const struct doc_node *value = map->items[i];
        for (size_t k = i + 1; k < map->count; k++) {
            map->items[k - 1] = map->items[k];
            map->keys[k - 1] = map->keys[k];
            map->key_lines[k - 1] = map->key_lines[k];
        }
        map->count--;
        return value;
    }
    return NULL;
}

/* `name` and `input` belong to every layer, the rest is the type's. */
static void take_names(struct preset_build *build, struct doc_node *map, struct layer_spec *layer)
{
    const struct doc_node *name = take(map, "name");
    const struct doc_node *input = take(map, "input");
    layer->name = name != NULL ? name->text : NULL;
    if (input == NULL) {
        return;
    }
    size_t count = input->kind == DOC_LIST ? input->count : 1;
    const char **names = cam_arena_alloc(build->arena, count, sizeof *names);
    if (names == NULL) {
        build->rc =
            cam_fail(build->err, CAM_NO_MEMORY, "no memory for preset %s", build->part->preset);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = input->kind == DOC_LIST ? input->items[i]->text : input->text;
    }
    layer->inputs = names;
    layer->input_count = (int)count;
}

void preset_layer(struct preset_build *build, const char *type, const char *format, ...)
{
    char text[TEXT_SIZE];
    struct doc_node *attributes = NULL;
    if (build->rc != CAM_OK || build->layer_count == PRESET_LAYERS_MAX) {
        preset_fail(build, "preset %s has more than %d layers", build->part->preset,
                    PRESET_LAYERS_MAX);
        return;
    }
    struct layer_spec *layer = &build->layers[build->layer_count];
    *layer = (struct layer_spec){.type = type, .line = build->part->line};
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
        take_names(build, attributes, layer);
        layer->attributes = attributes;
    }
    build->layer_count++;
}

int64_t preset_int(struct preset_build *build, const char *key, int64_t least, int64_t most,
                   int64_t otherwise)
{
    int64_t value = otherwise;
    if (build->rc == CAM_OK) {
        build->rc =
            doc_read_int(build->part->preset_attributes, key, least, most, &value, build->err);
    }
    return value;
}

double preset_real(struct preset_build *build, const char *key, double least, double most,
                   double otherwise)
{
    double value = otherwise;
    if (build->rc == CAM_OK) {
        build->rc =
            doc_read_real(build->part->preset_attributes, key, least, most, &value, build->err);
    }
    return value;
}

bool preset_bool(struct preset_build *build, const char *key, bool otherwise)
{
    bool value = otherwise;
    if (build->rc == CAM_OK) {
        build->rc = doc_read_bool(build->part->preset_attributes, key, &value, build->err);
    }
    return value;
}

int preset_choice(struct preset_build *build, const char *key, const char *const *names,
                  size_t count, int otherwise)
{
    int choice = otherwise;
    if (build->rc == CAM_OK) {
        build->rc =
            doc_read_choice(build->part->preset_attributes, key, names, count, &choice, build->err);
    }
    return choice;
}

int64_t preset_width(struct preset_build *build, int64_t otherwise)
{
    return preset_int(build, "width", 1, WIDTH_MAX, otherwise);
}

int64_t preset_classes(struct preset_build *build)
{
    return preset_int(build, "classes", 0, CLASSES_MAX, 0);
}

double preset_dropout(struct preset_build *build, double otherwise)
{
    return preset_real(build, "dropout", 0.0, 0.999, otherwise);
}

bool preset_takes_images(struct preset_build *build)
{
    if (build->data->length > 0) {
        preset_fail(build, "preset %s needs images, the data are text", build->part->preset);
    }
    return build->rc == CAM_OK;
}

bool preset_takes_squares(struct preset_build *build, int64_t of)
{
    const struct data_shape *data = build->data;
    if (preset_takes_images(build) && (data->height != data->width || data->height % of != 0)) {
        preset_fail(build,
                    "preset %s needs square images with a side divisible by %" PRId64
                    ", the data are %" PRId64 " x %" PRId64,
                    build->part->preset, of, data->height, data->width);
    }
    return build->rc == CAM_OK;
}

bool preset_takes_text(struct preset_build *build)
{
    if (build->data->length == 0) {
        preset_fail(build, "preset %s needs text, the data are images of %" PRId64 " x %" PRId64,
                    build->part->preset, build->data->height, build->data->width);
    }
    return build->rc == CAM_OK;
}

double preset_fan_out_deviation(int64_t kernel, int64_t filters)
{
    return sqrt(2.0 / (double)(kernel * kernel * filters));
}

double preset_glorot_bound(double gain, int64_t fan_in, int64_t fan_out)
{
    return gain * sqrt(6.0 / (double)(fan_in + fan_out));
}
