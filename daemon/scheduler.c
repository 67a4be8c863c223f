#include "daemon/scheduler.h"

#include "base/mem.h"
#include "daemon/heap.h"
#include "daemon/job_index.h"

#include <stdio.h>
#include <string.h>

/* The deadlines that only jobs with an attempt have. */
struct sched_timers {
    struct heap_node nodes[SCHED_TIMER_COUNT];
};

struct sched_job {
    int64_t id;
    /* In `ready` while it may start, in `deadlines` while it is in backoff, else in neither. */
    struct heap_node node;
    struct sched_timers *timers; /* NULL: none was ever set */
    int64_t *after;              /* unmet, NULL: none */
    char *profile;               /* how the host's differs from its own; NULL: not known to */
    uint32_t after_count;
    int32_t priority;
    int32_t ranks_min;
    int32_t ranks_max;
    int32_t ranks; /* slots it holds */
    enum job_state state;
    bool deciding; /* told to start; neither committed nor refused yet */
};

struct scheduler {
    struct job_index jobs;
    struct heap ready;     /* (-priority, id) */
    struct heap deadlines; /* (time, id * kinds + kind) */
    size_t waiting;        /* jobs with unmet `after` */
    int32_t slots;
    int32_t slots_free;
    bool draining;
};

static void drop_timers(struct scheduler *scheduler, struct sched_job *job)
{
    for (int i = 0; job->timers != NULL && i < SCHED_TIMER_COUNT; i++) {
        heap_remove(&scheduler->deadlines, &job->timers->nodes[i]);
    }
    cam_free(job->timers);
    job->timers = NULL;
}

static void leave_queues(struct scheduler *scheduler, struct sched_job *job)
{
    /* The node's heap is told by its tie: ready jobs carry their bare id. */
    if (job->node.place == 0) {
        return;
    }
    heap_remove(job->node.tie == job->id ? &scheduler->ready : &scheduler->deadlines, &job->node);
}

static void free_job(struct scheduler *scheduler, struct sched_job *job)
{
    leave_queues(scheduler, job);
    drop_timers(scheduler, job);
    job_index_remove(&scheduler->jobs, job->id);
    scheduler->waiting -= job->after_count > 0 ? 1 : 0;
    cam_free(job->after);
    cam_free(job->profile);
    cam_free(job);
}

/* Deadlines of one time come by job, then by kind; backoff is the last kind. */
static int64_t deadline_tie(int64_t id, int kind)
{
    return -(id * (SCHED_TIMER_COUNT + 1) + kind) - 1; /* negative: never a ready job's tie */
}

/* Puts a job where its state says; ready_ms 0: at once. */
static enum cam_code enter_queue(struct scheduler *scheduler, struct sched_job *job,
                                 int64_t ready_ms, struct cam_err *err)
{
    leave_queues(scheduler, job);
    if (job->state != JOB_QUEUED || job->deciding || job->after_count > 0) {
        job->node.key = ready_ms; /* remembered for when the last `after` is met */
        return CAM_OK;
    }
    if (ready_ms > 0) {
        job->node.key = ready_ms;
        job->node.tie = deadline_tie(job->id, SCHED_TIMER_COUNT);
        return heap_add(&scheduler->deadlines, &job->node, err);
    }
    job->node.key = -(int64_t)job->priority;
    job->node.tie = job->id;
    return heap_add(&scheduler->ready, &job->node, err);
}

static enum cam_code add_job(struct scheduler *scheduler, const struct sched_event *event,
                             struct cam_err *err)
{
    enum cam_code rc = CAM_NO_MEMORY;
    struct sched_job *known = job_index_get(&scheduler->jobs, event->id);
    if (known != NULL) { /* resumed before its last decision was settled */
        known->state = event->state;
        return enter_queue(scheduler, known, event->ready_ms, err);
    }
    struct sched_job *job = cam_alloc(1, sizeof *job);
    int64_t *after =
        event->after_count == 0 ? NULL : cam_alloc(event->after_count, sizeof *job->after);
    if (job == NULL || (event->after_count > 0 && after == NULL)) {
        (void)cam_fail(err, CAM_NO_MEMORY, "job %lld", (long long)event->id);
        goto fail;
    }
    *job = (struct sched_job){.id = event->id,
                              .priority = event->priority,
                              .ranks_min = event->ranks_min,
                              .ranks_max = event->ranks_max,
                              .state = event->state,
                              .after = after,
                              .after_count = (uint32_t)event->after_count};
    job->node.owner = job;
    if (after != NULL) {
        memcpy(after, event->after, event->after_count * sizeof *after);
    }
    rc = job_index_add(&scheduler->jobs, job->id, job, err);
    if (rc != CAM_OK) {
        goto fail;
    }
    scheduler->waiting += job->after_count > 0 ? 1 : 0;
    rc = enter_queue(scheduler, job, event->ready_ms, err);
    if (rc != CAM_OK) {
        free_job(scheduler, job);
    }
    return rc;
fail:
    cam_free(after);
    cam_free(job);
    return rc;
}

/* A job that succeeded is no longer waited for. */
static enum cam_code release_waiters(struct scheduler *scheduler, int64_t id, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    size_t at = 0;
    struct sched_job *job = NULL;
    while (scheduler->waiting > 0 && (job = job_index_walk(&scheduler->jobs, &at)) != NULL) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < job->after_count; i++) {
            if (job->after[i] != id) {
                job->after[kept++] = job->after[i];
            }
        }
        if (kept == job->after_count) {
            continue;
        }
        job->after_count = kept;
        if (kept == 0) {
            scheduler->waiting--;
            enum cam_code one = enter_queue(scheduler, job, job->node.key, err);
            rc = rc == CAM_OK ? one : rc;
        }
    }
    return rc;
}

/* A job that has ended and holds nothing is forgotten. */
static void forget_if_over(struct scheduler *scheduler, struct sched_job *job)
{
    if (job_state_ended(job->state) && !job->deciding && job->ranks == 0) {
        free_job(scheduler, job);
    }
}

/* What is no longer so, or is so now; before anything else of the event. */
static enum cam_code take_profile(struct sched_job *job, const struct sched_event *event,
                                  struct cam_err *err)
{
    char *copy = event->profile == NULL ? NULL : cam_strdup(event->profile);
    if (event->profile != NULL && copy == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "job %lld", (long long)event->id);
    }
    cam_free(job->profile);
    job->profile = copy;
    return CAM_OK;
}

static enum cam_code change_job(struct scheduler *scheduler, struct sched_job *job,
                                const struct sched_event *event, struct cam_err *err)
{
    bool was_deciding = job->deciding;
    job->state = event->state;
    if (job_state_active(event->state)) {
        job->deciding = false;
    }
    enum cam_code rc = enter_queue(scheduler, job, event->ready_ms, err);
    if (rc != CAM_OK) {
        job->deciding = was_deciding;
        return rc;
    }
    if (event->state == JOB_SUCCEEDED) {
        rc = release_waiters(scheduler, job->id, err);
    }
    forget_if_over(scheduler, job);
    return rc;
}

static void give_slots_back(struct scheduler *scheduler, struct sched_job *job)
{
    scheduler->slots_free += job->ranks;
    job->ranks = 0;
    drop_timers(scheduler, job);
}

static enum cam_code set_timer(struct scheduler *scheduler, struct sched_job *job,
                               const struct sched_event *event, struct cam_err *err)
{
    if (job->timers == NULL) {
        job->timers = cam_alloc(1, sizeof *job->timers);
        if (job->timers == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "deadlines of job %lld", (long long)job->id);
        }
    }
    struct heap_node *node = &job->timers->nodes[event->timer];
    heap_remove(&scheduler->deadlines, node);
    if (event->due_ms == SCHED_NEVER) {
        return CAM_OK;
    }
    node->key = event->due_ms;
    node->tie = deadline_tie(job->id, (int)event->timer);
    node->owner = job;
    return heap_add(&scheduler->deadlines, node, err);
}

enum cam_code scheduler_create(int32_t slots, struct scheduler **out, struct cam_err *err)
{
    struct scheduler *scheduler = cam_alloc(1, sizeof *scheduler);
    if (scheduler == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the scheduler");
    }
    scheduler->slots = slots;
    scheduler->slots_free = slots;
    *out = scheduler;
    return CAM_OK;
}

void scheduler_destroy(struct scheduler *scheduler)
{
    if (scheduler == NULL) {
        return;
    }
    size_t at = 0;
    struct sched_job *job = NULL;
    while ((job = job_index_walk(&scheduler->jobs, &at)) != NULL) {
        cam_free(job->timers);
        cam_free(job->after);
        cam_free(job->profile);
        cam_free(job);
    }
    job_index_release(&scheduler->jobs);
    heap_release(&scheduler->ready);
    heap_release(&scheduler->deadlines);
    cam_free(scheduler);
}

enum cam_code scheduler_apply(struct scheduler *scheduler, const struct sched_event *event,
                              struct cam_err *err)
{
    if (event->kind == SCHED_ADDED) {
        return add_job(scheduler, event, err);
    }
    if (event->kind == SCHED_DRAIN) {
        scheduler->draining = true;
        return CAM_OK;
    }
    enum cam_code rc = CAM_OK;
    struct sched_job *job = job_index_get(&scheduler->jobs, event->id);
    if (job == NULL) {
        return CAM_OK;
    }
    if (event->kind == SCHED_CHANGED || event->kind == SCHED_REFUSED) {
        rc = take_profile(job, event, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    if (event->kind == SCHED_CHANGED) {
        rc = change_job(scheduler, job, event, err);
    } else if (event->kind == SCHED_HOLDS) {
        job->ranks = event->ranks;
        scheduler->slots_free -= event->ranks;
    } else if (event->kind == SCHED_TIMER) {
        rc = set_timer(scheduler, job, event, err);
    } else { /* REFUSED, DEAD */
        give_slots_back(scheduler, job);
        job->deciding = false;
        rc = enter_queue(scheduler, job, event->ready_ms, err);
        forget_if_over(scheduler, job);
    }
    return rc;
}

/* One deadline that has passed: a decision, or a job that is ready now (0). */
static size_t pass_deadline(struct scheduler *scheduler, struct heap_node *node,
                            struct sched_decision *out)
{
    struct sched_job *job = node->owner;
    heap_remove(&scheduler->deadlines, node);
    if (node == &job->node) {
        struct cam_err ignored;
        /* The heap of ready jobs may not grow: then the deadline stays, where there is room. */
        if (enter_queue(scheduler, job, 0, &ignored) != CAM_OK) {
            node->key += 1000;
            (void)!heap_add(&scheduler->deadlines, node, &ignored);
        }
        return 0;
    }
    *out = (struct sched_decision){
        .kind = SCHED_TIMER_DUE,
        .id = job->id,
        .timer = (enum sched_timer)(node - job->timers->nodes),
    };
    return 1;
}

size_t scheduler_next(struct scheduler *scheduler, int64_t now_ms, struct sched_decision *out,
                      size_t max)
{
    size_t count = 0;
    struct heap_node *node = NULL;
    while (count < max && (node = heap_first(&scheduler->deadlines)) != NULL &&
           node->key <= now_ms) {
        count += pass_deadline(scheduler, node, &out[count]);
    }
    while (count < max && !scheduler->draining && (node = heap_first(&scheduler->ready)) != NULL) {
        struct sched_job *job = node->owner;
        if (job->ranks_min > scheduler->slots) {
            heap_remove(&scheduler->ready, node); /* never fits here: it must not block others */
            continue;
        }
        if (job->ranks_min > scheduler->slots_free) {
            break;
        }
        job->ranks =
            job->ranks_max < scheduler->slots_free ? job->ranks_max : scheduler->slots_free;
        job->deciding = true;
        scheduler->slots_free -= job->ranks;
        heap_remove(&scheduler->ready, node);
        out[count++] =
            (struct sched_decision){.kind = SCHED_START, .id = job->id, .ranks = job->ranks};
    }
    return count;
}

int64_t scheduler_due(const struct scheduler *scheduler)
{
    const struct heap_node *node = heap_first(&scheduler->deadlines);
    return node == NULL ? SCHED_NEVER : node->key;
}

/* Of a job that is queued and not about to start. */
static enum sched_wait find_wait(const struct scheduler *scheduler, const struct sched_job *job)
{
    const struct heap_node *first = heap_first(&scheduler->ready);
    if (job->after_count > 0) {
        return SCHED_WAIT_AFTER;
    }
    if (job->profile != NULL) {
        return SCHED_WAIT_PROFILE;
    }
    if (job->node.place != 0 && job->node.tie < 0) {
        return SCHED_WAIT_BACKOFF;
    }
    if (scheduler->draining) {
        return SCHED_WAIT_DRAIN;
    }
    if (job->ranks_min > scheduler->slots) {
        return SCHED_WAIT_HOST;
    }
    return first == NULL || first->owner == job ? SCHED_WAIT_SLOTS : SCHED_WAIT_TURN;
}

static void say_slots(const struct scheduler *scheduler, const struct sched_job *job,
                      const char *before, char *out, size_t size)
{
    (void)snprintf(out, size, "%s %d slot%s, %d free", before, job->ranks_min,
                   job->ranks_min == 1 ? "" : "s", scheduler->slots_free);
}

enum sched_wait scheduler_reason(const struct scheduler *scheduler, int64_t id, int64_t now_ms,
                                 char *out, size_t size)
{
    const struct sched_job *job = job_index_get(&scheduler->jobs, id);
    out[0] = '\0';
    /* One that is looked at again waits all the while. */
    if (job == NULL || job->state != JOB_QUEUED || (job->deciding && job->profile == NULL)) {
        return SCHED_WAIT_NONE;
    }
    enum sched_wait wait = find_wait(scheduler, job);
    int64_t left_ms = job->node.key > now_ms ? job->node.key - now_ms : 0;
    char before[64];
    switch (wait) {
    case SCHED_WAIT_NONE:
        break;
    case SCHED_WAIT_AFTER:
        (void)snprintf(out, size, "waits for job %lld%s", (long long)job->after[0],
                       job->after_count > 1 ? " and others" : "");
        break;
    case SCHED_WAIT_PROFILE:
        (void)snprintf(out, size, "waits: %s", job->profile);
        break;
    case SCHED_WAIT_BACKOFF:
        (void)snprintf(out, size, "is tried again in %lld s", (long long)((left_ms + 999) / 1000));
        break;
    case SCHED_WAIT_DRAIN:
        (void)snprintf(out, size, "the daemon is draining");
        break;
    case SCHED_WAIT_HOST:
        (void)snprintf(out, size, "needs %d slots, this host has %d", job->ranks_min,
                       scheduler->slots);
        break;
    case SCHED_WAIT_SLOTS:
        say_slots(scheduler, job, "needs", out, size);
        break;
    case SCHED_WAIT_TURN: {
        const struct sched_job *head = heap_first(&scheduler->ready)->owner;
        (void)snprintf(before, sizeof before, "behind job %lld, which needs", (long long)head->id);
        say_slots(scheduler, head, before, out, size);
        break;
    }
    }
    return wait;
}

int32_t scheduler_slots(const struct scheduler *scheduler)
{
    return scheduler->slots;
}

int32_t scheduler_slots_free(const struct scheduler *scheduler)
{
    return scheduler->slots_free;
}
