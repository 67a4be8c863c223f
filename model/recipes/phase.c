/* One phase: calls of parts, gradients of one part, and the layout of its output block. */
#include "model/graph/gradient.h"
#include "model/recipes/build.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum cam_code no_memory(const struct phase_build *phase)
{
    return cam_fail(phase->build->err, CAM_NO_MEMORY, "no memory for the phase %s", phase->name);
}

enum cam_code phase_begin(struct training_build *build, const char *name, struct phase_build *out)
{
    const struct tensor_table *table = &build->tensors.parameters;
    *out = (struct phase_build){.build = build, .name = name, .graph = build_graph(build)};
    out->parameters =
        cam_arena_alloc(build->arena, (size_t)table->count + 1, sizeof *out->parameters);
    if (out->graph == NULL || out->parameters == NULL) {
        return no_memory(out);
    }
    for (int i = 0; i < table->count; i++) {
        graph_set_path(out->graph, table->rows[i].name);
        out->parameters[i] = graph_leaf(out->graph, OP_PARAMETER, i, &table->rows[i].shape);
    }
    return graph_status(out->graph, build->err);
}

enum cam_code build_part(struct training_build *build, struct part_call *call, int input,
                         int *node_out)
{
    memcpy(call->flattened, build->enters[call->part], sizeof call->flattened);
    enum cam_code rc = build->build_part != NULL ? build->build_part(build, call, input, node_out)
                                                 : part_build(call, input, node_out, build->err);
    memcpy(build->leaves[call->part], call->flattened, sizeof call->flattened);
    return rc;
}

enum cam_code build_check_tables(const struct training_build *build, int part,
                                 const struct graph *graph, int index, int64_t count,
                                 enum table_of what)
{
    for (int i = 0; i < graph_count(graph); i++) {
        const struct node *node = graph_node(graph, i);
        if (node->op != OP_GATHER || node->input[1] != index) {
            continue;
        }
        int64_t rows = graph_node(graph, node->input[0])->shape.dim[0];
        if (rows < count) {
            return doc_fail(build->job->file_name, build->specs[part].line, build->err,
                            "%s has a vocabulary of %" PRId64 ", %s %" PRId64 " different %s",
                            node->path, rows,
                            what == TABLE_TOKENS ? "the text has" : "the data have", count,
                            what == TABLE_TOKENS ? "tokens" : "classes");
        }
    }
    return CAM_OK;
}

enum cam_code phase_status(const struct phase_build *phase)
{
    struct training_build *build = phase->build;
    struct cam_err err = {0};
    enum cam_code rc = graph_status(phase->graph, &err);
    return rc == CAM_INVALID ? jobfile_fail(build->job, "model", build->err, "the phase %s has %s",
                                            phase->name, err.text)
           : rc == CAM_OK    ? CAM_OK
                             : cam_fail(build->err, rc, "%s", err.text);
}

enum cam_code phase_call(struct phase_build *phase, const struct phase_call *call, int *node_out)
{
    struct training_build *build = phase->build;
    struct part_call part = {.job = build->job,
                             .spec = &build->specs[call->part],
                             .input_name = build->input_names[call->part],
                             .part = call->part,
                             .graph = phase->graph,
                             .tensors = &build->tensors,
                             .parameters = phase->parameters,
                             .phase = phase->name,
                             .call = phase->calls[call->part]++,
                             .training = call->training,
                             .logits = call->logits,
                             .labelled = call->labelled,
                             .label = call->label,
                             .statistics = phase->statistics,
                             .statistic_count = phase->statistic_count,
                             .statistic_capacity = phase->statistic_capacity,
                             .powers = phase->powers,
                             .power_count = phase->power_count,
                             .power_capacity = phase->power_capacity};
    enum cam_code rc = build_part(build, &part, call->input, node_out);
    phase->statistics = part.statistics;
    phase->statistic_count = part.statistic_count;
    phase->statistic_capacity = part.statistic_capacity;
    phase->powers = part.powers;
    phase->power_count = part.power_count;
    phase->power_capacity = part.power_capacity;
    return rc;
}

enum cam_code phase_latent(struct phase_build *phase, int64_t rows, int64_t size, int *node_out)
{
    char name[64];
    uint32_t stream = 0;
    struct shape shape = {.rank = 2, .dim = {rows, size}};
    (void)snprintf(name, sizeof name, "%s/latent/0", phase->name);
    enum cam_code rc = streams_take(&phase->build->streams, name, &stream, phase->build->err);
    if (rc != CAM_OK) {
        return rc;
    }
    graph_set_path(phase->graph, "latent");
    *node_out = graph_random(phase->graph, OP_NORMAL, &shape, stream, true);
    return graph_status(phase->graph, phase->build->err);
}

static int64_t whole_blocks(int64_t floats)
{
    return (floats + BLOCK_FLOATS - 1) / BLOCK_FLOATS * BLOCK_FLOATS;
}

/* Outputs while they are listed: node and place. */
struct outputs {
    int *nodes;
    int64_t *offsets;
    int count;
};

static void add_output(struct outputs *outputs, int node, int64_t offset)
{
    outputs->nodes[outputs->count] = node;
    outputs->offsets[outputs->count++] = offset;
}

void phase_loss_add(struct phase_loss *loss, const char *metric, int node)
{
    assert(loss->count < PHASE_METRICS_MAX);
    loss->metrics[loss->count] = metric;
    loss->nodes[loss->count++] = node;
}

/* All terms in one tensor (count): what is differentiated is the sum of its elements, and one call
 * of gradient_append gives one value of each, lowered or not. */
static int join_terms(struct graph *graph, const struct phase_loss *loss)
{
    const struct shape one = {.rank = 1, .dim = {1}};
    int parts[PHASE_METRICS_MAX];
    if (loss->count == 1) {
        return loss->nodes[0];
    }
    for (int i = 0; i < loss->count; i++) {
        parts[i] = graph_reshape(graph, loss->nodes[i], &one);
    }
    return graph_concat(graph, parts, loss->count, 0);
}

/* *loss becomes the node that was differentiated. */
static enum cam_code add_gradients(struct phase_build *phase, int part, int *loss,
                                   struct outputs *outputs)
{
    const struct part_info *info = &phase->build->parts[part];
    const struct tensor_info *rows = phase->build->tensors.parameters.rows;
    int *gradients =
        cam_arena_alloc(phase->build->arena, (size_t)info->parameter_count + 1, sizeof *gradients);
    if (gradients == NULL) {
        return no_memory(phase);
    }
    *loss = gradient_append(phase->graph, *loss, phase->parameters + info->parameter_first,
                            info->parameter_count, gradients);
    for (int i = 0; i < info->parameter_count; i++) {
        int64_t block = rows[info->parameter_first + i].block_first - info->block_first;
        add_output(outputs, gradients[i], block * BLOCK_FLOATS);
    }
    return phase_status(phase);
}

/* The row but for its outputs. */
static enum cam_code begin_row(const struct phase_build *phase, int part,
                               const struct phase_loss *loss, struct phase *out)
{
    const struct part_info *info = &phase->build->parts[part];
    struct metric_info *metrics = cam_arena_alloc(
        phase->build->arena, (size_t)(loss->count + loss->shown_count), sizeof *metrics);
    if (metrics == NULL) {
        return no_memory(phase);
    }
    *out = (struct phase){.name = phase->name,
                          .part = part,
                          .repeat = 1,
                          .base = (int)(out - phase->build->phases),
                          .graph = phase->graph,
                          .gradient_floats = info->block_count * BLOCK_FLOATS,
                          .metrics = metrics,
                          .metric_count = loss->count + loss->shown_count};
    out->statistics_floats = powers_offset(phase, phase->power_count);
    for (int i = 0; i < loss->count; i++) {
        metrics[i] = (struct metric_info){
            .name = loss->metrics[i],
            .offset = out->gradient_floats + out->statistics_floats + i,
        };
    }
    for (int i = 0; i < loss->shown_count; i++) {
        metrics[loss->count + i] = (struct metric_info){
            .name = loss->shown[i].name,
            .offset = metrics[0].offset + (int64_t)METRIC_FLOATS * (1 + i),
        };
    }
    return CAM_OK;
}

enum cam_code phase_finish(struct phase_build *phase, int part, const struct phase_loss *loss,
                           struct phase *out)
{
    struct training_build *build = phase->build;
    const struct part_info *info = &build->parts[part];
    powers_keep_own(phase, part);
    size_t most = (size_t)info->parameter_count + 2u * (size_t)phase->statistic_count + 1 +
                  (size_t)phase->power_count + (size_t)loss->shown_count;
    struct outputs outputs = {.nodes = cam_arena_alloc(build->arena, most, sizeof *outputs.nodes),
                              .offsets =
                                  cam_arena_alloc(build->arena, most, sizeof *outputs.offsets)};
    if (outputs.nodes == NULL || outputs.offsets == NULL) {
        return no_memory(phase);
    }
    int minimised = join_terms(phase->graph, loss);
    enum cam_code rc = add_gradients(phase, part, &minimised, &outputs);
    rc = rc == CAM_OK ? begin_row(phase, part, loss, out) : rc;
    if (rc != CAM_OK) {
        return rc;
    }
    for (int i = 0; i < phase->statistic_count; i++) {
        const struct statistic *statistic = &phase->statistics[i];
        add_output(&outputs, statistic->mean_node,
                   out->gradient_floats + statistics_mean_offset(phase->statistics, i));
        add_output(&outputs, statistic->square_node,
                   out->gradient_floats + statistics_square_offset(phase->statistics, i));
    }
    for (int i = 0; i < phase->power_count; i++) {
        add_output(&outputs, phase->powers[i].node, out->gradient_floats + powers_offset(phase, i));
    }
    add_output(&outputs, minimised, out->metrics[0].offset);
    int64_t at = out->metrics[0].offset + METRIC_FLOATS;
    for (int i = 0; i < loss->shown_count; i++) {
        add_output(&outputs, loss->shown[i].node, out->metrics[loss->count + i].offset);
        at = out->metrics[loss->count + i].offset + METRIC_FLOATS;
    }
    out->output_nodes = outputs.nodes;
    out->output_offsets = outputs.offsets;
    out->output_count = outputs.count;
    out->output_floats = whole_blocks(at);
    return statistics_build(phase, out);
}
