#include "proto/document.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A value of --set stands for the file, on no line of it. */
static void take_in(struct doc_node *node, const char *file_name)
{
    node->line = 0;
    node->file_name = file_name;
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == DOC_MAP) {
            node->key_lines[i] = 0;
        }
        take_in(node->items[i], file_name);
    }
}

/* Where the value of one name lives in a map or list, or NULL. */
static struct doc_node **slot_of(const struct doc_node *node, const char *name)
{
    if (node->kind == DOC_LIST) {
        char *end = NULL;
        unsigned long index = strtoul(name, &end, 10);
        bool number = name[0] >= '0' && name[0] <= '9' && *end == '\0';
        return number && index < node->count ? &node->items[index] : NULL;
    }
    for (size_t i = 0; node->kind == DOC_MAP && i < node->count; i++) {
        if (strcmp(node->keys[i], name) == 0) {
            return &node->items[i];
        }
    }
    return NULL;
}

/* A map's arrays with one entry more; NULL when memory is short. */
static struct doc_node **add_key(struct doc_node *map, const char *name, struct cam_arena *arena)
{
    size_t count = map->count;
    struct doc_node *empty = cam_arena_alloc(arena, 1, sizeof *empty);
    const char *key = cam_arena_strdup(arena, name);
    struct doc_node **items = cam_arena_alloc(arena, count + 1, sizeof(struct doc_node *));
    const char **keys = cam_arena_alloc(arena, count + 1, sizeof *keys);
    int *key_lines = cam_arena_alloc(arena, count + 1, sizeof *key_lines);
    if (empty == NULL || key == NULL || items == NULL || keys == NULL || key_lines == NULL) {
        return NULL;
    }
    *empty = (struct doc_node){.kind = DOC_SCALAR, .file_name = map->file_name, .text = ""};
    if (count > 0) {
        assert(map->items != NULL && map->keys != NULL && map->key_lines != NULL);
        memcpy(items, map->items, count * sizeof(struct doc_node *));
        memcpy(keys, map->keys, count * sizeof *keys);
        memcpy(key_lines, map->key_lines, count * sizeof *key_lines);
    }
    items[count] = empty;
    keys[count] = key;
    map->items = items;
    map->keys = keys;
    map->key_lines = key_lines;
    map->count = count + 1;
    return &items[count];
}

/* The slot of a name in node; maps that are missing are made on the way. */
static enum cam_code make_slot(struct doc_node *node, const char *name, struct cam_arena *arena,
                               struct doc_node ***slot_out, struct cam_err *err)
{
    char found[64];
    if (node->kind == DOC_SCALAR && !doc_given(node)) {
        *node =
            (struct doc_node){.kind = DOC_MAP, .line = node->line, .file_name = node->file_name};
    }
    struct doc_node **slot = slot_of(node, name);
    if (slot != NULL) {
        *slot_out = slot;
        return CAM_OK;
    }
    if (node->kind == DOC_LIST) {
        return cam_fail(err, CAM_INVALID, "'%s' is no item of a list of %zu", name, node->count);
    }
    if (node->kind == DOC_SCALAR) {
        return cam_fail(err, CAM_INVALID, "'%s' is below %s, which is no map", name,
                        doc_describe(node, found, sizeof found));
    }
    if (node->count >= DOC_KEYS_MAX) {
        return cam_fail(err, CAM_INVALID, "more than %d keys in one map", DOC_KEYS_MAX);
    }
    *slot_out = add_key(node, name, arena);
    return *slot_out != NULL ? CAM_OK : cam_fail(err, CAM_NO_MEMORY, "out of memory");
}

static enum cam_code set_value(struct doc_node *root, char *path, struct doc_node *value,
                               struct cam_arena *arena, struct cam_err *err)
{
    struct doc_node *node = root;
    int depth = 0;
    for (char *name = path; name != NULL;) {
        char *dot = strchr(name, '.');
        if (dot != NULL) {
            *dot = '\0';
        }
        if (name[0] == '\0' || ++depth >= DOC_DEPTH_MAX) {
            return cam_fail(err, CAM_INVALID, "a path such as train.epochs is expected before '='");
        }
        struct doc_node **slot = NULL;
        enum cam_code rc = make_slot(node, name, arena, &slot, err);
        if (rc != CAM_OK) {
            return rc;
        }
        if (dot == NULL) {
            if (node->kind == DOC_MAP) {
                node->key_lines[slot - node->items] = 0;
            }
            *slot = value;
            return CAM_OK;
        }
        node = *slot;
        name = dot + 1;
    }
    return CAM_OK;
}

enum cam_code document_set(struct doc_node *root, const char *assignment, struct cam_arena *arena,
                           struct cam_err *err)
{
    const char *equals = strchr(assignment, '=');
    if (equals == NULL) {
        return cam_fail(err, CAM_INVALID, "--set %s: KEY=VALUE is expected, as in train.epochs=5",
                        assignment);
    }
    char *path = cam_arena_strdup(arena, assignment);
    struct doc_node *empty = cam_arena_alloc(arena, 1, sizeof *empty);
    if (path == NULL || empty == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "--set %s: out of memory", assignment);
    }
    path[equals - assignment] = '\0';
    *empty = (struct doc_node){.kind = DOC_SCALAR, .text = ""};
    struct doc_node *value = empty;
    enum cam_code rc = CAM_OK;
    if (equals[1 + strspn(equals + 1, " ")] != '\0') {
        rc = document_parse("value", equals + 1, strlen(equals + 1), arena, &value, err);
    }
    if (rc == CAM_OK) {
        take_in(value, root->file_name);
        rc = set_value(root, path, value, arena, err);
    }
    if (rc != CAM_OK) {
        cam_err_prefix(err, "--set %s", assignment);
    }
    return rc;
}
