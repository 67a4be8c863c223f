#include "worker/train/evaluate.h"

#include "base/mem.h"

#include <math.h>

/* A set may be long to judge: nobody is taken for hung within this, and this for every shard. */
enum { EVALUATE_LIMIT_MS = 600000, SHARD_LIMIT_MS = 1000 };

/* One lane's memory. */
struct evaluate_lane {
    float *values;
    float *labels;
    float *weights;
    float *output;
    const void **inputs; /* by slot */
};

struct evaluate {
    struct evaluate_options options;
    const struct training *training;
    int64_t shards;
    int64_t *segment; /* ranks + 1 limits of `sums`, in floats */
    int64_t first;    /* this rank's shards */
    int64_t end;
    int64_t round; /* shards of the running round: first ... */
    float *sums;   /* (own shards, metrics) */
    float *whole;  /* rank 0: of all shards */
    struct evaluate_lane *lane;
};

static enum cam_code no_memory(struct cam_err *err)
{
    return cam_fail(err, CAM_NO_MEMORY, "the validation: out of memory");
}

static enum cam_code make_lanes(struct evaluate *e, struct cam_err *err)
{
    const struct training *t = e->training;
    const struct source_info *info = source_info(e->options.source);
    int lanes = lanes_count(e->options.lanes);
    e->lane = cam_alloc((size_t)lanes, sizeof *e->lane);
    for (int i = 0; e->lane != NULL && i < lanes; i++) {
        struct evaluate_lane *lane = &e->lane[i];
        size_t rows = (size_t)t->rows * sizeof(float);
        lane->values = cam_alloc_aligned(rows * (size_t)source_value_floats(info));
        lane->labels = cam_alloc_aligned(rows * (size_t)source_label_floats(info));
        lane->weights = cam_alloc_aligned(rows);
        lane->output = cam_alloc_aligned((size_t)t->evaluation.metric_floats * sizeof(float));
        lane->inputs = cam_alloc((size_t)t->evaluation.weight_slot + 1, sizeof *lane->inputs);
        if (lane->values == NULL || lane->labels == NULL || lane->weights == NULL ||
            lane->output == NULL || lane->inputs == NULL) {
            return no_memory(err);
        }
        for (int k = 0; k < t->input_count; k++) {
            lane->inputs[k] =
                engine_input_is_label(e->options.engine, k) ? lane->labels : lane->values;
        }
        lane->inputs[t->evaluation.weight_slot] = lane->weights;
    }
    return e->lane == NULL ? no_memory(err) : CAM_OK;
}

enum cam_code evaluate_create(const struct evaluate_options *options, struct evaluate **out,
                              struct cam_err *err)
{
    struct evaluate *e = cam_alloc(1, sizeof *e);
    if (e == NULL) {
        return no_memory(err);
    }
    const struct training *t = options->compiled->training;
    const struct collectives *c = options->collectives;
    int64_t metrics = t->evaluation.metric_count;
    e->options = *options;
    e->training = t;
    e->shards = (t->evaluation.count + t->rows - 1) / t->rows;
    e->first = e->shards * c->rank / c->size;
    e->end = e->shards * (c->rank + 1) / c->size;
    e->segment = cam_alloc((size_t)c->size + 1, sizeof *e->segment);
    e->sums = cam_alloc((size_t)((e->end - e->first) * metrics) + 1, sizeof *e->sums);
    e->whole = c->rank == 0 ? cam_alloc((size_t)(e->shards * metrics), sizeof *e->whole) : NULL;
    if (e->segment == NULL || e->sums == NULL || (c->rank == 0 && e->whole == NULL)) {
        evaluate_destroy(e);
        return no_memory(err);
    }
    for (int rank = 0; rank <= c->size; rank++) {
        e->segment[rank] = e->shards * rank / c->size * metrics;
    }
    enum cam_code rc = make_lanes(e, err);
    if (rc != CAM_OK) {
        evaluate_destroy(e);
        return rc;
    }
    *out = e;
    return CAM_OK;
}

void evaluate_destroy(struct evaluate *e)
{
    if (e == NULL) {
        return;
    }
    for (int i = 0; e->lane != NULL && i < lanes_count(e->options.lanes); i++) {
        cam_free(e->lane[i].values);
        cam_free(e->lane[i].labels);
        cam_free(e->lane[i].weights);
        cam_free(e->lane[i].output);
        cam_free(e->lane[i].inputs);
    }
    cam_free(e->lane);
    cam_free(e->segment);
    cam_free(e->sums);
    cam_free(e->whole);
    cam_free(e);
}

/* Rows past the last sample repeat it, with weight 0. */
static enum cam_code fill(const struct evaluate *e, int64_t shard, const struct evaluate_lane *lane,
                          struct cam_err *err)
{
    const struct source_info *info = source_info(e->options.source);
    enum cam_code rc = CAM_OK;
    for (int64_t row = 0; rc == CAM_OK && row < e->training->rows; row++) {
        int64_t sample = shard * e->training->rows + row;
        bool real = sample < info->validation_count;
        sample = real ? sample : info->validation_count - 1;
        lane->weights[row] = real ? 1.0F : 0.0F;
        rc = source_read(e->options.source, info->count + sample,
                         lane->values + row * source_value_floats(info),
                         lane->labels + row * source_label_floats(info), err);
        if (rc != CAM_OK) {
            cam_err_prefix(err, "sample %lld of validation", (long long)sample);
        }
    }
    return rc;
}

static enum cam_code shard_task(void *context, int lane, struct cam_err *err)
{
    const struct evaluate *e = context;
    const struct evaluation *evaluation = &e->training->evaluation;
    const struct evaluate_lane *own = &e->lane[lane];
    int64_t shard = e->round + lane;
    if (shard >= e->end) {
        return CAM_OK;
    }
    enum cam_code rc = fill(e, shard, own, err);
    if (rc != CAM_OK) {
        return rc;
    }
    const struct bindings bindings = {
        .parameters = engine_parameters(e->options.engine),
        .buffers = engine_buffers(e->options.engine),
        .inputs = own->inputs,
        .activations = engine_activations(e->options.engine, lane),
        .output = own->output,
    };
    const struct random_context random = {.seed = e->training->seed};
    rc = e->options.compiled->backend->launch(e->options.compiled->evaluation.executable, lane,
                                              &bindings, &random, err);
    float *sums = e->sums + (shard - e->first) * evaluation->metric_count;
    for (int m = 0; rc == CAM_OK && m < evaluation->metric_count; m++) {
        sums[m] = own->output[evaluation->metrics[m].offset];
    }
    return rc;
}

/* The sum of one metric over the shards [first, end) in the order of the tree. */
static double add(const struct evaluate *e, int metric, int64_t first, int64_t end)
{
    int64_t count = end - first;
    int64_t left = 1;
    if (count == 1) {
        return (double)e->whole[first * e->training->evaluation.metric_count + metric];
    }
    while (2 * left < count) {
        left *= 2;
    }
    return add(e, metric, first, first + left) + add(e, metric, first + left, end);
}

enum cam_code evaluate_run(struct evaluate *e, double *metrics, struct cam_err *err)
{
    const struct evaluate_options *o = &e->options;
    const struct evaluation *evaluation = &e->training->evaluation;
    const struct bindings bindings = {.parameters = engine_parameters(o->engine),
                                      .buffers = engine_buffers(o->engine)};
    progress_enter(o->progress, "validation", "evaluate",
                   EVALUATE_LIMIT_MS + (e->end - e->first) * SHARD_LIMIT_MS);
    enum cam_code rc =
        o->compiled->backend->prepare(o->compiled->evaluation.executable, &bindings, err);
    for (e->round = e->first; rc == CAM_OK && e->round < e->end;
         e->round += lanes_count(o->lanes)) {
        rc = lanes_run(o->lanes, shard_task, e, err);
    }
    if (rc == CAM_OK) {
        atomic_fetch_add_explicit(&o->progress->collective, 1, memory_order_relaxed);
        rc = collectives_collect(o->collectives, e->sums, e->segment, e->whole, err);
    }
    for (int m = 0; rc == CAM_OK && e->whole != NULL && m < evaluation->metric_count; m++) {
        metrics[m] = add(e, m, 0, e->shards) / (double)evaluation->count;
        if (!isfinite(metrics[m])) {
            rc = cam_fail(err, CAM_NON_FINITE,
                          "%s is not finite over the %lld samples of validation",
                          evaluation->metrics[m].name, (long long)evaluation->count);
        }
    }
    return rc;
}
