/*
 * The average of a part's weights over its updates (exponential), kept as one more state of its
 * update: sharded like the optimizer's, written after the new weights,
 *   average = weights + keep (average - weights)
 * With a half life h in images, keep = 0.5^(batch / min(h, images seen / 20)): StyleGAN2's average,
 * which is short at first.  With a decay, keep is that.  The first update keeps nothing, so the
 * average begins as the weights after it.
 */
#ifndef EMA_H
#define EMA_H

#include "model/recipes/training.h"

bool ema_given(const struct ema *ema);

/* The share that the execution (from 0) of the update keeps, in [0, 1).  Sums and products in a
 * fixed order: the same bits anywhere. */
double ema_keep(const struct ema *ema, int64_t batch, int64_t execution);

/* Adds the state where the update asks for it: after the optimizer's. */
void ema_add_state(struct update_info *update);

/* The new average as a node of the update's graph. */
int ema_update(struct graph *graph, int average, int weights, int keep);

#endif
