/* The CPU backend against the reference: every operator on seeded shapes and attributes. */
#include "../unit.h"

#include "operators.h"

#include "base/mem.h"
#include "model/graph/op.h"

#include <stdio.h>

enum { CASES = 60 };

static void compare(const struct rig *rig, const char *what, int number, double tolerance)
{
    const struct rig_place reference = {.backend = "reference", .lanes = 1};
    double *expected = rig_run(rig, &reference);
    int64_t count = rig_output_count(rig);
    for (int fuse = 0; fuse < 2; fuse++) {
        const struct rig_place cpu = {.backend = "cpu", .fuse = fuse == 1, .lanes = 2};
        double *found = rig_run(rig, &cpu);
        double distance = rig_distance(found, expected, count);
        if (!(distance <= tolerance)) {
            fail_msg("%s, case %d, fuse %d: distance %g, allowed %g", what, number, fuse, distance,
                     tolerance);
        }
        cam_free(found);
    }
    cam_free(expected);
}

static void test_every_operator(void **state)
{
    (void)state;
    if (!rig_has_cpu()) {
        print_message("no CPU backend here\n");
        skip();
    }
    for (int op = 0; op < OP_COUNT; op++) {
        uint64_t draw = (uint64_t)op << 32;
        for (int number = 0; number < CASES; number++) {
            struct rig rig;
            rig_begin(&rig, (uint64_t)(op * CASES + number));
            operator_range(&rig, (enum op_kind)op);
            int node = operator_case(&rig, (enum op_kind)op, &draw);
            if (node != NODE_NONE) {
                rig.outputs[rig.output_count++] = node;
                compare(&rig, op_get((enum op_kind)op)->name, number,
                        op_get((enum op_kind)op)->tolerance);
            }
            struct cam_err err;
            ASSERT_OK(graph_status(rig.graph, &err), err);
            rig_end(&rig);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
