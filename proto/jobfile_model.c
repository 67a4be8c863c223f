#include "proto/jobfile_model.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum { FOUND_SIZE = 80, NAME_SIZE_MAX = 64 };

static enum cam_code no_memory(const struct reading *r, struct cam_err *err)
{
    return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory while reading it", r->job->file_name);
}

/* A copy of a map without two of its keys (the second may be NULL). */
static struct doc_node *map_without(struct cam_arena *arena, const struct doc_node *map,
                                    const char *first, const char *second)
{
    struct doc_node *copy = cam_arena_alloc(arena, 1, sizeof *copy);
    if (copy == NULL) {
        return NULL;
    }
    *copy = (struct doc_node){.kind = DOC_MAP, .line = map->line, .file_name = map->file_name};
    copy->items = cam_arena_alloc(arena, map->count + 1, sizeof(struct doc_node *));
    copy->keys = cam_arena_alloc(arena, map->count + 1, sizeof *copy->keys);
    copy->key_lines = cam_arena_alloc(arena, map->count + 1, sizeof *copy->key_lines);
    if (copy->items == NULL || copy->keys == NULL || copy->key_lines == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i], first) != 0 &&
            (second == NULL || strcmp(map->keys[i], second) != 0)) {
            copy->items[copy->count] = map->items[i];
            copy->keys[copy->count] = map->keys[i];
            copy->key_lines[copy->count] = map->key_lines[i];
            copy->count++;
        }
    }
    return copy;
}

/* A name in the sense of layers and inputs; what says whose in the error. */
static enum cam_code read_name(const struct reading *r, const struct doc_node *node, int line,
                               const char *what, const char **out, struct cam_err *err)
{
    char found[FOUND_SIZE];
    if (node->kind != DOC_SCALAR || !doc_given(node) || !jobfile_is_name(node->text) ||
        strlen(node->text) > NAME_SIZE_MAX) {
        return doc_fail(r->job->file_name, line, err,
                        "%s is %s, a name of at most %d letters, digits and _ is expected", what,
                        doc_describe(node, found, sizeof found), NAME_SIZE_MAX);
    }
    *out = node->text;
    return CAM_OK;
}

/* `input: a` or `input: [a, b]`. */
static enum cam_code read_inputs(const struct reading *r, const struct doc_node *node, int line,
                                 struct layer_spec *layer, struct cam_err *err)
{
    bool list = node->kind == DOC_LIST;
    size_t count = list ? node->count : 1;
    if (count == 0 || count > JOBFILE_LAYERS_MAX) {
        return doc_fail(r->job->file_name, line, err,
                        "input is a list of %zu, one name or a list of names is expected", count);
    }
    const char **names = cam_arena_alloc(r->arena, count, sizeof *names);
    if (names == NULL) {
        return no_memory(r, err);
    }
    for (size_t i = 0; i < count; i++) {
        const struct doc_node *item = list ? node->items[i] : node;
        enum cam_code rc = read_name(r, item, list ? item->line : line, "input", &names[i], err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    layer->inputs = names;
    layer->input_count = (int)count;
    return CAM_OK;
}

/* The value behind `dense:`; name and input are ours, the rest is the layer's. */
static enum cam_code read_attributes(const struct reading *r, const struct doc_node *value,
                                     struct layer_spec *layer, struct cam_err *err)
{
    if (!doc_given(value)) {
        return CAM_OK;
    }
    layer->attributes = value;
    if (value->kind != DOC_MAP) {
        return CAM_OK;
    }
    const struct doc_node *name = doc_get(value, "name");
    const struct doc_node *input = doc_get(value, "input");
    enum cam_code rc = CAM_OK;
    if (name != NULL) {
        rc = read_name(r, name, doc_line(value, "name"), "name", &layer->name, err);
    }
    if (rc == CAM_OK && input != NULL) {
        rc = read_inputs(r, input, doc_line(value, "input"), layer, err);
    }
    if (rc == CAM_OK) {
        layer->attributes = map_without(r->arena, value, "name", "input");
        rc = layer->attributes != NULL ? CAM_OK : no_memory(r, err);
    }
    return rc;
}

static enum cam_code read_layer(const struct reading *r, const struct doc_node *item,
                                struct layer_spec *layer, struct cam_err *err)
{
    char found[FOUND_SIZE];
    const char *file = r->job->file_name;
    layer->line = item->line;
    if (item->kind == DOC_SCALAR && doc_given(item)) {
        layer->type = item->text;
    } else if (item->kind == DOC_MAP && item->count == 1) {
        layer->type = item->keys[0];
        layer->line = item->key_lines[0];
    } else if (item->kind == DOC_MAP && item->count > 1) {
        return doc_fail(file, item->key_lines[1], err,
                        "a layer with a second key '%s', its attributes belong below its type: "
                        "- %s: {%s: …}",
                        item->keys[1], item->keys[0], item->keys[1]);
    } else {
        return doc_fail(file, item->line, err,
                        "a layer is %s, its type is expected, such as - flatten or "
                        "- dense: {units: 1}",
                        doc_describe(item, found, sizeof found));
    }
    if (!jobfile_is_name(layer->type)) {
        return doc_fail(file, layer->line, err,
                        "a layer of type '%s', a name such as dense is expected", layer->type);
    }
    return item->kind == DOC_MAP ? read_attributes(r, item->items[0], layer, err) : CAM_OK;
}

static enum cam_code check_names_differ(const struct reading *r, const struct layer_spec *layers,
                                        int count, struct cam_err *err)
{
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < i && layers[i].name != NULL; k++) {
            if (layers[k].name != NULL && strcmp(layers[i].name, layers[k].name) == 0) {
                return doc_fail(r->job->file_name, layers[i].line, err,
                                "a second layer named '%s', the first is in line %d; names must "
                                "differ",
                                layers[i].name, layers[k].line);
            }
        }
    }
    return CAM_OK;
}

enum cam_code jobfile_read_layers(const struct job_file *job, struct cam_arena *arena,
                                  const struct doc_node *list, const char *what,
                                  struct layer_list *out, struct cam_err *err)
{
    struct job_file named = {.file_name = job->file_name}; /* all that is read of it here */
    const struct reading r = {.job = &named, .arena = arena};
    if (list->kind != DOC_LIST || list->count == 0 || list->count > JOBFILE_LAYERS_MAX) {
        char found[FOUND_SIZE];
        return doc_fail(job->file_name, list->line, err,
                        "%s is %s, a list of 1 to %d layers is expected", what,
                        doc_describe(list, found, sizeof found), JOBFILE_LAYERS_MAX);
    }
    struct layer_spec *layers = cam_arena_alloc(arena, list->count, sizeof *layers);
    if (layers == NULL) {
        return no_memory(&r, err);
    }
    for (size_t i = 0; i < list->count; i++) {
        enum cam_code rc = read_layer(&r, list->items[i], &layers[i], err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    *out = (struct layer_list){.layers = layers, .count = (int)list->count};
    return check_names_differ(&r, layers, out->count, err);
}

static enum cam_code read_part(const struct reading *r, const struct doc_node *node,
                               struct part_spec *part, struct cam_err *err)
{
    char found[FOUND_SIZE];
    if (node->kind == DOC_LIST) {
        struct layer_list list = {0};
        char what[NAME_SIZE_MAX + 16];
        (void)snprintf(what, sizeof what, "model.%s", part->name);
        enum cam_code rc = jobfile_read_layers(r->job, r->arena, node, what, &list, err);
        part->layers = list.layers;
        part->layer_count = list.count;
        return rc;
    }
    const struct doc_node *preset = doc_get(node, "preset");
    if (preset == NULL) {
        return doc_fail(r->job->file_name, part->line, err,
                        "model.%s is %s%s, a list of layers or {preset: NAME} is expected",
                        part->name, doc_describe(node, found, sizeof found),
                        node->kind == DOC_MAP ? " without preset" : "");
    }
    enum cam_code rc = read_name(r, preset, doc_line(node, "preset"), "preset", &part->preset, err);
    if (rc != CAM_OK) {
        return rc;
    }
    if (node->count > 1) {
        part->preset_attributes = map_without(r->arena, node, "preset", NULL);
        return part->preset_attributes != NULL ? CAM_OK : no_memory(r, err);
    }
    return CAM_OK;
}

static bool is_part(const char *name)
{
    size_t count = 0;
    const struct job_key *keys = jobfile_keys(&count);
    for (size_t i = 0; i < count; i++) {
        const char *key = jobfile_key_in(&keys[i], "model");
        if (keys[i].type == KEY_PART && key != NULL && strcmp(key, name) == 0) {
            return true;
        }
    }
    return false;
}

enum cam_code jobfile_read_parts(const struct reading *r, struct cam_err *err)
{
    const struct doc_node *model = doc_get(r->job->root, "model");
    struct part_spec *parts = cam_arena_alloc(r->arena, model->count + 1, sizeof *parts);
    if (parts == NULL) {
        return no_memory(r, err);
    }
    int count = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (!is_part(model->keys[i])) {
            continue;
        }
        parts[count] = (struct part_spec){.name = model->keys[i], .line = model->key_lines[i]};
        enum cam_code rc = read_part(r, model->items[i], &parts[count], err);
        if (rc != CAM_OK) {
            return rc;
        }
        count++;
    }
    r->job->parts = parts;
    r->job->part_count = count;
    return CAM_OK;
}

/* line is that of the key that it stands behind. */
static enum cam_code read_optimizer(const struct reading *r, const struct doc_node *node, int line,
                                    struct optimizer_spec *out, struct cam_err *err)
{
    const struct typed_words words = {"an optimizer", "{adam: {lr: 2e-4}}"};
    struct typed_spec spec;
    enum cam_code rc = jobfile_read_typed(r, node, line, &words, &spec, err);
    if (rc == CAM_OK) {
        out->type = spec.type;
        out->line = spec.line;
        out->attributes = spec.attributes;
    }
    return rc;
}

/* Whether the map under `optimizer` speaks of parts, rather than of one optimizer for all. */
static bool is_by_part(const struct reading *r, const struct doc_node *node)
{
    if (node->kind != DOC_MAP) {
        return false;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (jobfile_part(r->job, node->keys[i]) != NULL) {
            return true;
        }
    }
    return node->count > 1;
}

/* A map of several keys of which none is meant for a part: several optimizers for all of them. */
static enum cam_code check_not_several(const struct reading *r, const struct doc_node *node,
                                       const char *const *parts, size_t part_count,
                                       struct cam_err *err)
{
    bool several = node->kind == DOC_MAP && node->count > 1;
    for (size_t i = 0; several && i < node->count; i++) {
        several = cam_nearest(node->keys[i], parts, part_count) == NULL;
    }
    if (!several) {
        return CAM_OK;
    }
    struct cam_text found = {0};
    struct cam_text allowed = {0};
    for (size_t i = 0; i < node->count; i++) {
        cam_text_add(&found, "%s%s", i == 0 ? "" : ", ", node->keys[i]);
    }
    for (size_t i = 0; i < part_count; i++) {
        cam_text_add(&allowed, "%s%s", i == 0 ? "" : ", ", parts[i]);
    }
    enum cam_code rc =
        jobfile_fail(r->job, "optimizer", err,
                     "optimizer is a map of %zu (%s), one optimizer for all parts is expected, or "
                     "one for each of %s",
                     node->count, found.bytes != NULL ? found.bytes : "…",
                     allowed.bytes != NULL ? allowed.bytes : "the parts");
    cam_text_release(&found);
    cam_text_release(&allowed);
    return rc;
}

enum cam_code jobfile_read_optimizers(const struct reading *r, struct cam_err *err)
{
    struct job_file *job = r->job;
    const struct doc_node *node = doc_get(job->root, "optimizer");
    size_t count = (size_t)job->part_count;
    struct optimizer_spec *specs = cam_arena_alloc(r->arena, count + 1, sizeof *specs);
    const char **names = cam_arena_alloc(r->arena, count + 1, sizeof *names);
    if (specs == NULL || names == NULL) {
        return no_memory(r, err);
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = job->parts[i].name;
    }
    bool by_part = is_by_part(r, node);
    enum cam_code rc = check_not_several(r, node, names, count, err);
    rc = rc == CAM_OK && by_part ? doc_check_keys(node, "optimizer", names, count, err) : rc;
    int line = doc_line(job->root, "optimizer");
    for (size_t i = 0; rc == CAM_OK && i < count; i++) {
        const struct doc_node *mine = by_part ? doc_get(node, names[i]) : node;
        specs[i].part = names[i];
        if (mine == NULL) {
            return doc_fail(job->file_name, line, err,
                            "optimizer.%s is missing, every part needs one", names[i]);
        }
        rc = read_optimizer(r, mine, by_part ? doc_line(node, names[i]) : line, &specs[i], err);
    }
    job->optimizers = specs;
    job->optimizer_count = (int)count;
    return rc;
}
