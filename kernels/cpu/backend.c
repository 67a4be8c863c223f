/*
 * The CPU backend: products by oneDNN, everything else as programs of vector instructions.
 * A lane is one thread (and its OpenMP team of threads_per_shard) with its own scratch, stream and
 * memory objects; packed weights are shared, written in prepare only.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/openmp.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/vector.h"

#include "base/mem.h"
#include "model/graph/op.h"

#include <string.h>
#include <xmmintrin.h>

const struct backend *cambrian_backend(void);

const float *cpu_source(const struct plan *plan, int value, const struct bindings *bindings)
{
    const struct plan_value *v = &plan->values[value];
    const float *base = NULL;
    switch (v->storage) {
    case STORAGE_PARAMETER:
        base = bindings->parameters;
        break;
    case STORAGE_BUFFER:
        base = bindings->buffers;
        break;
    case STORAGE_INPUT:
        base = bindings->inputs[v->slot];
        break;
    case STORAGE_SCALAR:
        return bindings->scalars + v->slot;
    case STORAGE_ACTIVATION:
        base = bindings->activations;
        break;
    case STORAGE_OUTPUT:
        base = bindings->output;
        break;
    }
    return base + v->offset;
}

float *cpu_target(const struct plan *plan, int value, const struct bindings *bindings)
{
    const struct plan_value *v = &plan->values[value];
    float *base = v->storage == STORAGE_OUTPUT ? bindings->output : bindings->activations;
    return base + v->offset;
}

static void cpu_close(struct backend_instance *instance)
{
    if (instance == NULL) {
        return;
    }
    for (int lane = 0; instance->streams != NULL && lane < instance->options.lanes; lane++) {
        dnnl_stream_destroy(instance->streams[lane]);
    }
    for (int lane = 0; instance->scratch != NULL && lane < instance->options.lanes; lane++) {
        cam_free(instance->scratch[lane]);
    }
    cam_free(instance->scratch);
    cam_free(instance->streams);
    if (instance->prepare_stream != NULL) {
        dnnl_stream_destroy(instance->prepare_stream);
    }
    if (instance->engine != NULL) {
        dnnl_engine_destroy(instance->engine);
    }
    cam_free(instance);
}

/* The limit holds for the whole process, and only before the library's first primitive. */
static enum cam_code limit_isa(bool native, struct cam_err *err)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        return cam_fail(err, CAM_UNSUPPORTED,
                        "backend cpu needs a processor with AVX2 and FMA; this one has %s",
                        __builtin_cpu_supports("avx2") ? "no FMA" : "no AVX2");
    }
    /* Asking for the instruction set also fixes it: so set first, and ask where that is refused. */
    if (!native && dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2) != dnnl_success &&
        dnnl_get_effective_cpu_isa() != dnnl_cpu_isa_avx2) {
        return cam_fail(err, CAM_CONFLICT,
                        "backend cpu: oneDNN already runs with another instruction set here");
    }
    return CAM_OK;
}

static enum cam_code create_streams(struct backend_instance *instance, struct cam_err *err)
{
    dnnl_status_t status = dnnl_engine_create(&instance->engine, dnnl_cpu, 0);
    if (status == dnnl_success) {
        status = dnnl_stream_create(&instance->prepare_stream, instance->engine,
                                    dnnl_stream_default_flags);
    }
    for (int lane = 0; lane < instance->options.lanes && status == dnnl_success; lane++) {
        status = dnnl_stream_create(&instance->streams[lane], instance->engine,
                                    dnnl_stream_default_flags);
    }
    return status == dnnl_success ? CAM_OK : dnn_fail(err, status, "backend cpu", "start");
}

static enum cam_code cpu_open(const struct backend_options *options, struct backend_instance **out,
                              struct cam_err *err)
{
    enum cam_code rc = limit_isa(options->native_isa, err);
    if (rc != CAM_OK) {
        return rc;
    }
    if (options->f64) {
        return cam_fail(err, CAM_UNSUPPORTED, "backend cpu computes in f32; f64 is reference's");
    }
    struct backend_instance *instance = cam_alloc(1, sizeof *instance);
    if (instance == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory to open the cpu backend");
    }
    instance->options = *options;
    instance->streams = cam_alloc((size_t)options->lanes, sizeof *instance->streams);
    instance->scratch = cam_alloc((size_t)options->lanes, sizeof *instance->scratch);
    rc = instance->streams == NULL || instance->scratch == NULL
             ? cam_fail(err, CAM_NO_MEMORY, "no memory to open the cpu backend")
             : create_streams(instance, err);
    if (rc != CAM_OK) {
        cpu_close(instance);
        return rc;
    }
    *out = instance;
    return CAM_OK;
}

static bool is_product(enum op_kind op)
{
    return op_get(op)->class == OP_CLASS_PRODUCT;
}

typedef enum cam_code step_maker(struct cpu_step *step, struct cam_err *err);

/* Macros with a kernel here; plan_target (model/plan/target.h) says the same. */
static step_maker *macro_step_of(enum op_kind op)
{
    static step_maker *const MAKERS[OP_COUNT] = {
        [OP_ATTENTION] = attention_step_create, [OP_ATTENTION_GRAD] = attention_step_create,
        [OP_LSTM] = recurrent_step_create,      [OP_LSTM_GRAD] = recurrent_step_create,
        [OP_GRU] = recurrent_step_create,       [OP_GRU_GRAD] = recurrent_step_create,
    };
    return MAKERS[op];
}

static bool cpu_query(const struct backend_instance *instance, enum op_kind op)
{
    (void)instance;
    return op >= 0 && op < OP_COUNT &&
           (op_get(op)->class != OP_CLASS_MACRO || macro_step_of(op) != NULL);
}

static void cpu_profile(const struct backend_instance *instance, struct cam_text *out)
{
    const dnnl_version_t *version = dnnl_version();
    cam_text_add(out,
                 "\"device\": \"cpu\", \"isa\": \"%s\", \"threads_per_shard\": %d, "
                 "\"onednn\": \"%d.%d.%d\", \"sleef\": \"%s\", \"engine\": \"%s\"",
                 onednn_isa_name(dnnl_get_effective_cpu_isa()), instance->options.threads_per_shard,
                 version->major, version->minor, version->patch, vector_library_version(),
                 CAMBRIAN_VERSION);
}

static enum cam_code step_create(struct executable *executable, struct cpu_step *step,
                                 struct cam_err *err)
{
    enum op_kind op = step->step->op;
    if (step->step->kind == PLAN_PROGRAM) {
        return program_step_create(step, err);
    }
    if (macro_step_of(op) != NULL) {
        return macro_step_of(op)(step, err);
    }
    if (op == OP_MATMUL) {
        return matmul_step_create(step, err);
    }
    if (is_product(op) && winograd_step_applies(executable->instance, step->plan, step->step)) {
        return winograd_step_create(executable, step, err);
    }
    if (is_product(op)) {
        return tap_step_applies(step->plan, step->step) ? tap_step_create(step, err)
                                                        : conv_step_create(executable, step, err);
    }
    if (op_get(op)->class == OP_CLASS_CHOICE) {
        return choice_step_create(step, err);
    }
    if (op == OP_PAD || op == OP_CONCAT) {
        return move_step_create(step, err);
    }
    return program_step_create(step, err);
}

static void cpu_destroy(struct executable *executable)
{
    if (executable == NULL) {
        return;
    }
    for (int s = 0; executable->steps != NULL && s < executable->plan->step_count; s++) {
        const struct step_class *class = executable->steps[s].class;
        if (class != NULL && class->destroy != NULL) {
            class->destroy(&executable->steps[s]);
        }
    }
    for (int i = 0; i < executable->pack_count; i++) {
        pack_release(&executable->packs[i]);
    }
    cam_free(executable->steps);
    cam_free(executable->packs);
    cam_free(executable);
}

static enum cam_code create_steps(struct executable *executable, struct cam_err *err)
{
    const struct plan *plan = executable->plan;
    for (int s = 0; s < plan->step_count; s++) {
        struct cpu_step *step = &executable->steps[s];
        step->step = &plan->steps[s];
        step->plan = plan;
        enum cam_code rc = step_create(executable, step, err);
        if (rc != CAM_OK) {
            return rc;
        }
        if (step->scratch_bytes > executable->scratch_bytes) {
            executable->scratch_bytes = step->scratch_bytes;
        }
    }
    return CAM_OK;
}

/* A lane runs one executable at a time, so that they share. */
static enum cam_code grow_scratch(struct executable *executable, struct cam_err *err)
{
    struct backend_instance *instance = executable->instance;
    if (executable->scratch_bytes <= instance->scratch_bytes) {
        return CAM_OK;
    }
    for (int lane = 0; lane < instance->options.lanes; lane++) {
        char *scratch = cam_alloc_aligned(executable->scratch_bytes + CPU_ALIGNMENT);
        if (scratch == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "no memory for a lane's scratch (%zu bytes)",
                            executable->scratch_bytes);
        }
        cam_free(instance->scratch[lane]);
        instance->scratch[lane] = scratch;
    }
    instance->scratch_bytes = executable->scratch_bytes;
    return CAM_OK;
}

/* Primitives are cut for the number of threads at their making, which has to be that of the lanes.
 */
static enum cam_code cpu_compile(struct backend_instance *instance, const struct plan *plan,
                                 struct executable **out, struct cam_err *err)
{
    struct executable *executable = cam_alloc(1, sizeof *executable);
    if (executable == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory to compile a plan");
    }
    int threads = omp_get_max_threads();
    size_t steps = (size_t)plan->step_count;
    omp_set_num_threads(instance->options.threads_per_shard);
    executable->plan = plan;
    executable->instance = instance;
    executable->steps = cam_alloc(steps + 1, sizeof *executable->steps);
    executable->packs = cam_alloc(steps + 1, sizeof *executable->packs);
    enum cam_code rc = executable->steps == NULL || executable->packs == NULL
                           ? cam_fail(err, CAM_NO_MEMORY, "no memory to compile a plan")
                           : create_steps(executable, err);
    if (rc == CAM_OK) {
        rc = grow_scratch(executable, err);
    }
    omp_set_num_threads(threads);
    if (rc != CAM_OK) {
        cpu_destroy(executable);
        return rc;
    }
    *out = executable;
    return CAM_OK;
}

static struct executable_memory cpu_memory(const struct executable *executable)
{
    struct executable_memory memory = {.lane_bytes = (int64_t)executable->scratch_bytes};
    for (int i = 0; i < executable->pack_count; i++) {
        memory.shared_bytes += (int64_t)executable->packs[i].bytes;
    }
    return memory;
}

static void cpu_lane_begin(struct backend_instance *instance, int lane)
{
    (void)lane;
    const unsigned flush_to_zero = 0x8000;
    const unsigned denormals_are_zero = 0x0040;
    omp_set_dynamic(0);
    omp_set_num_threads(instance->options.threads_per_shard);
    _mm_setcsr(_mm_getcsr() | flush_to_zero | denormals_are_zero);
}

static enum cam_code cpu_prepare(struct executable *executable, const struct bindings *bindings,
                                 struct cam_err *err)
{
    for (int i = 0; i < executable->pack_count; i++) {
        enum cam_code rc = pack_run(&executable->packs[i], executable->plan, bindings,
                                    executable->instance->prepare_stream, err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    return CAM_OK;
}

static enum cam_code cpu_launch(struct executable *executable, int lane,
                                const struct bindings *bindings,
                                const struct random_context *random, struct cam_err *err)
{
    const struct lane_call call = {.bindings = bindings,
                                   .random = random,
                                   .lane = lane,
                                   .scratch = executable->instance->scratch[lane],
                                   .stream = executable->instance->streams[lane]};
    for (int s = 0; s < executable->plan->step_count; s++) {
        const struct cpu_step *step = &executable->steps[s];
        enum cam_code rc = step->class->launch(step, &call, err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    return CAM_OK;
}

static const struct backend CPU = {
    .version = BACKEND_VERSION,
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .query = cpu_query,
    .profile = cpu_profile,
    .compile = cpu_compile,
    .memory = cpu_memory,
    .destroy = cpu_destroy,
    .lane_begin = cpu_lane_begin,
    .prepare = cpu_prepare,
    .launch = cpu_launch,
};

const struct backend *cambrian_backend(void)
{
    return &CPU;
}
