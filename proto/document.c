#include "proto/document.h"

#include <string.h>
#include <yaml.h>

/* What one parse needs at every node. */
struct builder {
    yaml_parser_t yaml;
    const char *file_name;
    const char *text;
    struct cam_arena *arena;
};

/* Items of a list or entries of a map while their number is not known.  Grown blocks stay in the
 * arena: at most twice what is needed, and nothing to free on any path. */
struct growing {
    struct doc_node **items;
    const char **keys;
    int *key_lines;
    size_t count;
    size_t capacity;
};

static enum cam_code no_memory(const struct builder *b, struct cam_err *err)
{
    return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory while reading it", b->file_name);
}

static int mark_line(yaml_mark_t mark)
{
    return (int)mark.line + 1;
}

/* The next event; libyaml's own complaints become ours. */
static enum cam_code next_event(struct builder *b, yaml_event_t *event, struct cam_err *err)
{
    if (yaml_parser_parse(&b->yaml, event)) {
        return CAM_OK;
    }
    memset(event, 0, sizeof *event);
    if (b->yaml.error == YAML_MEMORY_ERROR) {
        return no_memory(b, err);
    }
    const char *problem = b->yaml.problem != NULL ? b->yaml.problem : "it cannot be read";
    if (b->yaml.error == YAML_READER_ERROR) {
        /* The reader runs ahead of the marks, so the line is counted. */
        int line = 1;
        for (size_t i = 0; i < b->yaml.problem_offset; i++) {
            line += b->text[i] == '\n';
        }
        return doc_fail(b->file_name, line, err, "not YAML text: %s at byte %zu", problem,
                        b->yaml.problem_offset);
    }
    if (b->yaml.context != NULL) {
        return doc_fail(b->file_name, mark_line(b->yaml.problem_mark), err,
                        "not YAML: %s %s (column %zu)", problem, b->yaml.context,
                        b->yaml.problem_mark.column + 1);
    }
    return doc_fail(b->file_name, mark_line(b->yaml.problem_mark), err, "not YAML: %s (column %zu)",
                    problem, b->yaml.problem_mark.column + 1);
}

static void *grow(struct cam_arena *arena, const void *old, size_t count, size_t capacity,
                  size_t size)
{
    void *grown = cam_arena_alloc(arena, capacity, size);
    if (grown != NULL && count > 0) {
        memcpy(grown, old, count * size);
    }
    return grown;
}

static bool reserve(struct growing *g, bool map, struct cam_arena *arena)
{
    enum { CAPACITY_AT_START = 8 };
    if (g->count < g->capacity) {
        return true;
    }
    size_t capacity = g->capacity == 0 ? CAPACITY_AT_START : g->capacity * 2;
    struct doc_node **items = grow(arena, g->items, g->count, capacity, sizeof(struct doc_node *));
    if (items == NULL) {
        return false;
    }
    if (map) {
        const char **keys = grow(arena, g->keys, g->count, capacity, sizeof(char *));
        int *key_lines = grow(arena, g->key_lines, g->count, capacity, sizeof(int));
        if (keys == NULL || key_lines == NULL) {
            return false;
        }
        g->keys = keys;
        g->key_lines = key_lines;
    }
    g->items = items;
    g->capacity = capacity;
    return true;
}

static bool growing_add(struct growing *g, const char *key, int key_line, struct doc_node *item,
                        struct cam_arena *arena)
{
    if (!reserve(g, key != NULL, arena)) {
        return false;
    }
    g->items[g->count] = item;
    if (key != NULL) {
        g->keys[g->count] = key;
        g->key_lines[g->count] = key_line;
    }
    g->count++;
    return true;
}

static void growing_into(const struct growing *g, struct doc_node *node)
{
    node->items = g->items;
    node->keys = g->keys;
    node->key_lines = g->key_lines;
    node->count = g->count;
}

/* Anchors, aliases and tags make what stands at one line mean something from another: refused. */
static enum cam_code check_plain(const struct builder *b, const yaml_event_t *event,
                                 struct cam_err *err)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    int line = mark_line(event->start_mark);
    if (event->type == YAML_ALIAS_EVENT) {
        return doc_fail(b->file_name, line, err, "alias '*%s', write the value out instead",
                        (const char *)event->data.alias.anchor);
    }
    if (anchor != NULL) {
        return doc_fail(b->file_name, line, err, "anchor '&%s', anchors are not allowed",
                        (const char *)anchor);
    }
    if (tag != NULL) {
        return doc_fail(b->file_name, line, err, "tag '%s', tags are not allowed",
                        (const char *)tag);
    }
    return CAM_OK;
}

static enum cam_code build_node(struct builder *b, const yaml_event_t *event, int depth,
                                struct doc_node **out, struct cam_err *err);

static enum cam_code build_scalar(struct builder *b, const yaml_event_t *event,
                                  struct doc_node *node, struct cam_err *err)
{
    const char *value = (const char *)event->data.scalar.value;
    if (strlen(value) != event->data.scalar.length) {
        return doc_fail(b->file_name, node->line, err,
                        "a zero byte in a text, which is not allowed");
    }
    node->kind = DOC_SCALAR;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = cam_arena_strdup(b->arena, value);
    return node->text != NULL ? CAM_OK : no_memory(b, err);
}

static enum cam_code build_list(struct builder *b, int depth, struct doc_node *node,
                                struct cam_err *err)
{
    struct growing g = {0};
    for (;;) {
        yaml_event_t event;
        enum cam_code rc = next_event(b, &event, err);
        bool end = rc == CAM_OK && event.type == YAML_SEQUENCE_END_EVENT;
        struct doc_node *item = NULL;
        if (rc == CAM_OK && !end) {
            rc = build_node(b, &event, depth + 1, &item, err);
        }
        yaml_event_delete(&event);
        if (rc != CAM_OK) {
            return rc;
        }
        if (end) {
            node->kind = DOC_LIST;
            growing_into(&g, node);
            return CAM_OK;
        }
        if (!growing_add(&g, NULL, 0, item, b->arena)) {
            return no_memory(b, err);
        }
    }
}

/* The key that an event is, checked against the keys so far. */
static enum cam_code build_key(struct builder *b, const yaml_event_t *event,
                               const struct growing *g, struct doc_node **out, struct cam_err *err)
{
    struct doc_node *key = NULL;
    enum cam_code rc = build_node(b, event, DOC_DEPTH_MAX, &key, err);
    if (rc != CAM_OK) {
        return rc;
    }
    if (key->text[0] == '\0') {
        return doc_fail(b->file_name, key->line, err, "an empty key, a name is expected");
    }
    for (size_t i = 0; i < g->count; i++) {
        if (strcmp(g->keys[i], key->text) == 0) {
            return doc_fail(b->file_name, key->line, err,
                            "key '%s' again, it stands in line %d already", key->text,
                            g->key_lines[i]);
        }
    }
    if (g->count == DOC_KEYS_MAX) {
        return doc_fail(b->file_name, key->line, err, "more than %d keys in one map", DOC_KEYS_MAX);
    }
    *out = key;
    return CAM_OK;
}

static enum cam_code build_entry(struct builder *b, const yaml_event_t *key_event, int depth,
                                 struct growing *g, struct cam_err *err)
{
    int key_line = mark_line(key_event->start_mark);
    if (key_event->type != YAML_SCALAR_EVENT && key_event->type != YAML_ALIAS_EVENT) {
        return doc_fail(b->file_name, key_line, err, "a %s as a key, a name is expected",
                        key_event->type == YAML_MAPPING_START_EVENT ? "map" : "list");
    }
    struct doc_node *key = NULL;
    enum cam_code rc = build_key(b, key_event, g, &key, err);
    if (rc != CAM_OK) {
        return rc;
    }
    yaml_event_t event;
    rc = next_event(b, &event, err);
    struct doc_node *value = NULL;
    if (rc == CAM_OK) {
        rc = build_node(b, &event, depth + 1, &value, err);
    }
    yaml_event_delete(&event);
    if (rc == CAM_OK && !growing_add(g, key->text, key_line, value, b->arena)) {
        rc = no_memory(b, err);
    }
    return rc;
}

static enum cam_code build_map(struct builder *b, int depth, struct doc_node *node,
                               struct cam_err *err)
{
    struct growing g = {0};
    for (;;) {
        yaml_event_t event;
        enum cam_code rc = next_event(b, &event, err);
        bool end = rc == CAM_OK && event.type == YAML_MAPPING_END_EVENT;
        if (rc == CAM_OK && !end) {
            rc = build_entry(b, &event, depth, &g, err);
        }
        yaml_event_delete(&event);
        if (rc != CAM_OK) {
            return rc;
        }
        if (end) {
            node->kind = DOC_MAP;
            growing_into(&g, node);
            return CAM_OK;
        }
    }
}

static enum cam_code build_node(struct builder *b, const yaml_event_t *event, int depth,
                                struct doc_node **out, struct cam_err *err)
{
    enum cam_code rc = check_plain(b, event, err);
    if (rc != CAM_OK) {
        return rc;
    }
    struct doc_node *node = cam_arena_alloc(b->arena, 1, sizeof *node);
    if (node == NULL) {
        return no_memory(b, err);
    }
    node->file_name = b->file_name;
    node->line = mark_line(event->start_mark);
    if (event->type == YAML_SCALAR_EVENT) {
        rc = build_scalar(b, event, node, err);
    } else if (depth >= DOC_DEPTH_MAX) {
        rc = doc_fail(b->file_name, node->line, err, "nested more than %d deep", DOC_DEPTH_MAX);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        rc = build_list(b, depth, node, err);
    } else {
        rc = build_map(b, depth, node, err);
    }
    *out = rc == CAM_OK ? node : NULL;
    return rc;
}

/* Runs over the stream; *out is NULL where it holds nothing. */
static enum cam_code build_stream(struct builder *b, struct doc_node **out, struct cam_err *err)
{
    *out = NULL;
    for (;;) {
        yaml_event_t event;
        enum cam_code rc = next_event(b, &event, err);
        bool end = false;
        if (rc == CAM_OK && event.type == YAML_STREAM_END_EVENT) {
            end = true;
        } else if (rc == CAM_OK && event.type == YAML_DOCUMENT_START_EVENT && *out != NULL) {
            rc = doc_fail(b->file_name, mark_line(event.start_mark), err,
                          "a second document, one is allowed");
        } else if (rc == CAM_OK && event.type != YAML_STREAM_START_EVENT &&
                   event.type != YAML_DOCUMENT_START_EVENT &&
                   event.type != YAML_DOCUMENT_END_EVENT) {
            rc = build_node(b, &event, 0, out, err);
        }
        yaml_event_delete(&event);
        if (rc != CAM_OK || end) {
            return rc;
        }
    }
}

enum cam_code document_parse(const char *file_name, const char *text, size_t size,
                             struct cam_arena *arena, struct doc_node **root_out,
                             struct cam_err *err)
{
    static const char MARK[] = "\xEF\xBB\xBF"; /* some editors begin UTF-8 with it */
    enum { MARK_BYTES = sizeof MARK - 1 };
    if (size >= MARK_BYTES && memcmp(text, MARK, MARK_BYTES) == 0) {
        text += MARK_BYTES;
        size -= MARK_BYTES;
    }
    struct builder b = {.file_name = file_name, .text = text, .arena = arena};
    if (!yaml_parser_initialize(&b.yaml)) {
        return no_memory(&b, err);
    }
    yaml_parser_set_encoding(&b.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.yaml, (const unsigned char *)text, size);
    struct doc_node *root = NULL;
    enum cam_code rc = build_stream(&b, &root, err);
    yaml_parser_delete(&b.yaml);
    if (rc == CAM_OK && root == NULL) {
        rc = doc_fail(file_name, 1, err, "nothing but blanks and comments, keys are expected");
    }
    if (rc == CAM_OK) {
        *root_out = root;
    }
    return rc;
}
