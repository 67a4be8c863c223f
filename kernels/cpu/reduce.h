/*
 * Sums of short rows into double accumulators: the ends of the fused programs.  The order of the
 * additions is a function of the counts alone:
 *   total    pieces of 1024, one after another in double; each float additions in 32 strided
 *            chains of at most 32 terms, the chains pairwise in double
 *   columns  rows of a column in float, one after another (small inner sizes: 8 / gcd(inner, 8)
 *            chains of rows, then those), then one addition in double
 *   add      one addition in double each
 */
#ifndef CPU_REDUCE_H
#define CPU_REDUCE_H

double reduce_total(const float *source, int count);

/* The largest; count >= 1.  Of equal ones the first; NaN as in `a <= b ? b : a`, left to right in
 * each of 32 strided chains. */
float reduce_largest(const float *source, int count);

/* sums[c] += sum over r of source[r * inner + c]; inner * rows <= REDUCE_TILE_MAX */
enum { REDUCE_TILE_MAX = 2048 };
void reduce_columns(const float *source, int rows, int inner, double *sums);

/* sums[i] += source[i] */
void reduce_add(const float *source, int count, double *sums);

/* out[i] = (float)sums[i] */
void reduce_store(const double *sums, long count, float *out);

#endif
