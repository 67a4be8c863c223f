/*
 * The half of jobfile_schema.c that lists the names of model/.  Private to proto/.
 */
#ifndef JOBFILE_SCHEMA_NAMES_H
#define JOBFILE_SCHEMA_NAMES_H

#include "proto/jobfile_schema.h"

#include <jansson.h>

/* A new object: augmentation, layer, loss, optimizer (one), optimizers (one for each part), part,
 * penalty. */
json_t *schema_definitions(const struct schema_names *names);

#endif
