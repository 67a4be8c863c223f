/*
 * The daemon's one libuv loop, as the rest of the daemon sees it: work for the thread pool, calls
 * from other threads, one timer a caller.  main, listener, stream and launcher use libuv itself.
 */
#ifndef LOOP_H
#define LOOP_H

#include "base/status.h"

#include <stdint.h>

struct loop;
struct loop_timer;
struct uv_loop_s;

typedef void (*loop_fn)(void *context);

CAM_CHECKED enum cam_code loop_create(struct loop **out, struct cam_err *err);
/* Runs until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
void loop_destroy(struct loop *loop);
struct uv_loop_s *loop_uv(struct loop *loop);

/* Calls work on a thread of the pool, then done on the loop.  CAM_NO_MEMORY: neither is called. */
CAM_CHECKED enum cam_code loop_work(struct loop *loop, loop_fn work, loop_fn done, void *context,
                                    struct cam_err *err);

/* Sets the function that loop_wake causes to be called on the loop. */
void loop_on_wake(struct loop *loop, loop_fn fn, void *context);
/* Any thread.  Several wakes may be one call. */
void loop_wake(void *loop);

/* A timer that calls fn once, in_ms from loop_timer_set on; set again as often as wanted. */
CAM_CHECKED enum cam_code loop_timer_create(struct loop *loop, loop_fn fn, void *context,
                                            struct loop_timer **out, struct cam_err *err);
void loop_timer_set(struct loop_timer *timer, int64_t in_ms);
void loop_timer_clear(struct loop_timer *timer);
/* Frees it once the loop lets go of it; NULL is allowed. */
void loop_timer_destroy(struct loop_timer *timer);

#endif
