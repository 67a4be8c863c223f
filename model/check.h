/*
 * What is known of a job before its first step: does it fit together, how large is it, what does
 * a step cost.  Pure: the job file and the data's headers in, figures or a refusal out.
 * Linked by client (check), daemon (submit) and worker.
 */
#ifndef CHECK_H
#define CHECK_H

#include "base/status.h"
#include "proto/jobfile.h"

#include <stdint.h>

/* What check needs to know of the data (data/source.h reads it). */
struct data_shape {
    int64_t count;            /* samples to train on */
    int64_t validation_count; /* samples to judge by */
    int64_t height;
    int64_t width;
    int64_t channels;
    int64_t classes;   /* of labels, or tokens of the vocabulary; 0: no labels */
    int64_t length;    /* of text: tokens a sample; 0: images */
    int64_t set_bytes; /* held in memory while training; 0: samples are made as they are read */
};

/* Floats of one sample, and of its labels: a class, or the next token of each. */
static inline int64_t data_value_floats(const struct data_shape *data)
{
    return data->length > 0 ? data->length : data->height * data->width * data->channels;
}

static inline int64_t data_label_floats(const struct data_shape *data)
{
    return data->length > 0 ? data->length : 1;
}

struct job_figures {
    int64_t steps_per_epoch;
    int64_t parameters;     /* trained numbers over all parts */
    int64_t flops_per_step; /* convolutions and matrix products, 2 a multiply-add */
    int64_t traffic_bytes;  /* each rank sends a step, at ranks_max */
    /* Bytes of the largest rank at ranks_min ranks (model/memory.h). */
    int64_t parameter_bytes;  /* parameters and running statistics */
    int64_t state_bytes;      /* optimizer state of the rank's share */
    int64_t gradient_bytes;   /* (lanes + depth) output blocks */
    int64_t activation_bytes; /* lanes x the largest plan */
    int64_t packed_bytes;     /* weights in the library's own layouts */
    int64_t data_bytes;       /* the decoded set and the batches in flight */
    int64_t checkpoint_bytes; /* rank 0's snapshot and sample grid */
    int64_t rank_bytes;       /* sum of all */
    char note[200];           /* what is allowed but unwise (batch norm over few samples), or "" */
};

/* Checks layers, shapes, losses, optimizers, batch against data, ranks against shards.
 * lanes: how many shards a rank computes at once.  CAM_INVALID with "FILE:LINE: ...". */
CAM_CHECKED enum cam_code model_check(const struct job_file *job, const struct data_shape *data,
                                      int lanes, struct job_figures *out, struct cam_err *err);

/* Shown each phase's plan in the training's order, then those of "evaluation" and "sample", where
 * the job has them. */
struct plan;
struct check_visitor {
    /* The plan lives until this returns. */
    enum cam_code (*visit)(void *context, const char *phase, const struct plan *plan,
                           struct cam_err *err);
    void *context;
};

/* Plans a job as model_check does.  The visitor's error ends it. */
CAM_CHECKED enum cam_code model_check_plans(const struct job_file *job,
                                            const struct data_shape *data,
                                            const struct check_visitor *visitor,
                                            struct cam_err *err);

#endif
