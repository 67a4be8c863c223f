/*
 * Golden values: files that generate.py wrote from PyTorch in double precision, and what tests read
 * and run them with.  Every function fails the running test where something is wrong.
 *
 * A file holds the inputs as F32, so that every backend starts from the same numbers, and what
 * PyTorch made of them as F64.  Its metadata says what was built.  Activations are in our order
 * (N,H,W,C), parameters and their gradients in PyTorch's, under the names of our checkpoints.
 */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "kernels/backend.h"
#include "model/recipes/training.h"
#include "proto/safetensors.h"

enum { GOLDEN_SLOTS_MAX = 64, GOLDEN_OUTPUTS_MAX = 192, GOLDEN_NAME_SIZE = 128 };

/* A file in the folder of golden values: "layers/dense". */
struct safetensors *golden_open(const char *name);

/* The tensor PREFIX + NAME; the test fails where there is none. */
const struct safetensors_tensor *golden_find(const struct safetensors *file, const char *prefix,
                                             const char *name);
int64_t golden_count(const struct safetensors_tensor *tensor);
double golden_at(const struct safetensors_tensor *tensor, int64_t index);
/* A number of the metadata, or `missing`. */
double golden_number(const struct safetensors *file, const char *key, double missing);

/* The names of the files of a folder ("layers/dense", ...), sorted; end it with cam_free. */
struct golden_names {
    int count;
    char names[][GOLDEN_NAME_SIZE];
};
struct golden_names *golden_list(const char *folder);

/* A whole job file. */
void golden_parse(const char *text, struct cam_arena *arena, struct job_file *out);
/* A job file that asks for what `more` says: whole lines, beside those that every job needs and
 * that it may not repeat (name, kind, data, train). */
void golden_job(const char *more, struct cam_arena *arena, struct job_file *out);

/* Runs a test a file of the folder, named as the file is, and then `more`.  The test's state is the
 * file's name.  What main returns. */
struct CMUnitTest;
int golden_main(const char *folder, void (*test)(void **state), const struct CMUnitTest *more,
                int more_count);

/* Where a graph runs, and how near to the golden values it must come. */
struct golden_place {
    const char *label; /* for failures */
    const char *backend;
    bool f64;
    bool fuse;
    double tolerance;
};

/* reference in f64; cpu in f32, where there is one.  Tolerances are the file's, if it has some
 * (f64, f32), else 1e-12 and 1e-5. */
enum { GOLDEN_PLACES = 2 };
int golden_places(const struct safetensors *file, struct golden_place out[GOLDEN_PLACES]);

/* A graph with the values of its leaves by slot (NULL: the graph has none), and what is wanted. */
struct golden_work {
    const struct graph *graph;
    const double *parameters[GOLDEN_SLOTS_MAX];
    const double *buffers[GOLDEN_SLOTS_MAX];
    const double *inputs[GOLDEN_SLOTS_MAX];
    const float *scalars;
    struct random_context random;
    int outputs[GOLDEN_OUTPUTS_MAX];
    int output_count;
};

/* Element i of output o is values[offsets[o] + i]; end it with cam_free. */
struct golden_values {
    int64_t offsets[GOLDEN_OUTPUTS_MAX];
    double values[];
};
struct golden_values *golden_run(const struct golden_work *work, const struct golden_place *place);

/* Fails where an element of `found` is further from the golden one than the place's tolerance times
 * the largest golden one (at least 0.01).  The found element of golden element i is order[i], or i
 * where order is NULL. */
void golden_compare(const struct golden_place *place, const struct safetensors_tensor *golden,
                    const double *found, const int64_t *order);

/* order[i]: the arena's element that is the checkpoint's element i (tensor_export). */
int64_t *golden_order(const struct tensor_info *row);

/* A tensor as doubles, on the heap. */
double *golden_values_of(const struct safetensors_tensor *tensor);

#endif
