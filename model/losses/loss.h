/*
 * Adversarial losses, on logits.  Each is a sum over samples (the global mean divides once, by the
 * batch); d_loss has a term for real and one for generated samples, added, not averaged.
 */
#ifndef LOSS_H
#define LOSS_H

#include "model/graph/graph.h"
#include "proto/jobfile.h"

enum { LOSS_KEYS_MAX = 4 };

/* What stands behind a loss in the job file. */
struct loss_options {
    double label_smoothing; /* one-sided: real samples aim at 1 - this, generated ones at 0 */
    double clip;            /* the discriminator's weights are kept in [-clip, clip]; 0: not */
};

/* Logits (N,1) of N real and N generated samples; real is NODE_NONE for a generator's loss that
 * does not look at it. */
struct loss_logits {
    int real;
    int generated;
};

struct loss {
    const char *name;
    const char *keys[LOSS_KEYS_MAX]; /* options that it has; NULL after the last */
    bool pairs; /* the generator's loss compares with real samples: its phase needs a batch too */
    /* Rank 0: what the discriminator minimises. */
    int (*discriminator)(struct graph *graph, const struct loss_logits *logits,
                         const struct loss_options *options);
    /* Rank 0: what the generator minimises. */
    int (*generator)(struct graph *graph, const struct loss_logits *logits);
};

/* The row of a name, or NULL. */
const struct loss *loss_find(const char *name);
const char *const *loss_names(size_t *count_out);

/* The job's loss with its options; "FILE:LINE: ..." with the nearest name. */
CAM_CHECKED enum cam_code loss_read(const struct job_file *job, const struct loss **out,
                                    struct loss_options *options_out, struct cam_err *err);

#endif
