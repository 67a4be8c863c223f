/*
 * Where a training step's time goes: compiles the shard graphs of a job file on a backend, runs
 * them on noise, on as many lanes as asked for, and prints every step of the plans: path, operator,
 * time, GFLOP/s.  Then the whole: time of a phase against that of its products alone, and samples/s
 * of all phases (without exchange between ranks, update and loading).
 *
 *   cambrian-bench-plan JOB.yaml [--modules DIR] [--backend NAME] [--lanes N] [--rounds N]
 *                       [--image HxWxC | --text LENGTHxVOCABULARY] [--native] [--programs]
 *                       [--set KEY=VALUE]...
 *
 * Times are of lane 0's thread on its core (not of the clock), medians over rounds in which all
 * lanes run the steps one by one, in plan order.
 */
#include "base/file.h"
#include "base/mem.h"
#include "kernels/registry.h"
#include "model/graph/op.h"
#include "model/plan/target.h"
#include "model/recipes/training.h"
#include "proto/jobfile.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LANES_MAX = 64, SETS_MAX = 16, TEXT_LIMIT = 1 << 20, SLOTS_MAX = 16, DATA_COUNT = 60000 };

struct options {
    const char *job;
    const char *modules;
    const char *backend;
    int lanes;
    int rounds;
    bool native;
    bool programs; /* print their instructions */
    int64_t image[3];
    int64_t text[2]; /* tokens a sample and of the vocabulary; 0: images */
    const char *set[SETS_MAX];
    int set_count;
};

struct bench {
    struct options options;
    const struct training *training;
    const struct backend *backend;
    struct backend_instance *instance;
    float *parameters;
    float *buffers;
    float *owned[SLOTS_MAX];
    const void *inputs[SLOTS_MAX]; /* the same, as bindings want them */
};

/* What all lanes run side by side: `count` executables one after another, `rounds` times. */
struct work {
    const struct bench *bench;
    struct executable **executables;
    int count;
    struct bindings bindings[LANES_MAX];
    pthread_barrier_t start;
    double *times_ms; /* [executable * rounds + round], of lane 0 */
};

struct lane {
    struct work *work;
    int number;
    pthread_t thread;
};

static void die(const struct cam_err *err)
{
    (void)fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static void *need(void *memory)
{
    if (memory == NULL) {
        (void)fprintf(stderr, "no memory\n");
        exit(1);
    }
    return memory;
}

/* This thread's own time, so that other work on the machine counts little. */
static double now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* Noise in [-scale, scale), the same each run. */
static float *noise(int64_t count, float scale)
{
    float *values = need(cam_alloc_aligned((size_t)(count + 1) * sizeof *values));
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = scale * ((float)(state >> 8) * 0x1p-23f - 1.0f);
    }
    return values;
}

static void *run_lane(void *argument)
{
    const struct lane *lane = argument;
    struct work *work = lane->work;
    const struct backend *backend = work->bench->backend;
    int rounds = work->bench->options.rounds;
    struct cam_err err;
    backend->lane_begin(work->bench->instance, lane->number);
    /* Two rounds more than are counted warm the caches. */
    for (int round = -2; round < rounds; round++) {
        for (int e = 0; e < work->count; e++) {
            const struct random_context random = {.seed = 7, .execution = (uint32_t)(round + 2)};
            (void)pthread_barrier_wait(&work->start);
            double begin = now_ms();
            if (backend->launch(work->executables[e], lane->number, &work->bindings[lane->number],
                                &random, &err) != CAM_OK) {
                die(&err);
            }
            if (lane->number == 0 && round >= 0) {
                work->times_ms[e * rounds + round] = now_ms() - begin;
            }
        }
    }
    return NULL;
}

/* Medians of each executable's time into medians_out. */
static void run_work(struct work *work, double *medians_out)
{
    int lanes = work->bench->options.lanes;
    int rounds = work->bench->options.rounds;
    struct lane all[LANES_MAX];
    struct cam_err err;
    work->times_ms = need(cam_alloc((size_t)(work->count * rounds), sizeof(double)));
    (void)pthread_barrier_init(&work->start, NULL, (unsigned)lanes);
    for (int e = 0; e < work->count; e++) {
        if (work->bench->backend->prepare(work->executables[e], &work->bindings[0], &err) !=
            CAM_OK) {
            die(&err);
        }
    }
    for (int i = 0; i < lanes; i++) {
        all[i] = (struct lane){.work = work, .number = i};
        if (pthread_create(&all[i].thread, NULL, run_lane, &all[i]) != 0) {
            need(NULL);
        }
    }
    for (int i = 0; i < lanes; i++) {
        (void)pthread_join(all[i].thread, NULL);
    }
    for (int e = 0; e < work->count; e++) {
        medians_out[e] = median(work->times_ms + e * rounds, rounds);
    }
    (void)pthread_barrier_destroy(&work->start);
    cam_free(work->times_ms);
}

static int64_t step_flops(const struct plan *plan, const struct plan_step *step)
{
    const struct op *op = op_get(step->op);
    if (step->kind == PLAN_PROGRAM || op->flops == NULL) {
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

/* "0:load 1:constant 2:mul(0,1) 3:add(2,0)" */
static void print_program(const struct program *program)
{
    printf("            ");
    for (int i = 0; i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        int sources = op_get(instruction->op)->input_count;
        printf(" %d:%s", i, instruction->op == OP_INPUT ? "load" : op_get(instruction->op)->name);
        for (int k = 0; k < sources; k++) {
            printf("%s%d%s", k == 0 ? "(" : ",", instruction->source[k],
                   k == sources - 1 ? ")" : "");
        }
    }
    for (int k = 0; k < program->store_count; k++) {
        printf(" store(%d)", program->stores[k].source);
    }
    for (int k = 0; k < program->sum_count; k++) {
        printf(" sum(%d)", program->sums[k].source);
    }
    printf("\n");
}

static void print_step(const struct options *options, const struct plan *plan,
                       const struct plan_step *step, double ms)
{
    char text[96];
    int64_t flops = step_flops(plan, step);
    if (step->kind == PLAN_PROGRAM) {
        const struct program *program = step->program;
        printf("  %9.3f            program %d in %d ops %d out %d sums  %s  %s\n", ms,
               program->load_count, program->instruction_count, program->store_count,
               program->sum_count, shape_text(&program->space, text, sizeof text), step->path);
        if (options->programs) {
            print_program(program);
        }
        return;
    }
    printf("  %9.3f ", ms);
    if (flops > 0) {
        printf("%7.1f", (double)flops / ms * 1e-6);
    } else {
        printf("       ");
    }
    printf("    %s  %s  %s\n", op_get(step->op)->name,
           shape_text(&plan->values[step->output].shape, text, sizeof text), step->path);
}

static struct plan *phase_plan(const struct bench *bench, const struct phase *phase)
{
    const struct training *training = bench->training;
    struct cam_err err;
    struct plan *plan = NULL;
    size_t outputs = (size_t)phase->output_count;
    struct plan_output *wanted = need(cam_alloc(outputs + 1, sizeof *wanted));
    int64_t *parameters =
        need(cam_alloc((size_t)training->parameter_count + 1, sizeof *parameters));
    int64_t *buffers = need(cam_alloc((size_t)training->buffer_count + 1, sizeof *buffers));
    for (int i = 0; i < phase->output_count; i++) {
        wanted[i] = (struct plan_output){phase->output_nodes[i], phase->output_offsets[i]};
    }
    for (int i = 0; i < training->parameter_count; i++) {
        parameters[i] = training->parameters[i].offset;
    }
    for (int i = 0; i < training->buffer_count; i++) {
        buffers[i] = training->buffers[i].offset;
    }
    const struct plan_target *target = plan_target(bench->backend->name);
    const struct plan_request request = {.graph = phase->graph,
                                         .outputs = wanted,
                                         .output_count = phase->output_count,
                                         .parameter_offsets = parameters,
                                         .buffer_offsets = buffers,
                                         .recompute = training->recompute,
                                         .fuse = target->fuses,
                                         .macros = target->macros};
    if (plan_create(&request, &plan, &err) != CAM_OK) {
        die(&err);
    }
    cam_free(wanted);
    cam_free(parameters);
    cam_free(buffers);
    return plan;
}

static struct executable *compile(const struct bench *bench, const struct plan *plan)
{
    struct cam_err err;
    struct executable *executable = NULL;
    if (bench->backend->compile(bench->instance, plan, &executable, &err) != CAM_OK) {
        die(&err);
    }
    return executable;
}

static void bind_lanes(struct work *work, const struct plan *plan, const float *scalars)
{
    for (int lane = 0; lane < work->bench->options.lanes; lane++) {
        work->bindings[lane] = (struct bindings){
            .parameters = work->bench->parameters,
            .buffers = work->bench->buffers,
            .inputs = work->bench->inputs,
            .scalars = scalars,
            .activations = noise(plan->activation_floats, 0.0f),
            .output = noise(plan->output_floats, 0.0f),
        };
    }
}

/* Runs and prints one phase; its time, and adds that of its products to *products. */
static double run_phase(const struct bench *bench, const struct phase *phase, double *products)
{
    const float scalars[SLOTS_MAX] = {0};
    struct plan *plan = phase_plan(bench, phase);
    size_t steps = (size_t)plan->step_count;
    struct work work = {.bench = bench};
    struct plan *parts = need(cam_alloc(steps, sizeof *parts));
    struct executable **executables = need(cam_alloc(steps + 1, sizeof(void *)));
    double *ms = need(cam_alloc(steps + 1, sizeof *ms));
    bind_lanes(&work, plan, scalars);
    double begin = now_ms();
    executables[steps] = compile(bench, plan);
    double compile_ms = now_ms() - begin;
    for (size_t s = 0; s < steps; s++) {
        parts[s] = *plan;
        parts[s].steps = &plan->steps[s];
        parts[s].step_count = 1;
        executables[s] = compile(bench, &parts[s]);
    }
    work.executables = executables;
    work.count = plan->step_count;
    run_work(&work, ms);
    work.executables = executables + steps;
    work.count = 1;
    run_work(&work, ms + steps);
    double products_ms = 0.0;
    double sum_ms = 0.0;
    printf("phase %s: activations %.1f MiB, compiled in %.1f ms\n         ms  GFLOP/s\n",
           phase->name, (double)plan->activation_floats * 4 / 1048576.0, compile_ms);
    for (int s = 0; s < plan->step_count; s++) {
        print_step(&bench->options, plan, &plan->steps[s], ms[s]);
        products_ms += step_flops(plan, &plan->steps[s]) > 0 ? ms[s] : 0.0;
        sum_ms += ms[s];
    }
    printf("  whole %.2f ms, steps one by one %.2f, products %.2f (%.1f %% of the whole), "
           "%.1f GFLOP/s a lane\n",
           ms[steps], sum_ms, products_ms, 100.0 * products_ms / ms[steps],
           (double)plan->flops / ms[steps] * 1e-6);
    double whole = ms[steps];
    for (size_t s = 0; s <= steps; s++) {
        bench->backend->destroy(executables[s]);
    }
    for (int lane = 0; lane < bench->options.lanes; lane++) {
        cam_free(work.bindings[lane].activations);
        cam_free(work.bindings[lane].output);
    }
    cam_free(parts);
    cam_free(executables);
    cam_free(ms);
    plan_destroy(plan);
    *products += products_ms * phase->repeat;
    return whole * phase->repeat;
}

static void read_text(const char *text, int64_t sizes[2])
{
    char *end = NULL;
    sizes[0] = strtoll(text, &end, 10);
    sizes[1] = *end == 'x' ? strtoll(end + 1, &end, 10) : 0;
    if (sizes[0] < 1 || sizes[1] < 1) {
        (void)fprintf(stderr, "--text %s: not LENGTHxVOCABULARY\n", text);
        exit(1);
    }
}

static void read_image(const char *text, int64_t image[3])
{
    char *end = NULL;
    image[0] = strtoll(text, &end, 10);
    image[1] = *end == 'x' ? strtoll(end + 1, &end, 10) : 0;
    image[2] = *end == 'x' ? strtoll(end + 1, &end, 10) : 0;
    if (image[0] < 1 || image[1] < 1 || image[2] < 1) {
        (void)fprintf(stderr, "--image %s: not HEIGHTxWIDTHxCHANNELS\n", text);
        exit(2);
    }
}

static struct options read_options(int argc, char **argv)
{
    struct options options = {.modules = BENCH_MODULE_DIR,
                              .backend = "cpu",
                              .lanes = 2,
                              .rounds = 15,
                              .image = {28, 28, 1}};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--native") == 0) {
            options.native = true;
        } else if (strcmp(argv[i], "--programs") == 0) {
            options.programs = true;
        } else if (argv[i][0] != '-') {
            options.job = argv[i];
        } else {
            i++;
            if (strcmp(argv[i - 1], "--modules") == 0) {
                options.modules = value;
            } else if (strcmp(argv[i - 1], "--backend") == 0) {
                options.backend = value;
            } else if (strcmp(argv[i - 1], "--lanes") == 0) {
                options.lanes = atoi(value);
            } else if (strcmp(argv[i - 1], "--rounds") == 0) {
                options.rounds = atoi(value);
            } else if (strcmp(argv[i - 1], "--image") == 0) {
                read_image(value, options.image);
            } else if (strcmp(argv[i - 1], "--text") == 0) {
                read_text(value, options.text);
            } else if (strcmp(argv[i - 1], "--set") == 0 && options.set_count < SETS_MAX) {
                options.set[options.set_count++] = value;
            } else {
                options.job = NULL;
                break;
            }
        }
    }
    if (options.job == NULL || options.lanes < 1 || options.lanes > LANES_MAX ||
        options.rounds < 1) {
        (void)fprintf(stderr,
                      "usage: cambrian-bench-plan JOB.yaml [--modules DIR] "
                      "[--backend NAME] [--lanes N] [--rounds N] [--image HxWxC | --text LxV] "
                      "[--native] [--programs] [--set KEY=VALUE]...\n");
        exit(2);
    }
    return options;
}

static struct training *read_training(const struct options *options, struct cam_arena *arena)
{
    struct cam_err err;
    struct job_file job;
    struct training *training = NULL;
    char *text = NULL;
    size_t size = 0;
    if (cam_file_read(options->job, TEXT_LIMIT, &text, &size, &err) != CAM_OK) {
        die(&err);
    }
    const struct job_text source = {.file_name = options->job,
                                    .base_dir = "/",
                                    .text = text,
                                    .size = size,
                                    .set = options->set,
                                    .set_count = (size_t)options->set_count};
    struct data_shape data = {.count = DATA_COUNT,
                              .height = options->image[0],
                              .width = options->image[1],
                              .channels = options->image[2],
                              .classes = 10};
    if (options->text[0] > 0) {
        data = (struct data_shape){
            .count = DATA_COUNT, .length = options->text[0], .classes = options->text[1]};
    }
    if (jobfile_parse(&source, arena, &job, &err) != CAM_OK ||
        training_create(&job, &data, &training, &err) != CAM_OK) {
        die(&err);
    }
    cam_free(text);
    return training;
}

int main(int argc, char **argv)
{
    struct cam_err err;
    struct bench bench = {.options = read_options(argc, argv)};
    struct cam_arena *arena = need(cam_arena_create());
    struct training *training = read_training(&bench.options, arena);
    const struct backend_options backend_options = {
        .lanes = bench.options.lanes, .threads_per_shard = 1, .native_isa = bench.options.native};
    bench.training = training;
    if (registry_find(bench.options.backend, bench.options.modules, &bench.backend, &err) !=
            CAM_OK ||
        bench.backend->open(&backend_options, &bench.instance, &err) != CAM_OK) {
        die(&err);
    }
    struct cam_text profile = {0};
    bench.backend->profile(bench.instance, &profile);
    bench.parameters = noise(training->parameter_floats, 0.05f);
    bench.buffers = noise(training->buffer_floats, 0.05f);
    for (int i = 0; i < training->input_count && i < SLOTS_MAX; i++) {
        bench.owned[i] = noise(shape_count(&training->inputs[i].shape), 1.0f);
        bench.inputs[i] = bench.owned[i];
    }
    printf("{%s}\nbatch %" PRId64 ", %" PRId64 " shards of %" PRId64 ", %d lanes\n", profile.bytes,
           training->batch, training->shards, training->rows, bench.options.lanes);
    double total = 0.0;
    double products = 0.0;
    for (int p = 0; p < training->phase_count; p++) {
        total += run_phase(&bench, &training->phases[p], &products);
    }
    int64_t turns = (training->shards + bench.options.lanes - 1) / bench.options.lanes;
    double step_ms = total * (double)turns;
    printf("a training step: %.1f ms, %.0f samples/s, products %.1f %%\n", step_ms,
           (double)training->batch / step_ms * 1e3, 100.0 * products / total);
    bench.backend->close(bench.instance);
    cam_free(bench.parameters);
    cam_free(bench.buffers);
    for (int i = 0; i < training->input_count && i < SLOTS_MAX; i++) {
        cam_free(bench.owned[i]);
    }
    cam_text_release(&profile);
    training_destroy(training);
    cam_arena_destroy(arena);
    return 0;
}
