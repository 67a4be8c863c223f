#include "proto/jobfile_schema.h"

#include "proto/jobfile_keys.h"
#include "proto/jobfile_schema_names.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALLOWED_SIZE = 256, ANY_FORMAT = -1 };

static json_t *text_schema(const struct job_key *key)
{
    return json_pack("{s:s, s:i, s:I}", "type", "string", "minLength", 1, "maxLength",
                     (json_int_t)key->most);
}

static json_t *file_schema(const struct job_key *key)
{
    (void)key;
    return json_pack("{s:s, s:i}", "type", "string", "minLength", 1);
}

static json_t *int_schema(const struct job_key *key)
{
    return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)key->least,
                     "maximum", (json_int_t)key->most);
}

static json_t *real_schema(const struct job_key *key)
{
    return json_pack("{s:s, s:I, s:I}", "type", "number", "minimum", (json_int_t)key->least,
                     "maximum", (json_int_t)key->most);
}

static json_t *choice_schema(const struct job_key *key)
{
    json_t *names = json_array();
    for (size_t i = 0; i < jobfile_choice_count(key); i++) {
        (void)json_array_append_new(names, json_string(key->choices[i]));
    }
    return json_pack("{s:o}", "enum", names);
}

static json_t *duration_schema(const struct job_key *key)
{
    (void)key;
    return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[0-9]+ *(ms|s|m|h|d)$");
}

static json_t *interval_schema(const struct job_key *key)
{
    (void)key;
    return json_pack("{s:s, s:s}", "type", "string", "pattern",
                     "^[0-9]+ *(steps?|epochs?|ms|s|m|h|d)$");
}

static json_t *ranks_schema(const struct job_key *key)
{
    return json_pack("{s:[o, {s:s, s:s}]}", "oneOf", int_schema(key), "type", "string", "pattern",
                     "^[0-9]+ *\\.\\. *[0-9]+$");
}

static json_t *part_schema(const struct job_key *key)
{
    (void)key;
    return json_pack("{s:s}", "$ref", "#/$defs/part");
}

static json_t *optimizer_schema(const struct job_key *key)
{
    (void)key;
    return json_pack("{s:[{s:s}, {s:s}]}", "anyOf", "$ref", "#/$defs/optimizer", "$ref",
                     "#/$defs/optimizers");
}

static json_t *typed_schema(const struct job_key *key)
{
    char place[64];
    (void)snprintf(place, sizeof place, "#/$defs/%s", key->definition);
    return json_pack("{s:s}", "$ref", place);
}

static json_t *typed_list_schema(const struct job_key *key)
{
    return json_pack("{s:s, s:o}", "type", "array", "items", typed_schema(key));
}

static json_t *map_schema(const struct job_key *key)
{
    json_t *properties = json_object();
    for (size_t i = 0; i < jobfile_choice_count(key); i++) {
        (void)json_object_set_new(properties, key->choices[i], json_true());
    }
    return json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0, "properties",
                     properties);
}

static json_t *bool_schema(const struct job_key *key)
{
    (void)key;
    return json_pack("{s:s}", "type", "boolean");
}

static json_t *env_schema(const struct job_key *key)
{
    (void)key;
    return json_pack("{s:s, s:{s:s}, s:{s:[s, s, s]}}", "type", "object", "propertyNames",
                     "pattern", "^[A-Za-z_][A-Za-z0-9_]*$", "additionalProperties", "type",
                     "string", "number", "boolean");
}

static void say_text(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "text");
}

static void say_file(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "path of a file");
}

static void say_int(const struct job_key *key, char *out)
{
    if (key->most == INT64_MAX) {
        (void)snprintf(out, ALLOWED_SIZE, "whole number from %" PRId64, key->least);
    } else {
        (void)snprintf(out, ALLOWED_SIZE, "whole number, %" PRId64 " to %" PRId64, key->least,
                       key->most);
    }
}

static void say_real(const struct job_key *key, char *out)
{
    (void)snprintf(out, ALLOWED_SIZE, "number, %" PRId64 " to %" PRId64, key->least, key->most);
}

static void say_choice(const struct job_key *key, char *out)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < jobfile_choice_count(key) && used < ALLOWED_SIZE; i++) {
        used += (size_t)snprintf(out + used, ALLOWED_SIZE - used, "%s`%s`", i == 0 ? "" : ", ",
                                 key->choices[i]);
    }
}

static void say_duration(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "time: `500ms`, `30s`, `5m`, `2h`, `1d`");
}

static void say_interval(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "steps, epochs or a time");
}

static void say_ranks(const struct job_key *key, char *out)
{
    (void)snprintf(out, ALLOWED_SIZE, "whole number, %" PRId64 " to %" PRId64 ", or a range `1..4`",
                   key->least, key->most);
}

static void say_part(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "list of layers, or `{preset: NAME}`");
}

static void say_optimizer(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "optimizer, or a map of one for each part");
}

static void say_typed(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "`NAME` or `{NAME: {option: value}}`");
}

static void say_typed_list(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "list of `NAME` or `{NAME: {option: value}}`");
}

static void say_map(const struct job_key *key, char *out)
{
    size_t used = (size_t)snprintf(out, ALLOWED_SIZE, "map of ");
    for (size_t i = 0; i < jobfile_choice_count(key) && used < ALLOWED_SIZE; i++) {
        used += (size_t)snprintf(out + used, ALLOWED_SIZE - used, "%s`%s`", i == 0 ? "" : ", ",
                                 key->choices[i]);
    }
}

static void say_bool(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "`true` or `false`");
}

static void say_env(const struct job_key *key, char *out)
{
    (void)key;
    (void)snprintf(out, ALLOWED_SIZE, "map of names and texts");
}

static const struct {
    json_t *(*schema)(const struct job_key *key);
    void (*say)(const struct job_key *key, char *out);
    bool number; /* whether the default stands in JSON without quotes */
} TYPES[] = {
    [KEY_TEXT] = {text_schema, say_text, false},
    [KEY_FILE] = {file_schema, say_file, false},
    [KEY_INT] = {int_schema, say_int, true},
    [KEY_REAL] = {real_schema, say_real, true},
    [KEY_CHOICE] = {choice_schema, say_choice, false},
    [KEY_DURATION] = {duration_schema, say_duration, false},
    [KEY_INTERVAL] = {interval_schema, say_interval, false},
    [KEY_RANKS] = {ranks_schema, say_ranks, true},
    [KEY_PART] = {part_schema, say_part, false},
    [KEY_OPTIMIZER] = {optimizer_schema, say_optimizer, false},
    [KEY_TYPED] = {typed_schema, say_typed, false},
    [KEY_TYPED_LIST] = {typed_list_schema, say_typed_list, false},
    [KEY_MAP] = {map_schema, say_map, false},
    [KEY_BOOL] = {bool_schema, say_bool, true},
    [KEY_ENV] = {env_schema, say_env, false},
};
_Static_assert(sizeof TYPES / sizeof TYPES[0] == KEY_TYPE_COUNT, "every type needs a row");

static void add_key(json_t *object, const struct job_key *key, const char *name)
{
    json_t *schema = TYPES[key->type].schema(key);
    (void)json_object_set_new(schema, "description", json_string(key->help));
    if (key->fallback != NULL) {
        json_t *value = key->type == KEY_BOOL     ? json_boolean(strcmp(key->fallback, "true") == 0)
                        : key->type == KEY_REAL   ? json_real(strtod(key->fallback, NULL))
                        : TYPES[key->type].number ? json_integer(strtoll(key->fallback, NULL, 10))
                                                  : json_string(key->fallback);
        (void)json_object_set_new(schema, "default", value);
    }
    (void)json_object_set_new(json_object_get(object, "properties"), name, schema);
    if (key->required) {
        (void)json_array_append_new(json_object_get(object, "required"), json_string(name));
    }
}

static bool has_required(const json_t *object)
{
    return json_array_size(json_object_get(object, "required")) > 0;
}

static void add_sections(json_t *object, const struct job_section *outer, int format);

/* The keys of one section as an object; of one data format, or of any (ANY_FORMAT). */
static json_t *section_schema(const struct job_section *section, int format)
{
    json_t *object = json_pack("{s:s, s:s, s:b, s:[], s:{}}", "type", "object", "description",
                               section->help, "additionalProperties", 0, "required", "properties");
    size_t count = 0;
    const struct job_key *keys = jobfile_keys(&count);
    for (size_t i = 0; i < count; i++) {
        const char *name = jobfile_key_in(&keys[i], section->path);
        bool other =
            format != ANY_FORMAT && !jobfile_key_of_format(&keys[i], (enum data_format)format);
        if (name == NULL || other) {
            continue;
        }
        add_key(object, &keys[i], name);
        if (keys[i].needed_by_format) {
            (void)json_array_append_new(json_object_get(object, "required"), json_string(name));
        }
    }
    add_sections(object, section, format);
    return object;
}

/* Sections within this one; those of the whole file are jobfile_schema's. */
static void add_sections(json_t *object, const struct job_section *outer, int format)
{
    size_t count = 0;
    const struct job_section *sections = jobfile_sections(&count);
    for (size_t i = 1; outer->path[0] != '\0' && i < count; i++) {
        const char *name = jobfile_section_in(&sections[i], outer->path);
        if (name == NULL) {
            continue;
        }
        json_t *inner = section_schema(&sections[i], format);
        if (json_object_size(json_object_get(inner, "properties")) > 0) {
            (void)json_object_set_new(json_object_get(object, "properties"), name, inner);
        } else {
            json_decref(inner);
        }
    }
}

static bool needs_keys(enum data_format format)
{
    size_t count = 0;
    const struct job_key *keys = jobfile_keys(&count);
    bool needs = false;
    for (size_t i = 0; i < count; i++) {
        needs |= keys[i].needed_by_format && jobfile_key_of_format(&keys[i], format);
    }
    return needs;
}

/* One object a format, each with its own keys; `data: glyphs`: a format alone that needs none. */
static json_t *data_schema(const struct job_section *section)
{
    const struct job_key *key = jobfile_key("data.format");
    json_t *alone = json_array();
    json_t *ways = json_array();
    for (size_t i = 0; i < jobfile_choice_count(key); i++) {
        json_t *object = section_schema(section, (int)i);
        json_t *format = json_object_get(json_object_get(object, "properties"), "format");
        (void)json_object_del(format, "enum");
        (void)json_object_set_new(format, "const", json_string(key->choices[i]));
        (void)json_array_append_new(ways, object);
        if (!needs_keys((enum data_format)i)) {
            (void)json_array_append_new(alone, json_string(key->choices[i]));
        }
    }
    (void)json_array_append_new(ways, json_pack("{s:o}", "enum", alone));
    return json_pack("{s:o}", "oneOf", ways);
}

/* The map of a section's rules within `properties`, made where it is missing. */
static json_t *rules_of(json_t *properties, const char *path)
{
    char name[64];
    size_t length = strcspn(path, ".");
    (void)snprintf(name, sizeof name, "%.*s", (int)length, path);
    json_t *rules = json_object_get(properties, name);
    if (rules == NULL) {
        rules = json_pack("{s:{}, s:[]}", "properties", "required");
        (void)json_object_set_new(properties, name, rules);
    }
    json_t *inner = json_object_get(rules, "properties");
    const char *rest = path + length + 1;
    return path[length] == '.' && strchr(rest, '.') != NULL ? rules_of(inner, rest) : rules;
}

/* What holds for one kind alone: keys that it needs, and those that it has no use for. */
static json_t *kind_rule(enum job_kind kind)
{
    json_t *properties = json_object();
    json_t *parts = json_array();
    size_t count = 0;
    const struct job_key *keys = jobfile_keys(&count);
    for (size_t i = 0; i < count; i++) {
        const char *dot = strrchr(keys[i].path, '.');
        const char *name = dot == NULL ? keys[i].path : dot + 1;
        bool mine = keys[i].kinds == 0 || (keys[i].kinds & KEY_KIND(kind)) != 0;
        if (mine && !keys[i].needed_by_kind) {
            continue;
        }
        json_t *rules = dot == NULL ? NULL : rules_of(properties, keys[i].path);
        if (mine) {
            (void)json_array_append_new(json_object_get(rules, "required"), json_string(name));
            (void)json_array_append_new(parts, json_string(name));
        } else {
            (void)json_object_set_new(rules == NULL ? properties
                                                    : json_object_get(rules, "properties"),
                                      name, json_false());
        }
    }
    (void)json_object_set_new(
        properties, "optimizer",
        json_pack("{s:[{s:s}, {s:o}]}", "anyOf", "$ref", "#/$defs/optimizer", "required", parts));
    return json_pack("{s:{s:{s:{s:s}}}, s:{s:o, s:[s]}}", "if", "properties", "kind", "const",
                     job_kind_name(kind), "then", "properties", properties, "required", "model");
}

void jobfile_schema(const struct schema_names *names, struct cam_text *out)
{
    size_t count = 0;
    const struct job_section *sections = jobfile_sections(&count);
    json_t *root = section_schema(&sections[0], ANY_FORMAT);
    (void)json_object_set_new(root, "$schema",
                              json_string("https://json-schema.org/draft/2020-12/schema"));
    (void)json_object_set_new(root, "title", json_string("Cambrian job file"));
    for (size_t i = 1; i < count; i++) {
        if (jobfile_section_in(&sections[i], "") == NULL) {
            continue;
        }
        json_t *object = section_schema(&sections[i], ANY_FORMAT);
        if (has_required(object)) {
            (void)json_array_append_new(json_object_get(root, "required"),
                                        json_string(sections[i].path));
        }
        if (strcmp(sections[i].path, "data") == 0) {
            json_decref(object);
            object = data_schema(&sections[i]);
        }
        (void)json_object_set_new(json_object_get(root, "properties"), sections[i].path, object);
    }
    json_t *rules = json_array();
    for (int kind = 0; kind < JOB_KIND_COUNT; kind++) {
        (void)json_array_append_new(rules, kind_rule((enum job_kind)kind));
    }
    (void)json_object_set_new(root, "allOf", rules);
    (void)json_object_set_new(root, "$defs", schema_definitions(names));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    json_decref(root);
    if (text == NULL) {
        out->failed = true;
        return;
    }
    cam_text_add(out, "%s\n", text);
    free(text);
}

static void add_row(struct cam_text *out, const struct job_key *key, const char *name)
{
    char allowed[ALLOWED_SIZE];
    TYPES[key->type].say(key, allowed);
    cam_text_add(out, "| `%s` | %s | ", name, allowed);
    if (key->required) {
        cam_text_add(out, "*needed*");
    } else if (key->fallback != NULL) {
        cam_text_add(out, "`%s`", key->fallback);
    } else {
        cam_text_add(out, "%s", key->fallback_note != NULL ? key->fallback_note : "none");
    }
    cam_text_add(out, " | ");
    if (key->formats != 0) {
        char formats[ALLOWED_SIZE];
        jobfile_key_formats(key, formats, sizeof formats);
        cam_text_add(out, "With format `%s`. ", formats);
    }
    cam_text_add(out, "%s |\n", key->help);
}

void jobfile_reference(struct cam_text *out)
{
    size_t section_count = 0;
    size_t key_count = 0;
    const struct job_section *sections = jobfile_sections(&section_count);
    const struct job_key *keys = jobfile_keys(&key_count);
    for (size_t s = 0; s < section_count; s++) {
        const char *path = sections[s].path;
        cam_text_add(out, "%s### %s%s%s\n\n%s\n\n", s == 0 ? "" : "\n",
                     path[0] != '\0' ? "`" : "Top level", path, path[0] != '\0' ? "`" : "",
                     sections[s].help);
        cam_text_add(out, "| key | allowed | default | meaning |\n|---|---|---|---|\n");
        for (size_t i = 0; i < key_count; i++) {
            const char *name = jobfile_key_in(&keys[i], path);
            if (name != NULL) {
                add_row(out, &keys[i], name);
            }
        }
    }
}
