/*
 * Inside the CPU backend: what a compiled plan is made of.
 *
 * compile turns every plan step into a cpu_step of some class (product, program, move); a class is
 * a table of functions.  A step states how much lane scratch it needs; steps of a lane run one
 * after another, so that the executable keeps the largest.  All memory is taken in compile.
 */
#ifndef CPU_H
#define CPU_H

#include "kernels/backend.h"
#include "kernels/cpu/onednn.h"

#include <stddef.h>

enum { CPU_ALIGNMENT = 64 };

struct executable;
struct cpu_step;

/* What a launch carries from step to step. */
struct lane_call {
    const struct bindings *bindings;
    const struct random_context *random;
    int lane;
    char *scratch; /* of this lane; CPU_ALIGNMENT */
    dnnl_stream_t stream;
};

struct step_class {
    enum cam_code (*launch)(const struct cpu_step *step, const struct lane_call *call,
                            struct cam_err *err);
    void (*destroy)(struct cpu_step *step); /* NULL-tolerant of everything half made */
};

struct cpu_step {
    const struct step_class *class; /* NULL: not made yet */
    const struct plan_step *step;
    const struct plan *plan;
    void *state;          /* the class's own */
    size_t scratch_bytes; /* of a lane */
};

struct executable {
    const struct plan *plan;
    struct backend_instance *instance;
    struct cpu_step *steps; /* plan->step_count */
    struct pack *packs;     /* weights packed once an execution; pack.h */
    int pack_count;
    size_t scratch_bytes;
};

struct backend_instance {
    struct backend_options options;
    dnnl_engine_t engine;
    dnnl_stream_t *streams; /* by lane */
    dnnl_stream_t prepare_stream;
    char **scratch; /* by lane; as large as the executable that needs most, and of them all */
    size_t scratch_bytes;
};

/* Where a value lies in this launch. */
const float *cpu_source(const struct plan *plan, int value, const struct bindings *bindings);
float *cpu_target(const struct plan *plan, int value, const struct bindings *bindings);

static inline size_t cpu_align(size_t bytes)
{
    return (bytes + CPU_ALIGNMENT - 1) / CPU_ALIGNMENT * CPU_ALIGNMENT;
}

/* The one translator of oneDNN's errors. */
enum cam_code dnn_fail(struct cam_err *err, dnnl_status_t status, const char *path,
                       const char *what);

/* One for each class: fills step->class, state and scratch_bytes.  What is half made when they
 * fail is released by the class's destroy. */
enum cam_code program_step_create(struct cpu_step *step, struct cam_err *err);
enum cam_code move_step_create(struct cpu_step *step, struct cam_err *err);
enum cam_code attention_step_create(struct cpu_step *step, struct cam_err *err);
enum cam_code recurrent_step_create(struct cpu_step *step, struct cam_err *err);
enum cam_code choice_step_create(struct cpu_step *step, struct cam_err *err);
enum cam_code matmul_step_create(struct cpu_step *step, struct cam_err *err);
enum cam_code conv_step_create(struct executable *executable, struct cpu_step *step,
                               struct cam_err *err);
enum cam_code tap_step_create(struct cpu_step *step, struct cam_err *err);

/* Whether the shapes of a convolution are ones that tap.c is faster at. */
bool tap_step_applies(const struct plan *plan, const struct plan_step *step);

/* Whether a convolution is of the kind that winograd.c is faster at. */
bool winograd_step_applies(const struct backend_instance *instance, const struct plan *plan,
                           const struct plan_step *step);
enum cam_code winograd_step_create(struct executable *executable, struct cpu_step *step,
                                   struct cam_err *err);

#endif
