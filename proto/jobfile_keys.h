/*
 * The one table of the job file's keys.  jobfile.c reads files by it, jobfile_schema.c makes the
 * JSON schema and the reference of docs/JOBFILE.md from it.  Constant data, any thread.
 *
 * Adding a key is adding a row (and a field to struct job_file); adding a type is adding a row to
 * jobfile_value.c's table and one to jobfile_schema.c's.
 */
#ifndef JOBFILE_KEYS_H
#define JOBFILE_KEYS_H

#include "proto/jobfile.h"

enum key_type {
    KEY_TEXT,       /* const char *; most: bytes */
    KEY_FILE,       /* const char *: made absolute */
    KEY_INT,        /* int64_t, or uint64_t where least is not negative */
    KEY_REAL,       /* double */
    KEY_CHOICE,     /* an enum that counts choices from 0 */
    KEY_DURATION,   /* int64_t milliseconds; least and most are milliseconds */
    KEY_INTERVAL,   /* struct interval */
    KEY_RANKS,      /* two int64_t: least and most ranks */
    KEY_PART,       /* read by jobfile_model.c */
    KEY_OPTIMIZER,  /* read by jobfile_model.c */
    KEY_TYPED,      /* struct typed_spec: `hinge` or `{wasserstein: {clip: 0.01}}` */
    KEY_TYPED_LIST, /* struct typed_list: a list of such */
    KEY_MAP,  /* const struct doc_node *: a map with the keys in `choices`, read by its owner */
    KEY_BOOL, /* bool */
    KEY_ENV,  /* struct env_pair array and count, read by jobfile_value.c */
    KEY_TYPE_COUNT,
};

#define KEY_KIND(kind)     (1U << (kind))
#define KEY_FORMAT(format) (1U << (format))

/* Where a row stores nothing of its own. */
#define KEY_STORED_ELSEWHERE SIZE_MAX

struct job_key {
    const char *path; /* "train.batch" */
    enum key_type type;
    bool required;
    const char *fallback;      /* the default, as one would write it; NULL: none */
    const char *fallback_note; /* how the default is found where it is not one value */
    int64_t least;
    int64_t most;
    const char *const *choices; /* ends with NULL; of a map: its keys */
    const char *definition;     /* of a typed value: where the schema lists its names */
    size_t offset;              /* in struct job_file */
    unsigned formats;           /* KEY_FORMAT of each data.format that has this key; 0: any */
    bool needed_by_format;      /* those formats cannot do without it */
    unsigned kinds;             /* KEY_KIND of each kind that has this key; 0: any */
    bool needed_by_kind;        /* those kinds cannot do without it */
    const char *help;
};

/* A map of the file, with what it is about; one in another ("data.validation") stands behind it. */
struct job_section {
    const char *path; /* "" for the whole file */
    const char *help;
};

const struct job_key *jobfile_keys(size_t *count_out);
const struct job_section *jobfile_sections(size_t *count_out);

/* The row of a path, or NULL. */
const struct job_key *jobfile_key(const char *path);

/* The last name of a row's path where the row stands in the section itself, else NULL. */
const char *jobfile_key_in(const struct job_key *key, const char *section);

/* The same of a section within another; "" is the whole file. */
const char *jobfile_section_in(const struct job_section *section, const char *outer);

size_t jobfile_choice_count(const struct job_key *key);

/* Whether a data.format has the key, and the names of those that have it ("glyphs, gaussians"). */
bool jobfile_key_of_format(const struct job_key *key, enum data_format format);
void jobfile_key_formats(const struct job_key *key, char *out, size_t size);

#endif
