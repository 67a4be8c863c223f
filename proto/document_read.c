/* Reading a document that document.c built: look-ups, scalars, and errors with their lines. */
#include "proto/document.h"

#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOUND_SIZE = 80 };

/* Control characters of the document must not reach a terminal, nor break the one line. */
static void make_one_line(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 127) {
            *c = ' ';
        }
    }
}

enum cam_code doc_fail(const char *file_name, int line, struct cam_err *err, const char *format,
                       ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    make_one_line(text);
    if (line == 0) {
        return cam_fail(err, CAM_INVALID, "%s: --set: %s", file_name, text);
    }
    return cam_fail(err, CAM_INVALID, "%s:%d: %s", file_name, line, text);
}

static size_t index_of(const struct doc_node *map, const char *key, size_t length)
{
    if (map == NULL || map->kind != DOC_MAP) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strncmp(map->keys[i], key, length) == 0 && map->keys[i][length] == '\0') {
            return i;
        }
    }
    return SIZE_MAX;
}

const struct doc_node *doc_get(const struct doc_node *map, const char *key)
{
    size_t i = index_of(map, key, strlen(key));
    return i == SIZE_MAX ? NULL : map->items[i];
}

int doc_line(const struct doc_node *root, const char *path)
{
    int line = root->line;
    const struct doc_node *node = root;
    for (const char *name = path; *name != '\0';) {
        size_t length = strcspn(name, ".");
        size_t i = index_of(node, name, length);
        if (i == SIZE_MAX) {
            break;
        }
        line = node->key_lines[i];
        node = node->items[i];
        name += length + (name[length] == '.' ? 1 : 0);
    }
    return line;
}

const char *doc_describe(const struct doc_node *node, char *buffer, size_t size)
{
    if (node == NULL) {
        (void)snprintf(buffer, size, "nothing");
    } else if (node->kind == DOC_MAP) {
        (void)snprintf(buffer, size, "a map");
    } else if (node->kind == DOC_LIST) {
        (void)snprintf(buffer, size, "a list of %zu", node->count);
    } else if (!doc_given(node)) {
        (void)snprintf(buffer, size, "no value");
    } else if ((size_t)snprintf(buffer, size, "'%s'", node->text) >= size && size > 4) {
        size_t end = size - 4;
        while (end > 1 && ((unsigned char)buffer[end] & 0xC0) == 0x80) {
            end--; /* never cut inside a letter */
        }
        memcpy(buffer + end, "...", 4);
    }
    return buffer;
}

bool doc_given(const struct doc_node *node)
{
    if (node == NULL || node->kind != DOC_SCALAR || node->quoted) {
        return node != NULL;
    }
    return node->text[0] != '\0' && strcmp(node->text, "null") != 0 && strcmp(node->text, "~") != 0;
}

enum cam_code doc_check_keys(const struct doc_node *map, const char *what, const char *const *names,
                             size_t count, struct cam_err *err)
{
    char found[FOUND_SIZE];
    if (!doc_given(map)) {
        return CAM_OK;
    }
    if (map->kind != DOC_MAP) {
        return doc_fail(map->file_name, map->line, err, "%s is %s, a map of keys is expected", what,
                        doc_describe(map, found, sizeof found));
    }
    for (size_t i = 0; i < map->count; i++) {
        bool known = false;
        for (size_t n = 0; n < count && !known; n++) {
            known = strcmp(names[n], map->keys[i]) == 0;
        }
        if (known) {
            continue;
        }
        struct cam_text allowed = {0};
        for (size_t n = 0; n < count; n++) {
            cam_text_add(&allowed, "%s%s", n == 0 ? "" : ", ", names[n]);
        }
        const char *near = cam_nearest(map->keys[i], names, count);
        enum cam_code rc = doc_fail(
            map->file_name, map->key_lines[i], err, "unknown key '%s' of %s%s%s%s; allowed: %s",
            map->keys[i], what, near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
            near != NULL ? "'?" : "", allowed.bytes != NULL ? allowed.bytes : "none");
        cam_text_release(&allowed);
        return rc;
    }
    return CAM_OK;
}

static const char *plain_text(const struct doc_node *node)
{
    bool plain = node != NULL && node->kind == DOC_SCALAR && !node->quoted;
    return plain ? node->text : NULL;
}

bool doc_int(const struct doc_node *node, int64_t *out)
{
    const char *text = plain_text(node);
    if (text == NULL) {
        return false;
    }
    const char *digits = text + (text[0] == '-' || text[0] == '+' ? 1 : 0);
    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        return false;
    }
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno != 0) {
        return false;
    }
    *out = value;
    return true;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or after the point: what strtod
 * takes less its hexadecimals, infinities and blanks. */
static bool looks_real(const char *text)
{
    const char *digits = "0123456789";
    text += text[0] == '-' || text[0] == '+' ? 1 : 0;
    size_t before = strspn(text, digits);
    text += before;
    size_t after = 0;
    if (text[0] == '.') {
        after = strspn(text + 1, digits);
        text += 1 + after;
    }
    if (before + after == 0) {
        return false;
    }
    if (text[0] == 'e' || text[0] == 'E') {
        text += text[1] == '-' || text[1] == '+' ? 2 : 1;
        size_t exponent = strspn(text, digits);
        text += exponent;
        if (exponent == 0) {
            return false;
        }
    }
    return text[0] == '\0';
}

bool doc_real(const struct doc_node *node, double *out)
{
    const char *text = plain_text(node);
    if (text == NULL || !looks_real(text)) {
        return false;
    }
    double value = strtod(text, NULL);
    if (!__builtin_isfinite(value)) {
        return false;
    }
    *out = value;
    return true;
}

bool doc_bool(const struct doc_node *node, bool *out)
{
    const char *text = plain_text(node);
    bool yes = text != NULL && strcmp(text, "true") == 0;
    if (!yes && (text == NULL || strcmp(text, "false") != 0)) {
        return false;
    }
    *out = yes;
    return true;
}

enum cam_code doc_read_int(const struct doc_node *map, const char *key, int64_t least, int64_t most,
                           int64_t *out, struct cam_err *err)
{
    char found[FOUND_SIZE];
    const struct doc_node *node = doc_get(map, key);
    int64_t value = 0;
    if (node == NULL) {
        return CAM_OK;
    }
    if (!doc_int(node, &value) || value < least || value > most) {
        if (most == INT64_MAX) {
            return doc_fail(map->file_name, doc_line(map, key), err,
                            "%s is %s, a whole number of at least %" PRId64 " is expected", key,
                            doc_describe(node, found, sizeof found), least);
        }
        return doc_fail(map->file_name, doc_line(map, key), err,
                        "%s is %s, a whole number from %" PRId64 " to %" PRId64 " is expected", key,
                        doc_describe(node, found, sizeof found), least, most);
    }
    *out = value;
    return CAM_OK;
}

enum cam_code doc_read_real(const struct doc_node *map, const char *key, double least, double most,
                            double *out, struct cam_err *err)
{
    char found[FOUND_SIZE];
    const struct doc_node *node = doc_get(map, key);
    double value = 0;
    if (node == NULL) {
        return CAM_OK;
    }
    if (!doc_real(node, &value) || value < least || value > most) {
        return doc_fail(map->file_name, doc_line(map, key), err,
                        "%s is %s, a number from %g to %g is expected", key,
                        doc_describe(node, found, sizeof found), least, most);
    }
    *out = value;
    return CAM_OK;
}

enum cam_code doc_read_bool(const struct doc_node *map, const char *key, bool *out,
                            struct cam_err *err)
{
    char found[FOUND_SIZE];
    const struct doc_node *node = doc_get(map, key);
    if (node == NULL || doc_bool(node, out)) {
        return CAM_OK;
    }
    return doc_fail(map->file_name, doc_line(map, key), err, "%s is %s, true or false is expected",
                    key, doc_describe(node, found, sizeof found));
}

enum cam_code doc_read_choice(const struct doc_node *map, const char *key, const char *const *names,
                              size_t count, int *out, struct cam_err *err)
{
    char found[FOUND_SIZE];
    const struct doc_node *node = doc_get(map, key);
    if (node == NULL) {
        return CAM_OK;
    }
    bool text = node->kind == DOC_SCALAR && doc_given(node);
    for (size_t i = 0; text && i < count; i++) {
        if (strcmp(names[i], node->text) == 0) {
            *out = (int)i;
            return CAM_OK;
        }
    }
    struct cam_text allowed = {0};
    for (size_t i = 0; i < count; i++) {
        cam_text_add(&allowed, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    const char *near = text ? cam_nearest(node->text, names, count) : NULL;
    enum cam_code rc =
        doc_fail(map->file_name, doc_line(map, key), err, "%s is %s%s%s%s; allowed: %s", key,
                 doc_describe(node, found, sizeof found), near != NULL ? ", did you mean '" : "",
                 near != NULL ? near : "", near != NULL ? "'?" : "",
                 allowed.bytes != NULL ? allowed.bytes : "none");
    cam_text_release(&allowed);
    return rc;
}

enum cam_code doc_read_text(const struct doc_node *map, const char *key, const char **out,
                            struct cam_err *err)
{
    char found[FOUND_SIZE];
    const struct doc_node *node = doc_get(map, key);
    if (node == NULL) {
        return CAM_OK;
    }
    if (node->kind != DOC_SCALAR || !doc_given(node) || node->text[0] == '\0') {
        return doc_fail(map->file_name, doc_line(map, key), err, "%s is %s, a text is expected",
                        key, doc_describe(node, found, sizeof found));
    }
    *out = node->text;
    return CAM_OK;
}
