/*
 * Which phases a step runs, how often, and how many steps an epoch has: pure functions of the
 * step's number, so that nothing of it needs to be kept.
 *
 * The start-up schedule of Arjovsky et al. (2017): their code updates the critic 100 times in each
 * of the first 25 steps and in every 500th.
 */
#include "model/recipes/build.h"

#include <inttypes.h>

/* Steps below `step` that are of the start-up schedule. */
static int64_t special_before(const struct critic *critic, int64_t step)
{
    int64_t first = critic->start_steps;
    if (step <= first) {
        return step;
    }
    /* multiples of `every` in [first, step) */
    int64_t later = critic->every == 0 ? 0
                                       : (step + critic->every - 1) / critic->every -
                                             (first + critic->every - 1) / critic->every;
    return first + later;
}

int64_t training_repeat(const struct training *training, int phase, int64_t step)
{
    const struct critic *critic = &training->critic;
    const struct phase *row = &training->phases[phase];
    if (!row->takes_batch || row->repeat == 0 || critic->regular == 0) {
        return row->repeat;
    }
    return special_before(critic, step + 1) > special_before(critic, step) ? critic->start
                                                                           : critic->regular;
}

int training_variant(const struct training *training, int phase, int64_t execution)
{
    const struct phase *row = &training->phases[phase];
    return row->variant_every > 0 && execution % row->variant_every == 0 ? row->variant : phase;
}

int64_t training_batches_before(const struct training *training, int64_t step)
{
    const struct critic *critic = &training->critic;
    int64_t batches = 0;
    for (int i = 0; i < training->phase_count; i++) {
        batches += training->phases[i].takes_batch ? training->phases[i].repeat : 0;
    }
    if (critic->regular == 0) {
        return batches * step;
    }
    return batches * step + special_before(critic, step) * (critic->start - critic->regular);
}

/* The most steps that take at most `batches`. */
static int64_t steps_within(const struct training *training, int64_t batches)
{
    int64_t low = 0;
    int64_t high = batches; /* a step takes one at least */
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (training_batches_before(training, middle) <= batches) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

enum cam_code schedule_build(struct training_build *build)
{
    struct training *training = build->training;
    const struct job_file *job = build->job;
    int64_t pass = build->data->count / training->batch;
    bool steady = training->critic.start == training->critic.regular;
    int64_t first = training_batches_before(training, 1);
    if (first == 0) {
        training->steps_per_epoch = pass;
        training->batches_per_pass = pass;
        return CAM_OK;
    }
    training->steps_per_epoch =
        steady ? pass / first
               : steps_within(training, pass * job->train.epochs) / job->train.epochs;
    int64_t most = job->train.steps_per_epoch;
    if (most > 0 && (!steady || most > training->steps_per_epoch)) {
        return jobfile_fail(job, "train.steps_per_epoch", build->err,
                            "train.steps_per_epoch is %" PRId64 ", %s %" PRId64 " steps%s", most,
                            steady ? "an epoch of the data has" : "gan.critic_start makes",
                            training->steps_per_epoch, steady ? "" : " and is not cut");
    }
    training->steps_per_epoch = most > 0 ? most : training->steps_per_epoch;
    training->batches_per_pass = steady ? training->steps_per_epoch * first : pass;
    if (training->steps_per_epoch > 0) {
        return CAM_OK;
    }
    return jobfile_fail(job, steady ? "gan.n_critic" : "gan.critic_start", build->err,
                        "the job has %" PRId64 " epochs of %" PRId64
                        " batches, a step takes %" PRId64 "%s: less than one step an epoch",
                        job->train.epochs, pass, first, steady ? "" : " at its start");
}
