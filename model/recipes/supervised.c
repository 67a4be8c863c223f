#include "model/recipes/supervised.h"

#include <string.h>

enum { METRICS_MAX = EVALUATION_METRICS_MAX };

static uint32_t last_axis(const struct graph *graph, int node)
{
    int rank = graph_node(graph, node)->shape.rank;
    return rank > 0 ? 1U << (rank - 1) : 0;
}

int supervised_rows(struct graph *graph, int node)
{
    if (node == NODE_NONE) {
        return NODE_NONE;
    }
    const struct shape *shape = &graph_node(graph, node)->shape;
    int64_t rows = shape->dim[0];
    int64_t places = shape_count(shape) / rows;
    node = graph_reshape(graph, node, &(struct shape){.rank = 2, .dim = {rows, places}});
    return graph_reshape(graph, graph_mean(graph, node, 1U << 1),
                         &(struct shape){.rank = 1, .dim = {rows}});
}

/* (N) to rank 0. */
static int sum_of(struct graph *graph, int rows)
{
    return graph_reshape(graph, graph_sum(graph, rows, 1U), &(struct shape){0});
}

int supervised_accuracy(const struct judged *judged)
{
    struct graph *graph = judged->graph;
    if (judged->logits == NODE_NONE || judged->label == NODE_NONE) {
        return NODE_NONE;
    }
    const struct shape shape = graph_node(graph, judged->logits)->shape;
    struct shape column = shape;
    column.dim[shape.rank - 1] = 1;
    uint32_t axes = last_axis(graph, judged->logits);
    int label = graph_broadcast(graph, graph_reshape(graph, judged->label, &column), &shape);
    int is_label = graph_binary(graph, OP_EQUAL, graph_iota(graph, &shape, shape.rank - 1), label);
    int own = graph_sum(
        graph, graph_select(graph, is_label, judged->logits, graph_constant(graph, 0.0, &shape)),
        axes);
    int best = graph_reduce_max(graph, judged->logits, axes);
    int best_count = graph_sum(
        graph, graph_binary(graph, OP_EQUAL, judged->logits, graph_broadcast(graph, best, &shape)),
        axes);
    return supervised_rows(
        graph, graph_binary(graph, OP_DIV, graph_binary(graph, OP_EQUAL, own, best), best_count));
}

static enum cam_code find_parts(struct supervised *recipe)
{
    struct training_build *build = recipe->build;
    recipe->encoder = -1;
    recipe->head = -1;
    for (int i = 0; i < build->job->part_count; i++) {
        if (strcmp(build->specs[i].name, "encoder") == 0) {
            recipe->encoder = i;
            build->input_names[i] = recipe->input_name;
        } else if (strcmp(build->specs[i].name, "head") == 0) {
            recipe->head = i;
            build->input_names[i] = "features";
        }
    }
    return recipe->encoder >= 0
               ? CAM_OK
               : jobfile_fail(build->job, "model", build->err, "recipe %s needs the part encoder",
                              job_recipe_name(build->job->recipe));
}

/* (N,...,C) with the label's sizes in front and a logit for every class behind. */
static enum cam_code check_logits(const struct supervised *recipe, const struct shape *logits)
{
    struct training_build *build = recipe->build;
    int part = recipe->head >= 0 ? recipe->head : recipe->encoder;
    const struct shape *label = &recipe->label;
    bool fits = logits->rank == label->rank + 1 && logits->dim[label->rank] >= recipe->classes;
    for (int i = 0; fits && i < label->rank; i++) {
        fits = logits->dim[i] == label->dim[i];
    }
    if (fits) {
        return CAM_OK;
    }
    char found[96];
    char wanted[96];
    struct shape sample = shape_sample(logits);
    struct shape logits_wanted = *label;
    logits_wanted.dim[logits_wanted.rank++] = recipe->classes;
    logits_wanted = shape_sample(&logits_wanted);
    return doc_fail(build->job->file_name, build->specs[part].line, build->err,
                    "%s gives %s a sample, logits of %s are expected: end it with %s",
                    build->specs[part].name, shape_text(&sample, found, sizeof found),
                    shape_text(&logits_wanted, wanted, sizeof wanted), recipe->hint);
}

static enum cam_code declare(struct supervised *recipe)
{
    struct shape out = {0};
    enum cam_code rc = build_declare(recipe->build, recipe->encoder, &recipe->input, &out);
    recipe->trained = recipe->encoder;
    if (rc == CAM_OK && recipe->head >= 0) {
        struct shape features = out;
        memcpy(recipe->build->enters[recipe->head], recipe->build->leaves[recipe->encoder],
               sizeof recipe->build->enters[0]);
        rc = build_declare(recipe->build, recipe->head, &features, &out);
        if (rc == CAM_OK) {
            recipe->trained = build_group(recipe->build, recipe->encoder, recipe->head);
        }
    }
    return rc == CAM_OK ? check_logits(recipe, &out) : rc;
}

static enum cam_code judge(const struct supervised *recipe, struct phase_build *phase,
                           bool training, struct judged *out)
{
    *out = (struct judged){.graph = phase->graph, .logits = NODE_NONE};
    graph_set_path(phase->graph, recipe->input_name);
    int input = graph_leaf(phase->graph, OP_INPUT, 0, &recipe->input);
    graph_set_path(phase->graph, "label");
    out->label = graph_leaf(phase->graph, OP_INPUT, 1, &recipe->label);
    enum cam_code rc = phase_call(
        phase, &(struct phase_call){.part = recipe->encoder, .input = input, .training = training},
        &out->logits);
    rc = rc == CAM_OK ? build_check_tables(recipe->build, recipe->encoder, phase->graph, input,
                                           recipe->classes, TABLE_TOKENS)
                      : rc;
    if (rc == CAM_OK && recipe->head >= 0) {
        rc = phase_call(
            phase,
            &(struct phase_call){.part = recipe->head, .input = out->logits, .training = training},
            &out->logits);
    }
    if (rc == CAM_OK) {
        graph_set_path(phase->graph, "loss");
        out->loss = supervised_rows(phase->graph,
                                    graph_softmax_xent(phase->graph, out->logits, out->label, 0.0));
        rc = graph_status(phase->graph, recipe->build->err);
    }
    return rc;
}

static enum cam_code build_phase(const struct supervised *recipe, struct phase *out)
{
    struct phase_build phase;
    struct judged judged;
    struct phase_metric others[METRICS_MAX];
    double smoothing = recipe->build->job->train.label_smoothing;
    enum cam_code rc = phase_begin(recipe->build, "training", &phase);
    rc = rc == CAM_OK ? judge(recipe, &phase, true, &judged) : rc;
    if (rc != CAM_OK) {
        return rc;
    }
    struct graph *graph = phase.graph;
    int loss = judged.loss;
    if (smoothing > 0) {
        loss = supervised_rows(graph,
                               graph_softmax_xent(graph, judged.logits, judged.label, smoothing));
    }
    for (int i = 0; i < recipe->metric_count; i++) {
        graph_set_path(graph, recipe->metrics[i].name);
        others[i] = (struct phase_metric){
            .name = recipe->metrics[i].name,
            .node =
                sum_of(graph, graph_unary(graph, OP_STOP_GRADIENT, recipe->metrics[i].of(&judged))),
        };
    }
    graph_set_path(graph, "loss");
    struct phase_loss minimised = {.shown = others, .shown_count = recipe->metric_count};
    phase_loss_add(&minimised, "loss", sum_of(graph, loss));
    rc = phase_finish(&phase, recipe->trained, &minimised, out);
    out->takes_batch = true;
    return rc;
}

static enum cam_code build_evaluation(const struct supervised *recipe)
{
    struct training_build *build = recipe->build;
    struct evaluation *out = &build->training->evaluation;
    int count = 1 + recipe->metric_count;
    struct phase_build phase;
    struct judged judged;
    if (build->data->validation_count == 0) {
        return CAM_OK;
    }
    enum cam_code rc = phase_begin(build, "validation", &phase);
    rc = rc == CAM_OK ? judge(recipe, &phase, false, &judged) : rc;
    struct metric_info *metrics = cam_arena_alloc(build->arena, (size_t)count, sizeof *metrics);
    int *nodes = cam_arena_alloc(build->arena, (size_t)count, sizeof *nodes);
    if (rc != CAM_OK || metrics == NULL || nodes == NULL) {
        return rc != CAM_OK ? rc : cam_fail(build->err, CAM_NO_MEMORY, "no memory for a training");
    }
    struct graph *graph = phase.graph;
    int weight = graph_leaf(graph, OP_INPUT, build->training->input_count,
                            &(struct shape){.rank = 1, .dim = {build->training->rows}});
    for (int i = 0; i < count; i++) {
        const struct supervised_metric *metric = i == 0 ? NULL : &recipe->metrics[i - 1];
        const char *name = i == 0 ? "val_loss" : metric->validation_name;
        graph_set_path(graph, name);
        int rows = i == 0 ? judged.loss : metric->of(&judged);
        nodes[i] = sum_of(graph, graph_binary(graph, OP_MUL, rows, weight));
        metrics[i] = (struct metric_info){.name = name, .offset = i * (int64_t)METRIC_FLOATS};
    }
    *out = (struct evaluation){.graph = graph,
                               .count = build->data->validation_count,
                               .weight_slot = build->training->input_count,
                               .metrics = metrics,
                               .nodes = nodes,
                               .metric_count = count,
                               .metric_floats = count * (int64_t)METRIC_FLOATS};
    return graph_status(graph, build->err);
}

enum cam_code supervised_build(struct supervised *recipe)
{
    struct training_build *build = recipe->build;
    build->inputs[0] = (struct input_info){.name = recipe->input_name, .shape = recipe->input};
    build->inputs[1] = (struct input_info){.name = "label", .shape = recipe->label};
    build->training->input_count = 2;
    build->training->phase_count = 1;
    enum cam_code rc = find_parts(recipe);
    rc = rc == CAM_OK ? declare(recipe) : rc;
    rc = rc == CAM_OK ? build_phase(recipe, &build->phases[0]) : rc;
    return rc == CAM_OK ? build_evaluation(recipe) : rc;
}
