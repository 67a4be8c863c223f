/*
 * What recipes with a target for every place share: an encoder and an optional head, one phase that
 * updates both by softmax cross-entropy, and the evaluation of a validation set.  Inside
 * model/recipes only.
 *
 * A sample has one place (the class of an image) or a row of them (the next token of each); its
 * loss is the mean over its places, and a metric is the mean over samples.
 */
#ifndef SUPERVISED_H
#define SUPERVISED_H

#include "model/recipes/build.h"

/* What is judged: a graph's logits (N,...,C), labels and their cross-entropy, one a sample (N). */
struct judged {
    struct graph *graph;
    int logits;
    int label;
    int loss; /* without label smoothing */
};

/* A metric beside the loss: one number a sample (N). */
struct supervised_metric {
    const char *name;
    const char *validation_name;
    int (*of)(const struct judged *judged);
};

struct supervised {
    struct training_build *build;
    const char *input_name; /* "image", as `input:` names it in the encoder */
    struct shape input;     /* of a shard */
    struct shape label;     /* (N), or (N,T) */
    int64_t classes;        /* that labels are from */
    const char *hint;       /* what the last layer should be, for an error */
    const struct supervised_metric *metrics;
    int metric_count;
    int encoder; /* part; found by supervised_build, as all below */
    int head;    /* or -1 */
    int trained; /* what the phase updates */
};

/* Fills parts, inputs, the phase and, where there are samples for it, the evaluation. */
CAM_CHECKED enum cam_code supervised_build(struct supervised *recipe);

/* The mean over a sample's places of (N,...): (N). */
int supervised_rows(struct graph *graph, int node);

/* 1 where the label's logit is the largest, its share where several are: (N). */
int supervised_accuracy(const struct judged *judged);

#endif
