#include "kernels/cpu/dnn.h"

#include "base/mem.h"

#include <string.h>

static const char *const STATUS_TEXTS[] = {
    [dnnl_success] = "success",
    [dnnl_out_of_memory] = "out of memory",
    [dnnl_invalid_arguments] = "invalid arguments",
    [dnnl_unimplemented] = "not implemented for these shapes",
    [dnnl_runtime_error] = "failed while running",
    [dnnl_not_required] = "not required",
};

enum cam_code dnn_fail(struct cam_err *err, dnnl_status_t status, const char *path,
                       const char *what)
{
    size_t index = (size_t)status;
    const char *text =
        index < sizeof STATUS_TEXTS / sizeof STATUS_TEXTS[0] ? STATUS_TEXTS[index] : NULL;
    return cam_fail(err, status == dnnl_out_of_memory ? CAM_NO_MEMORY : CAM_INTERNAL,
                    "%s: oneDNN %s: %s", path, what, text == NULL ? "unknown status" : text);
}

dnnl_status_t dnn_call_argument(struct dnn_call *call, int kind, const struct onednn_layout *layout)
{
    dnnl_status_t status = onednn_layout_copy(&call->layout[call->count], layout);
    if (status == dnnl_success) {
        call->kind[call->count++] = kind;
    }
    return status;
}

dnnl_status_t dnn_call_create(struct dnn_call *call, const_dnnl_primitive_desc_t description)
{
    dnnl_status_t status =
        onednn_layout_chosen(&call->layout[0], description, dnnl_query_scratchpad_md);
    if (status != dnnl_success) {
        return status;
    }
    call->kind[0] = DNNL_ARG_SCRATCHPAD;
    call->count = 1;
    call->scratchpad_bytes = cpu_align(onednn_layout_bytes(&call->layout[0]));
    return dnnl_primitive_create(&call->primitive, description);
}

dnnl_status_t dnn_reorder_create(struct dnn_call *call, dnnl_engine_t engine,
                                 const struct onednn_layout *from, const struct onednn_layout *to)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status != dnnl_success) {
        return status;
    }
    status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) {
        status = onednn_reorder(&description, engine, from, to, attributes);
    }
    dnnl_primitive_attr_destroy(attributes);
    if (status != dnnl_success) {
        return status;
    }
    status = dnn_call_create(call, description);
    dnnl_primitive_desc_destroy(description);
    if (status == dnnl_success) {
        status = dnn_call_argument(call, DNNL_ARG_FROM, from);
    }
    return status == dnnl_success ? dnn_call_argument(call, DNNL_ARG_TO, to) : status;
}

enum cam_code dnn_call_lanes(struct dnn_call *call, dnnl_engine_t engine, int lanes,
                             const char *path, struct cam_err *err)
{
    call->lanes = lanes;
    for (int i = 0; i < call->count; i++) {
        call->memory[i] = cam_alloc((size_t)lanes, sizeof *call->memory[i]);
        if (call->memory[i] == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "%s: no memory to compile", path);
        }
        for (int lane = 0; lane < lanes; lane++) {
            dnnl_status_t status =
                onednn_memory_create(&call->memory[i][lane], &call->layout[i], engine);
            if (status != dnnl_success) {
                return dnn_fail(err, status, path, "memory");
            }
        }
    }
    return CAM_OK;
}

dnnl_status_t dnn_call_bind(const struct dnn_call *call, int index, int lane, const void *data,
                            dnnl_stream_t stream)
{
    void *handle = NULL;
    memcpy(&handle, &data, sizeof handle); /* the library has one type for both directions */
    return onednn_memory_bind(call->memory[index][lane], handle, stream);
}

dnnl_status_t dnn_call_run(const struct dnn_call *call, int lane, dnnl_stream_t stream)
{
    dnnl_exec_arg_t arguments[DNN_ARGUMENTS_MAX];
    for (int i = 0; i < call->count; i++) {
        arguments[i] = (dnnl_exec_arg_t){.arg = call->kind[i], .memory = call->memory[i][lane]};
    }
    return dnnl_primitive_execute(call->primitive, stream, call->count, arguments);
}

void dnn_call_release(struct dnn_call *call)
{
    for (int i = 0; i < call->count; i++) {
        for (int lane = 0; call->memory[i] != NULL && lane < call->lanes; lane++) {
            dnnl_memory_destroy(call->memory[i][lane]);
        }
        cam_free(call->memory[i]);
        onednn_layout_release(&call->layout[i]);
    }
    if (call->primitive != NULL) {
        dnnl_primitive_destroy(call->primitive);
    }
    *call = (struct dnn_call){0};
}
