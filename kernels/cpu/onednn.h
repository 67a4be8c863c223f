/*
 * What oneDNN 2 and oneDNN 3 spell differently, in one form: memory layouts, which the one copies
 * and the other allocates, and the descriptions of primitives.  onednn_2.c and onednn_3.c hold the
 * same functions; the build takes the one of the library's headers.
 */
#ifndef CPU_ONEDNN_H
#define CPU_ONEDNN_H

#include <dnnl.h>
#include <stdbool.h>
#include <stddef.h>

/* Owned by whom it is made for; zero is an empty one, which may be released too. */
struct onednn_layout {
    dnnl_memory_desc_t own;
};

/* A dense tensor of f32 with strides in elements. */
dnnl_status_t onednn_layout_strided(struct onednn_layout *out, int rank, const dnnl_dims_t dims,
                                    const dnnl_dims_t strides);

/* A tensor of f32 whose order is the primitive's to choose. */
dnnl_status_t onednn_layout_any(struct onednn_layout *out, int rank, const dnnl_dims_t dims);

/* What a description chose: weights, scratchpad and the like. */
dnnl_status_t onednn_layout_chosen(struct onednn_layout *out, const_dnnl_primitive_desc_t from,
                                   dnnl_query_t what);

dnnl_status_t onednn_layout_copy(struct onednn_layout *out, const struct onednn_layout *from);
void onednn_layout_release(struct onednn_layout *layout);

bool onednn_layout_equal(const struct onednn_layout *a, const struct onednn_layout *b);
size_t onednn_layout_bytes(const struct onednn_layout *layout);

/* Memory without data until it is bound. */
dnnl_status_t onednn_memory_create(dnnl_memory_t *out, const struct onednn_layout *layout,
                                   dnnl_engine_t engine);
dnnl_status_t onednn_memory_bind(dnnl_memory_t memory, void *data, dnnl_stream_t stream);

dnnl_status_t onednn_reorder(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                             const struct onednn_layout *from, const struct onednn_layout *to,
                             const_dnnl_primitive_attr_t attributes);

enum onednn_direction { ONEDNN_FORWARD, ONEDNN_TO_INPUT, ONEDNN_TO_WEIGHTS };

/* A direct convolution without bias; x, w and y are the gradients where the direction says so. */
struct onednn_convolution {
    struct onednn_layout x;
    struct onednn_layout w;
    struct onednn_layout y;
    dnnl_dims_t stride;
    dnnl_dims_t dilation; /* 0: dense */
    dnnl_dims_t before;   /* padding */
    dnnl_dims_t after;
};

/* hint: the forward description, for the gradients; else NULL.  attributes may be NULL. */
dnnl_status_t onednn_convolution_describe(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                          enum onednn_direction direction,
                                          const struct onednn_convolution *convolution,
                                          const_dnnl_primitive_attr_t attributes,
                                          const_dnnl_primitive_desc_t hint);

void onednn_convolution_release(struct onednn_convolution *convolution);

/* "avx2" and so on; "other" for one that the headers do not name. */
const char *onednn_isa_name(dnnl_cpu_isa_t isa);

#endif
