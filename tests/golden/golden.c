#include "golden.h"

#include "../unit/unit.h"

#include "base/mem.h"
#include "base/text.h"
#include "kernels/registry.h"
#include "model/plan/target.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".safetensors"

enum { FILES_MAX = 400, ALIGN_FLOATS = 16 };

struct safetensors *golden_open(const char *name)
{
    char path[1024];
    struct cam_err err = {0};
    struct safetensors *file = NULL;
    (void)snprintf(path, sizeof path, "%s/%s" SUFFIX, GOLDEN_DIR, name);
    ASSERT_OK(safetensors_open(path, &file, &err), err);
    return file;
}

const struct safetensors_tensor *golden_find(const struct safetensors *file, const char *prefix,
                                             const char *name)
{
    char full[GOLDEN_NAME_SIZE + 64];
    (void)snprintf(full, sizeof full, "%s%s", prefix, name);
    const struct safetensors_tensor *tensor = safetensors_find(file, full);
    if (tensor == NULL) {
        fail_msg("the golden values have no %s", full);
    }
    return tensor;
}

int64_t golden_count(const struct safetensors_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++) {
        count *= tensor->dim[i];
    }
    return count;
}

double golden_at(const struct safetensors_tensor *tensor, int64_t index)
{
    const char *bytes = tensor->bytes;
    float single = 0.0F;
    double wide = 0.0;
    if (strcmp(tensor->dtype, "F32") == 0) {
        memcpy(&single, bytes + index * (int64_t)sizeof single, sizeof single);
        return (double)single;
    }
    assert_string_equal(tensor->dtype, "F64");
    memcpy(&wide, bytes + index * (int64_t)sizeof wide, sizeof wide);
    return wide;
}

double *golden_values_of(const struct safetensors_tensor *tensor)
{
    int64_t count = golden_count(tensor);
    double *values = cam_alloc((size_t)count + 1, sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++) {
        values[i] = golden_at(tensor, i);
    }
    return values;
}

double golden_number(const struct safetensors *file, const char *key, double missing)
{
    const char *text = safetensors_metadata(file, key);
    return text == NULL ? missing : strtod(text, NULL);
}

void golden_parse(const char *text, struct cam_arena *arena, struct job_file *out)
{
    struct cam_err err = {0};
    const struct job_text request = {
        .file_name = "golden", .base_dir = "/", .text = text, .size = strlen(text)};
    ASSERT_OK(jobfile_parse(&request, arena, out, &err), err);
}

void golden_job(const char *more, struct cam_arena *arena, struct job_file *out)
{
    struct cam_text text = {0};
    cam_text_add(&text, "name: golden\nkind: gan\ndata: glyphs\ntrain: {epochs: 1}\n%s", more);
    assert_non_null(text.bytes);
    golden_parse(text.bytes, arena, out);
    cam_text_release(&text);
}

int64_t *golden_order(const struct tensor_info *row)
{
    int64_t count = shape_count(&row->shape);
    float *places = cam_alloc((size_t)count, sizeof *places);
    float *moved = cam_alloc((size_t)count, sizeof *moved);
    int64_t *order = cam_alloc((size_t)count, sizeof *order);
    assert_true(places != NULL && moved != NULL && order != NULL);
    for (int64_t i = 0; i < count; i++) {
        places[i] = (float)i;
    }
    tensor_export(row, places, moved);
    for (int64_t i = 0; i < count; i++) {
        order[i] = (int64_t)moved[i];
    }
    cam_free(places);
    cam_free(moved);
    return order;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

struct golden_names *golden_list(const char *folder)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, folder);
    struct golden_names *list = cam_alloc(1, sizeof *list + FILES_MAX * (size_t)GOLDEN_NAME_SIZE);
    DIR *dir = opendir(path);
    assert_non_null(list);
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const char *end = strstr(entry->d_name, SUFFIX);
        if (end != NULL) {
            assert_true(list->count < FILES_MAX);
            (void)snprintf(list->names[list->count++], GOLDEN_NAME_SIZE, "%.40s/%.*s", folder,
                           (int)(end - entry->d_name), entry->d_name);
        }
    }
    (void)closedir(dir);
    qsort(list->names, (size_t)list->count, GOLDEN_NAME_SIZE, by_name);
    return list;
}

int golden_main(const char *folder, void (*test)(void **state), const struct CMUnitTest *more,
                int more_count)
{
    struct golden_names *list = golden_list(folder);
    struct CMUnitTest *tests = cam_alloc((size_t)(list->count + more_count) + 1, sizeof *tests);
    if (tests == NULL || list->count == 0) {
        return 1;
    }
    for (int i = 0; i < list->count; i++) {
        tests[i] = (struct CMUnitTest){
            .name = list->names[i], .test_func = test, .initial_state = list->names[i]};
    }
    for (int i = 0; i < more_count; i++) {
        tests[list->count + i] = more[i];
    }
    int failed =
        _cmocka_run_group_tests(folder, tests, (size_t)(list->count + more_count), NULL, NULL);
    cam_free(tests);
    cam_free(list);
    return failed;
}

static bool has_cpu(void)
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

int golden_places(const struct safetensors *file, struct golden_place out[GOLDEN_PLACES])
{
    out[0] = (struct golden_place){.label = "reference f64",
                                   .backend = "reference",
                                   .f64 = true,
                                   .tolerance = golden_number(file, "f64", 1e-12)};
    out[1] = (struct golden_place){.label = "cpu f32",
                                   .backend = "cpu",
                                   .fuse = true,
                                   .tolerance = golden_number(file, "f32", 1e-5)};
    return has_cpu() ? 2 : 1;
}

/* Doubles into the width of a place. */
static void put(const struct golden_place *place, void *out, int64_t offset, const double *values,
                int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (place->f64) {
            ((double *)out)[offset + i] = values[i];
        } else {
            ((float *)out)[offset + i] = (float)values[i];
        }
    }
}

static void *arena_of(const struct golden_place *place, int64_t count)
{
    size_t bytes = (size_t)(count + 1) * (place->f64 ? sizeof(double) : sizeof(float));
    void *arena = cam_alloc_aligned(bytes);
    assert_non_null(arena);
    memset(arena, 0, bytes);
    return arena;
}

/* The leaves of one kind, one after another or each on its own. */
struct leaves {
    int64_t counts[GOLDEN_SLOTS_MAX];
    int64_t offsets[GOLDEN_SLOTS_MAX];
    int64_t total;
};

static struct leaves find_leaves(const struct graph *graph, enum op_kind op)
{
    struct leaves leaves = {0};
    for (int n = 0; n < graph_count(graph); n++) {
        const struct node *node = graph_node(graph, n);
        if (node->op == op && leaves.counts[node->attr.slot] == 0) {
            int64_t count = shape_count(&node->shape);
            leaves.counts[node->attr.slot] = count;
            leaves.offsets[node->attr.slot] = leaves.total;
            leaves.total += (count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
        }
    }
    return leaves;
}

static void *fill_leaves(const struct golden_place *place, const struct leaves *leaves,
                         const double *const *values)
{
    void *arena = arena_of(place, leaves->total);
    for (int i = 0; i < GOLDEN_SLOTS_MAX; i++) {
        if (leaves->counts[i] > 0) {
            assert_non_null(values[i]);
            put(place, arena, leaves->offsets[i], values[i], leaves->counts[i]);
        }
    }
    return arena;
}

static void launch(const struct golden_place *place, const struct plan *plan,
                   const struct bindings *bindings, const struct random_context *random)
{
    struct cam_err err;
    const struct backend *backend = NULL;
    struct backend_instance *instance = NULL;
    struct executable *executable = NULL;
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1, .f64 = place->f64};
    ASSERT_OK(registry_find(place->backend, KERNEL_MODULE_DIR, &backend, &err), err);
    ASSERT_OK(backend->open(&options, &instance, &err), err);
    ASSERT_OK(backend->compile(instance, plan, &executable, &err), err);
    ASSERT_OK(backend->prepare(executable, bindings, &err), err);
    backend->lane_begin(instance, 0);
    ASSERT_OK(backend->launch(executable, 0, bindings, random, &err), err);
    backend->destroy(executable);
    backend->close(instance);
}

static struct golden_values *take(const struct golden_place *place, const struct plan *plan,
                                  const struct plan_output *outputs, int count, const void *block)
{
    struct golden_values *out =
        cam_alloc(1, sizeof *out + (size_t)(plan->output_floats + 1) * sizeof(double));
    assert_non_null(out);
    for (int i = 0; i < count; i++) {
        out->offsets[i] = outputs[i].offset;
    }
    for (int64_t i = 0; i < plan->output_floats; i++) {
        out->values[i] =
            place->f64 ? ((const double *)block)[i] : (double)((const float *)block)[i];
    }
    return out;
}

struct golden_values *golden_run(const struct golden_work *work, const struct golden_place *place)
{
    struct cam_err err;
    struct leaves parameters = find_leaves(work->graph, OP_PARAMETER);
    struct leaves buffers = find_leaves(work->graph, OP_BUFFER);
    struct leaves inputs = find_leaves(work->graph, OP_INPUT);
    struct plan_output outputs[GOLDEN_OUTPUTS_MAX];
    int64_t offset = 0;
    ASSERT_OK(graph_status(work->graph, &err), err);
    for (int i = 0; i < work->output_count; i++) {
        int64_t count = shape_count(&graph_node(work->graph, work->outputs[i])->shape);
        outputs[i] = (struct plan_output){.node = work->outputs[i], .offset = offset};
        offset += (count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    }
    const struct plan_request request = {.graph = work->graph,
                                         .outputs = outputs,
                                         .output_count = work->output_count,
                                         .parameter_offsets = parameters.offsets,
                                         .buffer_offsets = buffers.offsets,
                                         .fuse = place->fuse,
                                         .macros = plan_target(place->backend)->macros};
    struct plan *plan = NULL;
    ASSERT_OK(plan_create(&request, &plan, &err), err);
    void *parameter_arena = fill_leaves(place, &parameters, work->parameters);
    void *buffer_arena = fill_leaves(place, &buffers, work->buffers);
    void *input_arena = fill_leaves(place, &inputs, work->inputs);
    size_t width = place->f64 ? sizeof(double) : sizeof(float);
    const void *input_data[GOLDEN_SLOTS_MAX];
    for (int i = 0; i < GOLDEN_SLOTS_MAX; i++) {
        input_data[i] = (const char *)input_arena + (size_t)inputs.offsets[i] * width;
    }
    void *activations = arena_of(place, plan->activation_floats);
    void *block = arena_of(place, plan->output_floats);
    launch(place, plan,
           &(struct bindings){.parameters = parameter_arena,
                              .buffers = buffer_arena,
                              .inputs = input_data,
                              .scalars = work->scalars,
                              .activations = activations,
                              .output = block},
           &work->random);
    struct golden_values *out = take(place, plan, outputs, work->output_count, block);
    cam_free(parameter_arena);
    cam_free(buffer_arena);
    cam_free(input_arena);
    cam_free(activations);
    cam_free(block);
    plan_destroy(plan);
    return out;
}

void golden_compare(const struct golden_place *place, const struct safetensors_tensor *golden,
                    const double *found, const int64_t *order)
{
    double largest = 0.01;
    double worst = 0.0;
    int64_t where = 0;
    int64_t count = golden_count(golden);
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(found[order != NULL ? order[i] : i] - golden_at(golden, i));
        largest = fmax(largest, fabs(golden_at(golden, i)));
        if (!(error <= worst)) { /* a NaN counts as wrong, and stays */
            worst = error;
            where = i;
        }
    }
    if (!(worst <= place->tolerance * largest)) {
        fail_msg("%s on %s: element %lld is %.12g, PyTorch's %.12g; error %.3g of %.3g allowed",
                 golden->name, place->label, (long long)where,
                 found[order != NULL ? order[where] : where], golden_at(golden, where),
                 worst / largest, place->tolerance);
    }
}
