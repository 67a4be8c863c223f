/*
 * Adversarial losses, on logits.  Each is a sum over samples (the global mean divides once, by the
 * batch); d_loss has a term for real and one for generated samples, added, not averaged.
 */
#ifndef LOSS_H
#define LOSS_H

#include "model/graph/graph.h"

struct loss {
    const char *name;
    /* Rank 0: what the discriminator minimises, of the logits (N,1) of N real and N generated. */
    int (*discriminator)(struct graph *graph, int real, int generated);
    /* Rank 0: what the generator minimises, of the logits of generated samples. */
    int (*generator)(struct graph *graph, int generated);
};

/* The row of a name, or NULL. */
const struct loss *loss_find(const char *name);
const char *const *loss_names(size_t *count_out);

#endif
