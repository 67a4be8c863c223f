#include "tests/bench/bench_steps.h"

#include "base/mem.h"
#include "model/graph/op.h"
#include "tests/bench/bench_lanes.h"

#include <string.h>

enum { SLOTS_MAX = 16 };

struct steps {
    const struct bench *bench;
    struct executable **executables;
    int first;
    struct bindings bindings[BENCH_LANES_MAX];
    const void *inputs[BENCH_LANES_MAX][SLOTS_MAX];
};

const char *bench_class_name(enum bench_class class)
{
    static const char *const NAMES[BENCH_CLASS_COUNT] = {
        [BENCH_PRODUCTS] = "products", [BENCH_PROGRAMS] = "programs", [BENCH_MOVES] = "moves",
        [BENCH_CHOICES] = "choices",   [BENCH_MACROS] = "macros",     [BENCH_OTHERS] = "others",
    };
    return NAMES[class];
}

enum bench_class bench_class_of(const struct plan_step *step)
{
    if (step->kind == PLAN_PROGRAM) {
        return BENCH_PROGRAMS;
    }
    switch (op_get(step->op)->class) {
    case OP_CLASS_PRODUCT:
        return BENCH_PRODUCTS;
    case OP_CLASS_MOVE:
    case OP_CLASS_VIEW:
        return BENCH_MOVES;
    case OP_CLASS_CHOICE:
        return BENCH_CHOICES;
    case OP_CLASS_MACRO:
        return BENCH_MACROS;
    case OP_CLASS_LEAF:
    case OP_CLASS_RANDOM:
    case OP_CLASS_ELEMENTWISE:
    case OP_CLASS_SUM:
        return BENCH_OTHERS;
    }
    return BENCH_OTHERS;
}

int64_t bench_step_flops(const struct plan *plan, const struct plan_step *step)
{
    const struct op *op = step->kind == PLAN_PROGRAM ? NULL : op_get(step->op);
    if (op == NULL || op->flops == NULL) {
        return 0;
    }
    struct node inputs[NODE_INPUTS_MAX];
    const struct node *pointers[NODE_INPUTS_MAX];
    struct node node = {
        .op = step->op, .shape = plan->values[step->output].shape, .attr = step->attr};
    for (int k = 0; k < step->input_count; k++) {
        inputs[k] = (struct node){.shape = plan->values[step->input[k]].shape};
        pointers[k] = &inputs[k];
    }
    return op->flops(&node, pointers);
}

static struct executable *compile(const struct bench *bench, const struct plan *plan)
{
    struct cam_err err;
    struct executable *executable = NULL;
    if (bench->backend->compile(bench->instance, plan, &executable, &err) != CAM_OK) {
        bench_die(&err);
    }
    return executable;
}

static enum cam_code launch(void *context, int lane, int item, int round, struct cam_err *err)
{
    const struct steps *steps = context;
    const struct random_context random = {.seed = 7, .execution = (uint32_t)round};
    return steps->bench->backend->launch(steps->executables[steps->first + item], lane,
                                         &steps->bindings[lane], &random, err);
}

static void bind_lanes(struct steps *steps, const struct plan *plan,
                       const struct bench_arenas *arenas, const float *scalars)
{
    const struct training *training = steps->bench->training;
    for (int lane = 0; lane < steps->bench->options.lanes; lane++) {
        for (int i = 0; i < training->input_count && i < SLOTS_MAX; i++) {
            steps->inputs[lane][i] = bench_input(steps->bench, i, lane % training->shards);
        }
        steps->bindings[lane] = (struct bindings){
            .parameters = arenas->parameters,
            .buffers = arenas->buffers,
            .inputs = steps->inputs[lane],
            .scalars = scalars,
            .activations = bench_noise(plan->activation_floats, 0.0f),
            .output = bench_noise(plan->output_floats, 0.0f),
        };
    }
}

/* The whole plan's median first: it leaves in the arenas what the steps alone then find. */
static void measure(struct steps *steps, int step_count, double *step_s_out, double *whole_s_out)
{
    int rounds = steps->bench->options.rounds;
    double *times = bench_need(cam_alloc((size_t)(step_count + 1) * (size_t)rounds, sizeof *times));
    struct bench_work work = {
        .bench = steps->bench, .run = launch, .context = steps, .items = 1, .rounds = rounds};
    steps->first = step_count;
    bench_run_lanes(&work, times, NULL);
    *whole_s_out = bench_quantile(times, rounds, 0.5);
    steps->first = 0;
    work.items = step_count;
    bench_run_lanes(&work, times, NULL);
    for (int s = 0; s < step_count; s++) {
        step_s_out[s] = bench_quantile(times + s * rounds, rounds, 0.5);
    }
    cam_free(times);
}

void bench_time_steps(const struct bench *bench, const struct plan *plan,
                      const struct bench_arenas *arenas, double *step_s_out, double *whole_s_out)
{
    const float scalars[SLOTS_MAX] = {0};
    int count = plan->step_count;
    struct cam_err err;
    struct steps *steps = bench_need(cam_alloc(1, sizeof *steps));
    struct plan *parts = bench_need(cam_alloc((size_t)count + 1, sizeof *parts));
    steps->bench = bench;
    steps->executables = bench_need(cam_alloc((size_t)count + 1, sizeof(void *)));
    bind_lanes(steps, plan, arenas, scalars);
    for (int s = 0; s <= count; s++) {
        parts[s] = *plan;
        if (s < count) {
            parts[s].steps = &plan->steps[s];
            parts[s].step_count = 1;
        }
        steps->executables[s] = compile(bench, &parts[s]);
        if (bench->backend->prepare(steps->executables[s], &steps->bindings[0], &err) != CAM_OK) {
            bench_die(&err);
        }
    }
    measure(steps, count, step_s_out, whole_s_out);
    for (int s = 0; s <= count; s++) {
        bench->backend->destroy(steps->executables[s]);
    }
    for (int lane = 0; lane < bench->options.lanes; lane++) {
        cam_free(steps->bindings[lane].activations);
        cam_free(steps->bindings[lane].output);
    }
    cam_free(steps->executables);
    cam_free(parts);
    cam_free(steps);
}
