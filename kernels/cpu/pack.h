/*
 * Weights in the layout that a convolution asked for: packed from the parameters once an
 * execution, in prepare, then read by every lane.  Steps that want the same weights in the same
 * layout share one.  Owned by the executable.
 */
#ifndef CPU_PACK_H
#define CPU_PACK_H

#include "kernels/cpu/dnn.h"

/* A layout of our own: makes `floats` floats of weights (KH,KW,I,O). */
struct pack_transform {
    void (*run)(const int64_t kernel[4], const float *weights, float *out);
    int64_t floats;
};

struct pack {
    int value;                 /* of the plan: the parameter */
    struct pack_transform own; /* run: NULL where the layout is oneDNN's, as below */
    struct onednn_layout layout;
    float *data;
    size_t bytes;
    char *scratch;
    struct dnn_call reorder; /* with one lane: the thread of prepare */
};

/* Finds or makes the pack of a parameter; its index. */
enum cam_code pack_find(struct executable *executable, int value, const struct onednn_layout *plain,
                        const struct onednn_layout *layout, const char *path, int *index_out,
                        struct cam_err *err);

/* The same in a layout of our own. */
enum cam_code pack_find_own(struct executable *executable, int value,
                            const struct pack_transform *transform, const char *path,
                            int *index_out, struct cam_err *err);

enum cam_code pack_run(const struct pack *pack, const struct plan *plan,
                       const struct bindings *bindings, dnnl_stream_t stream, struct cam_err *err);

void pack_release(struct pack *pack);

#endif
