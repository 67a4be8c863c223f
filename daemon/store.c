#include "daemon/store.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_MAX = 2048 };

struct op_list {
    struct store_op *first;
    struct store_op **last;
};

struct store {
    struct database *db; /* the store thread's alone once it runs */
    char *reserve_path;
    bool inline_mode;
    void (*wake)(void *context);
    void *wake_context;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards queue, finished, closing, why */
    pthread_cond_t filled;
    struct op_list queue;
    struct op_list finished;
    bool closing;
    struct cam_err why;
    atomic_bool broken;
    atomic_bool disk_full;
};

static void list_clear(struct op_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_add(struct op_list *list, struct store_op *op)
{
    op->next = NULL;
    *list->last = op;
    list->last = &op->next;
}

/* Moves all of from behind to. */
static void list_join(struct op_list *to, struct op_list *from)
{
    if (from->first != NULL) {
        *to->last = from->first;
        to->last = from->last;
        list_clear(from);
    }
}

static enum cam_code reserve_make(struct store *store)
{
    if (store->reserve_path == NULL) {
        return CAM_OK;
    }
    int fd = open(store->reserve_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return CAM_IO;
    }
    int failed = posix_fallocate(fd, 0, STORE_RESERVE_BYTES);
    (void)close(fd);
    if (failed != 0) {
        (void)unlink(store->reserve_path);
        return CAM_DISK_FULL;
    }
    return CAM_OK;
}

static void reserve_give_up(struct store *store)
{
    atomic_store(&store->disk_full, true);
    if (store->reserve_path != NULL) {
        (void)unlink(store->reserve_path);
    }
}

static void op_fail(struct store_op *op, enum cam_code rc, const struct cam_err *err)
{
    op->rc = rc;
    op->err = *err;
    op->err.code = rc;
}

/* Runs one request in its savepoint.  CAM_OK also when the request alone failed; otherwise the
 * whole transaction is gone. */
static enum cam_code run_one(struct store *store, struct store_op *op, struct cam_err *err)
{
    enum cam_code rc = database_run(store->db, err, "SAVEPOINT request", "");
    if (rc != CAM_OK) {
        return rc;
    }
    op->err = (struct cam_err){0};
    op->rc = op->run(store->db, op, &op->err);
    if (op->rc == CAM_DISK_FULL || op->rc == CAM_IO || op->rc == CAM_CORRUPT ||
        !database_in_transaction(store->db)) {
        *err = op->err;
        return op->rc == CAM_OK ? CAM_INTERNAL : op->rc;
    }
    if (op->rc != CAM_OK) {
        rc = database_run(store->db, err, "ROLLBACK TO request", "");
    }
    return rc == CAM_OK ? database_run(store->db, err, "RELEASE request", "") : rc;
}

static enum cam_code try_batch(struct store *store, struct store_op *first, bool essential_only,
                               struct cam_err *err)
{
    enum cam_code rc = database_run(store->db, err, "BEGIN IMMEDIATE", "");
    for (struct store_op *op = first; rc == CAM_OK && op != NULL; op = op->next) {
        if (essential_only && !op->essential) {
            (void)cam_fail(&op->err, CAM_DISK_FULL,
                           "disk full: nothing new is accepted until there is space");
            op->rc = CAM_DISK_FULL;
            continue;
        }
        rc = run_one(store, op, err);
    }
    if (rc == CAM_OK) {
        rc = database_run(store->db, err, "COMMIT", "");
    }
    if (rc != CAM_OK && database_in_transaction(store->db)) {
        struct cam_err ignored;
        enum cam_code rolled = database_run(store->db, &ignored, "ROLLBACK", "");
        rc = rolled == CAM_OK ? rc : CAM_IO;
    }
    return rc;
}

static void run_batch(struct store *store, struct store_op *first)
{
    struct cam_err err = {0};
    enum cam_code rc = CAM_OK;
    if (atomic_load(&store->disk_full) && reserve_make(store) == CAM_OK) {
        atomic_store(&store->disk_full, false);
    }
    if (atomic_load(&store->broken)) {
        rc = cam_fail(&err, CAM_UNAVAILABLE, "the database failed; the daemon ends");
    } else {
        rc = try_batch(store, first, atomic_load(&store->disk_full), &err);
        if (rc == CAM_DISK_FULL) {
            reserve_give_up(store);
            rc = try_batch(store, first, true, &err);
        }
    }
    if (rc == CAM_OK) {
        return;
    }
    if (rc == CAM_IO || rc == CAM_CORRUPT) {
        (void)pthread_mutex_lock(&store->mutex);
        store->why = err;
        (void)pthread_mutex_unlock(&store->mutex);
        atomic_store(&store->broken, true);
    }
    /* The commit failed, so nothing of the batch is known to be on disk. */
    for (struct store_op *op = first; op != NULL; op = op->next) {
        op_fail(op, rc == CAM_DISK_FULL ? CAM_DISK_FULL : CAM_UNAVAILABLE, &err);
    }
}

/* Takes at most BATCH_MAX requests from the queue, with the mutex held. */
static void take_batch(struct store *store, struct op_list *batch)
{
    list_clear(batch);
    for (int i = 0; i < BATCH_MAX && store->queue.first != NULL; i++) {
        struct store_op *op = store->queue.first;
        store->queue.first = op->next;
        list_add(batch, op);
    }
    if (store->queue.first == NULL) {
        list_clear(&store->queue);
    }
}

static void *store_thread(void *argument)
{
    struct store *store = argument;
    struct op_list batch;
    (void)pthread_mutex_lock(&store->mutex);
    for (;;) {
        while (store->queue.first == NULL && !store->closing) {
            (void)pthread_cond_wait(&store->filled, &store->mutex);
        }
        if (store->queue.first == NULL) {
            break;
        }
        take_batch(store, &batch);
        (void)pthread_mutex_unlock(&store->mutex);
        run_batch(store, batch.first);
        (void)pthread_mutex_lock(&store->mutex);
        list_join(&store->finished, &batch);
        store->wake(store->wake_context);
    }
    (void)pthread_mutex_unlock(&store->mutex);
    return NULL;
}

static enum cam_code start_thread(struct store *store, struct cam_err *err)
{
    /* Signals are the loop's: the thread inherits a mask that blocks them all. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&store->thread, NULL, store_thread, store);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0 ? CAM_OK : cam_fail_errno(err, failed, "the store's thread");
}

enum cam_code store_open(const struct store_options *options, struct store **out,
                         struct cam_err *err)
{
    struct store *store = cam_alloc(1, sizeof *store);
    if (store == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", options->path);
    }
    list_clear(&store->queue);
    list_clear(&store->finished);
    store->inline_mode = options->inline_mode;
    store->wake = options->wake;
    store->wake_context = options->wake_context;
    (void)pthread_mutex_init(&store->mutex, NULL);
    (void)pthread_cond_init(&store->filled, NULL);
    enum cam_code rc = CAM_OK;
    if (options->reserve_path != NULL) {
        store->reserve_path = cam_strdup(options->reserve_path);
        if (store->reserve_path == NULL) {
            rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", options->path);
        }
    }
    if (rc == CAM_OK) {
        rc = database_open_writer(options->path, &options->database, &store->db, err);
    }
    if (rc == CAM_OK && reserve_make(store) != CAM_OK) {
        atomic_store(&store->disk_full, true);
    }
    if (rc == CAM_OK && !store->inline_mode) {
        rc = start_thread(store, err);
    }
    if (rc != CAM_OK) {
        store->inline_mode = true; /* no thread to join */
        store_close(store);
        return rc;
    }
    *out = store;
    return CAM_OK;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    if (!store->inline_mode) {
        (void)pthread_mutex_lock(&store->mutex);
        store->closing = true;
        (void)pthread_cond_signal(&store->filled);
        (void)pthread_mutex_unlock(&store->mutex);
        (void)pthread_join(store->thread, NULL);
    }
    database_close(store->db);
    (void)pthread_cond_destroy(&store->filled);
    (void)pthread_mutex_destroy(&store->mutex);
    cam_free(store->reserve_path);
    cam_free(store);
}

void store_submit(struct store *store, struct store_op *op)
{
    (void)pthread_mutex_lock(&store->mutex);
    list_add(&store->queue, op);
    (void)pthread_cond_signal(&store->filled);
    (void)pthread_mutex_unlock(&store->mutex);
}

void store_deliver(struct store *store)
{
    struct op_list batch;
    if (store->inline_mode) {
        take_batch(store, &batch);
        if (batch.first != NULL) {
            run_batch(store, batch.first);
        }
    } else {
        list_clear(&batch);
        (void)pthread_mutex_lock(&store->mutex);
        list_join(&batch, &store->finished);
        (void)pthread_mutex_unlock(&store->mutex);
    }
    for (struct store_op *op = batch.first; op != NULL;) {
        struct store_op *next = op->next; /* done frees op */
        op->done(op);
        op = next;
    }
}

bool store_broken(const struct store *store, struct cam_err *why)
{
    if (!atomic_load(&store->broken)) {
        return false;
    }
    *why = store->why; /* written once, before broken */
    return true;
}

bool store_disk_full(const struct store *store)
{
    return atomic_load(&store->disk_full);
}
