/*
 * The job file's grammar for machines and for people, made from the table of keys.
 * docs/jobfile.schema.json and the table in docs/JOBFILE.md are these texts; a test compares them.
 */
#ifndef JOBFILE_SCHEMA_H
#define JOBFILE_SCHEMA_H

#include "base/text.h"

/* A JSON schema (draft 2020-12) of the whole file.  It says what jobfile_parse says, but for
 * relations between keys (shards divides batch) and the names that model/ owns. */
void jobfile_schema(struct cam_text *out);

/* One Markdown table a section: key, what is allowed, default, meaning. */
void jobfile_reference(struct cam_text *out);

#endif
