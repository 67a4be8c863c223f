/*
 * The training loop: steps, epochs, checkpoints, stops, until the job's last epoch.
 *
 * All ranks run the same loop; rank 0 also has a writer and decides when a checkpoint is due.
 * Its decision, and the wish to stop of any rank, travel in the control word of the last exchange
 * of a step, so all ranks act on them after the same step.
 */
#ifndef TRAIN_H
#define TRAIN_H

#include "base/status.h"
#include "data/source.h"
#include "proto/jobfile.h"
#include "worker/checkpoint/writer.h"
#include "worker/report/progress.h"
#include "worker/report/reporter.h"
#include "worker/train/engine.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* Makes everything as it was at an anchor, the same on every rank.  Collective. */
typedef enum cam_code train_go_back(void *context, int64_t step, struct run_state *state,
                                    struct cam_err *err);

struct train_options {
    const struct job_file *job;
    const struct training *training;
    const struct source *source;
    const struct compiled *compiled;
    struct lanes *lanes;
    struct engine *engine;
    struct collectives *collectives;
    struct progress *progress;
    struct reporter *reporter;
    struct writer *writer;                   /* rank 0; else NULL */
    struct snapshot *snapshot;               /* rank 0; else NULL */
    const volatile sig_atomic_t *terminated; /* set by SIGTERM: stop at a step boundary */
    train_go_back *go_back;                  /* for jobs that roll back */
    void *go_back_context;
    int64_t poison_step;    /* tests: at this step (from 1) images overflow; 0: never */
    int64_t poison_times;   /* as long as the run went back less often than this */
    bool refuse_allocation; /* tests: from the second step on, a step that allocates fails */
};

/* The state before step 0. */
void train_begin(const struct training *training, struct run_state *state_out);

/* Where a job may go back to; none where it stops at what is not finite. */
struct anchors train_anchors(const struct job_file *job, const struct training *training);

/*
 * Trains on from *state; *stopped_out says whether it ended because somebody asked, with a
 * checkpoint of that step on disk (or its failure reported).  After a failure *state tells the
 * step and progress the phase where it happened.
 */
CAM_CHECKED enum cam_code train_run(const struct train_options *options, struct run_state *state,
                                    bool *stopped_out, struct cam_err *err);

#endif
