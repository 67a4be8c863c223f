/* onednn.h over oneDNN 2: layouts are plain values, and an operator is described before its
 * primitive. */
#include "kernels/cpu/onednn.h"

dnnl_status_t onednn_layout_strided(struct onednn_layout *out, int rank, const dnnl_dims_t dims,
                                    const dnnl_dims_t strides)
{
    return dnnl_memory_desc_init_by_strides(&out->own, rank, dims, dnnl_f32, strides);
}

dnnl_status_t onednn_layout_any(struct onednn_layout *out, int rank, const dnnl_dims_t dims)
{
    return dnnl_memory_desc_init_by_tag(&out->own, rank, dims, dnnl_f32, dnnl_format_tag_any);
}

dnnl_status_t onednn_layout_chosen(struct onednn_layout *out, const_dnnl_primitive_desc_t from,
                                   dnnl_query_t what)
{
    const dnnl_memory_desc_t *chosen = dnnl_primitive_desc_query_md(from, what, 0);
    if (chosen == NULL) {
        return dnnl_not_required;
    }
    out->own = *chosen;
    return dnnl_success;
}

dnnl_status_t onednn_layout_copy(struct onednn_layout *out, const struct onednn_layout *from)
{
    *out = *from;
    return dnnl_success;
}

void onednn_layout_release(struct onednn_layout *layout)
{
    *layout = (struct onednn_layout){0};
}

bool onednn_layout_equal(const struct onednn_layout *a, const struct onednn_layout *b)
{
    return dnnl_memory_desc_equal(&a->own, &b->own) != 0;
}

size_t onednn_layout_bytes(const struct onednn_layout *layout)
{
    return dnnl_memory_desc_get_size(&layout->own);
}

dnnl_status_t onednn_memory_create(dnnl_memory_t *out, const struct onednn_layout *layout,
                                   dnnl_engine_t engine)
{
    return dnnl_memory_create(out, &layout->own, engine, DNNL_MEMORY_NONE);
}

dnnl_status_t onednn_memory_bind(dnnl_memory_t memory, void *data, dnnl_stream_t stream)
{
    return dnnl_memory_set_data_handle_v2(memory, data, stream);
}

dnnl_status_t onednn_reorder(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                             const struct onednn_layout *from, const struct onednn_layout *to,
                             const_dnnl_primitive_attr_t attributes)
{
    return dnnl_reorder_primitive_desc_create(out, &from->own, engine, &to->own, engine,
                                              attributes);
}

dnnl_status_t onednn_convolution_describe(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                          enum onednn_direction direction,
                                          const struct onednn_convolution *convolution,
                                          const_dnnl_primitive_attr_t attributes,
                                          const_dnnl_primitive_desc_t hint)
{
    const struct onednn_convolution *c = convolution;
    dnnl_convolution_desc_t operator;
    dnnl_status_t status = dnnl_unimplemented;
    switch (direction) {
    case ONEDNN_FORWARD:
        status = dnnl_dilated_convolution_forward_desc_init(
            &operator, dnnl_forward_training, dnnl_convolution_direct, &c->x.own, &c->w.own, NULL,
            &c->y.own, c->stride, c->dilation, c->before, c->after);
        break;
    case ONEDNN_TO_INPUT:
        status = dnnl_dilated_convolution_backward_data_desc_init(
            &operator, dnnl_convolution_direct, &c->x.own, &c->w.own, &c->y.own, c->stride,
            c->dilation, c->before, c->after);
        break;
    case ONEDNN_TO_WEIGHTS:
        status = dnnl_dilated_convolution_backward_weights_desc_init(
            &operator, dnnl_convolution_direct, &c->x.own, &c->w.own, NULL, &c->y.own, c->stride,
            c->dilation, c->before, c->after);
        break;
    }
    return status == dnnl_success
               ? dnnl_primitive_desc_create(out, &operator, attributes, engine, hint)
               : status;
}

void onednn_convolution_release(struct onednn_convolution *convolution)
{
    onednn_layout_release(&convolution->x);
    onednn_layout_release(&convolution->w);
    onednn_layout_release(&convolution->y);
}

struct isa_name {
    dnnl_cpu_isa_t isa;
    const char *name;
};

static const struct isa_name ISA_NAMES[] = {
    {dnnl_cpu_isa_avx2, "avx2"},
    {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
    {dnnl_cpu_isa_avx512_mic, "avx512_mic"},
    {dnnl_cpu_isa_avx512_mic_4ops, "avx512_mic_4ops"},
    {dnnl_cpu_isa_avx512_core, "avx512_core"},
    {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
    {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
    {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
};

const char *onednn_isa_name(dnnl_cpu_isa_t isa)
{
    for (size_t i = 0; i < sizeof ISA_NAMES / sizeof ISA_NAMES[0]; i++) {
        if (ISA_NAMES[i].isa == isa) {
            return ISA_NAMES[i].name;
        }
    }
    return "other";
}
