/*
 * The matrix of operators and backends, for people (`cambrian-worker --ops`).
 */
#ifndef OPERATORS_H
#define OPERATORS_H

#include <stdio.h>

/* A row an operator, a column a backend; backends that do not open are named with the reason. */
void operators_print(const char *backend_dir, FILE *out);

#endif
