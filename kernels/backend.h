/*
 * A backend runs plans.  The only door between model/ and arithmetic: worker/ sees nothing else of
 * kernels/.  A backend is a table of functions, found by name (kernels/registry.h); all but the
 * reference are shared modules opened at run time, so that the same worker runs where a library is
 * missing.
 *
 * Threads: open, compile, prepare and close belong to one thread.  launch is called by lane
 * threads, each with its own lane number, after lane_begin on that same thread; lanes run side by
 * side on one executable and share read-only arenas.  No lane runs while open, compile or close do.
 * Nothing allocates in prepare and launch.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include "base/status.h"
#include "base/text.h"
#include "model/plan/plan.h"

#include <stdbool.h>
#include <stdint.h>

enum { BACKEND_VERSION = 1 };

struct backend_options {
    int lanes; /* lane numbers 0 .. lanes-1 */
    int threads_per_shard;
    bool native_isa; /* false: at most AVX2, so that machines agree */
    bool f64;        /* reference only: every tensor is stored and computed in double */
};

/* Where a plan finds its values; pointers of the caller, 64-byte aligned.  Elements are float, or
 * double where the backend was opened with f64. */
struct bindings {
    const void *parameters;
    const void *buffers;
    const void *const *inputs; /* by slot */
    const float *scalars;      /* by slot; always float */
    void *activations;         /* plan.activation_floats of the lane */
    void *output;              /* plan.output_floats */
};

/* What random operators count with: counter = (element / 4, first_row + row, execution, stream). */
struct random_context {
    uint64_t seed;
    uint32_t execution; /* of the phase, from 0 */
    uint32_t first_row; /* of this shard in the global batch */
};

struct backend_instance; /* an opened backend */
struct executable;       /* a compiled plan */

/* What an executable needs besides the plan's arenas, allocated by compile. */
struct executable_memory {
    int64_t shared_bytes; /* packed weights */
    int64_t lane_bytes;   /* scratch of each lane */
};

struct backend {
    int version; /* BACKEND_VERSION it was built against */
    const char *name;

    enum cam_code (*open)(const struct backend_options *options, struct backend_instance **out,
                          struct cam_err *err);
    void (*close)(struct backend_instance *instance);

    /* Whether the operator has a kernel here; what has none but a lowering is lowered by the
     planner (model/plan/target.h says the same of this backend's name). */
    bool (*query)(const struct backend_instance *instance, enum op_kind op);

    /* Appends JSON members (`"device": "cpu", "isa": "avx2", "onednn": "2.6.3"`), without braces:
     * all that may change a result's bits. */
    void (*profile)(const struct backend_instance *instance, struct cam_text *out);

    /* The plan must outlive the executable. */
    enum cam_code (*compile)(struct backend_instance *instance, const struct plan *plan,
                             struct executable **out, struct cam_err *err);
    struct executable_memory (*memory)(const struct executable *executable);
    void (*destroy)(struct executable *executable);

    /* First call of a lane's own thread: thread count, rounding and denormal modes. */
    void (*lane_begin)(struct backend_instance *instance, int lane);

    /* Once a rank and execution, before the lanes: derives what they share from the parameters. */
    enum cam_code (*prepare)(struct executable *executable, const struct bindings *bindings,
                             struct cam_err *err);

    /* Runs the whole plan.  CAM_INTERNAL where a library fails; the text names the step's path. */
    enum cam_code (*launch)(struct executable *executable, int lane,
                            const struct bindings *bindings, const struct random_context *random,
                            struct cam_err *err);
};

#endif
