#include "worker/train/lanes.h"

#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct lane {
    struct lanes *lanes;
    int number;
    pthread_t thread;
    bool started;
    enum cam_code rc;
    struct cam_err err;
};

struct lanes {
    int count;
    struct lane *lane;
    pthread_mutex_t mutex;
    pthread_cond_t begun; /* generation grew, or ending */
    pthread_cond_t ended; /* busy fell to 0 */
    uint64_t generation;  /* of tasks; guarded by mutex, as all below */
    int busy;
    bool ending;
    lanes_task task;
    void *context;
};

static void *lane_main(void *argument)
{
    struct lane *lane = argument;
    struct lanes *lanes = lane->lanes;
    uint64_t seen = 0;
    (void)pthread_mutex_lock(&lanes->mutex);
    for (;;) {
        while (lanes->generation == seen && !lanes->ending) {
            (void)pthread_cond_wait(&lanes->begun, &lanes->mutex);
        }
        if (lanes->ending) {
            break;
        }
        seen = lanes->generation;
        (void)pthread_mutex_unlock(&lanes->mutex);
        lane->rc = lanes->task(lanes->context, lane->number, &lane->err);
        (void)pthread_mutex_lock(&lanes->mutex);
        if (--lanes->busy == 0) {
            (void)pthread_cond_signal(&lanes->ended);
        }
    }
    (void)pthread_mutex_unlock(&lanes->mutex);
    return NULL;
}

enum cam_code lanes_create(int count, struct lanes **out, struct cam_err *err)
{
    assert(count >= 1);
    struct lanes *lanes = cam_alloc(1, sizeof *lanes);
    struct lane *lane = cam_alloc((size_t)count, sizeof *lane);
    if (lanes == NULL || lane == NULL) {
        cam_free(lanes);
        cam_free(lane);
        return cam_fail(err, CAM_NO_MEMORY, "%d lanes: out of memory", count);
    }
    lanes->count = count;
    lanes->lane = lane;
    (void)pthread_mutex_init(&lanes->mutex, NULL);
    (void)pthread_cond_init(&lanes->begun, NULL);
    (void)pthread_cond_init(&lanes->ended, NULL);
    for (int i = 0; i < count; i++) {
        lane[i].lanes = lanes;
        lane[i].number = i;
    }
    for (int i = 1; i < count; i++) {
        int failed = pthread_create(&lane[i].thread, NULL, lane_main, &lane[i]);
        if (failed != 0) {
            lanes_destroy(lanes);
            return cam_fail(err, CAM_UNAVAILABLE, "cannot start the thread of lane %d of %d: %s", i,
                            count, strerror(failed));
        }
        lane[i].started = true;
    }
    *out = lanes;
    return CAM_OK;
}

void lanes_destroy(struct lanes *lanes)
{
    if (lanes == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&lanes->mutex);
    lanes->ending = true;
    (void)pthread_cond_broadcast(&lanes->begun);
    (void)pthread_mutex_unlock(&lanes->mutex);
    for (int i = 1; i < lanes->count; i++) {
        if (lanes->lane[i].started) {
            (void)pthread_join(lanes->lane[i].thread, NULL);
        }
    }
    (void)pthread_cond_destroy(&lanes->ended);
    (void)pthread_cond_destroy(&lanes->begun);
    (void)pthread_mutex_destroy(&lanes->mutex);
    cam_free(lanes->lane);
    cam_free(lanes);
}

int lanes_count(const struct lanes *lanes)
{
    return lanes->count;
}

enum cam_code lanes_run(struct lanes *lanes, lanes_task task, void *context, struct cam_err *err)
{
    if (lanes->count > 1) {
        (void)pthread_mutex_lock(&lanes->mutex);
        lanes->task = task;
        lanes->context = context;
        lanes->busy = lanes->count - 1;
        lanes->generation++;
        (void)pthread_cond_broadcast(&lanes->begun);
        (void)pthread_mutex_unlock(&lanes->mutex);
    }
    struct lane *first = &lanes->lane[0];
    first->rc = task(context, 0, &first->err);
    if (lanes->count > 1) {
        (void)pthread_mutex_lock(&lanes->mutex);
        while (lanes->busy > 0) {
            (void)pthread_cond_wait(&lanes->ended, &lanes->mutex);
        }
        (void)pthread_mutex_unlock(&lanes->mutex);
    }
    for (int i = 0; i < lanes->count; i++) {
        if (lanes->lane[i].rc != CAM_OK) {
            if (err != NULL) {
                *err = lanes->lane[i].err;
            }
            return lanes->lane[i].rc;
        }
    }
    return CAM_OK;
}
