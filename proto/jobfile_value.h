/*
 * Reading one value of the job file by the type of its key, and the error forms they share.
 * Used by jobfile.c and jobfile_model.c; everything made lives in the reading's arena.
 */
#ifndef JOBFILE_VALUE_H
#define JOBFILE_VALUE_H

#include "proto/jobfile_keys.h"

struct reading {
    struct job_file *job;
    struct cam_arena *arena;
};

/* Reads node as the key's type into the job; node is the file's, or one made of the default.
 * KEY_PART and KEY_OPTIMIZER are left alone. */
CAM_CHECKED enum cam_code jobfile_read_value(const struct reading *r, const struct job_key *key,
                                             const struct doc_node *node, struct cam_err *err);

/* `adam` or `{adam: {lr: 2e-4}}`; `what` and `example` are for errors, line is that of the key. */
struct typed_words {
    const char *what;    /* "an optimizer" */
    const char *example; /* "{adam: {lr: 2e-4}}" */
};
CAM_CHECKED enum cam_code jobfile_read_typed(const struct reading *r, const struct doc_node *node,
                                             int line, const struct typed_words *words,
                                             struct typed_spec *out, struct cam_err *err);

/* "FILE:LINE: PATH is FOUND, EXPECTED" with the line of the path. */
enum cam_code jobfile_unexpected(const struct reading *r, const char *path,
                                 const struct doc_node *node, const char *expected,
                                 struct cam_err *err);

/* Whether text is a letter or underscore followed by letters, digits and underscores. */
bool jobfile_is_name(const char *text);

/* "30s", "1500ms", "5m", "2h", "1d" as milliseconds; false for anything else. */
bool jobfile_duration(const char *text, int64_t *ms_out);

#endif
