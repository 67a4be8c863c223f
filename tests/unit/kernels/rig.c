#include "rig.h"

#include "../unit.h"

#include "base/mem.h"
#include "base/philox.h"
#include "kernels/registry.h"
#include "model/plan/target.h"

#include <pthread.h>
#include <string.h>

enum { ALIGN_FLOATS = 16 };

struct leaves {
    double *inputs[RIG_LEAVES_MAX];
    int64_t input_counts[RIG_LEAVES_MAX];
    double *parameters;
    int64_t parameter_count;
    int64_t parameter_offsets[RIG_LEAVES_MAX];
};

int64_t rig_draw(uint64_t *state, int64_t low, int64_t high)
{
    const uint32_t counter[4] = {(uint32_t)*state, (uint32_t)(*state >> 32), 0, 0};
    const uint32_t key[2] = {0x7269u, 0x67u};
    uint32_t words[4];
    philox4x32_10(counter, key, words);
    *state += 1;
    return low + (int64_t)(words[0] % (uint64_t)(high - low + 1));
}

void rig_begin(struct rig *rig, uint64_t seed)
{
    *rig = (struct rig){
        .graph = graph_create(), .seed = seed, .low = -1.0, .high = 1.0, .nudged_slot = -1};
    assert_non_null(rig->graph);
}

void rig_end(struct rig *rig)
{
    graph_destroy(rig->graph);
}

int rig_input(struct rig *rig, int slot, const struct shape *shape)
{
    return graph_leaf(rig->graph, OP_INPUT, slot, shape);
}

int rig_parameter(struct rig *rig, int slot, const struct shape *shape)
{
    return graph_leaf(rig->graph, OP_PARAMETER, slot, shape);
}

int64_t rig_output_count(const struct rig *rig)
{
    int64_t count = 0;
    for (int i = 0; i < rig->output_count; i++) {
        count += shape_count(&graph_node(rig->graph, rig->outputs[i])->shape);
    }
    return count;
}

double rig_distance(const double *a, const double *b, int64_t count)
{
    double worst = 0.0;
    double largest = 0.0;
    for (int64_t i = 0; i < count; i++) {
        double error = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
        double size = b[i] > 0.0 ? b[i] : -b[i];
        /* Written so that a NaN on one side counts as wrong. */
        worst = error <= worst ? worst : error;
        largest = size > largest ? size : largest;
    }
    return worst / (largest > 0.0 ? largest : 1.0);
}

static void *fresh(size_t count, size_t size)
{
    void *memory = cam_alloc(count + 1, size);
    assert_non_null(memory);
    return memory;
}

static void fill(const struct rig *rig, uint64_t stream, double *values, int64_t count)
{
    uint64_t state = rig->seed * 1000003u + stream * 7919u * 65536u;
    for (int64_t i = 0; i < count; i++) {
        double unit = (double)rig_draw(&state, 0, 4096) / 4096.0;
        double value = rig->low + (rig->high - rig->low) * unit;
        values[i] = (double)(int64_t)(value * 4096.0) / 4096.0;
    }
}

static void leaves_create(const struct rig *rig, struct leaves *leaves)
{
    *leaves = (struct leaves){0};
    for (int n = 0; n < graph_count(rig->graph); n++) {
        const struct node *node = graph_node(rig->graph, n);
        int64_t count = shape_count(&node->shape);
        if (node->op == OP_INPUT && leaves->inputs[node->attr.slot] == NULL) {
            leaves->inputs[node->attr.slot] = fresh((size_t)count, sizeof(double));
            leaves->input_counts[node->attr.slot] = count;
            fill(rig, (uint64_t)node->attr.slot + 1, leaves->inputs[node->attr.slot], count);
        } else if (node->op == OP_PARAMETER) {
            leaves->parameter_offsets[node->attr.slot] = leaves->parameter_count;
            leaves->parameter_count += (count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
        }
    }
    leaves->parameters = fresh((size_t)leaves->parameter_count, sizeof(double));
    fill(rig, 0, leaves->parameters, leaves->parameter_count);
    if (rig->nudged_slot >= 0) {
        leaves->inputs[rig->nudged_slot][rig->nudged_element] += rig->nudge;
    }
}

static void leaves_release(struct leaves *leaves)
{
    for (int i = 0; i < RIG_LEAVES_MAX; i++) {
        cam_free(leaves->inputs[i]);
    }
    cam_free(leaves->parameters);
}

struct block {
    void *memory; /* to free */
    char *data;
};

/* Values in the place's width, shifted by its misalignment; NULL values give zeros. */
static struct block block_of(const struct rig_place *place, const double *values, int64_t count)
{
    size_t width = place->f64 ? sizeof(double) : sizeof(float);
    size_t shift = (size_t)place->misalign * width;
    struct block block = {.memory = cam_alloc_aligned((size_t)(count + 1) * width + shift)};
    assert_non_null(block.memory);
    block.data = (char *)block.memory + shift;
    for (int64_t i = 0; values != NULL && i < count; i++) {
        if (place->f64) {
            ((double *)(void *)block.data)[i] = values[i];
        } else {
            ((float *)(void *)block.data)[i] = (float)values[i];
        }
    }
    return block;
}

static struct plan *make_plan(const struct rig *rig, const struct rig_place *place,
                              const struct leaves *leaves)
{
    struct cam_err err;
    struct plan_output outputs[RIG_OUTPUTS_MAX];
    const int64_t buffer_offsets[RIG_LEAVES_MAX] = {0};
    int64_t offset = 0;
    ASSERT_OK(graph_status(rig->graph, &err), err);
    for (int i = 0; i < rig->output_count; i++) {
        outputs[i] = (struct plan_output){.node = rig->outputs[i], .offset = offset};
        offset += shape_count(&graph_node(rig->graph, rig->outputs[i])->shape);
    }
    const struct plan_request request = {
        .graph = rig->graph,
        .outputs = outputs,
        .output_count = rig->output_count,
        .parameter_offsets = leaves->parameter_offsets,
        .buffer_offsets = buffer_offsets,
        .recompute = place->recompute,
        .fuse = place->fuse,
        .macros = place->lowered ? NULL : plan_target(place->backend)->macros};
    struct plan *plan = NULL;
    ASSERT_OK(plan_create(&request, &plan, &err), err);
    return plan;
}

/* One lane of a run. */
struct lane {
    const struct backend *backend;
    struct backend_instance *instance;
    struct executable *executable;
    const struct bindings *bindings;
    int number;
    int rounds;
    struct cam_err err;
    enum cam_code rc;
    pthread_t thread;
};

static void *run_lane(void *argument)
{
    struct lane *lane = argument;
    const struct random_context random = {
        .seed = 0x1234567890abcdefu, .execution = 3, .first_row = 5};
    lane->backend->lane_begin(lane->instance, lane->number);
    for (int i = 0; i < lane->rounds && lane->rc == CAM_OK; i++) {
        lane->rc = lane->backend->launch(lane->executable, lane->number, lane->bindings, &random,
                                         &lane->err);
    }
    return NULL;
}

/* Runs the last lane with these bindings, and the others beside it with arenas of their own. */
static void run_lanes(const struct rig_place *place, const struct plan *plan,
                      const struct lane *last)
{
    enum { LANES_MAX = 8 };
    struct lane lanes[LANES_MAX];
    struct bindings bindings[LANES_MAX];
    struct block blocks[LANES_MAX][2];
    int first = place->together ? 0 : place->lanes - 1;
    assert_true(place->lanes <= LANES_MAX);
    for (int i = first; i < place->lanes; i++) {
        lanes[i] = *last;
        lanes[i].number = i;
        lanes[i].rounds = place->together ? 20 : 1;
        if (i + 1 < place->lanes) {
            bindings[i] = *last->bindings;
            blocks[i][0] = block_of(place, NULL, plan->activation_floats);
            blocks[i][1] = block_of(place, NULL, plan->output_floats);
            bindings[i].activations = blocks[i][0].data;
            bindings[i].output = blocks[i][1].data;
            lanes[i].bindings = &bindings[i];
        }
    }
    unsigned long before = cam_alloc_count();
    ASSERT_OK(last->backend->prepare(last->executable, last->bindings, &lanes[first].err),
              lanes[first].err);
    for (int i = first; i < place->lanes; i++) {
        assert_int_equal(pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]), 0);
    }
    for (int i = first; i < place->lanes; i++) {
        assert_int_equal(pthread_join(lanes[i].thread, NULL), 0);
        ASSERT_OK(lanes[i].rc, lanes[i].err);
    }
    assert_int_equal(cam_alloc_count(), before);
    for (int i = first; i + 1 < place->lanes; i++) {
        cam_free(blocks[i][0].memory);
        cam_free(blocks[i][1].memory);
    }
}

/* Opens, compiles, runs, closes. */
static void run_plan(const struct rig_place *place, const struct plan *plan,
                     const struct bindings *bindings)
{
    struct cam_err err;
    struct lane lane = {.bindings = bindings};
    const struct backend_options options = {.lanes = place->lanes,
                                            .threads_per_shard =
                                                place->threads == 0 ? 1 : place->threads,
                                            .f64 = place->f64};
    ASSERT_OK(registry_find(place->backend, KERNEL_MODULE_DIR, &lane.backend, &err), err);
    ASSERT_OK(lane.backend->open(&options, &lane.instance, &err), err);
    ASSERT_OK(lane.backend->compile(lane.instance, plan, &lane.executable, &err), err);
    run_lanes(place, plan, &lane);
    lane.backend->destroy(lane.executable);
    lane.backend->close(lane.instance);
}

double *rig_run(const struct rig *rig, const struct rig_place *place)
{
    struct leaves leaves;
    leaves_create(rig, &leaves);
    struct plan *plan = make_plan(rig, place, &leaves);
    struct block inputs[RIG_LEAVES_MAX] = {{0}};
    const void *input_data[RIG_LEAVES_MAX] = {0};
    for (int i = 0; i < RIG_LEAVES_MAX; i++) {
        if (leaves.inputs[i] != NULL) {
            inputs[i] = block_of(place, leaves.inputs[i], leaves.input_counts[i]);
            input_data[i] = inputs[i].data;
        }
    }
    struct block parameters = block_of(place, leaves.parameters, leaves.parameter_count);
    struct block activations = block_of(place, NULL, plan->activation_floats);
    struct block output = block_of(place, NULL, plan->output_floats);
    const float scalars[RIG_LEAVES_MAX] = {0.5f, 0.25f};
    run_plan(place, plan,
             &(struct bindings){.parameters = parameters.data,
                                .inputs = input_data,
                                .scalars = scalars,
                                .activations = activations.data,
                                .output = output.data});
    int64_t count = rig_output_count(rig);
    double *values = fresh((size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++) {
        values[i] = place->f64 ? ((double *)(void *)output.data)[i]
                               : (double)((float *)(void *)output.data)[i];
    }
    for (int i = 0; i < RIG_LEAVES_MAX; i++) {
        cam_free(inputs[i].memory);
    }
    cam_free(parameters.memory);
    cam_free(activations.memory);
    cam_free(output.memory);
    plan_destroy(plan);
    leaves_release(&leaves);
    return values;
}

bool rig_has_cpu(void)
{
    struct cam_err err;
    const struct backend *backend = NULL;
    struct backend_instance *instance = NULL;
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1};
    if (registry_find("cpu", KERNEL_MODULE_DIR, &backend, &err) != CAM_OK ||
        backend->open(&options, &instance, &err) != CAM_OK) {
        return false;
    }
    backend->close(instance);
    return true;
}
