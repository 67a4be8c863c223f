/*
 * What the files of kind gan share; inside model/recipes only.
 *
 *   gan.c           the phases
 *   gan_penalty.c   where penalties take the discriminator's gradient
 *   gan_augment.c   what happens to images before the discriminator sees them
 *   gan_condition.c classes
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
    bool conditional;
    struct shape latent;
    struct shape image;
};

struct gan_images {
    int image; /* (N,H,W,C) */
    int label; /* NODE_NONE without classes */
};

/* The discriminator's phase while it grows. */
struct gan_judged {
    struct phase_build *phase;
    struct gan_images real;
    struct gan_images generated; /* no gradient to the generator */
    struct loss_logits logits;
};

/* D of images, augmented first; each call has its own batch statistics and random numbers. */
CAM_CHECKED enum cam_code gan_judge(const struct gan *gan, struct phase_build *phase,
                                    const struct gan_images *images, int *logits_out);

/* Reads `gan.conditional`; then labels of each kind, NODE_NONE without classes. */
CAM_CHECKED enum cam_code gan_read_condition(struct gan *gan);
int gan_real_labels(const struct gan *gan, struct phase_build *phase);
CAM_CHECKED enum cam_code gan_drawn_labels(const struct gan *gan, struct phase_build *phase,
                                           int *node_out);

/* How many samples a grid has; with classes, the same latent vectors in each row. */
int64_t gan_sample_rows(const struct gan *gan);
void gan_sample_labels(const struct gan *gan, struct phase_build *phase, int *latent, int *label);

/* A part with its labels: what training_build.build_part is. */
enum cam_code gan_build_part(struct training_build *build, struct part_call *call, int input,
                             int *node_out);

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
