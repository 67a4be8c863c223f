#include "base/arena.h"
#include "base/mem.h"

#include "../unit.h"

#include <string.h>

static void injector_fails_after_n(void **state)
{
    (void)state;
    cam_fault_after(2);
    void *first = cam_alloc(1, 8);
    void *second = cam_alloc_aligned(100);
    void *third = cam_alloc(1, 8);
    char *fourth = cam_strdup("x");
    cam_fault_after(-1);
    assert_non_null(first);
    assert_non_null(second);
    assert_int_equal(0, (uintptr_t)second % 64);
    assert_null(third);
    assert_null(fourth);
    cam_free(first);
    cam_free(second);
}

static void growing_keeps_and_zeroes(void **state)
{
    (void)state;
    unsigned char *bytes = cam_alloc(4, 1);
    memset(bytes, 7, 4);
    bytes = cam_grow(bytes, 4, 4096, 1);
    assert_non_null(bytes);
    for (int i = 0; i < 4096; i++) {
        assert_int_equal(i < 4 ? 7 : 0, bytes[i]);
    }
    cam_free(bytes);
}

static void arena_blocks_are_zero_and_aligned(void **state)
{
    (void)state;
    struct cam_arena *arena = cam_arena_create();
    for (size_t size = 1; size < 40000; size = size * 3 + 1) {
        unsigned char *memory = cam_arena_alloc(arena, size, 1);
        assert_non_null(memory);
        assert_int_equal(0, (uintptr_t)memory % 16);
        assert_int_equal(0, memory[0] | memory[size - 1]);
        memset(memory, 0xff, size);
    }
    assert_string_equal("7 of 9", cam_arena_printf(arena, "%d of %d", 7, 9));
    assert_null(cam_arena_alloc(arena, SIZE_MAX / 2, 4));
    cam_arena_destroy(arena);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(injector_fails_after_n),
        cmocka_unit_test(growing_keeps_and_zeroes),
        cmocka_unit_test(arena_blocks_are_zero_and_aligned),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
