/*
 * A YAML document as a tree that remembers lines: the syntax half of the job file.
 * Everything lives in the caller's arena.  Plain data, read by any thread once built.
 * Anchors, aliases, tags and multiple documents are refused; duplicate keys are errors; so are
 * more than DOC_DEPTH_MAX levels and maps of more than DOC_KEYS_MAX keys, so that no text of a
 * given size costs more than a few milliseconds.
 */
#ifndef DOCUMENT_H
#define DOCUMENT_H

#include "base/arena.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DOC_DEPTH_MAX = 32, DOC_KEYS_MAX = 1000 };

enum doc_kind { DOC_SCALAR, DOC_LIST, DOC_MAP };

struct doc_node {
    enum doc_kind kind;
    int line;                /* from 1; 0: made by --set */
    bool quoted;             /* a scalar in quotes is text, never a number, boolean or null */
    const char *file_name;   /* for errors; the caller's */
    const char *text;        /* scalar: its text, else NULL */
    size_t count;            /* list: items, map: entries */
    struct doc_node **items; /* list: items, map: values; never NULL entries */
    const char **keys;       /* map only */
    int *key_lines;          /* map only: the line of each key */
};

/* Parses text; file_name must live as long as the tree.  Errors are "FILE:LINE: what was found,
 * what is allowed". */
CAM_CHECKED enum cam_code document_parse(const char *file_name, const char *text, size_t size,
                                         struct cam_arena *arena, struct doc_node **root_out,
                                         struct cam_err *err);

/* Applies "a.b.c=VALUE" for --set: VALUE is YAML, missing maps are made, a number picks an item
 * of a list.  Errors begin with "--set ASSIGNMENT: ". */
CAM_CHECKED enum cam_code document_set(struct doc_node *root, const char *assignment,
                                       struct cam_arena *arena, struct cam_err *err);

/* The value of a key of a map, or NULL; also NULL for a node that is NULL or no map. */
const struct doc_node *doc_get(const struct doc_node *map, const char *key);

/* The line of the deepest existing key on "a.b.c", for errors found after parsing. */
int doc_line(const struct doc_node *root, const char *path);

/* "map", "list" or the scalar's text in quotes, for "found ..." in errors. */
const char *doc_describe(const struct doc_node *node, char *buffer, size_t size);

/* Fails with CAM_INVALID and "FILE:LINE: " before the text, or "FILE: --set: " for line 0; the
 * text becomes one line whatever the document held. */
enum cam_code doc_fail(const char *file_name, int line, struct cam_err *err, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

/* Whether a node is there and says something: not NULL, `null`, `~` or empty. */
bool doc_given(const struct doc_node *node);

/*
 * Reading an attribute map against a table, as layers, optimizers and presets do: every key must
 * stand in names[count]; an unknown one is "FILE:LINE: unknown key 'x' of WHAT, did you mean 'y'"
 * and lists what is allowed.  NULL attributes are an empty map.
 */
CAM_CHECKED enum cam_code doc_check_keys(const struct doc_node *map, const char *what,
                                         const char *const *names, size_t count,
                                         struct cam_err *err);

/* One scalar as a number: a whole decimal, a decimal with fraction or exponent, a boolean.  False
 * where it is none (a quoted scalar never is) or does not fit. */
bool doc_int(const struct doc_node *node, int64_t *out);
bool doc_real(const struct doc_node *node, double *out);
bool doc_bool(const struct doc_node *node, bool *out);

/* Scalars with range checks; the error names file, line, key, what was found and the range.
 * A missing key leaves *out unchanged (the default). */
CAM_CHECKED enum cam_code doc_read_int(const struct doc_node *map, const char *key, int64_t least,
                                       int64_t most, int64_t *out, struct cam_err *err);
CAM_CHECKED enum cam_code doc_read_real(const struct doc_node *map, const char *key, double least,
                                        double most, double *out, struct cam_err *err);
CAM_CHECKED enum cam_code doc_read_bool(const struct doc_node *map, const char *key, bool *out,
                                        struct cam_err *err);
/* One of names[count]; *out is its index. */
CAM_CHECKED enum cam_code doc_read_choice(const struct doc_node *map, const char *key,
                                          const char *const *names, size_t count, int *out,
                                          struct cam_err *err);
/* Any text, not empty. */
CAM_CHECKED enum cam_code doc_read_text(const struct doc_node *map, const char *key,
                                        const char **out, struct cam_err *err);

#endif
