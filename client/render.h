/*
 * How values look to a person: durations, times, counts, bytes, tables, bars and curves.
 * Pure functions into the caller's buffers; nothing here writes to a terminal.
 */
#ifndef RENDER_H
#define RENDER_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RENDER_SIZE = 64 }; /* room for any one value */

/* "41s", "3m20s", "2h05m", "3d04h"; "-" for less than nothing. */
const char *render_duration(double seconds, char out[RENDER_SIZE]);

/* "2026-11-23T12:00:00.123Z"; "-" for 0. */
const char *render_time(int64_t wall_ms, char out[RENDER_SIZE]);

/* "1,234,567" */
const char *render_count(int64_t value, char out[RENDER_SIZE]);

/* "1.5 KiB", "312 MiB" */
const char *render_bytes(int64_t bytes, char out[RENDER_SIZE]);

/* "12.3 G" and so on: powers of 1000 with three digits. */
const char *render_rate(double value, char out[RENDER_SIZE]);

/* A loss: four decimals, or fewer for large values; "nan" and "inf" as they are. */
const char *render_loss(double value, char out[RENDER_SIZE]);

/* A bar of width cells, share (0 to 1) of them full. */
void render_bar(struct cam_text *out, double share, int width, bool unicode);

/* A curve of at most width cells through values[count], the mean of those that fall into a cell,
 * between the least and the largest of all. */
void render_curve(struct cam_text *out, const double *values, size_t count, int width,
                  bool unicode);

/* Columns that line up.  A row is cells[columns]; a column whose right is set is flush right. */
struct render_column {
    const char *title;
    bool right;
};
void render_table(struct cam_text *out, const struct render_column *columns, size_t column_count,
                  const char *const *cells, size_t row_count);

/* How many cells of a terminal a UTF-8 text takes (one a character: no wide ones are printed). */
size_t render_width(const char *text);

/* Whether the environment's locale says UTF-8; where it says nothing, yes. */
bool render_is_unicode(void);

#endif
