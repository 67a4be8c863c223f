/* Bytes that processes of one host hold once: who fills, who finds, who holds their own copy. */
#include "../unit.h"

#include "base/file.h"
#include "data/share.h"

#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 100000, PROCESSES = 6 };

static char folder[] = "/dev/shm/share-test-XXXXXX";
static bool in_memory; /* the folder is, and has room: else nothing is shared here */

static int set_up(void **state)
{
    struct statfs info;
    (void)state;
    in_memory = mkdtemp(folder) != NULL && statfs(folder, &info) == 0 &&
                info.f_type == TMPFS_MAGIC &&
                (int64_t)info.f_bavail * (int64_t)info.f_bsize > INT64_C(34) << 20;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return cam_folder_remove(folder, NULL) == CAM_OK ? 0 : -1;
}

static void need_memory(void)
{
    if (!in_memory) {
        print_message("/dev/shm is not here, or full\n");
        skip();
    }
}

/* What a filler writes, and what becomes of it. */
struct filler {
    uint8_t value;
    enum cam_code rc;
    int calls;
};

static enum cam_code fill(void *context, uint8_t *bytes, struct cam_err *err)
{
    struct filler *filler = context;
    filler->calls++;
    memset(bytes, filler->value, SIZE);
    return filler->rc == CAM_OK ? CAM_OK : cam_fail(err, filler->rc, "the filler's own words");
}

static void test_the_second_finds_what_the_first_filled(void **state)
{
    (void)state;
    need_memory();
    struct cam_err err;
    struct filler first = {.value = 3};
    struct filler second = {.value = 4};
    struct share a = {0};
    struct share b = {0};
    ASSERT_OK(share_open(folder, "pair", SIZE, fill, &first, &a, &err), err);
    /* The first still has it mapped: its lock must be gone all the same. */
    ASSERT_OK(share_open(folder, "pair", SIZE, fill, &second, &b, &err), err);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 0);
    assert_ptr_not_equal(a.bytes, b.bytes);
    assert_int_equal(b.bytes[0], 3);
    assert_int_equal(b.bytes[SIZE - 1], 3);
    share_close(&a);
    assert_int_equal(b.bytes[SIZE / 2], 3);
    share_close(&b);
    share_close(&b);
}

static void test_a_failed_filler_leaves_it_to_the_next(void **state)
{
    (void)state;
    need_memory();
    struct cam_err err = {0};
    struct filler bad = {.value = 1, .rc = CAM_CORRUPT};
    struct filler good = {.value = 2};
    struct share share = {0};
    assert_int_equal(share_open(folder, "again", SIZE, fill, &bad, &share, &err), CAM_CORRUPT);
    assert_string_equal(err.text, "the filler's own words");
    assert_null(share.bytes);
    ASSERT_OK(share_open(folder, "again", SIZE, fill, &good, &share, &err), err);
    assert_int_equal(good.calls, 1);
    assert_int_equal(share.bytes[7], 2);
    share_close(&share);
}

/* Each puts its own number there and must see one number everywhere: the filler's. */
static int race(int number)
{
    struct cam_err err;
    struct filler mine = {.value = (uint8_t)number};
    struct share share = {0};
    if (share_open(folder, "race", SIZE, fill, &mine, &share, &err) != CAM_OK) {
        return 255;
    }
    for (int i = 1; i < SIZE; i++) {
        if (share.bytes[i] != share.bytes[0]) {
            return 254;
        }
    }
    return share.bytes[0];
}

static void test_of_many_processes_one_fills(void **state)
{
    (void)state;
    need_memory();
    pid_t child[PROCESSES];
    int seen = 0;
    for (int i = 0; i < PROCESSES; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            _exit(race(i + 1));
        }
        assert_true(child[i] > 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status));
        assert_in_range(WEXITSTATUS(status), 1, PROCESSES);
        seen = seen == 0 ? WEXITSTATUS(status) : seen;
        assert_int_equal(WEXITSTATUS(status), seen);
    }
}

static void test_no_room_and_no_memory(void **state)
{
    (void)state;
    struct cam_err err = {0};
    struct filler filler = {.value = 1};
    struct share share = {0};
    assert_int_equal(share_open(folder, "big", INT64_C(1) << 45, fill, &filler, &share, &err),
                     CAM_UNSUPPORTED);
    assert_int_equal(share_open("/nowhere", "x", SIZE, fill, &filler, &share, &err),
                     CAM_UNSUPPORTED);
    assert_int_equal(filler.calls, 0);
    assert_null(share.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_second_finds_what_the_first_filled),
        cmocka_unit_test(test_a_failed_filler_leaves_it_to_the_next),
        cmocka_unit_test(test_of_many_processes_one_fills),
        cmocka_unit_test(test_no_room_and_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
