#include "daemon/store.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "daemon/records.h"
#include "support/lossy_vfs.h"

#include "../unit.h"
#include "jobs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char folder[64];
    char path[CAM_PATH_SIZE];
    char reserve[CAM_PATH_SIZE];
};

/* One submit; counts itself when it was stored. */
struct submit {
    struct store_op op;
    struct new_job job;
    char key[32];
    int64_t id;
    bool existed;
    bool done;
    bool breaks; /* fails after having written */
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    struct cam_err err = {0};
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/cambrian-unit-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    ASSERT_OK(cam_path(place->path, &err, "%s/queue.db", place->folder), err);
    ASSERT_OK(cam_path(place->reserve, &err, "%s/reserve", place->folder), err);
    lossy_reset();
    *state = place;
    return 0;
}

static int drop_place(void **state)
{
    struct place *place = *state;
    struct cam_err err = {0};
    ASSERT_OK(cam_folder_remove(place->folder, &err), err);
    free(place);
    return 0;
}

static struct store *open_inline(const struct place *place, const char *vfs)
{
    struct cam_err err = {0};
    struct store *store = NULL;
    ASSERT_OK(store_open(&(struct store_options){.path = place->path,
                                                 .reserve_path = place->reserve,
                                                 .database = {.vfs = vfs},
                                                 .inline_mode = true},
                         &store, &err),
              err);
    return store;
}

static enum cam_code run_submit(struct database *db, struct store_op *op, struct cam_err *err)
{
    struct submit *submit = (struct submit *)op;
    enum cam_code rc = records_submit(db, &submit->job, 1, &submit->id, &submit->existed, err);
    return rc == CAM_OK && submit->breaks ? cam_fail(err, CAM_INVALID, "told to") : rc;
}

static void submit_done(struct store_op *op)
{
    ((struct submit *)op)->done = true;
}

static void send_submit(struct store *store, struct submit *submit, int number)
{
    (void)snprintf(submit->key, sizeof submit->key, "key-%d", number);
    submit->op = (struct store_op){.run = run_submit, .done = submit_done};
    submit->job = test_job(submit->key);
    submit->done = false;
    store_submit(store, &submit->op);
}

static int64_t count_jobs(const char *path)
{
    struct cam_err err = {0};
    struct database *db = NULL;
    int64_t count = 0;
    ASSERT_OK(database_open_writer(path, NULL, &db, &err), err);
    ASSERT_OK(database_number(db, -1, &count, &err, "SELECT count(*) FROM jobs"), err);
    database_close(db);
    return count;
}

/* One commit for all that arrived; a bad request is rolled back alone. */
static void a_bad_request_leaves_its_neighbours(void **state)
{
    struct place *place = *state;
    struct submit submits[3] = {{.breaks = false}, {.breaks = true}, {.breaks = false}};
    struct store *store = open_inline(place, NULL);
    for (int i = 0; i < 3; i++) {
        send_submit(store, &submits[i], i);
    }
    store_deliver(store);
    assert_true(submits[0].done && submits[1].done && submits[2].done);
    assert_int_equal(CAM_OK, submits[0].op.rc);
    assert_int_equal(CAM_INVALID, submits[1].op.rc);
    assert_string_equal("told to", submits[1].op.err.text);
    assert_int_equal(CAM_OK, submits[2].op.rc);
    store_close(store);
    assert_int_equal(2, count_jobs(place->path));
}

static void one_key_is_one_job(void **state)
{
    struct place *place = *state;
    struct submit first = {0};
    struct submit again = {0};
    struct submit other = {0};
    struct store *store = open_inline(place, NULL);
    send_submit(store, &first, 7);
    send_submit(store, &again, 7);
    store_deliver(store);
    assert_int_equal(CAM_OK, again.op.rc);
    assert_true(!first.existed && again.existed);
    assert_int_equal(first.id, again.id);
    send_submit(store, &other, 7);
    other.job.spec_sha256 = "another";
    store_deliver(store);
    assert_int_equal(CAM_CONFLICT, other.op.rc);
    send_submit(store, &other, 7);
    other.job.set_json = "[\"train.epochs=9\"]";
    store_deliver(store);
    assert_int_equal(CAM_CONFLICT, other.op.rc);
    store_close(store);
}

static void *let_go_later(void *database)
{
    struct cam_err err = {0};
    cam_sleep_ms(100);
    ASSERT_OK(database_run(database, &err, "COMMIT", ""), err);
    return NULL;
}

/* A person's own sqlite3, say. */
static void a_stranger_with_the_lock_is_waited_for(void **state)
{
    struct place *place = *state;
    struct cam_err err = {0};
    struct submit submit = {0};
    struct database *stranger = NULL;
    pthread_t thread;
    struct store *store = open_inline(place, NULL);
    ASSERT_OK(database_open_writer(place->path, NULL, &stranger, &err), err);
    ASSERT_OK(database_run(stranger, &err, "BEGIN IMMEDIATE", ""), err);
    assert_int_equal(0, pthread_create(&thread, NULL, let_go_later, stranger));
    send_submit(store, &submit, 1);
    store_deliver(store);
    assert_int_equal(0, pthread_join(thread, NULL));
    ASSERT_OK(submit.op.rc, submit.op.err);
    database_close(stranger);
    store_close(store);
}

static void wake_nobody(void *context)
{
    (void)context;
}

static void the_thread_commits_all(void **state)
{
    enum { COUNT = 500 };
    struct place *place = *state;
    struct cam_err err = {0};
    struct store *store = NULL;
    struct submit *submits = calloc(COUNT, sizeof *submits);
    ASSERT_OK(
        store_open(&(struct store_options){.path = place->path, .wake = wake_nobody}, &store, &err),
        err);
    for (int i = 0; i < COUNT; i++) {
        send_submit(store, &submits[i], i);
    }
    for (int i = 0; i < COUNT;) {
        cam_sleep_ms(1);
        store_deliver(store);
        for (; i < COUNT && submits[i].done; i++) {
            assert_int_equal(CAM_OK, submits[i].op.rc);
            assert_int_equal(i + 1, submits[i].id); /* in the order of their arrival */
        }
    }
    store_close(store);
    assert_int_equal(COUNT, count_jobs(place->path));
    free(submits);
}

/* After any acknowledged commit the power may fail: what was acknowledged is there, once. */
static void power_loss_keeps_what_was_acknowledged(void **state)
{
    enum { ROUNDS = 60, A_ROUND = 5 };
    struct place *place = *state;
    struct cam_err err = {0};
    struct store *store = open_inline(place, LOSSY_VFS_NAME);
    for (int round = 0; round < ROUNDS; round++) {
        struct submit submits[A_ROUND] = {0};
        char after[CAM_PATH_SIZE];
        char copy[CAM_PATH_SIZE];
        for (int i = 0; i < A_ROUND; i++) {
            send_submit(store, &submits[i], round * A_ROUND + i);
        }
        store_deliver(store);
        if (round % 7 != 0) {
            continue;
        }
        ASSERT_OK(cam_path(after, &err, "%s/after-%d", place->folder, round), err);
        ASSERT_OK(cam_folder_create(after, 0700, &err), err);
        lossy_power_loss(after);
        ASSERT_OK(cam_path(copy, &err, "%s/queue.db", after), err);
        assert_int_equal((round + 1) * A_ROUND, count_jobs(copy));
    }
    store_close(store);
}

/* The same without syncs loses rows: the VFS does drop what was not synced. */
static void power_loss_is_real(void **state)
{
    struct place *place = *state;
    struct cam_err err = {0};
    struct database *db = NULL;
    char after[CAM_PATH_SIZE];
    char copy[CAM_PATH_SIZE];
    struct new_job job = test_job("k");
    int64_t id = 0;
    bool existed = false;
    ASSERT_OK(database_open_writer(place->path, &(struct database_options){.vfs = LOSSY_VFS_NAME},
                                   &db, &err),
              err);
    ASSERT_OK(database_run(db, &err, "PRAGMA synchronous = OFF", ""), err);
    ASSERT_OK(records_submit(db, &job, 1, &id, &existed, &err), err);
    ASSERT_OK(cam_path(after, &err, "%s/after", place->folder), err);
    ASSERT_OK(cam_folder_create(after, 0700, &err), err);
    lossy_power_loss(after);
    ASSERT_OK(cam_path(copy, &err, "%s/queue.db", after), err);
    assert_int_equal(0, count_jobs(copy));
    database_close(db);
}

static void full_disk_keeps_room_for_ends(void **state)
{
    struct place *place = *state;
    struct store *store = open_inline(place, LOSSY_VFS_NAME);
    struct submit submit = {0};
    struct submit end = {0};
    assert_int_equal(0, access(place->reserve, F_OK));
    lossy_space_left(0);
    send_submit(store, &submit, 1);
    store_deliver(store);
    assert_int_equal(CAM_DISK_FULL, submit.op.rc);
    assert_true(store_disk_full(store));
    assert_int_not_equal(0, access(place->reserve, F_OK)); /* given up */

    /* The reserve's bytes are free now: what is essential still goes in, the rest does not. */
    assert_int_equal(0, mkdir(place->reserve, 0700)); /* the reserve cannot come back yet */
    lossy_space_left(STORE_RESERVE_BYTES);
    send_submit(store, &submit, 2);
    send_submit(store, &end, 3);
    end.op.essential = true;
    store_deliver(store);
    assert_int_equal(CAM_DISK_FULL, submit.op.rc);
    assert_int_equal(CAM_OK, end.op.rc);

    assert_int_equal(0, rmdir(place->reserve));
    lossy_space_left(-1);
    send_submit(store, &submit, 4);
    store_deliver(store);
    assert_int_equal(CAM_OK, submit.op.rc);
    assert_false(store_disk_full(store));
    store_close(store);
}

static void an_io_error_breaks_the_store(void **state)
{
    struct place *place = *state;
    struct cam_err why = {0};
    struct store *store = open_inline(place, LOSSY_VFS_NAME);
    struct submit submit = {0};
    struct submit later = {0};
    lossy_fail_syncs();
    send_submit(store, &submit, 1);
    store_deliver(store);
    assert_int_equal(CAM_UNAVAILABLE, submit.op.rc);
    assert_true(store_broken(store, &why));
    assert_non_null(strstr(why.text, place->path));
    send_submit(store, &later, 2);
    store_deliver(store);
    assert_int_equal(CAM_UNAVAILABLE, later.op.rc);
    store_close(store);
}

static void older_schemas_are_upgraded_and_newer_refused(void **state)
{
    static const struct migration CHAIN[] = {
        {1, "0001_first",
         "PRAGMA application_id = 1128353090; CREATE TABLE a (x);"
         "INSERT INTO a VALUES (5);"},
        {2, "0002_second", "CREATE TABLE b (y); INSERT INTO b SELECT x FROM a;"},
        {3, "0003_broken", "CREATE TABLE c (z); INSERT INTO nowhere VALUES (1);"},
    };
    struct place *place = *state;
    struct cam_err err = {0};
    struct database *db = NULL;
    int64_t value = 0;
    for (int known = 1; known <= 2; known++) {
        ASSERT_OK(database_open_writer(
                      place->path,
                      &(struct database_options){.migrations = CHAIN, .migration_count = known},
                      &db, &err),
                  err);
        ASSERT_OK(database_number(db, -1, &value, &err, "PRAGMA user_version"), err);
        assert_int_equal(known, value);
        database_close(db);
    }
    /* A migration that fails leaves the schema before it. */
    assert_int_not_equal(
        CAM_OK,
        database_open_writer(place->path,
                             &(struct database_options){.migrations = CHAIN, .migration_count = 3},
                             &db, &err));
    assert_non_null(strstr(err.text, "0003_broken"));
    ASSERT_OK(database_open_writer(
                  place->path,
                  &(struct database_options){.migrations = CHAIN, .migration_count = 2}, &db, &err),
              err);
    ASSERT_OK(database_number(db, -1, &value, &err, "SELECT y FROM b"), err);
    assert_int_equal(5, value);
    database_close(db);

    assert_int_equal(
        CAM_UNSUPPORTED,
        database_open_writer(place->path,
                             &(struct database_options){.migrations = CHAIN, .migration_count = 1},
                             &db, &err));
    assert_non_null(strstr(err.text, "newer than this daemon"));
}

static void damage_is_refused_and_the_file_kept(void **state)
{
    struct place *place = *state;
    struct cam_err err = {0};
    struct database *db = NULL;
    char *before = NULL;
    char *after = NULL;
    size_t size = 0;
    size_t size_after = 0;
    struct store *store = open_inline(place, NULL);
    store_close(store);
    ASSERT_OK(cam_file_read(place->path, 1 << 24, &before, &size, &err), err);
    memset(before + 4096, 0x5a, size - 4096);
    ASSERT_OK(cam_file_replace(place->path, before, size, 0600, &err), err);
    assert_int_equal(CAM_CORRUPT, database_open_writer(place->path, NULL, &db, &err));
    assert_non_null(strstr(err.text, "kept as it is"));
    assert_non_null(strstr(err.text, place->path));
    ASSERT_OK(cam_file_read(place->path, 1 << 24, &after, &size_after, &err), err);
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    cam_free(before);
    cam_free(after);
    ASSERT_OK(
        cam_file_replace(place->path, "not a database, but a text of some length", 41, 0600, &err),
        err);
    assert_int_equal(CAM_CORRUPT, database_open_writer(place->path, NULL, &db, &err));
}

int main(void)
{
#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, drop_place)
    static const struct CMUnitTest TESTS[] = {
        IN_PLACE(a_bad_request_leaves_its_neighbours),
        IN_PLACE(one_key_is_one_job),
        IN_PLACE(a_stranger_with_the_lock_is_waited_for),
        IN_PLACE(the_thread_commits_all),
        IN_PLACE(power_loss_keeps_what_was_acknowledged),
        IN_PLACE(power_loss_is_real),
        IN_PLACE(full_disk_keeps_room_for_ends),
        IN_PLACE(an_io_error_breaks_the_store),
        IN_PLACE(older_schemas_are_upgraded_and_newer_refused),
        IN_PLACE(damage_is_refused_and_the_file_kept),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
