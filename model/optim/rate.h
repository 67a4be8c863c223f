/*
 * The learning rate over the steps of one optimizer: a pure function of the number of steps that
 * were executed before, so a resumed run goes on exactly.  No libm: the same bits anywhere.
 *
 *   optimizer: {adam: {lr: 2e-4, warmup: 100, schedule: {cosine: {to: 1e-6, steps: 5000}}}}
 *
 * While t < warmup the rate is lr (t + 1) / warmup; then, with s = t - warmup,
 *   constant   lr
 *   step       lr factor^floor(s / every)                            (PyTorch's StepLR)
 *   linear     from lr to `to` within `steps`, then `to`
 *   cosine     to + (lr - to) (1 + cos(pi s / steps)) / 2, then `to` (CosineAnnealingLR, once)
 */
#ifndef RATE_H
#define RATE_H

#include "base/status.h"
#include "proto/document.h"

#include <stdbool.h>
#include <stdint.h>

enum rate_kind { RATE_CONSTANT, RATE_STEP, RATE_LINEAR, RATE_COSINE, RATE_KIND_COUNT };

struct rate {
    double base; /* lr */
    int64_t warmup;
    enum rate_kind kind;
    double to;     /* linear, cosine */
    int64_t steps; /* linear, cosine */
    int64_t every; /* step */
    double factor; /* step */
};

/* Reads `lr` (default: out->base as it comes), `schedule` and `warmup`; the rest of *out is
 * overwritten.  CAM_INVALID is "FILE:LINE: ...". */
CAM_CHECKED enum cam_code rate_read(const struct doc_node *attributes, struct rate *out,
                                    struct cam_err *err);

/* The rate of the step before which t were executed (t from 0). */
double rate_at(const struct rate *rate, int64_t t);

/* Whether it ever changes. */
bool rate_changes(const struct rate *rate);

/* cos(pi x) for x in [0, 1], within 1e-15. */
double rate_cos_pi(double x);

/* base^exponent, exponent >= 0: products in a fixed order. */
double rate_power(double base, int64_t exponent);

#endif
