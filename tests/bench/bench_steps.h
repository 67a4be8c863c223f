/*
 * The steps of a phase's plan, each timed alone with all lanes at it.
 */
#ifndef BENCH_STEPS_H
#define BENCH_STEPS_H

#include "tests/bench/bench_job.h"

enum bench_class {
    BENCH_PRODUCTS, /* matmul and convolutions */
    BENCH_PROGRAMS, /* fused elementwise chains and sums */
    BENCH_MOVES,    /* pad, concat, views that must copy */
    BENCH_CHOICES,  /* gather, pools, largest */
    BENCH_MACROS,   /* attention, recurrent layers */
    BENCH_OTHERS,
    BENCH_CLASS_COUNT,
};

const char *bench_class_name(enum bench_class class);
enum bench_class bench_class_of(const struct plan_step *step);

/* Of a product or of a macro with products; else 0. */
int64_t bench_step_flops(const struct plan *plan, const struct plan_step *step);

struct bench_arenas {
    const float *parameters;
    const float *buffers;
};

/* Medians over rounds into step_s_out[step_count]; the whole plan's into *whole_s_out. */
void bench_time_steps(const struct bench *bench, const struct plan *plan,
                      const struct bench_arenas *arenas, double *step_s_out, double *whole_s_out);

#endif
