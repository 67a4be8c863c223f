#include "model/layers/part.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static enum cam_code find_type(const struct part_call *call, const struct layer_spec *spec,
                               const struct layer_type **out, struct cam_err *err)
{
    *out = layer_find(spec->type);
    if (*out != NULL) {
        return CAM_OK;
    }
    size_t count = 0;
    const char *const *names = layer_names(&count);
    const char *near = cam_nearest(spec->type, names, count);
    struct cam_text all = {0};
    for (size_t i = 0; i < count; i++) {
        cam_text_add(&all, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    enum cam_code rc =
        doc_fail(call->job->file_name, spec->line, err, "unknown layer '%s'%s%s%s; allowed: %s",
                 spec->type, near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                 near != NULL ? "'?" : "", all.bytes != NULL ? all.bytes : "none");
    cam_text_release(&all);
    return rc;
}

/* `- dropout: 0.3` reads as `- dropout: {rate: 0.3}`. */
static enum cam_code attributes_of(const struct part_call *call, const struct layer_spec *spec,
                                   const struct layer_type *type, struct layer *layer,
                                   struct cam_err *err)
{
    const struct doc_node *given = spec->attributes;
    size_t count = 0;
    while (count < LAYER_KEYS_MAX && type->keys[count] != NULL) {
        count++;
    }
    if (given != NULL && given->kind != DOC_MAP) {
        char found[80];
        if (type->shorthand == NULL) {
            return doc_fail(call->job->file_name, spec->line, err,
                            "%s is %s, a map of attributes is expected", spec->type,
                            doc_describe(given, found, sizeof found));
        }
        struct cam_arena *arena = call->tensors->arena;
        struct doc_node *map = cam_arena_alloc(arena, 1, sizeof *map);
        struct doc_node **items = cam_arena_alloc(arena, 1, sizeof *items);
        struct doc_node *copy = cam_arena_alloc(arena, 1, sizeof *copy);
        const char **keys = cam_arena_alloc(arena, 1, sizeof *keys);
        int *lines = cam_arena_alloc(arena, 1, sizeof *lines);
        if (map == NULL || items == NULL || copy == NULL || keys == NULL || lines == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "no memory for the layers");
        }
        *copy = *given;
        items[0] = copy;
        keys[0] = type->shorthand;
        lines[0] = spec->line;
        *map = (struct doc_node){.kind = DOC_MAP,
                                 .line = spec->line,
                                 .file_name = call->job->file_name,
                                 .count = 1,
                                 .items = items,
                                 .keys = keys,
                                 .key_lines = lines};
        given = map;
    }
    layer->attributes = given;
    return doc_check_keys(given, spec->type, type->keys, count, err);
}

/* The place in scope of the layer that `name` means, or -1. */
static int place_of(const struct layer_scope *scope, const char *name)
{
    for (int i = 0; i < scope->done; i++) {
        if (scope->layers[i].name != NULL && strcmp(scope->layers[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static void path_of(const struct layer_scope *scope, int place, char *out, size_t size)
{
    const char *name = scope->layers[place].name;
    if (name != NULL) {
        (void)snprintf(out, size, "%s.%s", scope->path, name);
    } else {
        (void)snprintf(out, size, "%s.%d", scope->unnamed_path, place);
    }
}

const struct layer_spec *layer_named(const struct layer *layer, const char *name,
                                     char path_out[LAYER_NAME_SIZE])
{
    for (const struct layer_scope *scope = layer->scope; scope != NULL; scope = scope->outer) {
        int place = place_of(scope, name);
        if (place >= 0) {
            path_of(scope, place, path_out, LAYER_NAME_SIZE);
            return &scope->layers[place];
        }
    }
    return NULL;
}

/* Of all names that this layer may read, the one most like `name`; NULL: none. */
static const char *nearest_value(const struct layer *layer, const char *name)
{
    enum { NAMES_MAX = 64 }; /* the closest ones: of more, the first are left out */
    const char *names[NAMES_MAX];
    size_t count = 0;
    names[count++] = layer->call->input_name;
    if (layer->call->labelled) {
        names[count++] = "label";
    }
    for (const struct layer_scope *scope = layer->scope; scope != NULL; scope = scope->outer) {
        for (int i = scope->done - 1; i >= 0 && count < NAMES_MAX; i--) {
            if (scope->layers[i].name != NULL) {
                names[count++] = scope->layers[i].name;
            }
        }
    }
    return cam_nearest(name, names, count);
}

static enum cam_code find_value(const struct layer *layer, const char *name,
                                struct layer_value *out, struct cam_err *err)
{
    for (const struct layer_scope *scope = layer->scope; scope != NULL; scope = scope->outer) {
        int place = place_of(scope, name);
        bool input = scope->outer == NULL && strcmp(name, layer->call->input_name) == 0;
        if (place >= 0 || input) {
            *out = place >= 0 ? scope->values[place] : scope->input;
            return CAM_OK;
        }
    }
    if (layer->call->labelled && strcmp(name, "label") == 0) {
        *out = (struct layer_value){.node = layer->call->label};
        return CAM_OK;
    }
    const char *near = nearest_value(layer, name);
    return doc_fail(layer->call->job->file_name, layer->spec->line, err,
                    "input '%s' is neither a layer named above this one in %s nor '%s'%s%s%s", name,
                    layer->call->spec->name, layer->call->input_name,
                    near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}

static enum cam_code find_inputs(const struct layer_type *type, struct layer *layer,
                                 struct cam_err *err)
{
    const struct layer_spec *spec = layer->spec;
    const struct layer_scope *scope = layer->scope;
    enum cam_code rc = CAM_OK;
    if (spec->input_count > type->inputs_max) {
        return doc_fail(layer->call->job->file_name, spec->line, err,
                        "%s takes at most %d inputs, found %d", spec->type, type->inputs_max,
                        spec->input_count);
    }
    layer->input_count = spec->input_count == 0 ? 1 : spec->input_count;
    layer->inputs[0] = scope->done == 0 ? scope->input : scope->values[scope->done - 1];
    for (int i = 0; rc == CAM_OK && i < spec->input_count; i++) {
        rc = find_value(layer, spec->inputs[i], &layer->inputs[i], err);
    }
    return rc;
}

static enum cam_code check_name(const struct part_call *call, const struct layer_spec *spec,
                                struct cam_err *err)
{
    if (spec->name == NULL || strcmp(spec->name, call->input_name) != 0) {
        return CAM_OK;
    }
    return doc_fail(call->job->file_name, spec->line, err,
                    "a layer is named '%s', which is how this part's input is called", spec->name);
}

/* The graph's own error is about shapes: it gets the layer's line. */
static enum cam_code build_layer(struct part_call *call, const struct layer_type *type,
                                 struct layer *layer, struct cam_err *err)
{
    struct cam_err graph_err = {0};
    graph_set_path(call->graph, layer->path);
    if (graph_status(call->graph, &graph_err) == CAM_OK) {
        type->build(layer);
    }
    enum cam_code rc = graph_status(call->graph, &graph_err);
    if (layer->rc != CAM_OK && rc != CAM_NO_MEMORY) { /* which makes any shape wrong */
        return cam_fail(err, layer->rc, "%s", layer->err.text);
    }
    if (rc == CAM_INVALID) {
        return doc_fail(call->job->file_name, layer->spec->line, err, "%s (%s): %s", layer->path,
                        layer->spec->type, graph_err.text);
    }
    return rc == CAM_OK ? CAM_OK : cam_fail(err, rc, "%s", graph_err.text);
}

enum cam_code layers_build(struct part_call *call, struct layer_scope *scope,
                           struct layer_value *out, struct cam_err *err)
{
    scope->values =
        cam_arena_alloc(call->tensors->arena, (size_t)scope->count, sizeof *scope->values);
    if (scope->values == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for the layers of %s", scope->path);
    }
    for (int i = 0; i < scope->count; i++) {
        const struct layer_type *type = NULL;
        struct layer layer = {
            .call = call, .scope = scope, .spec = &scope->layers[i], .position = i};
        enum cam_code rc = find_type(call, layer.spec, &type, err);
        rc = rc == CAM_OK ? attributes_of(call, layer.spec, type, &layer, err) : rc;
        rc = rc == CAM_OK ? find_inputs(type, &layer, err) : rc;
        rc = rc == CAM_OK ? check_name(call, layer.spec, err) : rc;
        path_of(scope, i, layer.path, sizeof layer.path);
        if (rc == CAM_OK && strlen(layer.path) + 1 == sizeof layer.path) {
            rc = doc_fail(call->job->file_name, layer.spec->line, err,
                          "the names of this layer and of those that it stands in have %d letters "
                          "and more, fewer are allowed",
                          LAYER_NAME_SIZE - 1);
        }
        rc = rc == CAM_OK ? build_layer(call, type, &layer, err) : rc;
        if (rc != CAM_OK) {
            return rc;
        }
        scope->values[scope->done++] = layer.out;
    }
    *out = scope->values[scope->done - 1];
    return CAM_OK;
}

enum cam_code part_build(struct part_call *call, int input, int *node_out, struct cam_err *err)
{
    const struct part_spec *spec = call->spec;
    struct layer_value out = {.node = NODE_NONE};
    struct layer_scope scope = {.layers = spec->layers,
                                .count = spec->layer_count,
                                .path = spec->name,
                                .unnamed_path = spec->name,
                                .input = {.node = input}};
    memcpy(scope.input.flattened, call->flattened, sizeof call->flattened);
    enum cam_code rc = layers_build(call, &scope, &out, err);
    memcpy(call->flattened, out.flattened, sizeof call->flattened);
    *node_out = out.node;
    return rc;
}
