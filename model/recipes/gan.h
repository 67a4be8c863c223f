/*
 * What the files of kind gan share; inside model/recipes only.
 *
 *   gan.c           the phases
 *   gan_penalty.c   where penalties take the discriminator's gradient
 *   gan_augment.c   what happens to images before the discriminator sees them
 *   gan_critic.c    how often the discriminator is updated
 *   gan_ema.c       the average of the generator's weights
 */
#ifndef GAN_H
#define GAN_H

#include "model/losses/loss.h"
#include "model/losses/penalty.h"
#include "model/recipes/build.h"

enum { GAN_PENALTIES_MAX = 4, GAN_AUGMENTS_MAX = 4 };

struct gan {
    struct training_build *build;
    const struct loss *loss;
    struct loss_options options;
    struct penalty_use penalties[GAN_PENALTIES_MAX];
    int penalty_count;
    int64_t lazy; /* updates from one with lazy penalties to the next; 0: there are none */
    bool augments[GAN_AUGMENTS_MAX]; /* by row of gan_augment.c's table */
    int generator;                   /* part */
    int discriminator;               /* part */
    struct shape latent;
    struct shape image;
};

/* The discriminator's phase while it grows. */
struct gan_judged {
    struct phase_build *phase;
    int real;      /* images (N,H,W,C) */
    int generated; /* images, no gradient to the generator */
    struct loss_logits logits;
};

/* D of images, augmented first; each call has its own batch statistics and random numbers. */
CAM_CHECKED enum cam_code gan_judge(const struct gan *gan, struct phase_build *phase, int image,
                                    int *logits_out);

/* Reads `gan.penalties`. */
CAM_CHECKED enum cam_code gan_read_penalties(struct gan *gan);

/* Adds the terms of the penalties, of the lazy ones too where `lazy` says so; the logits become
 * the nodes that were differentiated. */
CAM_CHECKED enum cam_code gan_add_penalties(const struct gan *gan, struct gan_judged *judged,
                                            bool lazy, struct phase_loss *loss);

/* Reads `gan.augment`; transforms the images of the discriminator's next call. */
CAM_CHECKED enum cam_code gan_read_augment(struct gan *gan);
CAM_CHECKED enum cam_code gan_augment(const struct gan *gan, struct phase_build *phase, int image,
                                      int *image_out);

/* Reads `gan.ema`; *out stays as it is where there is none. */
CAM_CHECKED enum cam_code gan_read_ema(const struct gan *gan, struct ema *out);

/* Reads `gan.n_critic` and `gan.critic_start`. */
CAM_CHECKED enum cam_code gan_read_critic(const struct gan *gan);

#endif
