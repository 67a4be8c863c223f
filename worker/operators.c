#include "worker/operators.h"

#include "kernels/registry.h"
#include "model/graph/op.h"

static const char *const BACKENDS[] = {"reference", "cpu", "cuda"};
enum { BACKEND_COUNT = sizeof BACKENDS / sizeof BACKENDS[0] };

void operators_print(const char *backend_dir, FILE *out)
{
    const struct backend *backend[BACKEND_COUNT] = {NULL};
    struct backend_instance *instance[BACKEND_COUNT] = {NULL};
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1};
    (void)fprintf(out, "%-24s", "operator");
    for (int b = 0; b < BACKEND_COUNT; b++) {
        struct cam_err err = {0};
        if (registry_find(BACKENDS[b], backend_dir, &backend[b], &err) != CAM_OK ||
            backend[b]->open(&options, &instance[b], &err) != CAM_OK) {
            (void)fprintf(stderr, "%s: %s\n", BACKENDS[b], err.text);
        }
        (void)fprintf(out, " %-10s", BACKENDS[b]);
    }
    (void)fprintf(out, "\n");
    for (int op = 0; op < OP_COUNT; op++) {
        (void)fprintf(out, "%-24s", op_get((enum op_kind)op)->name);
        for (int b = 0; b < BACKEND_COUNT; b++) {
            bool runs = instance[b] != NULL && backend[b]->query(instance[b], (enum op_kind)op);
            (void)fprintf(out, " %-10s", runs ? "yes" : "-");
        }
        (void)fprintf(out, "\n");
    }
    for (int b = 0; b < BACKEND_COUNT; b++) {
        if (instance[b] != NULL) {
            backend[b]->close(instance[b]);
        }
    }
}
