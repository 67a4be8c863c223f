/*
 * The matrix of operators and backends, for people (`cambrian-worker --ops`).
 */
#ifndef OPERATORS_H
#define OPERATORS_H

#include <stdio.h>

/* A row an operator, a column each backend that opens here; those that do not are named on standard
 * error, with the reason.  A cell says how the operator runs: the legend at the end tells. */
void operators_print(const char *backend_dir, FILE *out);

#endif
