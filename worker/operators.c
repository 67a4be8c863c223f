#include "worker/operators.h"

#include "kernels/registry.h"
#include "model/graph/op.h"
#include "model/plan/target.h"
#include "proto/jobfile.h"

/* Every device but `auto` is a backend. */
enum { BACKEND_FIRST = DEVICE_AUTO + 1, BACKEND_COUNT = DEVICE_COUNT - BACKEND_FIRST };

static const char *backend_name(int index)
{
    return device_choice_name((enum device_choice)(BACKEND_FIRST + index));
}

static const char LEGEND[] = "\n"
                             "memory   a value that is there before a step\n"
                             "kernel   a step of its own\n"
                             "program  an instruction of fused programs\n"
                             "either   an instruction where it is over rows, else a kernel\n"
                             "lowered  rewritten as other operators\n"
                             "none     refused\n";

struct column {
    const char *name;
    const struct backend *backend;
    struct backend_instance *instance; /* NULL: does not open here */
};

/* Where an operator's work is done. */
static const char *cell(const struct column *column, enum op_kind op)
{
    const struct plan_target *target = plan_target(column->name);
    const enum op_class class = op_get(op)->class;
    if (op == OP_PARAMETER || op == OP_BUFFER || op == OP_INPUT || op == OP_SCALAR) {
        return "memory";
    }
    if (!column->backend->query(column->instance, op)) {
        return op_get(op)->lower != NULL ? "lowered" : "none";
    }
    bool fuses = target != NULL && target->fuses;
    bool kernel = class == OP_CLASS_PRODUCT || class == OP_CLASS_MACRO || class == OP_CLASS_MOVE;
    if (!fuses || kernel) {
        return "kernel";
    }
    return class == OP_CLASS_CHOICE ? (op == OP_REDUCE_MAX ? "either" : "kernel") : "program";
}

void operators_print(const char *backend_dir, FILE *out)
{
    struct column columns[BACKEND_COUNT];
    int count = 0;
    const struct backend_options options = {.lanes = 1, .threads_per_shard = 1};
    for (int b = 0; b < BACKEND_COUNT; b++) {
        struct cam_err err = {0};
        struct column column = {.name = backend_name(b)};
        if (registry_find(column.name, backend_dir, &column.backend, &err) != CAM_OK ||
            column.backend->open(&options, &column.instance, &err) != CAM_OK) {
            (void)fprintf(stderr, "%s: %s\n", column.name, err.text);
        } else {
            columns[count++] = column;
        }
    }
    (void)fprintf(out, "%-24s", "operator");
    for (int b = 0; b < count; b++) {
        (void)fprintf(out, b + 1 < count ? " %-10s" : " %s", columns[b].name);
    }
    (void)fprintf(out, "\n");
    for (int op = 0; op < OP_COUNT; op++) {
        (void)fprintf(out, "%-24s", op_get((enum op_kind)op)->name);
        for (int b = 0; b < count; b++) {
            (void)fprintf(out, b + 1 < count ? " %-10s" : " %s",
                          cell(&columns[b], (enum op_kind)op));
        }
        (void)fprintf(out, "\n");
    }
    (void)fprintf(out, "%s", LEGEND);
    for (int b = 0; b < count; b++) {
        columns[b].backend->close(columns[b].instance);
    }
}
