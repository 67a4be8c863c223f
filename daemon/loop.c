#include "daemon/loop.h"

#include "base/mem.h"

#include <stddef.h>
#include <uv.h>

struct loop {
    uv_loop_t uv;
    uv_async_t async;
    loop_fn on_wake;
    void *wake_context;
};

struct loop_timer {
    uv_timer_t uv;
    loop_fn fn;
    void *context;
};

struct loop_job {
    uv_work_t uv;
    loop_fn work;
    loop_fn done;
    void *context;
};

static void async_called(uv_async_t *async)
{
    struct loop *loop = async->data;
    if (loop->on_wake != NULL) {
        loop->on_wake(loop->wake_context);
    }
}

enum cam_code loop_create(struct loop **out, struct cam_err *err)
{
    struct loop *loop = cam_alloc(1, sizeof *loop);
    if (loop == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the event loop");
    }
    int failed = uv_loop_init(&loop->uv);
    if (failed == 0) {
        failed = uv_async_init(&loop->uv, &loop->async, async_called);
        loop->async.data = loop;
    }
    if (failed != 0) {
        cam_free(loop);
        return cam_fail(err, CAM_IO, "the event loop: %s", uv_strerror(failed));
    }
    *out = loop;
    return CAM_OK;
}

void loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    uv_walk(&loop->uv, close_handle, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop->uv);
    cam_free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

static void job_work(uv_work_t *uv)
{
    struct loop_job *job = uv->data;
    job->work(job->context);
}

static void job_done(uv_work_t *uv, int status)
{
    (void)status; /* nothing is ever cancelled */
    struct loop_job *job = uv->data;
    job->done(job->context);
    cam_free(job);
}

enum cam_code loop_work(struct loop *loop, loop_fn work, loop_fn done, void *context,
                        struct cam_err *err)
{
    struct loop_job *job = cam_alloc(1, sizeof *job);
    if (job == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the daemon is short of memory");
    }
    *job = (struct loop_job){.work = work, .done = done, .context = context};
    job->uv.data = job;
    int failed = uv_queue_work(&loop->uv, &job->uv, job_work, job_done);
    if (failed != 0) {
        cam_free(job);
        return cam_fail(err, CAM_UNAVAILABLE, "the thread pool: %s", uv_strerror(failed));
    }
    return CAM_OK;
}

void loop_on_wake(struct loop *loop, loop_fn fn, void *context)
{
    loop->on_wake = fn;
    loop->wake_context = context;
}

void loop_wake(void *loop)
{
    (void)uv_async_send(&((struct loop *)loop)->async);
}

enum cam_code loop_timer_create(struct loop *loop, loop_fn fn, void *context,
                                struct loop_timer **out, struct cam_err *err)
{
    struct loop_timer *timer = cam_alloc(1, sizeof *timer);
    if (timer == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "a timer");
    }
    *timer = (struct loop_timer){.fn = fn, .context = context};
    (void)uv_timer_init(&loop->uv, &timer->uv); /* cannot fail */
    timer->uv.data = timer;
    *out = timer;
    return CAM_OK;
}

static void timer_fired(uv_timer_t *uv)
{
    struct loop_timer *timer = uv->data;
    timer->fn(timer->context);
}

void loop_timer_set(struct loop_timer *timer, int64_t in_ms)
{
    /* The loop's own idea of now may be old when a callback was long. */
    uv_update_time(timer->uv.loop);
    (void)uv_timer_start(&timer->uv, timer_fired, in_ms < 0 ? 0 : (uint64_t)in_ms, 0);
}

void loop_timer_clear(struct loop_timer *timer)
{
    (void)uv_timer_stop(&timer->uv);
}

static void timer_closed(uv_handle_t *handle)
{
    cam_free(handle->data);
}

void loop_timer_destroy(struct loop_timer *timer)
{
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->uv, timer_closed);
    }
}
