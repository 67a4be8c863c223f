/*
 * The names of the model's layers, optimizers, presets and losses with their attributes, from the
 * tables that read job files by them: what the JSON schema of job files lists.
 */
#ifndef NAMES_H
#define NAMES_H

#include "proto/jobfile_schema.h"

/* All of it is constant data of the tables. */
void model_names(struct schema_names *out);

#endif
