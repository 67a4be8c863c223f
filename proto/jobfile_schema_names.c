/* What stands under $defs of the schema: what is written by the names of model/. */
#include "proto/jobfile_schema_names.h"

#include "proto/jobfile_guard.h"
#include "proto/jobfile_keys.h"
#include "proto/jobfile_model.h"

#include <string.h>

static json_t *names_of(const struct schema_list *list)
{
    json_t *names = json_array();
    for (size_t i = 0; i < list->count; i++) {
        (void)json_array_append_new(names, json_string(list->types[i].name));
    }
    return names;
}

/* Layers in a layer. */
static bool holds_layers(const char *key)
{
    return strcmp(key, "body") == 0 || strcmp(key, "shortcut") == 0;
}

/* A key for each attribute, whatever its value is. */
static json_t *attributes_of(const struct schema_type *type)
{
    json_t *properties = json_object();
    for (size_t i = 0; i < type->key_count; i++) {
        json_t *value = holds_layers(type->keys[i]) ? json_pack("{s:s, s:{s:s}}", "type", "array",
                                                                "items", "$ref", "#/$defs/layer")
                                                    : json_true();
        (void)json_object_set_new(properties, type->keys[i], value);
    }
    return properties;
}

/* `{dense: {units: 1}}`: one of the types, with no attributes but its own. */
static json_t *typed_map(const struct schema_list *list, bool layers)
{
    json_t *types = json_object();
    for (size_t i = 0; i < list->count; i++) {
        const struct schema_type *type = &list->types[i];
        json_t *keys = attributes_of(type);
        if (layers) {
            (void)json_object_set_new(keys, "name", json_pack("{s:s}", "type", "string"));
            (void)json_object_set_new(keys, "input",
                                      json_pack("{s:[s, s]}", "type", "string", "array"));
        }
        json_t *kinds = json_pack("[s, s]", "object", "null");
        if (type->shorthand) { /* YAML 1.1 has texts where we have numbers: 2e-4 */
            (void)json_array_append_new(kinds, json_string("number"));
            (void)json_array_append_new(kinds, json_string("string"));
            (void)json_array_append_new(kinds, json_string("array"));
        }
        (void)json_object_set_new(types, type->name,
                                  json_pack("{s:o, s:b, s:o}", "type", kinds,
                                            "additionalProperties", 0, "properties", keys));
    }
    return json_pack("{s:s, s:i, s:i, s:b, s:o}", "type", "object", "minProperties", 1,
                     "maxProperties", 1, "additionalProperties", 0, "properties", types);
}

static json_t *layer_definition(const struct schema_names *names)
{
    return json_pack("{s:s, s:[{s:o}, o]}", "description",
                     "`- flatten`, or its type with attributes: `- dense: {units: 1}`", "oneOf",
                     "enum", names_of(&names->layers), typed_map(&names->layers, true));
}

/* `hinge`, or its type with attributes; `description` shows both. */
static json_t *typed_definition(const struct schema_list *list, const char *description)
{
    return json_pack("{s:s, s:[{s:o}, o]}", "description", description, "oneOf", "enum",
                     names_of(list), typed_map(list, false));
}

static json_t *optimizer_definition(const struct schema_names *names)
{
    return typed_definition(&names->optimizers,
                            "`adam`, or its type with attributes: `{adam: {lr: 2e-4}}`");
}

/* One optimizer for each part that the job has. */
static json_t *optimizers_definition(void)
{
    json_t *object =
        json_pack("{s:s, s:s, s:b, s:i, s:{}}", "type", "object", "description",
                  "one for each part", "additionalProperties", 0, "minProperties", 1, "properties");
    size_t count = 0;
    const struct job_key *keys = jobfile_keys(&count);
    for (size_t i = 0; i < count; i++) {
        const char *part = keys[i].type == KEY_PART ? jobfile_key_in(&keys[i], "model") : NULL;
        if (part != NULL) {
            (void)json_object_set_new(json_object_get(object, "properties"), part,
                                      json_pack("{s:s}", "$ref", "#/$defs/optimizer"));
        }
    }
    return object;
}

static json_t *part_definition(const struct schema_names *names)
{
    json_t *ways = json_pack("[{s:s, s:i, s:i, s:{s:s}}]", "type", "array", "minItems", 1,
                             "maxItems", JOBFILE_LAYERS_MAX, "items", "$ref", "#/$defs/layer");
    for (size_t i = 0; i < names->presets.count; i++) {
        json_t *keys = attributes_of(&names->presets.types[i]);
        (void)json_object_set_new(keys, "preset",
                                  json_pack("{s:s}", "const", names->presets.types[i].name));
        (void)json_array_append_new(ways, json_pack("{s:s, s:[s], s:b, s:o}", "type", "object",
                                                    "required", "preset", "additionalProperties", 0,
                                                    "properties", keys));
    }
    return json_pack("{s:s, s:o}", "description", "a list of layers, or `{preset: NAME}`", "oneOf",
                     ways);
}

static json_t *on_nan_definition(void)
{
    const char *const *names = NULL;
    struct schema_type last = {0};
    struct schema_list list = {.count = jobfile_guard_names(&names, &last.keys, &last.key_count)};
    for (size_t i = 0; i < list.count; i++) {
        list.types[i] = i + 1 < list.count ? (struct schema_type){0} : last;
        list.types[i].name = names[i];
    }
    return typed_definition(&list, "`stop`, `rollback` or `{rollback: {factor: 0.5, most: 3}}`");
}

json_t *schema_definitions(const struct schema_names *names)
{
    static const char LOSS[] = "`hinge`, or its type with options: `{wasserstein: {clip: 0.01}}`";
    static const char PENALTY[] = "`r1`, or its type with options: `{r1: {weight: 10, every: 16}}`";
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o}}", "on_nan", on_nan_definition(),
                     "loss", typed_definition(&names->losses, LOSS), "penalty",
                     typed_definition(&names->penalties, PENALTY), "layer", layer_definition(names),
                     "optimizer", optimizer_definition(names), "optimizers",
                     optimizers_definition(), "part", part_definition(names), "augmentation",
                     "enum", names_of(&names->augmentations));
}
