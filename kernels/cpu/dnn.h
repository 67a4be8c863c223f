/*
 * oneDNN's objects in the form that this backend uses: a primitive with a user scratchpad, and one
 * memory object an argument and lane, so that lanes run side by side and nothing is made after
 * compile.
 */
#ifndef CPU_DNN_H
#define CPU_DNN_H

#include "kernels/cpu/cpu.h"

enum { DNN_ARGUMENTS_MAX = 4 };

struct dnn_call {
    dnnl_primitive_t primitive;
    int count;
    int kind[DNN_ARGUMENTS_MAX]; /* DNNL_ARG_... */
    struct onednn_layout layout[DNN_ARGUMENTS_MAX];
    dnnl_memory_t *memory[DNN_ARGUMENTS_MAX]; /* by lane */
    int lanes;
    size_t scratchpad_bytes; /* argument 0 is the scratchpad */
};

/* Makes call->primitive from a description, and finds the scratchpad's layout. */
dnnl_status_t dnn_call_create(struct dnn_call *call, const_dnnl_primitive_desc_t description);

/* A copy between two layouts. */
dnnl_status_t dnn_reorder_create(struct dnn_call *call, dnnl_engine_t engine,
                                 const struct onednn_layout *from, const struct onednn_layout *to);

/* The arguments behind the scratchpad, whose layouts are copied; then memory objects for `lanes`
 * lanes. */
dnnl_status_t dnn_call_argument(struct dnn_call *call, int kind,
                                const struct onednn_layout *layout);
enum cam_code dnn_call_lanes(struct dnn_call *call, dnnl_engine_t engine, int lanes,
                             const char *path, struct cam_err *err);

/* Where argument `index` of a lane lies from now on.  oneDNN writes through the argument that it
 * computes and reads the others. */
dnnl_status_t dnn_call_bind(const struct dnn_call *call, int index, int lane, const void *data,
                            dnnl_stream_t stream);

dnnl_status_t dnn_call_run(const struct dnn_call *call, int lane, dnnl_stream_t stream);

/* NULL-tolerant of everything half made. */
void dnn_call_release(struct dnn_call *call);

#endif
