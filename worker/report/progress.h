/*
 * Where the training is, for whoever watches: written by the training thread alone, read by the
 * report thread at any time.  No lock: every field is an atomic of its own, and a reader may see
 * neighbours of one moment's difference.  Texts are constants of the program or of the training.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

enum { PROGRESS_METRICS_MAX = 16 };

struct progress {
    _Atomic int64_t step;           /* finished, over the whole job */
    _Atomic int64_t epoch;          /* finished */
    _Atomic int64_t collective;     /* entered in this attempt */
    _Atomic int64_t stage_limit_ms; /* 0: the watcher's own */
    _Atomic(const char *) phase;
    _Atomic(const char *) stage;
    _Atomic double samples_per_s; /* of the open epoch */
    _Atomic int metric_count;
    _Atomic(const char *) metric_name[PROGRESS_METRICS_MAX];
    _Atomic double metric[PROGRESS_METRICS_MAX]; /* means over the open epoch so far */
};

/* Enters a stage of a phase; limit_ms is announced where it may be long. */
static inline void progress_enter(struct progress *progress, const char *phase, const char *stage,
                                  int64_t limit_ms)
{
    atomic_store_explicit(&progress->phase, phase, memory_order_relaxed);
    atomic_store_explicit(&progress->stage_limit_ms, limit_ms, memory_order_relaxed);
    atomic_store_explicit(&progress->stage, stage, memory_order_relaxed);
}

#endif
