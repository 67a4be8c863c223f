/*
 * The replicated stage: running statistics of batch norm, and the vectors of spectral norms, whose
 * shards all gave the same one (layers/spectral.c).  Every train-mode call of a phase gave
 * its shard's mean and E[x^2]; their sums over shards arrive here, and each call updates once, in
 * call order, as PyTorch does: new = (1 - momentum) old + momentum batch, with the unbiased
 * variance.  Shards have equal sizes, so the mean over shards is the mean over the batch.
 */
#include "model/recipes/build.h"

#include <string.h>

/* Tensors of the block start on 64 bytes. */
static int64_t aligned(int64_t floats)
{
    return (floats + 15) / 16 * 16;
}

int64_t statistics_mean_offset(const struct statistic *statistics, int index)
{
    return statistics_floats(statistics, index);
}

int64_t statistics_square_offset(const struct statistic *statistics, int index)
{
    return statistics_floats(statistics, index) + aligned(statistics[index].channels);
}

int64_t statistics_floats(const struct statistic *statistics, int count)
{
    int64_t floats = 0;
    for (int i = 0; i < count; i++) {
        floats += 2 * aligned(statistics[i].channels);
    }
    return floats;
}

void powers_keep_own(struct phase_build *phase, int part)
{
    const struct tensor_info *buffers = phase->build->tensors.buffers.rows;
    int kept = 0;
    for (int i = 0; i < phase->power_count; i++) {
        if (buffers[phase->powers[i].buffer].part == part) {
            phase->powers[kept++] = phase->powers[i];
        }
    }
    phase->power_count = kept;
}

int64_t powers_offset(const struct phase_build *phase, int index)
{
    int64_t floats = statistics_floats(phase->statistics, phase->statistic_count);
    for (int i = 0; i < index; i++) {
        floats += aligned(phase->powers[i].size);
    }
    return floats;
}

/* Buffers and the node that holds each one's newest value. */
struct newest {
    struct graph *graph;
    int *buffers;
    int *nodes;
    int count;
};

static int *find(struct newest *newest, int buffer, int64_t channels)
{
    struct shape shape = {.rank = 1, .dim = {channels}};
    for (int i = 0; i < newest->count; i++) {
        if (newest->buffers[i] == buffer) {
            return &newest->nodes[i];
        }
    }
    newest->buffers[newest->count] = buffer;
    newest->nodes[newest->count] = graph_leaf(newest->graph, OP_BUFFER, buffer, &shape);
    return &newest->nodes[newest->count++];
}

static void blend(struct newest *newest, int buffer, const struct statistic *statistic, int value)
{
    int *node = find(newest, buffer, statistic->channels);
    struct graph *graph = newest->graph;
    *node = graph_binary(graph, OP_ADD, graph_scale(graph, *node, 1.0 - statistic->momentum),
                         graph_scale(graph, value, statistic->momentum));
}

static int average(struct graph *graph, int sums, int64_t offset, int64_t channels, int share)
{
    struct shape shape = {.rank = 1, .dim = {channels}};
    int slice = graph_slice(graph, sums, &offset, &shape);
    return graph_binary(graph, OP_MUL, slice, share);
}

static void update(struct newest *newest, const struct phase_build *build, int index, int sums,
                   int share)
{
    struct graph *graph = newest->graph;
    const struct statistic *statistic = &build->statistics[index];
    struct shape shape = {.rank = 1, .dim = {statistic->channels}};
    double count = (double)(statistic->count * build->build->job->train.shards);
    int mean = average(graph, sums, statistics_mean_offset(build->statistics, index),
                       statistic->channels, share);
    int square = average(graph, sums, statistics_square_offset(build->statistics, index),
                         statistic->channels, share);
    int variance = graph_binary(graph, OP_SUB, square, graph_binary(graph, OP_MUL, mean, mean));
    variance = graph_binary(graph, OP_MAX, variance, graph_constant(graph, 0.0, &shape));
    blend(newest, statistic->mean_buffer, statistic, mean);
    blend(newest, statistic->variance_buffer, statistic,
          graph_scale(graph, variance, count / (count - 1.0)));
}

enum cam_code statistics_build(struct phase_build *build, struct phase *phase)
{
    struct training_build *training = build->build;
    size_t most = 2u * (size_t)build->statistic_count + (size_t)build->power_count;
    struct shape shape = {.rank = 1, .dim = {phase->statistics_floats}};
    if (most == 0) {
        return CAM_OK;
    }
    struct newest newest = {.graph = build_graph(training),
                            .buffers =
                                cam_arena_alloc(training->arena, most, sizeof *newest.buffers),
                            .nodes = cam_arena_alloc(training->arena, most, sizeof *newest.nodes)};
    if (newest.graph == NULL || newest.buffers == NULL || newest.nodes == NULL) {
        return cam_fail(training->err, CAM_NO_MEMORY, "no memory for running statistics");
    }
    graph_set_path(newest.graph, "running statistics");
    int sums = graph_leaf(newest.graph, OP_INPUT, 0, &shape);
    int share = graph_leaf(newest.graph, OP_SCALAR, 0, &(struct shape){0});
    for (int i = 0; i < build->statistic_count; i++) {
        update(&newest, build, i, sums, share);
    }
    for (int i = 0; i < build->power_count; i++) {
        const struct power *power = &build->powers[i];
        newest.buffers[newest.count] = power->buffer;
        newest.nodes[newest.count++] =
            average(newest.graph, sums, powers_offset(build, i), power->size, share);
    }
    phase->replicated = newest.graph;
    phase->replicated_nodes = newest.nodes;
    phase->replicated_buffers = newest.buffers;
    phase->replicated_count = newest.count;
    return graph_status(newest.graph, training->err);
}
