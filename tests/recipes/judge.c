/*
 * What a trained classifier says of a trained generator, as one line of JSON.
 *
 *   cambrian-judge CLASSIFIER.yaml CLASSIFIER.safetensors GAN.yaml GAN.safetensors
 *                  [--count 10000] [--compared 1000] [--modules DIR] [--set KEY=VALUE]...
 *
 * --set: of the GAN's job.
 *
 * Generated are `count` samples, with the averaged weights where the file has them.  Features are
 * what the classifier's last dense layer reads.  Real ones are of the classifier's validation set,
 * up to as many:
 *   accuracy   of the classifier on them
 *   classes    the share of each class among the generated, as the classifier sees them
 *   frechet    distance of the features of both (measure.h)
 *   precision, recall   of the features, with 3 neighbours
 *   nearest    mean Euclidean distance, of pixels in [-1, 1], of the first `compared` generated
 *              samples to the nearest training sample of the GAN; nearest_real: of as many real
 * ones
 */
#include "tests/bench/bench_job.h"
#include "tests/recipes/measure.h"

#include "base/mem.h"
#include "proto/safetensors.h"
#include "worker/checkpoint/snapshot.h"
#include "worker/train/compiled.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEIGHBOURS = 3, CLASSES_MAX = 1000 };

static const char USAGE[] =
    "usage: cambrian-judge CLASSIFIER.yaml CLASSIFIER.safetensors GAN.yaml GAN.safetensors\n"
    "                      [--count 10000] [--compared 1000] [--modules DIR]\n"
    "                      [--set KEY=VALUE]...\n";

struct options {
    const char *files[4];
    int64_t count;
    int64_t compared;
    const char *modules;
    const char *set[BENCH_SETS_MAX];
    int set_count;
};

/* A job with its trained weights, ready to run. */
struct network {
    struct bench bench;
    struct compiled *compiled;
    struct snapshot *weights;
    struct source *source;
};

static void check(enum cam_code rc, const struct cam_err *err)
{
    if (rc != CAM_OK) {
        bench_die(err);
    }
}

static struct options read_options(int argc, char **argv)
{
    struct options o = {.count = 10000, .compared = 1000, .modules = BENCH_MODULE_DIR};
    int files = 0;
    bool good = true;
    for (int i = 1; i < argc && good; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (argv[i][0] != '-' && files < 4) {
            o.files[files++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--count") == 0) {
            o.count = strtoll(value, NULL, 10);
        } else if (strcmp(argv[i], "--compared") == 0) {
            o.compared = strtoll(value, NULL, 10);
        } else if (strcmp(argv[i], "--modules") == 0) {
            o.modules = value;
        } else if (strcmp(argv[i], "--set") == 0 && o.set_count < BENCH_SETS_MAX) {
            o.set[o.set_count++] = value;
        } else {
            good = false;
        }
        i++;
    }
    if (!good || files != 4 || o.count <= NEIGHBOURS || o.compared < 1 || o.compared > o.count) {
        (void)fprintf(stderr, "%s", USAGE);
        exit(2);
    }
    return o;
}

static void open_network(const struct bench_options *options, const char *weights,
                         struct network *out)
{
    struct cam_err err;
    char digest[CAM_DIGEST_HEX_SIZE];
    bench_open(options, &out->bench);
    check(compiled_create(out->bench.training, out->bench.backend, out->bench.instance,
                          &out->compiled, &err),
          &err);
    check(snapshot_create(out->bench.training, &out->weights, &err), &err);
    check(safetensors_digest(weights, digest, &err), &err);
    check(snapshot_read_model(out->weights, weights, digest, &err), &err);
    snapshot_swap_average(out->weights);
    check(source_open_job(&out->bench.job, &out->source, &err), &err);
    check(source_load(out->source, &err), &err);
}

static void close_network(struct network *network)
{
    source_close(network->source);
    snapshot_destroy(network->weights);
    compiled_destroy(network->compiled);
    bench_close(&network->bench);
}

/* Runs a plan once with weights; inputs by slot. */
static void launch(const struct network *network, const struct compiled_plan *plan,
                   const struct bindings *given, int64_t execution)
{
    struct cam_err err;
    const struct backend *backend = network->bench.backend;
    struct bindings bindings = *given;
    const struct random_context random = {.seed = network->bench.training->seed,
                                          .execution = (uint32_t)execution};
    bindings.parameters = network->weights->parameters;
    bindings.buffers = network->weights->buffers;
    if (execution == 0) {
        check(backend->prepare(plan->executable, &bindings, &err), &err);
    }
    check(backend->launch(plan->executable, 0, &bindings, &random, &err), &err);
}

static float *floats(int64_t count)
{
    return bench_need(cam_alloc_aligned((size_t)count * sizeof(float)));
}

/* Execution 0 draws the samples of the job's last epoch, further ones others. */
static struct sample_set generate(const struct network *gan, int64_t count)
{
    struct cam_err err;
    struct compiled_plan plan = {0};
    const struct training *t = gan->bench.training;
    check(compiled_sample(gan->compiled, &plan, &err), &err);
    const struct shape *shape = &graph_node(t->sample, t->sample_node)->shape;
    int64_t rows = shape->dim[0];
    int64_t size = shape_count(shape) / rows;
    float *values = floats((count + rows) * size);
    float *batch = floats(rows * size);
    float *activations = floats(plan.plan->activation_floats);
    const struct bindings bindings = {.activations = activations, .output = batch};
    for (int64_t done = 0; done < count; done += rows) {
        launch(gan, &plan, &bindings, done / rows);
        memcpy(values + done * size, batch, (size_t)(rows * size) * sizeof *values);
    }
    cam_free(batch);
    cam_free(activations);
    compiled_release(gan->bench.backend, &plan);
    return (struct sample_set){values, count, size};
}

/* Samples of a source from `first` on; labels may be NULL. */
static struct sample_set read_samples(const struct network *network, int64_t first, int64_t count,
                                      float *labels)
{
    struct cam_err err;
    int64_t size = source_value_floats(source_info(network->source));
    float *values = floats(count * size);
    for (int64_t i = 0; i < count; i++) {
        float label = 0;
        check(source_read(network->source, first + i, values + i * size, &label, &err), &err);
        if (labels != NULL) {
            labels[i] = label;
        }
    }
    return (struct sample_set){values, count, size};
}

/* The logits of the classifier's evaluation, and what the last matrix product before them reads. */
static void find_nodes(const struct training *t, int nodes_out[2])
{
    const struct graph *graph = t->evaluation.graph;
    nodes_out[0] = NODE_NONE;
    for (int i = 0; graph != NULL && i < graph_count(graph); i++) {
        if (graph_node(graph, i)->op == OP_SOFTMAX_XENT) {
            nodes_out[1] = graph_node(graph, i)->input[0];
            int node = nodes_out[1];
            while (graph_node(graph, node)->op != OP_MATMUL &&
                   graph_node(graph, node)->input_count > 0) {
                node = graph_node(graph, node)->input[0];
            }
            nodes_out[0] = graph_node(graph, node)->input[0];
        }
    }
    if (nodes_out[0] == NODE_NONE || graph_node(graph, nodes_out[0])->shape.rank != 2) {
        (void)fprintf(stderr,
                      "the classifier needs a validation set and a dense layer at its end\n");
        exit(1);
    }
}

/* Features of samples; the class of each into `classes`. */
static struct sample_set look(const struct network *classifier, const struct sample_set *samples,
                              int *classes)
{
    struct cam_err err;
    struct compiled_plan plan = {0};
    const struct training *t = classifier->bench.training;
    int nodes[2];
    find_nodes(t, nodes);
    int64_t size = graph_node(t->evaluation.graph, nodes[0])->shape.dim[1];
    int64_t logits = graph_node(t->evaluation.graph, nodes[1])->shape.dim[1];
    int64_t behind = (t->rows * size + 15) / 16 * 16;
    const int64_t offsets[] = {0, behind};
    check(compiled_plan(
              classifier->compiled,
              &(struct compiled_request){
                  .graph = t->evaluation.graph, .nodes = nodes, .offsets = offsets, .count = 2},
              &plan, &err),
          &err);
    float *features = floats((samples->count + t->rows) * size);
    float *batch = floats(t->rows * samples->size);
    float *output = floats(behind + t->rows * logits);
    float *activations = floats(plan.plan->activation_floats);
    float *unread = floats(t->rows);
    const void *inputs[] = {batch, unread, unread};
    const struct bindings bindings = {
        .inputs = inputs, .activations = activations, .output = output};
    for (int64_t done = 0; done < samples->count; done += t->rows) {
        int64_t left = samples->count - done;
        int64_t rows = left < t->rows ? left : t->rows;
        memcpy(batch, samples->values + done * samples->size,
               (size_t)(rows * samples->size) * sizeof *batch);
        launch(classifier, &plan, &bindings, done / t->rows);
        memcpy(features + done * size, output, (size_t)(rows * size) * sizeof *features);
        for (int64_t i = 0; i < rows; i++) {
            const float *row = output + behind + i * logits;
            classes[done + i] = 0;
            for (int c = 1; c < logits; c++) {
                classes[done + i] = row[c] > row[classes[done + i]] ? c : classes[done + i];
            }
        }
    }
    cam_free(batch);
    cam_free(output);
    cam_free(activations);
    cam_free(unread);
    compiled_release(classifier->bench.backend, &plan);
    return (struct sample_set){features, samples->count, size};
}

/* Prints the shares of classes. */
static void print_classes(const int *classes, int64_t count, int64_t most)
{
    int64_t found[CLASSES_MAX] = {0};
    for (int64_t i = 0; i < count; i++) {
        found[classes[i]]++;
    }
    for (int64_t c = 0; c < most && c < CLASSES_MAX; c++) {
        printf("%s%.4f", c == 0 ? "" : ", ", (double)found[c] / (double)count);
    }
}

/* Prints figures of pixels and gives the samples back. */
static void print_nearest(const struct network *gan, struct sample_set generated,
                          struct sample_set real, int64_t compared)
{
    struct cam_err err;
    double near = 0;
    double near_real = 0;
    struct sample_set set = read_samples(gan, 0, source_info(gan->source)->count, NULL);
    generated.count = compared;
    real.count = compared < real.count ? compared : real.count;
    check(measure_nearest(&generated, &set, &near, &err), &err);
    check(measure_nearest(&real, &set, &near_real, &err), &err);
    printf(", \"nearest\": %.4f, \"nearest_real\": %.4f}\n", near, near_real);
    cam_free((void *)(uintptr_t)set.values);
}

int main(int argc, char **argv)
{
    struct options o = read_options(argc, argv);
    struct cam_err err;
    struct network classifier;
    struct network gan;
    double frechet = 0;
    double precision = 0;
    double recall = 0;
    struct bench_options job = {
        .job = o.files[0], .modules = o.modules, .backend = "cpu", .lanes = 1, .rounds = 1};
    open_network(&job, o.files[1], &classifier);
    job.job = o.files[2];
    memcpy(job.set, o.set, sizeof job.set);
    job.set_count = o.set_count;
    open_network(&job, o.files[3], &gan);
    const struct source_info *info = source_info(classifier.source);
    int64_t count = o.count < info->validation_count ? o.count : info->validation_count;
    float *labels = floats(count + 1);
    int *classes = bench_need(cam_alloc((size_t)(o.count + count), sizeof *classes));
    struct sample_set real = read_samples(&classifier, info->count, count, labels);
    struct sample_set generated = generate(&gan, o.count);
    if (generated.size != real.size) {
        (void)fprintf(stderr, "samples have %" PRId64 " numbers, the classifier's %" PRId64 "\n",
                      generated.size, real.size);
        exit(1);
    }
    struct sample_set seen_real = look(&classifier, &real, classes);
    int64_t right = 0;
    for (int64_t i = 0; i < count; i++) {
        right += classes[i] == (int)labels[i];
    }
    struct sample_set seen = look(&classifier, &generated, classes);
    check(measure_frechet(&seen, &seen_real, &frechet, &err), &err);
    check(measure_covered(&seen, &seen_real, NEIGHBOURS, &precision, &err), &err);
    check(measure_covered(&seen_real, &seen, NEIGHBOURS, &recall, &err), &err);
    printf("{\"count\": %" PRId64 ", \"real\": %" PRId64 ", \"accuracy\": %.4f, \"classes\": [",
           o.count, count, (double)right / (double)count);
    print_classes(classes, o.count, info->classes);
    printf("], \"frechet\": %.4f, \"precision\": %.4f, \"recall\": %.4f", frechet, precision,
           recall);
    print_nearest(&gan, generated, real, o.compared);
    cam_free((void *)(uintptr_t)real.values);
    cam_free((void *)(uintptr_t)generated.values);
    cam_free((void *)(uintptr_t)seen.values);
    cam_free((void *)(uintptr_t)seen_real.values);
    cam_free(labels);
    cam_free(classes);
    close_network(&gan);
    close_network(&classifier);
    return 0;
}
