/*
 * The convolutions and matrix products of a plan alone, as oneDNN's primitives: what the step would
 * take if nothing else had to be done.
 *
 * Each product gets the form that is fastest on this machine, found by timing when the list is
 * made: for convolutions images and weights in the library's own layouts, channels last or first
 * with packed or plain weights; for matrix products sgemm or the matmul primitive, with plain or
 * packed right sides.  Layouts are as if every neighbour had them: no reorder is counted.
 * Recurrent layers count as a product a time step (and one for each gradient), attention as its
 * two products a head (five for the gradient).
 *
 * Operands come from and go to arenas of the size of the plan's activations, one after another, so
 * that they are as warm as in training.  One thread makes and ends it.
 */
#ifndef BARE_H
#define BARE_H

#include "tests/bench/bench_job.h"

struct bare;

/* Ends the process where memory is short or a product has no form at all. */
struct bare *bare_create(const struct bench *bench, const struct plan *plan);
void bare_destroy(struct bare *bare);

int bare_count(const struct bare *bare);

/* Of the product: the plan's step, the name of the form that won. */
int bare_step(const struct bare *bare, int item);
const char *bare_form(const struct bare *bare, int item);

/* All products once on every lane, `rounds` times: medians of lane 0's own time, of the wall's and,
 * where it is not NULL, of each product (item_s_out[bare_count]). */
struct bare_time {
    double lane_s;
    double wall_s;
};
struct bare_time bare_run(struct bare *bare, int rounds, double *item_s_out);

#endif
