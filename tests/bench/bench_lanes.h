/*
 * Items of work run by all lanes side by side, each on its own thread: what a lane gets while its
 * neighbours are as busy as in training.
 */
#ifndef BENCH_LANES_H
#define BENCH_LANES_H

#include "tests/bench/bench_job.h"

/* Runs item `item` on a lane; round counts from 0. */
typedef enum cam_code (*bench_item)(void *context, int lane, int item, int round,
                                    struct cam_err *err);

struct bench_work {
    const struct bench *bench;
    bench_item run;
    void *context;
    int items;
    int rounds;
    bool together; /* lanes meet before a round, not before every item */
};

/* times_out[item * rounds + round]: seconds of lane 0's own time; wall_out[round], where it is not
 * NULL: of the round, with all lanes done.  Two rounds more than are counted warm the caches. */
void bench_run_lanes(const struct bench_work *work, double *times_out, double *wall_out);

#endif
