#include "tests/bench/bench_job.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kernels/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NOISE_SAMPLES = 60000, NOISE_CLASSES = 10 };

_Noreturn void bench_die(const struct cam_err *err)
{
    (void)fprintf(stderr, "%s\n", err->text);
    exit(1);
}

void *bench_need(void *memory)
{
    if (memory == NULL) {
        (void)fprintf(stderr, "no memory\n");
        exit(1);
    }
    return memory;
}

static double clock_s(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double bench_thread_s(void)
{
    return clock_s(CLOCK_THREAD_CPUTIME_ID);
}

double bench_process_s(void)
{
    return clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

double bench_wall_s(void)
{
    return (double)cam_monotonic_ns() * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(double *values, int count, double q)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    int index = (int)(q * (double)count);
    return values[index < count ? index : count - 1];
}

float *bench_noise(int64_t count, float scale)
{
    float *values = bench_need(cam_alloc_aligned((size_t)(count + 1) * sizeof *values));
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = scale * ((float)(state >> 8) * 0x1p-23f - 1.0f);
    }
    return values;
}

static bool read_number(const char *text, int *out)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);
    *out = (int)value;
    return end != text && *end == '\0' && value >= 1 && value <= 100000;
}

static bool read_image(const char *text, int64_t image[3])
{
    char *end = NULL;
    image[0] = strtoll(text, &end, 10);
    image[1] = *end == 'x' ? strtoll(end + 1, &end, 10) : 0;
    image[2] = *end == 'x' ? strtoll(end + 1, &end, 10) : 0;
    return image[0] >= 1 && image[1] >= 1 && image[2] >= 1 && *end == '\0';
}

static bool read_text(const char *text, int64_t sizes[2])
{
    char *end = NULL;
    sizes[0] = strtoll(text, &end, 10);
    sizes[1] = *end == 'x' ? strtoll(end + 1, &end, 10) : 0;
    return sizes[0] >= 1 && sizes[1] >= 1 && *end == '\0';
}

/* One option with a value; false for one that is unknown or does not read. */
static bool read_option(struct bench_options *options, const char *name, const char *value)
{
    if (strcmp(name, "--modules") == 0) {
        options->modules = value;
    } else if (strcmp(name, "--backend") == 0) {
        options->backend = value;
    } else if (strcmp(name, "--lanes") == 0) {
        return read_number(value, &options->lanes) && options->lanes <= BENCH_LANES_MAX;
    } else if (strcmp(name, "--rounds") == 0) {
        return read_number(value, &options->rounds);
    } else if (strcmp(name, "--image") == 0) {
        return read_image(value, options->image);
    } else if (strcmp(name, "--text") == 0) {
        return read_text(value, options->text);
    } else if (strcmp(name, "--set") == 0 && options->set_count < BENCH_SETS_MAX) {
        options->set[options->set_count++] = value;
    } else {
        return false;
    }
    return true;
}

struct bench_options bench_read_options(int argc, char **argv, const char *usage)
{
    struct bench_options options = {
        .modules = BENCH_MODULE_DIR, .backend = "cpu", .lanes = 2, .rounds = 15};
    bool good = true;
    for (int i = 1; i < argc && good; i++) {
        if (strcmp(argv[i], "--native") == 0) {
            options.native = true;
        } else if (strcmp(argv[i], "--programs") == 0) {
            options.programs = true;
        } else if (strcmp(argv[i], "--serve") == 0) {
            options.serve = true;
        } else if (argv[i][0] != '-') {
            options.job = argv[i];
        } else {
            good = i + 1 < argc && read_option(&options, argv[i], argv[i + 1]);
            i++;
        }
    }
    if (!good || options.job == NULL) {
        (void)fprintf(stderr, "%s", usage);
        exit(2);
    }
    return options;
}

static void read_job(struct bench *bench)
{
    struct cam_err err;
    char *text = NULL;
    size_t size = 0;
    char base[CAM_PATH_SIZE];
    if (cam_file_read(bench->options.job, JOBFILE_BYTES_MAX, &text, &size, &err) != CAM_OK) {
        bench_die(&err);
    }
    char *full = realpath(bench->options.job, NULL);
    (void)snprintf(base, sizeof base, "%s", full == NULL ? "/" : full);
    free(full);
    char *slash = strrchr(base, '/');
    if (slash != NULL && slash != base) {
        *slash = '\0';
    }
    const struct job_text source = {.file_name = bench->options.job,
                                    .base_dir = base,
                                    .text = text,
                                    .size = size,
                                    .set = bench->options.set,
                                    .set_count = (size_t)bench->options.set_count};
    if (jobfile_parse(&source, bench->arena, &bench->job, &err) != CAM_OK) {
        bench_die(&err);
    }
    cam_free(text);
}

/* The first samples of the data as the batch. */
static void read_batch(struct bench *bench, struct source *source)
{
    struct cam_err err;
    const struct source_info *info = source_info(source);
    int64_t floats = source_value_floats(info);
    int64_t label_floats = source_label_floats(info);
    int64_t rows = bench->training->batch;
    bench->values = bench_noise(rows * floats, 0.0f);
    bench->labels = bench_noise(rows * label_floats, 0.0f);
    if (source_load(source, &err) != CAM_OK) {
        bench_die(&err);
    }
    for (int64_t row = 0; row < rows; row++) {
        if (source_read(source, row % info->count, bench->values + row * floats,
                        bench->labels + row * label_floats, &err) != CAM_OK) {
            bench_die(&err);
        }
    }
}

static void open_data(struct bench *bench)
{
    struct cam_err err;
    struct source *source = NULL;
    if (source_open_job(&bench->job, &source, &err) != CAM_OK) {
        bench_die(&err);
    }
    const struct source_info *info = source_info(source);
    const struct data_shape shape = {
        .count = info->count,
        .validation_count = info->validation_count,
        .height = info->height,
        .width = info->width,
        .channels = info->channels,
        .classes = info->classes,
        .length = info->length,
        .set_bytes = info->set_bytes,
    };
    if (training_create(&bench->job, &shape, &bench->training, &err) != CAM_OK) {
        bench_die(&err);
    }
    read_batch(bench, source);
    source_close(source);
}

/* Images of noise, or tokens one after another; so are the classes. */
static void invent_data(struct bench *bench)
{
    struct cam_err err;
    const int64_t *image = bench->options.image;
    const int64_t *text = bench->options.text;
    const struct data_shape shape = {.count = NOISE_SAMPLES,
                                     .height = image[0],
                                     .width = image[1],
                                     .channels = image[2],
                                     .length = text[0],
                                     .classes = text[0] > 0 ? text[1] : NOISE_CLASSES};
    if (training_create(&bench->job, &shape, &bench->training, &err) != CAM_OK) {
        bench_die(&err);
    }
    int64_t values = bench->training->batch * data_value_floats(&shape);
    int64_t labels = bench->training->batch * data_label_floats(&shape);
    bench->values = bench_noise(values, 1.0f);
    bench->labels = bench_noise(labels, 0.0f);
    for (int64_t i = 0; i < labels; i++) {
        bench->labels[i] = (float)(i % shape.classes);
    }
    for (int64_t i = 0; i < values && text[0] > 0; i++) {
        bench->values[i] = (float)(i % shape.classes);
    }
}

void bench_open(const struct bench_options *options, struct bench *out)
{
    struct cam_err err;
    *out = (struct bench){.options = *options, .arena = bench_need(cam_arena_create())};
    read_job(out);
    if (options->image[0] > 0 || options->text[0] > 0) {
        invent_data(out);
    } else {
        open_data(out);
    }
    const struct backend_options backend_options = {
        .lanes = options->lanes,
        .threads_per_shard = (int)out->job.train.threads_per_shard,
        .native_isa = options->native || out->job.train.isa == ISA_NATIVE};
    if (registry_find(options->backend, options->modules, &out->backend, &err) != CAM_OK ||
        out->backend->open(&backend_options, &out->instance, &err) != CAM_OK) {
        bench_die(&err);
    }
    out->backend->lane_begin(out->instance, 0);
}

void bench_close(struct bench *bench)
{
    bench->backend->close(bench->instance);
    cam_free(bench->values);
    cam_free(bench->labels);
    training_destroy(bench->training);
    cam_arena_destroy(bench->arena);
}

const float *bench_input(const struct bench *bench, int input, int64_t shard)
{
    const struct input_info *info = &bench->training->inputs[input];
    const float *whole = strcmp(info->name, "label") == 0 ? bench->labels : bench->values;
    return whole + shard * shape_count(&info->shape);
}

int64_t bench_turns(const struct bench *bench)
{
    int lanes = bench->options.lanes;
    return (bench->training->shards + lanes - 1) / lanes;
}
