/*
 * The job file's grammar for machines and for people, made from the table of keys.
 * docs/jobfile.schema.json and the table in docs/JOBFILE.md are these texts; a test compares them.
 */
#ifndef JOBFILE_SCHEMA_H
#define JOBFILE_SCHEMA_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum { SCHEMA_TYPES_MAX = 64 };

/* A layer, an optimizer, a loss, a penalty or a preset, with the attributes it takes. */
struct schema_type {
    const char *name;
    const char *const *keys;
    size_t key_count;
    bool shorthand; /* `- dropout: 0.3`: a value in place of the map */
};

struct schema_list {
    struct schema_type types[SCHEMA_TYPES_MAX];
    size_t count;
};

/* The names that model/ owns, which this folder does not see (model/names.h). */
struct schema_names {
    struct schema_list layers;
    struct schema_list optimizers;
    struct schema_list presets;
    struct schema_list losses;
    struct schema_list penalties;
    struct schema_list augmentations;
};

/* A JSON schema (draft 2020-12) of the whole file.  It says what jobfile_parse says, but for
 * relations between keys (shards divides batch), and which names model/ has; not the values of
 * attributes, nor which layers fit together. */
void jobfile_schema(const struct schema_names *names, struct cam_text *out);

/* One Markdown table a section: key, what is allowed, default, meaning. */
void jobfile_reference(struct cam_text *out);

#endif
