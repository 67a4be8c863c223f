/*
 * A whole training step of a job file in this process, and the bare oneDNN products of the same
 * step.
 *
 *   cambrian-bench-step JOB.yaml [--modules DIR] [--backend NAME] [--lanes N] [--rounds N]
 *                       [--image HxWxC | --text LENGTHxVOCABULARY] [--native]
 *                       [--set KEY=VALUE]... [--serve]
 *
 * A step is what one rank without others makes: packed weights, shard graphs over the lanes, sums
 * over shards, updates, running statistics; not the loading of data.  Prints one line of JSON: the
 * times of all three below.
 *
 * With --serve it reads lines from standard input and answers each with a line of JSON, so that its
 * rounds and those of others take turns:
 *   step SECONDS    {"wall_s": [...], "cpu_s": [...]}    of each step, cpu over all threads
 *   bare SECONDS    {"wall_s": x, "cpu_s": x}            medians; cpu over all lanes
 *   classes         {"programs": {"cpu_s": x, "steps": n}, ...}   of a training step, by class
 *   products        {"PHASE": [{"path": ..., "form": ..., "ours_ms": x, "bare_ms": y}, ...], ...}
 *                   each product once on every lane, ours and bare with the form that won
 */
#include "tests/bench/bare.h"
#include "tests/bench/bench_steps.h"

#include "base/mem.h"
#include "model/graph/op.h"
#include "worker/train/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { METRICS_MAX = 64, STEPS_MAX = 4096, WARM_STEPS = 2, BARE_ROUNDS_MAX = 200 };

static const char USAGE[] =
    "usage: cambrian-bench-step JOB.yaml [--modules DIR] [--backend NAME] [--lanes N] "
    "[--rounds N] [--image HxWxC | --text LENGTHxVOCABULARY] [--native] [--set KEY=VALUE]... "
    "[--serve]\n";

struct stepper {
    struct bench bench;
    struct progress progress;
    struct compiled *compiled;
    struct collectives *collectives;
    struct lanes *lanes;
    struct engine *engine;
    struct bare **bares; /* by phase; made when first asked for */
    int64_t step;
    uint64_t *executions;
};

static void check(enum cam_code rc, const struct cam_err *err)
{
    if (rc != CAM_OK) {
        bench_die(err);
    }
}

static void open_engine(struct stepper *s)
{
    struct cam_err err;
    const struct training *t = s->bench.training;
    check(compiled_create(t, s->bench.backend, s->bench.instance, &s->compiled, &err), &err);
    check(collectives_self(&s->collectives, &err), &err);
    check(lanes_create(s->bench.options.lanes, &s->lanes, &err), &err);
    const struct engine_options options = {.compiled = s->compiled,
                                           .collectives = s->collectives,
                                           .lanes = s->lanes,
                                           .progress = &s->progress};
    check(engine_create(&options, &s->engine, &err), &err);
    check(compiled_initial(s->compiled, engine_parameters(s->engine), engine_buffers(s->engine),
                           &err),
          &err);
    s->executions = bench_need(cam_alloc((size_t)t->phase_count, sizeof *s->executions));
    s->bares = bench_need(cam_alloc((size_t)t->phase_count, sizeof(void *)));
}

static void close_engine(struct stepper *s)
{
    for (int p = 0; p < s->bench.training->phase_count; p++) {
        if (s->bares[p] != NULL) {
            bare_destroy(s->bares[p]);
        }
    }
    engine_destroy(s->engine);
    lanes_destroy(s->lanes);
    collectives_close(s->collectives);
    compiled_destroy(s->compiled);
    cam_free(s->bares);
    cam_free(s->executions);
}

static void run_phase(struct stepper *s, int base)
{
    struct cam_err err;
    double metrics[METRICS_MAX];
    const struct training *t = s->bench.training;
    int p = training_variant(t, base, (int64_t)s->executions[base]);
    bool sees = t->phases[p].takes_batch || t->phases[p].shares_batch;
    struct engine_phase run = {
        .phase = p,
        .execution = s->executions[base]++,
        .step = s->step + 1,
        .rate_factor = 1.0,
        .values = sees ? s->bench.values : NULL,
        .labels = sees ? s->bench.labels : NULL,
        .metrics = metrics,
    };
    check(engine_run(s->engine, &run, &err), &err);
}

static void run_step(struct stepper *s)
{
    for (int p = 0; p < s->bench.training->phase_count; p++) {
        int64_t repeat = training_repeat(s->bench.training, p, s->step);
        for (int64_t i = 0; i < repeat; i++) {
            run_phase(s, p);
        }
    }
    s->step++;
}

static void print_numbers(const char *name, const double *values, int count)
{
    (void)printf("\"%s\": [", name);
    for (int i = 0; i < count; i++) {
        (void)printf("%s%.6f", i == 0 ? "" : ", ", values[i]);
    }
    (void)printf("]");
}

static void time_steps(struct stepper *s, double seconds)
{
    static double wall[STEPS_MAX];
    static double cpu[STEPS_MAX];
    int count = 0;
    for (int i = s->step == 0 ? 0 : WARM_STEPS - 1; i < WARM_STEPS; i++) {
        run_step(s);
    }
    double end = bench_wall_s() + seconds;
    while (count < STEPS_MAX && (count < 2 || bench_wall_s() < end)) {
        double wall_begin = bench_wall_s();
        double cpu_begin = bench_process_s();
        run_step(s);
        wall[count] = bench_wall_s() - wall_begin;
        cpu[count++] = bench_process_s() - cpu_begin;
    }
    (void)printf("{");
    print_numbers("wall_s", wall, count);
    (void)printf(", ");
    print_numbers("cpu_s", cpu, count);
    (void)printf("}");
}

/* How often a phase's shard graph runs on one lane in a training step (0: a variant, which takes
 * the place of its base now and then and is left out). */
static double turns_of(const struct stepper *s, int phase)
{
    return (double)(bench_turns(&s->bench) * training_repeat(s->bench.training, phase, s->step));
}

static struct bare *bare_of(struct stepper *s, int phase)
{
    if (s->bares[phase] == NULL) {
        s->bares[phase] = bare_create(&s->bench, s->compiled->phases[phase].shard.plan);
    }
    return s->bares[phase];
}

static void time_bare(struct stepper *s, double seconds)
{
    const struct training *t = s->bench.training;
    double wall = 0.0;
    double lane = 0.0;
    for (int p = 0; p < t->phase_count; p++) {
        if (t->phases[p].repeat == 0) {
            continue;
        }
        struct bare *bare = bare_of(s, p);
        double once = bare_run(bare, 1, NULL).wall_s + 1e-6;
        double rounds = seconds / t->phase_count / once;
        struct bare_time time = bare_run(bare,
                                         rounds < 3.0               ? 3
                                         : rounds > BARE_ROUNDS_MAX ? BARE_ROUNDS_MAX
                                                                    : (int)rounds,
                                         NULL);
        wall += turns_of(s, p) * time.wall_s;
        lane += turns_of(s, p) * time.lane_s;
    }
    (void)printf("{\"wall_s\": %.6f, \"cpu_s\": %.6f}", wall, lane * s->bench.options.lanes);
}

struct class_sum {
    double cpu_s;
    int64_t flops;
    int steps;
};

static void add_phase(struct stepper *s, int phase, struct class_sum sums[BENCH_CLASS_COUNT],
                      double *whole_s)
{
    const struct plan *plan = s->compiled->phases[phase].shard.plan;
    const struct bench_arenas arenas = {engine_parameters(s->engine), engine_buffers(s->engine)};
    double factor = turns_of(s, phase) * s->bench.options.lanes;
    double *step_s = bench_need(cam_alloc((size_t)plan->step_count + 1, sizeof *step_s));
    double whole = 0.0;
    bench_time_steps(&s->bench, plan, &arenas, step_s, &whole);
    for (int i = 0; i < plan->step_count; i++) {
        struct class_sum *sum = &sums[bench_class_of(&plan->steps[i])];
        sum->cpu_s += step_s[i] * factor;
        sum->flops += (int64_t)((double)bench_step_flops(plan, &plan->steps[i]) * factor);
        sum->steps++;
    }
    *whole_s += whole * factor;
    cam_free(step_s);
}

static void time_classes(struct stepper *s)
{
    struct class_sum sums[BENCH_CLASS_COUNT] = {0};
    double whole = 0.0;
    for (int p = 0; p < s->bench.training->phase_count; p++) {
        if (s->bench.training->phases[p].repeat > 0) {
            add_phase(s, p, sums, &whole);
        }
    }
    (void)printf("{");
    for (int c = 0; c < BENCH_CLASS_COUNT; c++) {
        (void)printf("\"%s\": {\"cpu_s\": %.6f, \"steps\": %d, \"flops\": %" PRId64 "}, ",
                     bench_class_name((enum bench_class)c), sums[c].cpu_s, sums[c].steps,
                     sums[c].flops);
    }
    (void)printf("\"shard_graphs\": {\"cpu_s\": %.6f}}", whole);
}

/* A product of ours and what it takes bare, both on all lanes at once; macros have several. */
static void print_product(const struct bare *bare, const struct plan *plan, int step,
                          const double *step_s, const double *item_s)
{
    char shape[96];
    const struct plan_step *plan_step = &plan->steps[step];
    const char *form = NULL;
    double bare_s = 0.0;
    for (int i = 0; i < bare_count(bare); i++) {
        if (bare_step(bare, i) == step) {
            bare_s += item_s[i];
            form = bare_form(bare, i);
        }
    }
    if (form != NULL) {
        (void)printf("%s{\"path\": \"%s\", \"operator\": \"%s\", \"shape\": \"%s\", "
                     "\"form\": \"%s\", \"ours_ms\": %.4f, \"bare_ms\": %.4f}",
                     bare_step(bare, 0) == step ? "" : ", ", plan_step->path,
                     op_get(plan_step->op)->name,
                     shape_text(&plan->values[plan_step->output].shape, shape, sizeof shape), form,
                     step_s[step] * 1e3, bare_s * 1e3);
    }
}

static void list_products(struct stepper *s)
{
    const struct bench_arenas arenas = {engine_parameters(s->engine), engine_buffers(s->engine)};
    const struct training *t = s->bench.training;
    (void)printf("{");
    for (int p = 0; p < t->phase_count; p++) {
        const struct plan *plan = s->compiled->phases[p].shard.plan;
        struct bare *bare = bare_of(s, p);
        double *step_s = bench_need(cam_alloc((size_t)plan->step_count + 1, sizeof *step_s));
        double *item_s = bench_need(cam_alloc((size_t)bare_count(bare) + 1, sizeof *item_s));
        double whole = 0.0;
        bench_time_steps(&s->bench, plan, &arenas, step_s, &whole);
        (void)bare_run(bare, s->bench.options.rounds, item_s);
        (void)printf("%s\"%s\": [", p == 0 ? "" : ", ", t->phases[p].name);
        for (int i = 0; i < plan->step_count; i++) {
            print_product(bare, plan, i, step_s, item_s);
        }
        (void)printf("]");
        cam_free(step_s);
        cam_free(item_s);
    }
    (void)printf("}");
}

static void serve(struct stepper *s)
{
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        double seconds = strchr(line, ' ') == NULL ? 1.0 : strtod(strchr(line, ' '), NULL);
        if (strncmp(line, "step", 4) == 0) {
            time_steps(s, seconds);
        } else if (strncmp(line, "bare", 4) == 0) {
            time_bare(s, seconds);
        } else if (strncmp(line, "classes", 7) == 0) {
            time_classes(s);
        } else if (strncmp(line, "products", 8) == 0) {
            list_products(s);
        } else {
            (void)printf("{\"error\": \"a line is step SECONDS, bare SECONDS, classes or "
                         "products\"}");
        }
        (void)printf("\n");
        (void)fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    const struct bench_options options = bench_read_options(argc, argv, USAGE);
    struct stepper *s = bench_need(cam_alloc(1, sizeof *s));
    bench_open(&options, &s->bench);
    open_engine(s);
    if (options.serve) {
        serve(s);
    } else {
        (void)printf("{\"batch\": %" PRId64 ", \"shards\": %" PRId64 ", \"lanes\": %d, \"step\": ",
                     s->bench.training->batch, s->bench.training->shards, options.lanes);
        time_steps(s, 2.0);
        (void)printf(", \"bare\": ");
        time_bare(s, 2.0);
        (void)printf(", \"classes\": ");
        time_classes(s);
        (void)printf("}\n");
    }
    close_engine(s);
    bench_close(&s->bench);
    cam_free(s);
    return 0;
}
