#include "model/recipes/training.h"

#include "base/mem.h"
#include "model/optim/optimizer.h"
#include "model/presets/preset.h"
#include "model/recipes/build.h"
#include "model/recipes/ema.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { NORM_ROWS_MIN = 16 };

/* What training_create hands out, with what only training_destroy needs. */
struct training_owner {
    struct training training; /* first */
    struct training_build build;
    struct graph *graphs[GRAPHS_MAX];
    int graph_count;
};

static const struct {
    enum cam_code (*build)(struct training_build *build);
    bool text; /* it trains on text, else on images */
} RECIPES[] = {
    [RECIPE_GAN] = {gan_build, false},
    [RECIPE_CLASSIFICATION] = {classification_build, false},
    [RECIPE_CAUSAL_LM] = {causal_lm_build, true},
};
_Static_assert(sizeof RECIPES / sizeof RECIPES[0] == RECIPE_COUNT, "a row for every recipe");

void training_destroy(struct training *training)
{
    if (training == NULL) {
        return;
    }
    struct training_owner *owner = (struct training_owner *)training;
    for (int i = 0; i < owner->graph_count; i++) {
        graph_destroy(owner->graphs[i]);
    }
    cam_arena_destroy(training->arena);
    cam_free(owner);
}

struct graph *build_graph(struct training_build *build)
{
    struct training_owner *owner = (struct training_owner *)build->training;
    assert(owner->graph_count < GRAPHS_MAX);
    struct graph *graph = graph_create();
    if (graph != NULL) {
        owner->graphs[owner->graph_count++] = graph;
    }
    return graph;
}

/* The scratch graph is needed for its shapes only. */
enum cam_code build_declare(struct training_build *build, int part, const struct shape *input_shape,
                            struct shape *out)
{
    const struct tensor_table *table = &build->tensors.parameters;
    struct graph *graph = graph_create();
    struct part_info *info = &build->parts[part];
    int node = NODE_NONE;
    info->name = cam_arena_strdup(build->arena, build->specs[part].name);
    if (graph == NULL || info->name == NULL) {
        graph_destroy(graph);
        return cam_fail(build->err, CAM_NO_MEMORY, "no memory for a graph");
    }
    struct part_call call = {.job = build->job,
                             .spec = &build->specs[part],
                             .input_name = build->input_names[part],
                             .part = part,
                             .graph = graph,
                             .tensors = &build->tensors,
                             .phase = "declare",
                             .training = true};
    info->parameter_first = table->count;
    info->block_first = table->floats / BLOCK_FLOATS;
    enum cam_code rc =
        build_part(build, &call, graph_leaf(graph, OP_INPUT, 0, input_shape), &node);
    info->parameter_count = table->count - info->parameter_first;
    info->block_count = table->floats / BLOCK_FLOATS - info->block_first;
    if (rc == CAM_OK) {
        *out = graph_node(graph, node)->shape;
        if (info->parameter_count == 0) {
            rc = doc_fail(build->job->file_name, build->specs[part].line, build->err,
                          "%s has no weights to train, at least one dense or conv2d is expected",
                          info->name);
        }
    }
    if (rc == CAM_OK && call.statistic_count > 0 && build->training->rows < NORM_ROWS_MIN &&
        build->training->warning_count == 0) {
        const char *text = cam_arena_printf(build->arena,
                                            "batch norm sees %" PRId64
                                            " samples a shard; below %d its statistics are noisy "
                                            "(fewer train.shards make shards larger)",
                                            build->training->rows, NORM_ROWS_MIN);
        build->warnings[build->training->warning_count++] = text == NULL ? "" : text;
    }
    graph_destroy(graph);
    return rc;
}

static enum cam_code check_data(const struct training_build *build)
{
    const struct job_file *job = build->job;
    bool text = build->data->length > 0;
    if (text != RECIPES[job->recipe].text) {
        return jobfile_fail(job, "data.format", build->err, "data are %s, recipe %s trains on %s",
                            text ? "text" : "images", job_recipe_name(job->recipe),
                            text ? "images" : "text");
    }
    if (build->data->count < job->train.batch) {
        return jobfile_fail(job, "train.batch", build->err,
                            "train.batch is %" PRId64 ", the data have %" PRId64
                            " samples; at most that many are allowed",
                            job->train.batch, build->data->count);
    }
    if (job->train.shards < 1 || job->train.batch % job->train.shards != 0) {
        return jobfile_fail(job, "train.shards", build->err,
                            "train.shards is %" PRId64
                            ", which does not divide train.batch %" PRId64,
                            job->train.shards, job->train.batch);
    }
    if (job->resources.ranks_max > job->train.shards) {
        return jobfile_fail(job, "resources.ranks", build->err,
                            "resources.ranks is %" PRId64 ", at most train.shards %" PRId64
                            " are allowed",
                            job->resources.ranks_max, job->train.shards);
    }
    return CAM_OK;
}

static enum cam_code begin(struct training_build *build)
{
    const struct job_file *job = build->job;
    struct training *training = build->training;
    build->streams.arena = build->arena;
    build->tensors = (struct tensors){.arena = build->arena,
                                      .parameters = {.align = BLOCK_FLOATS},
                                      .buffers = {.align = 16},
                                      .initial = build_graph(build),
                                      .streams = &build->streams};
    if (build->tensors.initial == NULL) {
        return cam_fail(build->err, CAM_NO_MEMORY, "no memory for a training");
    }
    training->batch = job->train.batch;
    training->shards = job->train.shards;
    training->rows = job->train.batch / job->train.shards;
    training->seed = job->train.seed;
    training->recompute = job->train.recompute == RECOMPUTE_BLOCKS;
    training->part_count = job->part_count;
    enum cam_code rc = CAM_OK;
    for (int i = 0; rc == CAM_OK && i < job->part_count; i++) {
        rc = preset_expand(job, &job->parts[i], build->data, build->arena, &build->specs[i],
                           build->err);
    }
    return rc;
}

int build_group(struct training_build *build, int first, int last)
{
    const struct part_info *end = &build->parts[last];
    struct part_info group = build->parts[first];
    group.name = "the model";
    group.parameter_count = end->parameter_first + end->parameter_count - group.parameter_first;
    group.block_count = end->block_first + end->block_count - group.block_first;
    build->parts[PARTS_MAX] = group;
    return PARTS_MAX;
}

/* Of a part, or the one that all parts of a group have. */
static enum cam_code find_optimizer(const struct training_build *build, int part,
                                    const struct optimizer_spec **out)
{
    const struct job_file *job = build->job;
    const struct part_info *info = &build->parts[part];
    *out = NULL;
    for (int i = 0; i < job->part_count; i++) {
        const struct part_info *member = &build->parts[i];
        bool within = member->parameter_first >= info->parameter_first &&
                      member->parameter_first < info->parameter_first + info->parameter_count;
        const struct optimizer_spec *spec = jobfile_optimizer(job, build->specs[i].name);
        if (!within || spec == NULL) {
            continue;
        }
        if (*out != NULL &&
            ((*out)->attributes != spec->attributes || strcmp((*out)->type, spec->type) != 0)) {
            return jobfile_fail(job, "optimizer", build->err,
                                "recipe %s updates all parts together, one optimizer for all of "
                                "them is expected",
                                job_recipe_name(job->recipe));
        }
        *out = spec;
    }
    return *out != NULL ? CAM_OK
                        : jobfile_fail(job, "optimizer", build->err,
                                       "optimizer.%s is missing, every part needs one", info->name);
}

static enum cam_code read_updates(struct training_build *build)
{
    enum cam_code rc = CAM_OK;
    for (int i = 0; rc == CAM_OK && i < build->training->phase_count; i++) {
        struct phase *phase = &build->phases[i];
        if (phase->base != i) {
            phase->update = build->phases[phase->base].update;
            continue;
        }
        const struct optimizer_spec *spec = NULL;
        rc = find_optimizer(build, phase->part, &spec);
        rc = rc == CAM_OK
                 ? optimizer_read(build->job, spec, build->arena, &phase->update, build->err)
                 : rc;
        ema_add_state(&phase->update);
    }
    return rc;
}

static void finish(struct training_build *build)
{
    struct training *training = build->training;
    training->parts = build->parts;
    training->parameters = build->tensors.parameters.rows;
    training->parameter_count = build->tensors.parameters.count;
    training->parameter_floats = build->tensors.parameters.floats;
    training->buffers = build->tensors.buffers.rows;
    training->buffer_count = build->tensors.buffers.count;
    training->buffer_floats = build->tensors.buffers.floats;
    training->inputs = build->inputs;
    training->initial = build->tensors.initial;
    training->warnings = build->warnings;
}

enum cam_code training_create(const struct job_file *job, const struct data_shape *data,
                              struct training **out, struct cam_err *err)
{
    struct training_owner *owner = cam_alloc(1, sizeof *owner);
    struct cam_arena *arena = cam_arena_create();
    if (owner == NULL || arena == NULL || job->part_count > PARTS_MAX) {
        cam_free(owner);
        cam_arena_destroy(arena);
        return cam_fail(err, CAM_NO_MEMORY, "no memory for a training of %d parts",
                        job->part_count);
    }
    struct training_build *build = &owner->build;
    owner->training.arena = arena;
    build->job = job;
    build->data = data;
    build->training = &owner->training;
    owner->training.phases = build->phases;
    build->arena = arena;
    build->err = err;
    enum cam_code rc = check_data(build);
    rc = rc == CAM_OK ? begin(build) : rc;
    rc = rc == CAM_OK ? RECIPES[job->recipe].build(build) : rc;
    rc = rc == CAM_OK ? read_updates(build) : rc;
    rc = rc == CAM_OK ? schedule_build(build) : rc;
    rc = rc == CAM_OK ? graph_status(build->tensors.initial, err) : rc;
    if (rc != CAM_OK) {
        training_destroy(&owner->training);
        return rc;
    }
    finish(build);
    build->err = NULL;
    *out = &owner->training;
    return CAM_OK;
}
