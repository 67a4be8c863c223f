/*
 * Penalties on the discriminator's gradient by its input.  Each is a sum over samples, like the
 * losses; where in the space of images the gradient is taken is the recipe's part
 * (recipes/gan_penalty.c).
 */
#ifndef PENALTY_H
#define PENALTY_H

#include "model/graph/graph.h"
#include "proto/jobfile.h"

enum { PENALTY_KEYS_MAX = 4 };

/* Where the gradient is taken. */
enum penalty_place {
    PENALTY_BETWEEN,   /* on the way from a real to a generated sample */
    PENALTY_NEAR_REAL, /* beside a real sample */
    PENALTY_REAL,
    PENALTY_GENERATED,
    PENALTY_PLACE_COUNT,
};

struct penalty {
    const char *name;
    const char *keys[PENALTY_KEYS_MAX]; /* NULL after the last */
    enum penalty_place place;
    bool to_one; /* (||g|| - 1)^2; else ||g||^2 / 2 */
};

/* A penalty as the job asks for it. */
struct penalty_use {
    const struct penalty *penalty;
    int line;
    double weight;
    int64_t every; /* computed in each so manyth update, so many times as heavy; 1: in all */
};

/* The row of a name, or NULL. */
const struct penalty *penalty_find(const char *name);
const char *const *penalty_names(size_t *count_out);

CAM_CHECKED enum cam_code penalty_read(const struct job_file *job, const struct typed_spec *spec,
                                       struct penalty_use *out, struct cam_err *err);

/* Rank 0, what is added to the loss: weight * every * the sum over samples, of the gradient
 * (N,...) of each sample's logit by its image.  ||g|| is sqrt(sum g^2 + 1e-12), so that its
 * derivative where g = 0 is 0. */
int penalty_build(struct graph *graph, const struct penalty_use *use, int gradient);

#endif
