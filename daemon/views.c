#include "daemon/views.h"

#include "base/mem.h"
#include "cambrian.pb-c.h"
#include "daemon/store_database.h"
#include "proto/job_state.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

enum {
    PAGE_DEFAULT = 500,
    PAGE_MAX = 2000,
    RECENT_MS = 24 * 3600 * 1000,
};

#define JOB_COLUMNS                                                                                \
    "id, name, kind, state, attempt_ranks, attempt, epochs_finished, epochs, step, "               \
    "steps_per_epoch, submitted_at_ms, started_at_ms, ended_at_ms, weights_sha256, error_code, "   \
    "error_text, error_rank, error_step, numeric_profile, ranks_min, ranks_max, priority, "        \
    "not_before_ms, batch, bytes_per_rank, flops_per_step, parameters, owner_uid "

struct views {
    struct database *db;
    char *jobs_dir;
    pthread_mutex_t mutex;
};

enum cam_code views_open(const char *database_path, const char *jobs_dir, struct views **out,
                         struct cam_err *err)
{
    struct views *views = cam_alloc(1, sizeof *views);
    char *copy = cam_strdup(jobs_dir);
    enum cam_code rc = views == NULL || copy == NULL
                           ? cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", database_path)
                           : database_open_reader(database_path, &views->db, err);
    if (rc != CAM_OK) {
        cam_free(copy);
        cam_free(views);
        return rc;
    }
    views->jobs_dir = copy;
    (void)pthread_mutex_init(&views->mutex, NULL);
    *out = views;
    return CAM_OK;
}

void views_close(struct views *views)
{
    if (views != NULL) {
        views_stop(views);
        (void)pthread_mutex_destroy(&views->mutex);
        cam_free(views->jobs_dir);
        cam_free(views);
    }
}

void views_stop(struct views *views)
{
    (void)pthread_mutex_lock(&views->mutex);
    database_close(views->db);
    views->db = NULL;
    (void)pthread_mutex_unlock(&views->mutex);
}

/* Takes the connection for this thread; leave it with the mutex. */
static enum cam_code enter(struct views *views, struct cam_err *err)
{
    (void)pthread_mutex_lock(&views->mutex);
    if (views->db != NULL) {
        return CAM_OK;
    }
    (void)pthread_mutex_unlock(&views->mutex);
    return cam_fail(err, CAM_UNAVAILABLE, "the daemon ends");
}

struct database *views_database(struct views *views)
{
    return views->db;
}

/* "" stands for short memory too: a view without a text beats no view. */
static char *copy_text(struct cam_arena *arena, const char *text)
{
    char *copy = text[0] == '\0' ? NULL : cam_arena_strdup(arena, text);
    return copy == NULL ? (char *)(uintptr_t)protobuf_c_empty_string : copy;
}

static Cam__Job *read_job(const struct views *views, const struct query *q, struct cam_arena *arena)
{
    Cam__Job *job = cam_arena_alloc(arena, 1, sizeof *job);
    if (job == NULL) {
        return NULL;
    }
    cam__job__init(job);
    job->id = query_int(q, 0);
    job->name = copy_text(arena, query_text(q, 1));
    job->kind = copy_text(arena, query_text(q, 2));
    job->state = (Cam__Job__State)job_state_from_name(query_text(q, 3));
    job->attempts = (int32_t)query_int(q, 5);
    job->epoch = query_int(q, 6);
    job->epochs = query_int(q, 7);
    job->step = query_int(q, 8);
    job->steps_per_epoch = query_int(q, 9);
    job->eta_s = -1;
    job->submitted_at_ms = query_int(q, 10);
    job->started_at_ms = query_int(q, 11);
    job->ended_at_ms = query_int(q, 12);
    job->weights_sha256 = copy_text(arena, query_text(q, 13));
    if (query_text(q, 14)[0] != '\0') {
        job->error = cam_arena_alloc(arena, 1, sizeof *job->error);
    }
    if (job->error != NULL) {
        cam__job_error__init(job->error);
        job->error->code = copy_text(arena, query_text(q, 14));
        job->error->text = copy_text(arena, query_text(q, 15));
        job->error->rank = (int32_t)query_int(q, 16);
        job->error->step = query_int(q, 17);
    }
    job->numeric_profile = copy_text(arena, query_text(q, 18));
    job->ranks_min = (int32_t)query_int(q, 19);
    job->ranks_max = (int32_t)query_int(q, 20);
    job->ranks = query_int(q, 4) > 0 ? (int32_t)query_int(q, 4) : job->ranks_min;
    job->priority = (int32_t)query_int(q, 21);
    job->not_before_ms = query_int(q, 22);
    job->batch = query_int(q, 23);
    job->bytes_per_rank = query_int(q, 24);
    job->flops_per_step = query_int(q, 25);
    job->parameters = query_int(q, 26);
    job->owner_uid = query_int(q, 27);
    char *folder = cam_arena_printf(arena, "%s/%lld", views->jobs_dir, (long long)job->id);
    job->job_dir = folder == NULL ? job->job_dir : folder;
    return job;
}

/* The metrics of an epoch from their JSON. */
static void read_metrics(const char *text, struct cam_arena *arena, Cam__Metric ***out,
                         size_t *count_out)
{
    json_t *object = json_loads(text, 0, NULL);
    size_t size = json_object_size(object);
    Cam__Metric **list = cam_arena_alloc(arena, size + 1, sizeof(Cam__Metric *));
    Cam__Metric *metrics = cam_arena_alloc(arena, size + 1, sizeof *metrics);
    const char *name = NULL;
    json_t *value = NULL;
    size_t count = 0;
    if (list != NULL && metrics != NULL) {
        json_object_foreach(object, name, value)
        {
            cam__metric__init(&metrics[count]);
            metrics[count].name = copy_text(arena, name);
            metrics[count].value = json_is_number(value) ? json_number_value(value) : (double)NAN;
            list[count] = &metrics[count];
            count++;
        }
    }
    json_decref(object);
    *out = list;
    *count_out = count;
}

static enum cam_code read_epochs(struct views *views, Cam__Job *job, int64_t after_epoch,
                                 struct cam_arena *arena, struct cam_err *err)
{
    struct query q;
    size_t room = (size_t)(job->epoch > after_epoch ? job->epoch - after_epoch : 0);
    room = room > VIEWS_EPOCHS_MAX ? VIEWS_EPOCHS_MAX : room;
    Cam__Epoch **list = cam_arena_alloc(arena, room + 1, sizeof(Cam__Epoch *));
    if (list == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the epochs of job %lld", (long long)job->id);
    }
    enum cam_code rc = database_query(
        views->db, &q, err,
        "SELECT epoch, steps, seconds, samples_per_s, metrics FROM epochs WHERE job_id = ? AND "
        "epoch > ? ORDER BY epoch LIMIT ?",
        "iii", job->id, after_epoch, (int64_t)room);
    while (rc == CAM_OK && job->n_epochs_done < room && query_next(&q, &rc, err)) {
        Cam__Epoch *epoch = cam_arena_alloc(arena, 1, sizeof *epoch);
        if (epoch == NULL) {
            break;
        }
        cam__epoch__init(epoch);
        epoch->epoch = query_int(&q, 0);
        epoch->steps = query_int(&q, 1);
        epoch->seconds = query_real(&q, 2);
        epoch->samples_per_s = query_real(&q, 3);
        read_metrics(query_text(&q, 4), arena, &epoch->metrics, &epoch->n_metrics);
        list[job->n_epochs_done++] = epoch;
    }
    query_end(&q);
    job->epochs_done = list;
    return rc;
}

/* The last epoch's figures stand for the open one until a rank says more. */
static enum cam_code read_last_epoch(struct views *views, Cam__Job *job, struct cam_arena *arena,
                                     struct cam_err *err)
{
    struct query q;
    if (job->epoch == 0) {
        return CAM_OK;
    }
    enum cam_code rc =
        database_query(views->db, &q, err,
                       "SELECT metrics, samples_per_s FROM epochs WHERE job_id = ? AND epoch = ?",
                       "ii", job->id, job->epoch);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        read_metrics(query_text(&q, 0), arena, &job->metrics, &job->n_metrics);
        job->samples_per_s = query_real(&q, 1);
    }
    query_end(&q);
    return rc;
}

enum cam_code views_job(struct views *views, int64_t id, int64_t after_epoch,
                        struct cam_arena *arena, Cam__Job **out, struct cam_err *err)
{
    struct query q;
    Cam__Job *job = NULL;
    enum cam_code rc = enter(views, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc =
        database_query(views->db, &q, err, "SELECT " JOB_COLUMNS "FROM jobs WHERE id = ?", "i", id);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        job = read_job(views, &q, arena);
    }
    query_end(&q);
    if (rc == CAM_OK && job == NULL) {
        rc = cam_fail(err, CAM_NOT_FOUND, "no job %lld", (long long)id);
    }
    if (rc == CAM_OK) {
        rc = read_last_epoch(views, job, arena, err);
    }
    if (rc == CAM_OK && after_epoch >= 0) {
        rc = read_epochs(views, job, after_epoch, arena, err);
    }
    (void)pthread_mutex_unlock(&views->mutex);
    *out = job;
    return rc;
}

/* One query a way of asking, so that each finds its index. */
static enum cam_code start_queue(struct views *views, const Cam__QueueRequest *request,
                                 int64_t now_ms, size_t limit, struct query *q, struct cam_err *err)
{
    if (request->n_states > 0) {
        const char *names[JOB_STATE_COUNT] = {0};
        size_t count = 0;
        for (size_t i = 0; i < request->n_states && count < JOB_STATE_COUNT; i++) {
            names[count++] = job_state_name((enum job_state)request->states[i]);
        }
        return database_query(views->db, q, err,
                              "SELECT " JOB_COLUMNS "FROM jobs WHERE id > ? AND state IN "
                              "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ORDER BY id LIMIT ?",
                              "issssssssssi", request->after_id, names[0], names[1], names[2],
                              names[3], names[4], names[5], names[6], names[7], names[8], names[9],
                              (int64_t)limit + 1);
    }
    if (request->all) {
        return database_query(views->db, q, err,
                              "SELECT " JOB_COLUMNS "FROM jobs WHERE id > ? ORDER BY id LIMIT ?",
                              "ii", request->after_id, (int64_t)limit + 1);
    }
    return database_query(
        views->db, q, err,
        "SELECT * FROM (SELECT * FROM (SELECT " JOB_COLUMNS "FROM jobs INDEXED BY jobs_unended "
        "WHERE id > ?1 AND state IN ('queued', 'held', 'starting', 'running', 'stopping') "
        "ORDER BY id LIMIT ?2) UNION ALL SELECT * FROM (SELECT " JOB_COLUMNS
        "FROM jobs INDEXED BY jobs_ended WHERE ended_at_ms > ?3 AND id > ?1 AND state IN "
        "('succeeded', 'failed', 'cancelled', 'interrupted'))) ORDER BY id LIMIT ?2",
        "iii", request->after_id, (int64_t)limit + 1, now_ms - RECENT_MS);
}

enum cam_code views_queue(struct views *views, const Cam__QueueRequest *request, int64_t now_ms,
                          struct cam_arena *arena, Cam__QueueReply *out, struct cam_err *err)
{
    struct query q;
    size_t limit = request->limit == 0 ? PAGE_DEFAULT : request->limit;
    limit = limit > PAGE_MAX ? PAGE_MAX : limit;
    cam__queue_reply__init(out);
    out->jobs = cam_arena_alloc(arena, limit + 1, sizeof(Cam__Job *));
    if (out->jobs == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "a page of %zu jobs", limit);
    }
    enum cam_code rc = enter(views, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = start_queue(views, request, now_ms, limit, &q, err);
    while (rc == CAM_OK && query_next(&q, &rc, err)) {
        if (out->n_jobs == limit) {
            out->next_after_id = out->jobs[limit - 1]->id;
            break;
        }
        Cam__Job *job = read_job(views, &q, arena);
        if (job == NULL) {
            rc = cam_fail(err, CAM_NO_MEMORY, "a page of %zu jobs", limit);
            break;
        }
        out->jobs[out->n_jobs++] = job;
    }
    query_end(&q);
    for (size_t i = 0; rc == CAM_OK && i < out->n_jobs; i++) {
        rc = read_last_epoch(views, out->jobs[i], arena, err);
    }
    (void)pthread_mutex_unlock(&views->mutex);
    return rc;
}

enum cam_code views_events(struct views *views, const Cam__EventsRequest *request,
                           struct cam_arena *arena, Cam__EventsReply *out, struct cam_err *err)
{
    struct query q;
    size_t limit = request->limit == 0 ? PAGE_DEFAULT : request->limit;
    limit = limit > PAGE_MAX ? PAGE_MAX : limit;
    cam__events_reply__init(out);
    out->events = cam_arena_alloc(arena, limit + 1, sizeof(Cam__Event *));
    if (out->events == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "a page of %zu events", limit);
    }
    enum cam_code rc = enter(views, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = database_query(
        views->db, &q, err,
        "SELECT id, job_id, at_ms, attempt, kind, from_state, to_state, text FROM events WHERE "
        "job_id = ? AND id > ? ORDER BY id LIMIT ?",
        "iii", request->id, request->after_event_id, (int64_t)limit + 1);
    while (rc == CAM_OK && query_next(&q, &rc, err)) {
        if (out->n_events == limit) {
            out->next_after_event_id = out->events[limit - 1]->id;
            break;
        }
        Cam__Event *event = cam_arena_alloc(arena, 1, sizeof *event);
        if (event == NULL) {
            rc = cam_fail(err, CAM_NO_MEMORY, "a page of %zu events", limit);
            break;
        }
        cam__event__init(event);
        event->id = query_int(&q, 0);
        event->job_id = query_int(&q, 1);
        event->at_ms = query_int(&q, 2);
        event->attempt = (int32_t)query_int(&q, 3);
        event->kind = copy_text(arena, query_text(&q, 4));
        event->from_state = copy_text(arena, query_text(&q, 5));
        event->to_state = copy_text(arena, query_text(&q, 6));
        event->text = copy_text(arena, query_text(&q, 7));
        out->events[out->n_events++] = event;
    }
    query_end(&q);
    (void)pthread_mutex_unlock(&views->mutex);
    if (rc == CAM_OK && out->n_events == 0 && request->after_event_id == 0) {
        rc = cam_fail(err, CAM_NOT_FOUND, "no job %lld", (long long)request->id);
    }
    return rc;
}

enum cam_code views_status(struct views *views, Cam__StatusReply *out, struct cam_err *err)
{
    struct query q;
    int64_t pages = 0;
    int64_t version = 0;
    enum cam_code rc = enter(views, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = database_query(views->db, &q, err, "SELECT state, count FROM job_counts", "");
    while (rc == CAM_OK && query_next(&q, &rc, err)) {
        enum job_state state = job_state_from_name(query_text(&q, 0));
        int64_t *sum = job_state_ended(state)    ? &out->jobs_ended
                       : job_state_active(state) ? &out->jobs_running
                                                 : &out->jobs_queued;
        *sum += query_int(&q, 1);
    }
    query_end(&q);
    if (rc == CAM_OK) {
        rc = database_number(views->db, 0, &pages, err,
                             "SELECT page_count * page_size FROM pragma_page_count, "
                             "pragma_page_size");
    }
    if (rc == CAM_OK) {
        rc = database_number(views->db, 0, &version, err, "PRAGMA user_version");
    }
    (void)pthread_mutex_unlock(&views->mutex);
    out->database_bytes = pages;
    out->schema_version = (int32_t)version;
    return rc;
}

enum cam_code views_owner(struct views *views, int64_t id, int64_t *uid_out, int64_t *gid_out,
                          struct cam_err *err)
{
    struct query q;
    enum cam_code rc = enter(views, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = database_query(views->db, &q, err, "SELECT owner_uid, owner_gid FROM jobs WHERE id = ?",
                        "i", id);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        *uid_out = query_int(&q, 0);
        *gid_out = query_int(&q, 1);
    } else if (rc == CAM_OK) {
        rc = cam_fail(err, CAM_NOT_FOUND, "no job %lld", (long long)id);
    }
    query_end(&q);
    (void)pthread_mutex_unlock(&views->mutex);
    return rc;
}

enum cam_code views_files(struct views *views, int64_t id, struct cam_arena *arena,
                          const char **model_path_out, int *attempt_out, bool *ended_out,
                          struct cam_err *err)
{
    struct query q;
    *model_path_out = NULL;
    enum cam_code rc = enter(views, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = database_query(views->db, &q, err,
                        "SELECT model_path, attempt, state FROM jobs WHERE id = ?", "i", id);
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        *model_path_out = copy_text(arena, query_text(&q, 0));
        *attempt_out = (int)query_int(&q, 1);
        *ended_out = job_state_ended(job_state_from_name(query_text(&q, 2)));
    } else if (rc == CAM_OK) {
        rc = cam_fail(err, CAM_NOT_FOUND, "no job %lld", (long long)id);
    }
    query_end(&q);
    (void)pthread_mutex_unlock(&views->mutex);
    return rc;
}
