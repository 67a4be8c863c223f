/*
 * Where a training step's time goes: compiles the shard graphs of a job file on a backend, runs
 * them, on as many lanes as asked for, and prints every step of the plans: path, operator,
 * time, GFLOP/s.  Then the whole: time of a phase against that of its products alone, and samples/s
 * of all phases (without exchange between ranks, update and loading; step_bench.c has these).
 *
 *   cambrian-bench-plan JOB.yaml [--modules DIR] [--backend NAME] [--lanes N] [--rounds N]
 *                       [--image HxWxC | --text LENGTHxVOCABULARY] [--native] [--programs]
 *                       [--set KEY=VALUE]...
 *
 * Times are of lane 0's thread on its core (not of the clock), medians over rounds in which all
 * lanes run the steps one by one, in plan order.  --image and --text take
 * noise in place of the job's data.
 */
#include "tests/bench/bench_steps.h"

#include "base/mem.h"
#include "model/graph/op.h"
#include "worker/train/compiled.h"

#include <inttypes.h>
#include <stdio.h>

static const char USAGE[] =
    "usage: cambrian-bench-plan JOB.yaml [--modules DIR] [--backend NAME] "
    "[--lanes N] [--rounds N] [--image HxWxC | --text LENGTHxVOCABULARY] [--native] [--programs] "
    "[--set KEY=VALUE]...\n";

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

static void print_step(const struct bench_options *options, const struct plan *plan,
                       const struct plan_step *step, double ms)
{
    char text[96];
    int64_t flops = bench_step_flops(plan, step);
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

/* Runs and prints one phase; its time, and adds that of its products to *products. */
static double run_phase(const struct bench *bench, const struct compiled *compiled, int index,
                        const struct bench_arenas *arenas, double *products)
{
    const struct phase *phase = &bench->training->phases[index];
    const struct plan *plan = compiled->phases[index].shard.plan;
    double *step_s = bench_need(cam_alloc((size_t)plan->step_count + 1, sizeof *step_s));
    double whole_s = 0.0;
    double products_ms = 0.0;
    double sum_ms = 0.0;
    bench_time_steps(bench, plan, arenas, step_s, &whole_s);
    double whole_ms = whole_s * 1e3;
    printf("phase %s: activations %.1f MiB\n         ms  GFLOP/s\n", phase->name,
           (double)plan->activation_floats * 4 / 1048576.0);
    for (int s = 0; s < plan->step_count; s++) {
        double ms = step_s[s] * 1e3;
        print_step(&bench->options, plan, &plan->steps[s], ms);
        products_ms += bench_step_flops(plan, &plan->steps[s]) > 0 ? ms : 0.0;
        sum_ms += ms;
    }
    printf("  whole %.2f ms, steps one by one %.2f, products %.2f (%.1f %% of the whole), "
           "%.1f GFLOP/s a lane\n",
           whole_ms, sum_ms, products_ms, 100.0 * products_ms / whole_ms,
           (double)plan->flops / whole_ms * 1e-6);
    cam_free(step_s);
    *products += products_ms * (double)training_repeat(bench->training, index, 1);
    return whole_ms * (double)training_repeat(bench->training, index, 1);
}

int main(int argc, char **argv)
{
    struct cam_err err;
    const struct bench_options options = bench_read_options(argc, argv, USAGE);
    struct bench bench;
    struct compiled *compiled = NULL;
    struct cam_text profile = {0};
    bench_open(&options, &bench);
    const struct training *training = bench.training;
    float *parameters = bench_noise(training->parameter_floats, 0.0f);
    float *buffers = bench_noise(training->buffer_floats, 0.0f);
    if (compiled_create(training, bench.backend, bench.instance, &compiled, &err) != CAM_OK ||
        compiled_initial(compiled, parameters, buffers, &err) != CAM_OK) {
        bench_die(&err);
    }
    bench.backend->profile(bench.instance, &profile);
    printf("{%s}\nbatch %" PRId64 ", %" PRId64 " shards of %" PRId64 ", %d lanes\n", profile.bytes,
           training->batch, training->shards, training->rows, options.lanes);
    const struct bench_arenas arenas = {parameters, buffers};
    double total = 0.0;
    double products = 0.0;
    for (int p = 0; p < training->phase_count; p++) {
        total += run_phase(&bench, compiled, p, &arenas, &products);
    }
    double step_ms = total * (double)bench_turns(&bench);
    printf("a training step: %.1f ms, %.0f samples/s, products %.1f %%\n", step_ms,
           (double)training->batch / step_ms * 1e3, 100.0 * products / total);
    compiled_destroy(compiled);
    bench_close(&bench);
    cam_free(parameters);
    cam_free(buffers);
    cam_text_release(&profile);
    return 0;
}
