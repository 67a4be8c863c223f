#include "tests/bench/bench_lanes.h"

#include <pthread.h>

enum { WARM_ROUNDS = 2 };

struct run {
    const struct bench_work *work;
    pthread_barrier_t barrier;
    double *times;
    double *wall;
};

struct lane {
    struct run *run;
    int number;
    pthread_t thread;
};

static void run_round(const struct lane *lane, int round)
{
    struct run *run = lane->run;
    const struct bench_work *work = run->work;
    struct cam_err err;
    (void)pthread_barrier_wait(&run->barrier);
    double begin_wall = bench_wall_s();
    for (int item = 0; item < work->items; item++) {
        if (!work->together) {
            (void)pthread_barrier_wait(&run->barrier);
        }
        double begin = bench_thread_s();
        if (work->run(work->context, lane->number, item, round + WARM_ROUNDS, &err) != CAM_OK) {
            bench_die(&err);
        }
        if (lane->number == 0 && round >= 0) {
            run->times[item * work->rounds + round] = bench_thread_s() - begin;
        }
    }
    (void)pthread_barrier_wait(&run->barrier);
    if (lane->number == 0 && round >= 0 && run->wall != NULL) {
        run->wall[round] = bench_wall_s() - begin_wall;
    }
}

static void *run_lane(void *argument)
{
    const struct lane *lane = argument;
    const struct bench_work *work = lane->run->work;
    work->bench->backend->lane_begin(work->bench->instance, lane->number);
    for (int round = -WARM_ROUNDS; round < work->rounds; round++) {
        run_round(lane, round);
    }
    return NULL;
}

void bench_run_lanes(const struct bench_work *work, double *times_out, double *wall_out)
{
    struct lane lanes[BENCH_LANES_MAX];
    int count = work->bench->options.lanes;
    struct run run = {.work = work, .times = times_out, .wall = wall_out};
    (void)pthread_barrier_init(&run.barrier, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        lanes[i] = (struct lane){.run = &run, .number = i};
        if (pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]) != 0) {
            (void)bench_need(NULL);
        }
    }
    for (int i = 0; i < count; i++) {
        (void)pthread_join(lanes[i].thread, NULL);
    }
    (void)pthread_barrier_destroy(&run.barrier);
}
