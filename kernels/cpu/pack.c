#include "kernels/cpu/pack.h"

#include "base/mem.h"

static bool same_place(const struct plan *plan, int a, int b)
{
    return plan->values[a].storage == plan->values[b].storage &&
           plan->values[a].offset == plan->values[b].offset &&
           plan->values[a].slot == plan->values[b].slot;
}

static enum cam_code pack_create(struct pack *pack, struct executable *executable,
                                 const struct onednn_layout *plain, const char *path,
                                 struct cam_err *err)
{
    dnnl_engine_t engine = executable->instance->engine;
    dnnl_status_t status = dnn_reorder_create(&pack->reorder, engine, plain, &pack->layout);
    if (status != dnnl_success) {
        return dnn_fail(err, status, path, "weight packing");
    }
    enum cam_code rc = dnn_call_lanes(&pack->reorder, engine, 1, path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    pack->bytes = cpu_align(onednn_layout_bytes(&pack->layout));
    pack->data = cam_alloc_aligned(pack->bytes);
    pack->scratch = cam_alloc_aligned(pack->reorder.scratchpad_bytes + CPU_ALIGNMENT);
    if (pack->data == NULL || pack->scratch == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: no memory for packed weights (%zu bytes)", path,
                        pack->bytes);
    }
    return CAM_OK;
}

enum cam_code pack_find(struct executable *executable, int value, const struct onednn_layout *plain,
                        const struct onednn_layout *layout, const char *path, int *index_out,
                        struct cam_err *err)
{
    for (int i = 0; i < executable->pack_count; i++) {
        const struct pack *pack = &executable->packs[i];
        if (pack->own.run == NULL && same_place(executable->plan, pack->value, value) &&
            onednn_layout_equal(&pack->layout, layout)) {
            *index_out = i;
            return CAM_OK;
        }
    }
    *index_out = executable->pack_count++;
    struct pack *pack = &executable->packs[*index_out];
    pack->value = value;
    dnnl_status_t status = onednn_layout_copy(&pack->layout, layout);
    if (status != dnnl_success) {
        return dnn_fail(err, status, path, "layout");
    }
    return pack_create(pack, executable, plain, path, err);
}

enum cam_code pack_find_own(struct executable *executable, int value,
                            const struct pack_transform *transform, const char *path,
                            int *index_out, struct cam_err *err)
{
    for (int i = 0; i < executable->pack_count; i++) {
        const struct pack *pack = &executable->packs[i];
        if (pack->own.run == transform->run && same_place(executable->plan, pack->value, value)) {
            *index_out = i;
            return CAM_OK;
        }
    }
    *index_out = executable->pack_count++;
    struct pack *pack = &executable->packs[*index_out];
    pack->value = value;
    pack->own = *transform;
    pack->bytes = cpu_align((size_t)transform->floats * sizeof(float));
    pack->data = cam_alloc_aligned(pack->bytes);
    if (pack->data == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: no memory for packed weights (%zu bytes)", path,
                        pack->bytes);
    }
    return CAM_OK;
}

enum cam_code pack_run(const struct pack *pack, const struct plan *plan,
                       const struct bindings *bindings, dnnl_stream_t stream, struct cam_err *err)
{
    if (pack->own.run != NULL) {
        pack->own.run(plan->values[pack->value].shape.dim, cpu_source(plan, pack->value, bindings),
                      pack->data);
        return CAM_OK;
    }
    const struct dnn_call *reorder = &pack->reorder;
    dnnl_status_t status = dnn_call_bind(reorder, 0, 0, pack->scratch, stream);
    if (status == dnnl_success) {
        status = dnn_call_bind(reorder, 1, 0, cpu_source(plan, pack->value, bindings), stream);
    }
    if (status == dnnl_success) {
        status = dnn_call_bind(reorder, 2, 0, pack->data, stream);
    }
    if (status == dnnl_success) {
        status = dnn_call_run(reorder, 0, stream);
    }
    return status == dnnl_success ? CAM_OK : dnn_fail(err, status, "weights", "packing");
}

void pack_release(struct pack *pack)
{
    dnn_call_release(&pack->reorder);
    onednn_layout_release(&pack->layout);
    cam_free(pack->data);
    cam_free(pack->scratch);
}
