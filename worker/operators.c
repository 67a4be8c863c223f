#include "worker/operators.h"

#include "kernels/registry.h"
#include "model/graph/op.h"
#include "proto/jobfile.h"

/* Every device but `auto` is a backend. */
enum { BACKEND_FIRST = DEVICE_AUTO + 1, BACKEND_COUNT = DEVICE_COUNT - BACKEND_FIRST };

static const char *backend_name(int index)
{
    return device_choice_name((enum device_choice)(BACKEND_FIRST + index));
}

void operators_print(const char *backend_dir, FILE *out)
{
    const struct backend *backend[BACKEND_COUNT] = {NULL};
    struct backend_instance *instance[BACKEND_COUNT] = {NULL};
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1};
    (void)fprintf(out, "%-24s", "operator");
    for (int b = 0; b < BACKEND_COUNT; b++) {
        struct cam_err err = {0};
        if (registry_find(backend_name(b), backend_dir, &backend[b], &err) != CAM_OK ||
            backend[b]->open(&options, &instance[b], &err) != CAM_OK) {
            (void)fprintf(stderr, "%s: %s\n", backend_name(b), err.text);
        }
        (void)fprintf(out, " %-10s", backend_name(b));
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
