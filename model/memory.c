#include "model/memory.h"

enum { FLOAT_BYTES = 4 };

/* How many maximal subtrees of [a, b) lie inside [first, end); a node splits at the largest power
 * of two below its size (ENGINE.md, "The tree"). */
static int cover_count(int a, int b, int first, int end)
{
    if (b <= first || a >= end) {
        return 0;
    }
    if (first <= a && b <= end) {
        return 1;
    }
    int half = 1;
    while (2 * half < b - a) {
        half *= 2;
    }
    return cover_count(a, a + half, first, end) + cover_count(a + half, b, first, end);
}

int memory_gradient_buffers(int shards, int first, int end, int lanes)
{
    int most = 0;
    for (int at = first; at < end; at += lanes) {
        int running = end - at < lanes ? end - at : lanes;
        int waiting = at == first ? 0 : cover_count(0, shards, first, at);
        most = waiting + running > most ? waiting + running : most;
    }
    return most;
}

static int64_t largest_output(const struct training *t, int64_t *tail_out)
{
    int64_t floats = 0;
    *tail_out = 0;
    for (int i = 0; i < t->phase_count; i++) {
        const struct phase *phase = &t->phases[i];
        int64_t tail = phase->output_floats - phase->gradient_floats;
        floats = phase->output_floats > floats ? phase->output_floats : floats;
        *tail_out = tail > *tail_out ? tail : *tail_out;
    }
    return floats;
}

/* Of ranks that own whole blocks, the one that owns most. */
static int64_t state_floats(const struct training *t, int ranks)
{
    int64_t floats = 0;
    for (int i = 0; i < t->phase_count; i++) {
        int64_t blocks = (t->parts[t->phases[i].part].block_count + ranks - 1) / ranks;
        floats += blocks * BLOCK_FLOATS * training_own_states(t, i);
    }
    return floats;
}

/* Tables of own blocks: whether they decay, lars' rates. */
static int64_t table_floats(const struct training *t, int ranks)
{
    int64_t floats = 0;
    for (int i = 0; i < t->phase_count; i++) {
        floats += 2 * ((t->parts[t->phases[i].part].block_count + ranks - 1) / ranks);
    }
    return floats;
}

/* Two doubles for every block of the largest part whose norms are asked for. */
static int64_t norm_floats(const struct training *t)
{
    int64_t blocks = 0;
    for (int i = 0; i < t->phase_count; i++) {
        int64_t count = t->parts[t->phases[i].part].block_count;
        blocks = update_needs_norms(&t->phases[i].update) && count > blocks ? count : blocks;
    }
    return 4 * blocks;
}

static int most_states(const struct training *t)
{
    int most = 0;
    for (int i = 0; i < t->phase_count; i++) {
        int count = t->phases[i].update.state_count;
        most = count > most ? count : most;
    }
    return most;
}

static int64_t checkpoint_floats(const struct memory_request *request)
{
    const struct training *t = request->training;
    int64_t largest = 0;
    for (int i = 0; i < t->parameter_count; i++) {
        int64_t floats = shape_count(&t->parameters[i].shape);
        largest = floats > largest ? floats : largest;
    }
    for (int i = 0; i < t->buffer_count; i++) {
        int64_t floats = shape_count(&t->buffers[i].shape);
        largest = floats > largest ? floats : largest;
    }
    int64_t images =
        t->sample == NULL ? 0 : shape_count(&graph_node(t->sample, t->sample_node)->shape);
    int64_t copies = request->keeps_initial ? 2 : 1;
    return copies * (t->parameter_floats + t->buffer_floats) + largest + state_floats(t, 1) +
           request->plans.sample_activation_floats + images + images / FLOAT_BYTES;
}

void memory_of_rank(const struct memory_request *request, struct job_figures *out)
{
    const struct training *t = request->training;
    const struct data_shape *data = request->data;
    int shards = (int)t->shards;
    int most = (shards + request->ranks - 1) / request->ranks;
    int lanes = request->lanes < most ? request->lanes : most;
    int buffers = 0;
    int64_t tail = 0;
    for (int rank = 0; rank < request->ranks; rank++) {
        int first = (int)((int64_t)shards * rank / request->ranks);
        int end = (int)((int64_t)shards * (rank + 1) / request->ranks);
        int count = memory_gradient_buffers(shards, first, end, lanes);
        buffers = count > buffers ? count : buffers;
    }
    int64_t output = largest_output(t, &tail);
    int64_t chunk = (1 + most_states(t)) * (int64_t)MEMORY_CHUNK_BLOCKS * BLOCK_FLOATS;
    int64_t row = data_value_floats(data) + data_label_floats(data);
    int64_t batches = MEMORY_RING * most * t->rows * row;
    int64_t judged = t->evaluation.graph == NULL ? 0 : lanes * t->rows * (row + 1);
    out->parameter_bytes = (t->parameter_floats + t->buffer_floats) * FLOAT_BYTES;
    out->state_bytes =
        (state_floats(t, request->ranks) + table_floats(t, request->ranks) + norm_floats(t)) *
        FLOAT_BYTES;
    out->gradient_bytes = (output * buffers + 2 * tail) * FLOAT_BYTES;
    int64_t lane = request->plans.activation_floats + request->plans.scratch_floats + chunk;
    out->activation_bytes = lanes * lane * FLOAT_BYTES;
    out->packed_bytes = request->plans.packed_floats * FLOAT_BYTES;
    out->data_bytes = data->set_bytes + (batches + judged) * FLOAT_BYTES;
    out->checkpoint_bytes = checkpoint_floats(request) * FLOAT_BYTES;
    out->rank_bytes = out->parameter_bytes + out->state_bytes + out->gradient_bytes +
                      out->activation_bytes + out->packed_bytes + out->data_bytes +
                      out->checkpoint_bytes;
}
