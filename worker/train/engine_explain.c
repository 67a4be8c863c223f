/*
 * Where the first value came from that is not finite: the shard is computed again, once for its
 * losses and gradients, and then with every value of its graph as an output, a window of the graph
 * at a time.  The run has failed by then, so this takes what memory and time it needs.
 */
#include "base/mem.h"
#include "base/text.h"
#include "model/graph/op.h"
#include "worker/train/engine_tables.h"

#include <math.h>
#include <string.h>

enum {
    WINDOW_FLOATS = 16 * 1024 * 1024, /* of values looked at together */
    SAMPLES_SHOWN = 8,
};

/* What is being explained, and what was found so far. */
struct inquiry {
    struct engine *engine;
    const struct engine_phase *run;
    int shard;
    const char *what; /* the loss or tensor that is not finite */
    bool gradient;    /* it is a gradient */
    const char *how;  /* "nan", "inf", "-inf" */
    const struct node *node;
    const char *node_how;
};

/* Of the first float that is not finite; printf would tell the sign of a NaN, which means nothing.
 * NULL: all are. */
static const char *how_bad(const float *floats, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(floats[i])) {
            return isnan(floats[i]) ? "nan" : floats[i] > 0.0F ? "inf" : "-inf";
        }
    }
    return NULL;
}

static const struct phase *phase_of(const struct inquiry *q)
{
    return &q->engine->training->phases[q->run->phase];
}

/* Runs a plan for the inquiry's shard; *output_out is the caller's to free. */
static enum cam_code run_plan(const struct inquiry *q, const struct compiled_plan *plan,
                              int64_t output_floats, float **output_out, struct cam_err *err)
{
    struct engine *engine = q->engine;
    const struct bindings bindings = {.parameters = engine->parameters, .buffers = engine->buffers};
    float *activations =
        cam_alloc_aligned((size_t)(plan->plan->activation_floats + BLOCK_FLOATS) * sizeof(float));
    float *output = cam_alloc_aligned((size_t)output_floats * sizeof(float));
    enum cam_code rc = CAM_OK;
    if (activations == NULL || output == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "computing a shard again: out of memory");
    }
    if (rc == CAM_OK) {
        rc = engine->compiled->backend->prepare(plan->executable, &bindings, err);
    }
    if (rc == CAM_OK) {
        const struct engine_launch what = {.executable = plan->executable,
                                           .shard = q->shard,
                                           .activations = activations,
                                           .output = output};
        rc = engine_launch(engine, q->run, &what, err);
    }
    cam_free(activations);
    if (rc != CAM_OK) {
        cam_free(output);
        return rc;
    }
    *output_out = output;
    return CAM_OK;
}

/* Which loss, or else gradient, of the shard is not finite; q->what stays NULL where none is. */
static enum cam_code look_at_outputs(struct inquiry *q, struct cam_err *err)
{
    const struct training *t = q->engine->training;
    const struct phase *phase = phase_of(q);
    const struct part_info *part = &t->parts[phase->part];
    float *output = NULL;
    enum cam_code rc = run_plan(q, &q->engine->compiled->phases[q->run->phase].shard,
                                phase->output_floats, &output, err);
    if (rc != CAM_OK) {
        return rc;
    }
    for (int i = 0; i < phase->metric_count && q->what == NULL; i++) {
        q->how = how_bad(output + phase->metrics[i].offset, 1);
        q->what = q->how == NULL ? NULL : phase->metrics[i].name;
    }
    for (int i = 0; i < part->parameter_count && q->what == NULL; i++) {
        const struct tensor_info *tensor = &t->parameters[part->parameter_first + i];
        int64_t at = (tensor->block_first - part->block_first) * BLOCK_FLOATS;
        q->how = how_bad(output + at, shape_count(&tensor->shape));
        q->what = q->how == NULL ? NULL : tensor->name;
        q->gradient = q->what != NULL;
    }
    if (q->what == NULL) {
        q->how = how_bad(output + phase->gradient_floats, phase->statistics_floats);
        q->what = q->how == NULL ? NULL : "a statistic of batch norm";
    }
    cam_free(output);
    return CAM_OK;
}

/* ---------------------------------------------------------------- operators */

static void mark_needed(const struct phase *phase, bool *needed)
{
    for (int i = 0; i < phase->output_count; i++) {
        needed[phase->output_nodes[i]] = true;
    }
    for (int n = graph_count(phase->graph) - 1; n >= 0; n--) {
        const struct node *node = graph_node(phase->graph, n);
        for (int i = 0; needed[n] && i < node->input_count; i++) {
            needed[node->input[i]] = true;
        }
    }
}

/* Whether a node computes values, rather than holding or moving them. */
static bool computes(const struct node *node)
{
    enum op_class class = op_get(node->op)->class;
    return class != OP_CLASS_LEAF && class != OP_CLASS_RANDOM && class != OP_CLASS_VIEW &&
           class != OP_CLASS_MOVE;
}

struct excerpt {
    int *nodes;
    int64_t *offsets;
    int count;
    int64_t floats;
};

/* Takes nodes from `at` on until the window is full; returns the node after the last one. */
static int fill_window(const struct phase *phase, const bool *needed, int at,
                       struct excerpt *window)
{
    window->count = 0;
    window->floats = 0;
    for (; at < graph_count(phase->graph); at++) {
        const struct node *node = graph_node(phase->graph, at);
        if (!needed[at] || !computes(node)) {
            continue;
        }
        int64_t floats = (shape_count(&node->shape) + 15) / 16 * 16;
        if (window->count > 0 && window->floats + floats > WINDOW_FLOATS) {
            break;
        }
        window->nodes[window->count] = at;
        window->offsets[window->count++] = window->floats;
        window->floats += floats;
    }
    return at;
}

static enum cam_code look_at_window(struct inquiry *q, const struct excerpt *window,
                                    struct cam_err *err)
{
    const struct graph *graph = phase_of(q)->graph;
    struct compiled_plan plan = {0};
    float *output = NULL;
    enum cam_code rc = compiled_plan(q->engine->compiled,
                                     &(struct compiled_request){.graph = graph,
                                                                .nodes = window->nodes,
                                                                .offsets = window->offsets,
                                                                .count = window->count},
                                     &plan, err);
    if (rc == CAM_OK) {
        rc = run_plan(q, &plan, window->floats, &output, err);
    }
    for (int i = 0; rc == CAM_OK && i < window->count && q->node == NULL; i++) {
        const struct node *node = graph_node(graph, window->nodes[i]);
        q->node_how = how_bad(output + window->offsets[i], shape_count(&node->shape));
        q->node = q->node_how == NULL ? NULL : node;
    }
    cam_free(output);
    compiled_release(q->engine->compiled->backend, &plan);
    return rc;
}

/* The first node in the graph's order whose value is not finite: its inputs stand before it. */
static enum cam_code look_at_operators(struct inquiry *q, struct cam_err *err)
{
    const struct phase *phase = phase_of(q);
    size_t count = (size_t)graph_count(phase->graph);
    bool *needed = cam_alloc(count, sizeof *needed);
    struct excerpt window = {.nodes = cam_alloc(count, sizeof *window.nodes),
                             .offsets = cam_alloc(count, sizeof *window.offsets)};
    enum cam_code rc = CAM_OK;
    if (needed == NULL || window.nodes == NULL || window.offsets == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "looking at every operator: out of memory");
    } else {
        mark_needed(phase, needed);
    }
    for (int at = 0; rc == CAM_OK && q->node == NULL && at < graph_count(phase->graph);) {
        at = fill_window(phase, needed, at, &window);
        rc = window.count > 0 ? look_at_window(q, &window, err) : CAM_OK;
    }
    cam_free(window.offsets);
    cam_free(window.nodes);
    cam_free(needed);
    return rc;
}

/* ---------------------------------------------------------------- words */

/* Weights that are not finite already, or NULL. */
static const char *bad_weights(const struct inquiry *q)
{
    const struct training *t = q->engine->training;
    for (int i = 0; i < t->parameter_count; i++) {
        const struct tensor_info *tensor = &t->parameters[i];
        if (how_bad(q->engine->parameters + tensor->offset, shape_count(&tensor->shape)) != NULL) {
            return tensor->name;
        }
    }
    return NULL;
}

static void say_samples(const struct inquiry *q, struct cam_text *text)
{
    int64_t rows = q->engine->training->rows;
    int64_t first = (q->shard - q->engine->range.first) * rows;
    if (q->run->sample_of == NULL) {
        cam_text_add(text,
                     "; the shard has no samples, its rows of random numbers are %lld to %lld",
                     (long long)(q->shard * rows), (long long)((q->shard + 1) * rows - 1));
        return;
    }
    for (int64_t row = 0; row < rows && row < SAMPLES_SHOWN; row++) {
        cam_text_add(text, "%s%lld", row == 0 ? "; samples " : ", ",
                     (long long)q->run->sample_of(q->run->sample_context, first + row));
    }
    if (rows > SAMPLES_SHOWN) {
        cam_text_add(text, " and %lld more", (long long)(rows - SAMPLES_SHOWN));
    }
}

static void say(const struct inquiry *q, struct cam_err *out)
{
    struct cam_text text = {0};
    const char *weights = bad_weights(q);
    cam_text_add(&text, "%s%s is %s in shard %d of rank %d, step %lld, phase %s",
                 q->gradient ? "the gradient of " : "", q->what, q->how, q->shard,
                 q->engine->collectives->rank, (long long)q->run->step, phase_of(q)->name);
    if (weights != NULL) {
        cam_text_add(&text, "; the weights %s are not finite since the step before", weights);
    } else if (q->node != NULL) {
        cam_text_add(&text, "; first in operator %s of %s, which gives %s from finite values",
                     op_get(q->node->op)->name, q->node->path == NULL ? "the model" : q->node->path,
                     q->node_how);
    }
    say_samples(q, &text);
    (void)cam_fail(out, CAM_NON_FINITE, "%s (a smaller learning rate or clip_norm often helps)",
                   text.bytes != NULL ? text.bytes : "a loss or gradient is not finite");
    cam_text_release(&text);
}

/* Looks for the first shard of this rank that is not finite; what cannot be found out is left out
 * of the words. */
static void look(struct engine *engine, const struct engine_phase *run)
{
    struct cam_err ignored;
    struct inquiry q = {.engine = engine, .run = run};
    enum cam_code rc = CAM_OK;
    for (q.shard = engine->range.first; rc == CAM_OK && q.what == NULL; q.shard++) {
        if (q.shard == engine->range.end) {
            break;
        }
        rc = look_at_outputs(&q, &ignored);
        if (q.what != NULL) {
            (void)look_at_operators(&q, &ignored);
            say(&q, &engine->spoiling);
            return;
        }
    }
    (void)cam_fail(&engine->spoiling, CAM_NON_FINITE,
                   "a loss or gradient is not finite in shards %d to %d of rank %d, step %lld, "
                   "phase %s (a smaller learning rate or clip_norm often helps)",
                   engine->range.first, engine->range.end - 1, engine->collectives->rank,
                   (long long)run->step, engine->training->phases[run->phase].name);
}

enum cam_code engine_explain(struct engine *engine, const struct engine_phase *run, int *rank_out,
                             struct cam_err *err)
{
    struct collectives *c = engine->collectives;
    if (engine->spoiled) {
        look(engine, run);
    }
    /* The lowest rank that knows tells all. */
    int64_t voice = engine->spoiling.code == CAM_OK ? 0 : c->size - c->rank;
    enum cam_code rc = collectives_agree(c, &voice, err);
    if (rc != CAM_OK) {
        return rc;
    }
    *rank_out = voice == 0 ? 0 : c->size - (int)voice;
    struct cam_err told = engine->spoiling;
    rc = collectives_broadcast(c, *rank_out, &told, sizeof told, err);
    if (rc != CAM_OK) {
        return rc;
    }
    return cam_fail(err, CAM_NON_FINITE, "%s", told.text);
}
