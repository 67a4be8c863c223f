/* The document's own promises: lines, scalars, key checks; and memory that runs out anywhere. */
#include "../unit.h"

#include "base/mem.h"
#include "proto/document.h"

#include <string.h>

static struct doc_node *parse(struct cam_arena *arena, const char *text)
{
    struct doc_node *root = NULL;
    struct cam_err err;
    ASSERT_OK(document_parse("f", text, strlen(text), arena, &root, &err), err);
    return root;
}

static void test_lines(void **state)
{
    (void)state;
    struct cam_arena *arena = cam_arena_create();
    struct doc_node *root = parse(arena, "a: 1\nb:\n  c:\n    - x\n    - y: 2\n  d: >\n   t\ne:\n");
    assert_int_equal(doc_line(root, "a"), 1);
    assert_int_equal(doc_line(root, "b.c"), 3);
    assert_int_equal(doc_line(root, "b.d"), 6);
    assert_int_equal(doc_line(root, "b.nothing"), 2);
    assert_int_equal(doc_line(root, "e"), 8);
    assert_int_equal(doc_line(root, "nothing"), 1);
    const struct doc_node *list = doc_get(doc_get(root, "b"), "c");
    assert_int_equal(list->items[1]->key_lines[0], 5);
    assert_false(doc_given(doc_get(root, "e")));
    assert_null(doc_get(list, "x"));
    cam_arena_destroy(arena);
}

static void test_scalars(void **state)
{
    (void)state;
    struct cam_arena *arena = cam_arena_create();
    struct doc_node *root =
        parse(arena,
              "[1, -7, 2e-4, '3', true, .5, 1., 0x10, inf, 1e999, 9223372036854775807, +3, 1e, .]");
    int64_t i = 0;
    double d = 0;
    bool b = false;
    assert_true(doc_int(root->items[0], &i) && i == 1);
    assert_true(doc_int(root->items[1], &i) && i == -7);
    assert_false(doc_int(root->items[2], &i));
    assert_true(doc_real(root->items[2], &d) && d > 1.99e-4 && d < 2.01e-4);
    assert_false(doc_int(root->items[3], &i));
    assert_true(doc_bool(root->items[4], &b) && b);
    assert_true(doc_real(root->items[5], &d));
    assert_true(doc_real(root->items[6], &d));
    for (size_t bad = 7; bad <= 9; bad++) {
        assert_false(doc_real(root->items[bad], &d));
    }
    assert_true(doc_int(root->items[10], &i) && i == INT64_MAX);
    assert_true(doc_int(root->items[11], &i) && i == 3);
    assert_false(doc_real(root->items[12], &d));
    assert_false(doc_real(root->items[13], &d));
    cam_arena_destroy(arena);
}

static void test_reads(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"units", "kernel"};
    struct cam_arena *arena = cam_arena_create();
    struct cam_err err = {0};
    const struct doc_node *map = parse(arena, "units: 3\nkernl: 5\nuse: yes\nx: 1.5\n");
    int64_t i = 9;
    double d = 9;
    bool b = true;
    int choice = 9;
    ASSERT_OK(doc_read_int(map, "units", 1, 3, &i, &err), err);
    ASSERT_OK(doc_read_int(map, "absent", 1, 3, &i, &err), err);
    assert_int_equal(i, 3);
    assert_int_equal(doc_read_int(map, "units", 1, 2, &i, &err), CAM_INVALID);
    assert_string_equal(err.text, "f:1: units is '3', a whole number from 1 to 2 is expected");
    ASSERT_OK(doc_read_real(map, "x", 0, 2, &d, &err), err);
    assert_int_equal(doc_read_real(map, "x", 0, 1, &d, &err), CAM_INVALID);
    assert_string_equal(err.text, "f:4: x is '1.5', a number from 0 to 1 is expected");
    assert_int_equal(doc_read_bool(map, "use", &b, &err), CAM_INVALID);
    assert_string_equal(err.text, "f:3: use is 'yes', true or false is expected");
    assert_int_equal(doc_check_keys(map, "dense", NAMES, 2, &err), CAM_INVALID);
    assert_string_equal(err.text, "f:2: unknown key 'kernl' of dense, did you mean 'kernel'?; "
                                  "allowed: units, kernel");
    map = parse(arena, "act: relo");
    static const char *const ACTS[] = {"relu", "tanh"};
    assert_int_equal(doc_read_choice(map, "act", ACTS, 2, &choice, &err), CAM_INVALID);
    assert_string_equal(err.text, "f:1: act is 'relo', did you mean 'relu'?; allowed: relu, tanh");
    cam_arena_destroy(arena);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    static const char TEXT[] = "a: {b: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], c: d}\n";
    enum cam_code rc = CAM_NO_MEMORY;
    for (long n = 0; rc != CAM_OK; n++) {
        assert_true(n < 1000);
        cam_fault_after(n);
        struct cam_arena *arena = cam_arena_create();
        struct doc_node *root = NULL;
        struct cam_err err;
        if (arena != NULL) {
            rc = document_parse("f", TEXT, strlen(TEXT), arena, &root, &err);
            rc = rc == CAM_OK ? document_set(root, "x.y=[1, 2]", arena, &err) : rc;
        }
        assert_true(rc == CAM_OK || rc == CAM_NO_MEMORY);
        cam_fault_after(-1);
        cam_arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
