#include "worker/checkpoint/writer.h"

#include "base/log.h"
#include "base/mem.h"
#include "proto/hold.h"
#include "worker/train/grid.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

enum { ROWS_MAX = 64 };

struct writer {
    struct writer_options options;
    char rows_path[CAM_PATH_SIZE];
    pthread_t thread;
    bool started;

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct epoch_row row[ROWS_MAX]; /* ring */
    int row_first;
    int row_count;
    bool rows_new; /* since the last try */
    bool ordered;
    struct writer_order order;
    bool busy;
    bool ending;
    struct cam_err rows_err; /* code CAM_OK: none failed */

    struct grid *grid; /* the thread's own, as all below */
    bool grid_failed;
    int64_t epoch_stored;
};

static void store_row(struct writer *writer, const struct epoch_row *row, struct cam_err *err)
{
    err->code = CAM_OK;
    if (row->epoch > writer->epoch_stored) {
        enum cam_code rc = epochs_append(writer->rows_path, row, err);
        if (rc != CAM_OK) {
            err->code = rc;
            return;
        }
        writer->epoch_stored = row->epoch;
    }
    reporter_epoch(writer->options.reporter, row);
}

/* Stores what rows there are, oldest first, until one fails.  Called with the mutex held; it is
 * let go while the disk works. */
static void store_rows(struct writer *writer)
{
    writer->rows_new = false;
    writer->rows_err.code = CAM_OK;
    while (writer->row_count > 0 && writer->rows_err.code == CAM_OK) {
        struct epoch_row row = writer->row[writer->row_first];
        struct cam_err err;
        (void)pthread_mutex_unlock(&writer->mutex);
        store_row(writer, &row, &err);
        (void)pthread_mutex_lock(&writer->mutex);
        writer->rows_err = err;
        if (err.code == CAM_OK) {
            writer->row_first = (writer->row_first + 1) % ROWS_MAX;
            writer->row_count--;
        } else {
            cam_log(CAM_LOG_WARN, "train", "epoch %lld is not stored yet: %s", (long long)row.epoch,
                    err.text);
        }
    }
}

static void draw(struct writer *writer, const struct writer_order *order)
{
    const struct writer_options *o = &writer->options;
    struct cam_err err;
    char path[CAM_PATH_SIZE];
    enum cam_code rc = CAM_OK;
    if (writer->grid == NULL && !writer->grid_failed) {
        rc = grid_create(o->compiled, &o->backend_options, &writer->grid, &err);
        writer->grid_failed = rc != CAM_OK;
    }
    if (writer->grid == NULL && rc == CAM_OK) {
        return; /* said once */
    }
    if (rc == CAM_OK) {
        rc = cam_path(path, &err, "%s/samples", o->job_dir);
    }
    if (rc == CAM_OK) {
        rc = cam_folder_create(path, 0700, &err);
    }
    if (rc == CAM_OK) {
        rc = cam_path(path, &err, "%s/samples/epoch-%04lld%s", o->job_dir,
                      (long long)order->state.epoch, grid_end(writer->grid));
    }
    if (rc == CAM_OK) {
        snapshot_swap_average(o->snapshot);
        rc = grid_draw(writer->grid, o->snapshot->parameters, o->snapshot->buffers, path, &err);
        snapshot_swap_average(o->snapshot);
    }
    if (rc != CAM_OK) {
        cam_log(CAM_LOG_WARN, "train", "no samples of epoch %lld: %s",
                (long long)order->state.epoch, err.text);
    }
}

static void checkpoint(struct writer *writer, const struct writer_order *order,
                       const struct cam_err *rows_err)
{
    const struct writer_options *o = &writer->options;
    const struct checkpoint_target target = {o->job_dir, o->attempt, o->identity};
    struct cam_err err = *rows_err;
    char folder[CAM_PATH_SIZE] = "";
    enum cam_code rc = rows_err->code;
    if (rc == CAM_OK) {
        rc = snapshot_export(o->snapshot, true, &err);
    }
    if (rc == CAM_OK) {
        hold_at(HOLD_CHECKPOINT_WRITTEN);
        rc = checkpoint_write(&target, o->snapshot, &order->state, folder, &err);
    }
    if (rc != CAM_OK) {
        cam_log(CAM_LOG_WARN, "train", "the checkpoint of step %lld failed, training goes on: %s",
                (long long)order->state.step, err.text);
        reporter_checkpoint(o->reporter, order->state.step, "", true, err.text);
        return;
    }
    reporter_checkpoint(o->reporter, order->state.step, folder, false, "");
    if (checkpoint_retire(o->job_dir, o->attempt, o->keep_last, &o->anchors, &err) != CAM_OK) {
        cam_log(CAM_LOG_WARN, "train", "older checkpoints stay: %s", err.text);
    }
}

static void *writer_main(void *argument)
{
    struct writer *writer = argument;
    (void)pthread_mutex_lock(&writer->mutex);
    for (;;) {
        while (!writer->rows_new && !writer->ordered && !writer->ending) {
            (void)pthread_cond_wait(&writer->changed, &writer->mutex);
        }
        if (!writer->rows_new && !writer->ordered) {
            break;
        }
        writer->busy = true;
        store_rows(writer);
        if (writer->ordered) {
            const struct writer_order order = writer->order;
            const struct cam_err rows_err = writer->rows_err;
            (void)pthread_mutex_unlock(&writer->mutex);
            if (order.sample) {
                draw(writer, &order);
            }
            if (order.checkpoint) {
                checkpoint(writer, &order, &rows_err);
            }
            (void)pthread_mutex_lock(&writer->mutex);
            writer->ordered = false;
        }
        writer->busy = false;
        (void)pthread_cond_broadcast(&writer->changed);
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    grid_destroy(writer->grid);
    return NULL;
}

enum cam_code writer_create(const struct writer_options *options, struct writer **out,
                            struct cam_err *err)
{
    struct writer *writer = cam_alloc(1, sizeof *writer);
    if (writer == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the writer: out of memory");
    }
    writer->options = *options;
    (void)pthread_mutex_init(&writer->mutex, NULL);
    (void)pthread_cond_init(&writer->changed, NULL);
    enum cam_code rc = cam_path(writer->rows_path, err, "%s/epochs.jsonl", options->job_dir);
    if (rc == CAM_OK) {
        rc = epochs_last(writer->rows_path, &writer->epoch_stored, err);
    }
    if (rc == CAM_OK) {
        int failed = pthread_create(&writer->thread, NULL, writer_main, writer);
        writer->started = failed == 0;
        if (failed != 0) {
            rc = cam_fail(err, CAM_UNAVAILABLE, "cannot start the writer's thread: %s",
                          strerror(failed));
        }
    }
    if (rc != CAM_OK) {
        writer_destroy(writer);
        return rc;
    }
    *out = writer;
    return CAM_OK;
}

void writer_destroy(struct writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->started) {
        (void)pthread_mutex_lock(&writer->mutex);
        writer->ending = true;
        (void)pthread_cond_broadcast(&writer->changed);
        (void)pthread_mutex_unlock(&writer->mutex);
        (void)pthread_join(writer->thread, NULL);
    }
    (void)pthread_cond_destroy(&writer->changed);
    (void)pthread_mutex_destroy(&writer->mutex);
    cam_free(writer);
}

enum cam_code writer_row(struct writer *writer, const struct epoch_row *row, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    (void)pthread_mutex_lock(&writer->mutex);
    while (writer->row_count == ROWS_MAX && rc == CAM_OK) {
        if (writer->rows_err.code != CAM_OK) {
            *err = writer->rows_err;
            rc = err->code;
            cam_err_prefix(err, "%d epochs could not be stored", ROWS_MAX);
        } else {
            (void)pthread_cond_wait(&writer->changed, &writer->mutex);
        }
    }
    if (rc == CAM_OK) {
        writer->row[(writer->row_first + writer->row_count++) % ROWS_MAX] = *row;
        writer->rows_new = true;
        (void)pthread_cond_broadcast(&writer->changed);
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    return rc;
}

void writer_wait(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->mutex);
    while (writer->busy || writer->rows_new || writer->ordered) {
        (void)pthread_cond_wait(&writer->changed, &writer->mutex);
    }
    (void)pthread_mutex_unlock(&writer->mutex);
}

void writer_submit(struct writer *writer, const struct writer_order *order)
{
    (void)pthread_mutex_lock(&writer->mutex);
    assert(!writer->ordered);
    writer->order = *order;
    writer->ordered = true;
    (void)pthread_cond_broadcast(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
}

enum cam_code writer_finish(struct writer *writer, struct cam_err *err)
{
    writer_wait(writer);
    (void)pthread_mutex_lock(&writer->mutex);
    writer->rows_new = writer->row_count > 0;
    (void)pthread_cond_broadcast(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
    writer_wait(writer);
    (void)pthread_mutex_lock(&writer->mutex);
    enum cam_code rc = writer->rows_err.code;
    if (rc != CAM_OK) {
        *err = writer->rows_err;
        cam_err_prefix(err, "the last epochs could not be stored");
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    return rc;
}
