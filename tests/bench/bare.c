#include "tests/bench/bare.h"

#include "base/mem.h"
#include "tests/bench/bare_form.h"
#include "tests/bench/bench_lanes.h"

#include <stdio.h>
#include <string.h>

enum { TRIALS = 4, ARENA_LEAST = 1 << 20 };

struct item {
    int step;
    const char *form;
    bool sgemm;
    struct bare_matmul matmul;
    struct dnn_call call; /* without sgemm */
    size_t bytes[3];      /* two inputs and the output, in the call's order; see out_at */
    int out_at;
    size_t place[3];
};

struct bare {
    const struct bench *bench;
    dnnl_engine_t engine;
    dnnl_stream_t stream[BENCH_LANES_MAX];
    struct item *items;
    int count;
    size_t source_bytes;
    size_t target_bytes;
    size_t scratch_bytes;
    char *source[BENCH_LANES_MAX];
    char *target[BENCH_LANES_MAX];
    char *scratch[BENCH_LANES_MAX];
};

static void must(dnnl_status_t status, const char *what)
{
    if (status != dnnl_success) {
        struct cam_err err;
        (void)cam_fail(&err, CAM_INTERNAL, "bare: oneDNN %s: status %d", what, (int)status);
        bench_die(&err);
    }
}

static char *operand(const struct bare *bare, const struct item *item, int lane, int i)
{
    return (i == item->out_at ? bare->target[lane] : bare->source[lane]) + item->place[i];
}

static dnnl_status_t run_sgemm(const struct bare *bare, const struct item *item, int lane)
{
    const struct bare_matmul *p = &item->matmul;
    const float *a = (const float *)(const void *)operand(bare, item, lane, 0);
    const float *b = (const float *)(const void *)operand(bare, item, lane, 1);
    float *c = (float *)(void *)operand(bare, item, lane, 2);
    dnnl_status_t status = dnnl_success;
    for (int64_t i = 0; i < p->count && status == dnnl_success; i++) {
        status =
            dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k,
                       1.0f, a + i * p->m * p->k, p->transpose_a ? p->m : p->k, b + i * p->k * p->n,
                       p->transpose_b ? p->k : p->n, 0.0f, c + i * p->m * p->n, p->n);
    }
    return status;
}

static dnnl_status_t run_primitive(const struct bare *bare, const struct item *item, int lane)
{
    dnnl_stream_t stream = bare->stream[lane];
    dnnl_status_t status = dnn_call_bind(&item->call, 0, lane, bare->scratch[lane], stream);
    for (int i = 0; i < 3 && status == dnnl_success; i++) {
        status = dnn_call_bind(&item->call, 1 + i, lane, operand(bare, item, lane, i), stream);
    }
    return status == dnnl_success ? dnn_call_run(&item->call, lane, stream) : status;
}

static dnnl_status_t run_once(const struct bare *bare, const struct item *item, int lane)
{
    return item->sgemm ? run_sgemm(bare, item, lane) : run_primitive(bare, item, lane);
}

static dnnl_status_t run_item(const struct bare *bare, const struct item *item, int lane)
{
    dnnl_status_t status = dnnl_success;
    for (int64_t i = 0; i < item->matmul.times && status == dnnl_success; i++) {
        status = run_once(bare, item, lane);
    }
    return status;
}

/* Arenas that hold the item too. */
static void grow(char **arena, size_t *bytes, size_t wanted, int lanes)
{
    if (wanted <= *bytes) {
        return;
    }
    for (int lane = 0; lane < lanes; lane++) {
        cam_free(arena[lane]);
        arena[lane] = (char *)bench_noise((int64_t)(wanted / sizeof(float)) + 16, 0.5f);
    }
    *bytes = wanted;
}

static void make_room(struct bare *bare, const struct item *item)
{
    int lanes = bare->bench->options.lanes;
    size_t inputs = 0;
    for (int i = 0; i < 3; i++) {
        inputs += i == item->out_at ? 0 : item->bytes[i];
    }
    grow(bare->source, &bare->source_bytes, inputs, lanes);
    grow(bare->target, &bare->target_bytes, item->bytes[item->out_at], lanes);
    grow(bare->scratch, &bare->scratch_bytes, item->sgemm ? 0 : item->call.scratchpad_bytes, lanes);
}

/* The least of some runs on this thread, of one only where that is far from the best so far; places
 * are 0, and inputs may overlap. */
static double try_item(struct bare *bare, const struct item *item, double best_s)
{
    double least = 0.0;
    make_room(bare, item);
    for (int i = 0; i < TRIALS && (i < 2 || best_s == 0.0 || least < 3.0 * best_s); i++) {
        double begin = bench_thread_s();
        must(run_once(bare, item, 0), "product");
        double taken = bench_thread_s() - begin;
        least = i < 2 || taken < least ? taken : least;
    }
    return least;
}

static bool finish_primitive(struct bare *bare, struct item *item, dnnl_status_t status)
{
    struct cam_err err;
    if (status != dnnl_success) {
        dnn_call_release(&item->call);
        return false;
    }
    if (dnn_call_lanes(&item->call, bare->engine, bare->bench->options.lanes, "bare", &err) !=
        CAM_OK) {
        bench_die(&err);
    }
    for (int i = 0; i < 3; i++) {
        item->bytes[i] = cpu_align(onednn_layout_bytes(&item->call.layout[1 + i]));
    }
    return true;
}

/* One candidate; false where there is no such. */
static bool make_form(struct bare *bare, const struct plan *plan, const struct plan_step *step,
                      int form, struct item *item)
{
    if (item->matmul.count == 0) {
        item->out_at = step->op == OP_CONV2D ? 2 : step->op == OP_CONV2D_GRAD_INPUT ? 0 : 1;
        item->form = bare_conv_form(form);
        return finish_primitive(bare, item,
                                bare_conv_create(plan, step, form, bare->engine, &item->call));
    }
    const struct bare_matmul *p = &item->matmul;
    const int64_t floats[3] = {p->m * p->k, p->k * p->n, p->m * p->n};
    item->out_at = 2;
    item->form = bare_matmul_form(form);
    item->sgemm = form == 0;
    for (int i = 0; i < 3; i++) {
        item->bytes[i] = cpu_align((size_t)(p->count * floats[i]) * sizeof(float));
    }
    return item->sgemm ||
           finish_primitive(bare, item, bare_matmul_create(p, form, bare->engine, &item->call));
}

/* Appends the fastest form of a convolution, or of a matrix product (matmul.count > 0). */
static void add_best(struct bare *bare, const struct plan *plan, int s,
                     const struct bare_matmul *matmul)
{
    struct item best = {.form = NULL};
    double best_s = 0.0;
    for (int form = 0; (matmul->count > 0 ? bare_matmul_form(form) : bare_conv_form(form)) != NULL;
         form++) {
        struct item item = {.step = s, .matmul = *matmul};
        if (!make_form(bare, plan, &plan->steps[s], form, &item)) {
            continue;
        }
        double taken = try_item(bare, &item, best_s);
        if (best.form == NULL || taken < best_s) {
            dnn_call_release(&best.call);
            best = item;
            best_s = taken;
        } else {
            dnn_call_release(&item.call);
        }
    }
    if (best.form == NULL) {
        must(dnnl_unimplemented, plan->steps[s].path);
    }
    bare->items[bare->count++] = best;
}

static bool is_convolution(const struct plan_step *step)
{
    return step->kind == PLAN_OPERATOR &&
           (step->op == OP_CONV2D || step->op == OP_CONV2D_GRAD_INPUT ||
            step->op == OP_CONV2D_GRAD_WEIGHT);
}

static void add_step(struct bare *bare, const struct plan *plan, int s)
{
    struct bare_matmul matmuls[BARE_MATMULS_MAX];
    const struct plan_step *step = &plan->steps[s];
    if (is_convolution(step)) {
        add_best(bare, plan, s, &(struct bare_matmul){.times = 1});
        return;
    }
    int count = step->kind == PLAN_OPERATOR ? bare_matmuls_of(plan, step, matmuls) : 0;
    for (int i = 0; i < count; i++) {
        add_best(bare, plan, s, &matmuls[i]);
    }
}

/* One operand behind the other, from the start again where an arena ends. */
static void place_items(struct bare *bare)
{
    size_t source = 0;
    size_t target = 0;
    for (int n = 0; n < bare->count; n++) {
        struct item *item = &bare->items[n];
        for (int i = 0; i < 3; i++) {
            size_t *at = i == item->out_at ? &target : &source;
            size_t end = i == item->out_at ? bare->target_bytes : bare->source_bytes;
            *at = *at + item->bytes[i] > end ? 0 : *at;
            item->place[i] = *at;
            *at += item->bytes[i];
        }
    }
}

struct bare *bare_create(const struct bench *bench, const struct plan *plan)
{
    struct bare *bare = bench_need(cam_alloc(1, sizeof *bare));
    int lanes = bench->options.lanes;
    bare->bench = bench;
    bare->items =
        bench_need(cam_alloc((size_t)plan->step_count * BARE_MATMULS_MAX + 1, sizeof *bare->items));
    must(dnnl_engine_create(&bare->engine, dnnl_cpu, 0), "engine");
    for (int lane = 0; lane < lanes; lane++) {
        must(dnnl_stream_create(&bare->stream[lane], bare->engine, dnnl_stream_default_flags),
             "stream");
    }
    size_t least = (size_t)plan->activation_floats * sizeof(float) / 2 + ARENA_LEAST;
    grow(bare->source, &bare->source_bytes, least, lanes);
    grow(bare->target, &bare->target_bytes, least, lanes);
    grow(bare->scratch, &bare->scratch_bytes, ARENA_LEAST, lanes);
    for (int s = 0; s < plan->step_count; s++) {
        add_step(bare, plan, s);
    }
    place_items(bare);
    return bare;
}

void bare_destroy(struct bare *bare)
{
    for (int i = 0; i < bare->count; i++) {
        dnn_call_release(&bare->items[i].call);
    }
    for (int lane = 0; lane < bare->bench->options.lanes; lane++) {
        dnnl_stream_destroy(bare->stream[lane]);
        cam_free(bare->source[lane]);
        cam_free(bare->target[lane]);
        cam_free(bare->scratch[lane]);
    }
    dnnl_engine_destroy(bare->engine);
    cam_free(bare->items);
    cam_free(bare);
}

int bare_count(const struct bare *bare)
{
    return bare->count;
}

int bare_step(const struct bare *bare, int item)
{
    return bare->items[item].step;
}

const char *bare_form(const struct bare *bare, int item)
{
    return bare->items[item].form;
}

static enum cam_code run_one(void *context, int lane, int item, int round, struct cam_err *err)
{
    const struct bare *bare = context;
    (void)round;
    dnnl_status_t status = run_item(bare, &bare->items[item], lane);
    return status == dnnl_success ? CAM_OK : dnn_fail(err, status, "bare", "product");
}

struct bare_time bare_run(struct bare *bare, int rounds, double *item_s_out)
{
    struct bare_time time = {0};
    if (bare->count == 0) {
        return time;
    }
    double *times =
        bench_need(cam_alloc((size_t)(bare->count + 2) * (size_t)rounds, sizeof *times));
    double *sums = times + (size_t)bare->count * (size_t)rounds;
    double *wall = sums + rounds;
    const struct bench_work work = {.bench = bare->bench,
                                    .run = run_one,
                                    .context = bare,
                                    .items = bare->count,
                                    .rounds = rounds,
                                    .together = true};
    bench_run_lanes(&work, times, wall);
    for (int i = 0; i < bare->count; i++) {
        for (int round = 0; round < rounds; round++) {
            sums[round] += times[i * rounds + round];
        }
    }
    for (int i = 0; i < bare->count && item_s_out != NULL; i++) {
        item_s_out[i] = bench_quantile(times + i * rounds, rounds, 0.5);
    }
    time.lane_s = bench_quantile(sums, rounds, 0.5);
    time.wall_s = bench_quantile(wall, rounds, 0.5);
    cam_free(times);
    return time;
}
