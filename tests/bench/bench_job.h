/*
 * What the in-process benchmarks start from: a job file, its training, an opened backend, and one
 * batch of its data (so that labels and tokens are real ones).  One thread; every failure ends the
 * process with its text, since nothing can be measured then.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include "data/source.h"
#include "kernels/backend.h"
#include "model/recipes/training.h"
#include "proto/jobfile.h"

enum { BENCH_LANES_MAX = 64, BENCH_SETS_MAX = 16 };

struct bench_options {
    const char *job;
    const char *modules;
    const char *backend;
    const char *set[BENCH_SETS_MAX];
    int set_count;
    int lanes;
    int rounds;
    bool native;      /* as `train.isa: native` */
    bool serve;       /* step_bench: commands on standard input */
    bool programs;    /* plan_bench: print their instructions */
    int64_t image[3]; /* noise of this size in place of the job's data; 0: the job's data */
    int64_t text[2];  /* likewise: tokens a sample and of the vocabulary */
};

struct bench {
    struct bench_options options;
    struct cam_arena *arena;
    struct job_file job;
    struct training *training;
    const struct backend *backend;
    struct backend_instance *instance;
    float *values; /* a batch: images or tokens */
    float *labels;
};

/* Reads what all benchmarks take from the command line; prints usage and exits where it cannot. */
struct bench_options bench_read_options(int argc, char **argv, const char *usage);

void bench_open(const struct bench_options *options, struct bench *out);
void bench_close(struct bench *bench);

/* Input slot `input` of a shard, in the batch. */
const float *bench_input(const struct bench *bench, int input, int64_t shard);

/* Runs of all shards of a training step that a lane makes one after another. */
int64_t bench_turns(const struct bench *bench);

_Noreturn void bench_die(const struct cam_err *err);

/* Ends the process where memory is NULL. */
void *bench_need(void *memory);

/* Noise in [-scale, scale), the same each run; ends with cam_free. */
float *bench_noise(int64_t count, float scale);

/* This thread's, this process's and the wall's time. */
double bench_thread_s(void);
double bench_process_s(void);
double bench_wall_s(void);

/* The q-th part (0.5: the median) of values, which are sorted. */
double bench_quantile(double *values, int count, double q);

#endif
