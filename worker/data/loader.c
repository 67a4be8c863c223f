#include "worker/data/loader.h"

#include "base/clock.h"
#include "base/mem.h"
#include "data/permutation.h"
#include "model/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { RING = MEMORY_RING, ALIGN_FLOATS = 16 };

struct loader {
    struct loader_options options;
    int64_t value_floats; /* of a row */
    int64_t label_floats;
    float *memory;
    float *values[RING];
    float *labels[RING];
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int64_t decoded; /* batches put into the ring; guarded by mutex, as all below */
    int64_t returned;
    bool ending;
    enum cam_code rc;
    struct cam_err err;
    int64_t waited_ns; /* the taker's own */
    int64_t taken;
};

static int64_t rounded(int64_t floats)
{
    return (floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

int64_t loader_bytes(const struct source_info *info, int64_t row_count)
{
    return RING *
           (rounded(row_count * source_value_floats(info)) +
            rounded(row_count * source_label_floats(info))) *
           (int64_t)sizeof(float);
}

/* The order of a batch's epoch, and the place of this rank's first row in it. */
static int64_t find_place(const struct loader *loader, int64_t batch, struct permutation *order)
{
    const struct loader_options *o = &loader->options;
    permutation_init(order, (uint64_t)source_info(o->source)->count, o->seed,
                     (uint64_t)(batch / o->per_epoch));
    return batch % o->per_epoch * o->batch + o->row_first;
}

int64_t loader_sample(const struct loader *loader, int64_t row)
{
    struct permutation order;
    int64_t batch = loader->options.batch_first + loader->taken - 1;
    int64_t place = find_place(loader, batch, &order);
    return (int64_t)permutation_at(&order, (uint64_t)(place + row));
}

static enum cam_code decode(struct loader *loader, int64_t batch, int slot, struct cam_err *err)
{
    const struct loader_options *o = &loader->options;
    struct permutation order;
    int64_t place = find_place(loader, batch, &order);
    for (int64_t row = 0; row < o->row_count; row++) {
        int64_t sample = (int64_t)permutation_at(&order, (uint64_t)(place + row));
        enum cam_code rc =
            source_read(o->source, sample, loader->values[slot] + row * loader->value_floats,
                        loader->labels[slot] + row * loader->label_floats, err);
        if (rc != CAM_OK) {
            cam_err_prefix(err, "sample %lld (row %lld of batch %lld)", (long long)sample,
                           (long long)(o->row_first + row), (long long)batch);
            return rc;
        }
    }
    return CAM_OK;
}

static void *loader_main(void *argument)
{
    struct loader *loader = argument;
    (void)pthread_mutex_lock(&loader->mutex);
    for (int64_t batch = loader->options.batch_first; batch < loader->options.batch_end; batch++) {
        while (loader->decoded - loader->returned >= RING && !loader->ending) {
            (void)pthread_cond_wait(&loader->changed, &loader->mutex);
        }
        if (loader->ending) {
            break;
        }
        int slot = (int)(loader->decoded % RING);
        (void)pthread_mutex_unlock(&loader->mutex);
        struct cam_err err = {0};
        enum cam_code rc = decode(loader, batch, slot, &err);
        (void)pthread_mutex_lock(&loader->mutex);
        if (rc != CAM_OK) {
            loader->rc = rc;
            loader->err = err;
            (void)pthread_cond_broadcast(&loader->changed);
            break;
        }
        loader->decoded++;
        (void)pthread_cond_broadcast(&loader->changed);
    }
    (void)pthread_mutex_unlock(&loader->mutex);
    return NULL;
}

static void place_ring(struct loader *loader)
{
    float *at = loader->memory;
    for (int slot = 0; slot < RING; slot++) {
        loader->values[slot] = at;
        at += rounded(loader->options.row_count * loader->value_floats);
        loader->labels[slot] = at;
        at += rounded(loader->options.row_count * loader->label_floats);
    }
}

enum cam_code loader_create(const struct loader_options *options, struct loader **out,
                            struct cam_err *err)
{
    const struct source_info *info = source_info(options->source);
    assert(options->per_epoch >= 1 && options->per_epoch * options->batch <= info->count);
    assert(options->row_first >= 0 && options->row_count >= 1 &&
           options->row_first + options->row_count <= options->batch);
    int64_t bytes = loader_bytes(info, options->row_count);
    struct loader *loader = cam_alloc(1, sizeof *loader);
    float *memory = cam_alloc_aligned((size_t)bytes);
    if (loader == NULL || memory == NULL) {
        cam_free(loader);
        cam_free(memory);
        return cam_fail(err, CAM_NO_MEMORY, "the loader's ring of %lld bytes: out of memory",
                        (long long)bytes);
    }
    loader->options = *options;
    loader->value_floats = source_value_floats(info);
    loader->label_floats = source_label_floats(info);
    loader->memory = memory;
    place_ring(loader);
    (void)pthread_mutex_init(&loader->mutex, NULL);
    (void)pthread_cond_init(&loader->changed, NULL);
    int failed = pthread_create(&loader->thread, NULL, loader_main, loader);
    if (failed != 0) {
        loader_destroy(loader);
        return cam_fail(err, CAM_UNAVAILABLE, "cannot start the loader's thread: %s",
                        strerror(failed));
    }
    loader->started = true;
    *out = loader;
    return CAM_OK;
}

void loader_destroy(struct loader *loader)
{
    if (loader == NULL) {
        return;
    }
    if (loader->started) {
        (void)pthread_mutex_lock(&loader->mutex);
        loader->ending = true;
        (void)pthread_cond_broadcast(&loader->changed);
        (void)pthread_mutex_unlock(&loader->mutex);
        (void)pthread_join(loader->thread, NULL);
    }
    (void)pthread_cond_destroy(&loader->changed);
    (void)pthread_mutex_destroy(&loader->mutex);
    cam_free(loader->memory);
    cam_free(loader);
}

enum cam_code loader_take(struct loader *loader, struct loader_batch *out, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    (void)pthread_mutex_lock(&loader->mutex);
    if (loader->decoded == loader->taken && loader->rc == CAM_OK) {
        int64_t start = cam_monotonic_ns();
        while (loader->decoded == loader->taken && loader->rc == CAM_OK) {
            (void)pthread_cond_wait(&loader->changed, &loader->mutex);
        }
        loader->waited_ns += cam_monotonic_ns() - start;
    }
    if (loader->decoded == loader->taken) {
        rc = loader->rc;
        if (err != NULL) {
            *err = loader->err;
        }
    } else {
        int slot = (int)(loader->taken++ % RING);
        *out =
            (struct loader_batch){.values = loader->values[slot], .labels = loader->labels[slot]};
    }
    (void)pthread_mutex_unlock(&loader->mutex);
    return rc;
}

void loader_give_back(struct loader *loader)
{
    (void)pthread_mutex_lock(&loader->mutex);
    assert(loader->returned < loader->taken);
    loader->returned++;
    (void)pthread_cond_broadcast(&loader->changed);
    (void)pthread_mutex_unlock(&loader->mutex);
}

int64_t loader_waited_ns(const struct loader *loader)
{
    return loader->waited_ns;
}
