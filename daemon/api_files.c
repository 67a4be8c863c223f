#include "daemon/api.h"

#include "base/file.h"
#include "base/mem.h"
#include "daemon/api_private.h"
#include "daemon/owner.h"
#include "proto/attempt.h"
#include "proto/frame.h"
#include "proto/job_state.h"
#include "proto/jobfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file on its way to a client, a chunk at a time: read in the pool, sent on the loop. */
struct file_sender {
    struct file_sender *next; /* in api->followers */
    struct api *api;
    struct stream *stream; /* held */
    uint64_t request_id;
    int64_t job_id;
    int64_t peer_uid;
    struct owner owner; /* of the job, with whose rights its files are read; uid, gid */
    bool admitted;      /* owner is known, and the peer may see its files */
    int64_t epoch;      /* samples */
    int attempt;        /* logs; 0: the last */
    bool is_log;
    bool follow;
    bool opened;
    bool on_old;  /* reading log.1, log comes next */
    bool ended;   /* the job had ended before the last read began */
    bool at_end;  /* nothing more to read now */
    bool waiting; /* for a change */
    bool first_sent;
    /* Finds the file: path, or an error.  Pool. */
    enum cam_code (*find)(struct file_sender *sender, char path[CAM_PATH_SIZE],
                          struct cam_err *err);
    int fd;
    int64_t total; /* 0: grows */
    char name[128];
    uint8_t *bytes; /* CHUNK_BYTES_MAX */
    size_t size;
    enum cam_code rc;
    struct cam_err err;
};

static void next_chunk(void *context);

/* ---------------------------------------------------------------- which file: in the pool */

static enum cam_code job_state_of(struct file_sender *sender, const char **model_out,
                                  struct cam_arena *arena, struct cam_err *err)
{
    int attempt = 0;
    enum cam_code rc = views_files(sender->api->options.views, sender->job_id, arena, model_out,
                                   &attempt, &sender->ended, err);
    if (rc == CAM_OK && (sender->attempt < 0 || sender->attempt > attempt)) {
        return cam_fail(err, CAM_NOT_FOUND, "job %lld has %d attempt%s, no attempt %d",
                        (long long)sender->job_id, attempt, attempt == 1 ? "" : "s",
                        sender->attempt);
    }
    sender->attempt = sender->attempt == 0 ? attempt : sender->attempt;
    return rc;
}

static enum cam_code find_log(struct file_sender *sender, char path[CAM_PATH_SIZE],
                              struct cam_err *err)
{
    char job_dir[CAM_PATH_SIZE];
    enum cam_code rc =
        cam_path(job_dir, err, "%s/%lld", sender->api->options.jobs_dir, (long long)sender->job_id);
    return rc == CAM_OK
               ? attempt_path(job_dir, sender->attempt, sender->on_old ? "log.1" : "log", path, err)
               : rc;
}

static enum cam_code find_weights(struct file_sender *sender, char path[CAM_PATH_SIZE],
                                  struct cam_err *err)
{
    const char *model = NULL;
    struct cam_arena *arena = cam_arena_create();
    enum cam_code rc = arena == NULL ? cam_fail(err, CAM_NO_MEMORY, "out of memory")
                                     : job_state_of(sender, &model, arena, err);
    if (rc == CAM_OK && model[0] == '\0') {
        rc = cam_fail(err, CAM_CONFLICT, "job %lld has no weights: it has not succeeded",
                      (long long)sender->job_id);
    }
    if (rc == CAM_OK && (model[0] == '/' || strstr(model, "..") != NULL)) {
        rc = cam_fail(err, CAM_CORRUPT, "job %lld: weights outside of its folder: %s",
                      (long long)sender->job_id, model);
    }
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/%lld/%s", sender->api->options.jobs_dir,
                      (long long)sender->job_id, model);
    }
    cam_arena_destroy(arena);
    return rc;
}

/* What samples may be: pictures, or points. */
static const char *const SAMPLE_ENDS[] = {".png", ".csv"};
enum { SAMPLE_END_COUNT = sizeof SAMPLE_ENDS / sizeof SAMPLE_ENDS[0] };

static bool is_sample_end(const char *end)
{
    bool is = false;
    for (int i = 0; i < SAMPLE_END_COUNT; i++) {
        is |= strcmp(end, SAMPLE_ENDS[i]) == 0;
    }
    return is;
}

/* The largest N of epoch-N.png (or .csv) in a folder, 0: none. */
static int64_t newest_sample(const char *folder)
{
    int64_t newest = 0;
    DIR *list = opendir(folder);
    if (list == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        static const char PREFIX[] = "epoch-";
        char *end = NULL;
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0) {
            continue;
        }
        int64_t epoch = strtoll(entry->d_name + sizeof PREFIX - 1, &end, 10);
        if (is_sample_end(end) && epoch > newest) {
            newest = epoch;
        }
    }
    (void)closedir(list);
    return newest;
}

/* A job that draws nothing is told from one that has not drawn yet. */
static enum cam_code no_samples(const struct file_sender *sender, struct cam_arena *arena,
                                struct cam_err *err)
{
    Cam__Job *job = NULL;
    struct cam_err ignored;
    if (views_job(sender->api->options.views, sender->job_id, -1, arena, &job, &ignored) ==
            CAM_OK &&
        strcmp(job->kind, job_kind_name(JOB_KIND_GAN)) != 0) {
        return cam_fail(err, CAM_NOT_FOUND,
                        "job %lld is of kind %s, which draws no samples; kind gan does",
                        (long long)sender->job_id, job->kind);
    }
    return cam_fail(err, CAM_NOT_FOUND, "job %lld has no samples yet", (long long)sender->job_id);
}

static enum cam_code find_sample(struct file_sender *sender, char path[CAM_PATH_SIZE],
                                 struct cam_err *err)
{
    const char *model = NULL;
    char folder[CAM_PATH_SIZE - 64];
    struct cam_arena *arena = cam_arena_create();
    enum cam_code rc = arena == NULL ? cam_fail(err, CAM_NO_MEMORY, "out of memory")
                                     : job_state_of(sender, &model, arena, err);
    if (rc != CAM_OK) {
        cam_arena_destroy(arena);
        return rc;
    }
    (void)snprintf(folder, sizeof folder, "%s/%lld/samples", sender->api->options.jobs_dir,
                   (long long)sender->job_id);
    int64_t epoch = sender->epoch > 0 ? sender->epoch : newest_sample(folder);
    epoch = sender->attempt == 0 ? 0 : epoch; /* what is there before a start is not its own */
    bool found = false;
    for (int i = 0; rc == CAM_OK && !found && epoch != 0 && i < SAMPLE_END_COUNT; i++) {
        rc = cam_path(path, err, "%s/epoch-%04lld%s", folder, (long long)epoch, SAMPLE_ENDS[i]);
        found = rc == CAM_OK && access(path, R_OK) == 0;
    }
    if (rc == CAM_OK && !found) {
        rc = epoch == 0 ? no_samples(sender, arena, err)
                        : cam_fail(err, CAM_NOT_FOUND, "job %lld has no samples of epoch %lld",
                                   (long long)sender->job_id, (long long)epoch);
    }
    cam_arena_destroy(arena);
    return rc;
}

/* ---------------------------------------------------------------- reading: in the pool */

static enum cam_code open_file(struct file_sender *sender, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    struct stat status;
    enum cam_code rc = sender->find(sender, path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = cam_file_open_plain(path, &sender->fd, err);
    if (rc == CAM_NOT_FOUND && sender->is_log) {
        return CAM_OK; /* nothing was printed yet */
    }
    if (rc != CAM_OK) {
        return rc;
    }
    if (fstat(sender->fd, &status) != 0) {
        return cam_fail_errno(err, errno, "%s: cannot look at it", path);
    }
    sender->total = sender->is_log ? 0 : status.st_size;
    const char *slash = strrchr(path, '/');
    (void)snprintf(sender->name, sizeof sender->name, "%s", slash + 1);
    return CAM_OK;
}

/* True when the log was moved away under us, so that there is a newer one to go on with. */
static bool log_was_rotated(struct file_sender *sender)
{
    char path[CAM_PATH_SIZE];
    struct cam_err ignored;
    struct stat here;
    struct stat there;
    return sender->fd >= 0 && find_log(sender, path, &ignored) == CAM_OK &&
           stat(path, &there) == 0 && fstat(sender->fd, &here) == 0 && here.st_ino != there.st_ino;
}

static enum cam_code open_log(struct file_sender *sender, struct cam_err *err)
{
    const char *model = NULL;
    struct cam_arena *arena = cam_arena_create();
    enum cam_code rc = arena == NULL ? cam_fail(err, CAM_NO_MEMORY, "out of memory")
                                     : job_state_of(sender, &model, arena, err);
    cam_arena_destroy(arena);
    /* Whether it has ended is asked before reading: what is there then is all there will be. */
    if (rc != CAM_OK || sender->fd >= 0) {
        return rc;
    }
    if (!sender->opened) {
        sender->opened = true;
        sender->on_old = true;
        rc = open_file(sender, err);
        if (rc != CAM_OK || sender->fd >= 0) {
            return rc;
        }
        sender->on_old = false;
    }
    return open_file(sender, err);
}

static enum cam_code read_piece(struct file_sender *sender, struct cam_err *err)
{
    sender->size = 0;
    while (sender->fd >= 0 && sender->size < CHUNK_BYTES_MAX) {
        ssize_t got =
            read(sender->fd, sender->bytes + sender->size, CHUNK_BYTES_MAX - sender->size);
        if (got < 0 && errno != EINTR) {
            return cam_fail_errno(err, errno, "%s: cannot read", sender->name);
        }
        if (got == 0) {
            if (!sender->is_log || !(sender->on_old || log_was_rotated(sender))) {
                break;
            }
            sender->on_old = false;
            (void)close(sender->fd);
            sender->fd = -1;
            enum cam_code rc = open_file(sender, err);
            if (rc != CAM_OK) {
                return rc;
            }
            continue;
        }
        sender->size += got > 0 ? (size_t)got : 0;
    }
    sender->at_end = sender->size < CHUNK_BYTES_MAX;
    return CAM_OK;
}

static enum cam_code read_as_owner(struct file_sender *sender, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    if (sender->is_log) {
        rc = open_log(sender, err);
    } else if (sender->fd < 0) {
        rc = open_file(sender, err);
    }
    return rc == CAM_OK ? read_piece(sender, err) : rc;
}

static enum cam_code admit(struct file_sender *sender, struct cam_err *err)
{
    int64_t uid = -1;
    int64_t gid = -1;
    enum cam_code rc = api_admit(sender->api, sender->job_id, sender->peer_uid, err);
    if (rc == CAM_OK) {
        rc = views_owner(sender->api->options.views, sender->job_id, &uid, &gid, err);
    }
    owner_plain(uid, gid, &sender->owner);
    sender->admitted = rc == CAM_OK;
    return rc;
}

static void read_work(void *context)
{
    struct file_sender *sender = context;
    struct cam_err *err = &sender->err;
    sender->rc = sender->admitted ? CAM_OK : admit(sender, err);
    if (sender->rc == CAM_OK) {
        sender->rc = owner_enter(&sender->owner, err);
    }
    if (sender->rc == CAM_OK) {
        sender->rc = read_as_owner(sender, err);
        owner_leave(&sender->owner);
    }
}

/* ---------------------------------------------------------------- sending: on the loop */

static void sender_end(struct file_sender *sender)
{
    for (struct file_sender **at = &sender->api->followers; *at != NULL; at = &(*at)->next) {
        if (*at == sender) {
            *at = sender->next;
            break;
        }
    }
    if (sender->fd >= 0) {
        (void)close(sender->fd);
    }
    stream_drop(sender->stream);
    cam_free(sender->bytes);
    cam_free(sender);
}

static void send_piece(struct file_sender *sender, bool last)
{
    Cam__Chunk chunk = CAM__CHUNK__INIT;
    Cam__Envelope answer = CAM__ENVELOPE__INIT;
    chunk.data = (ProtobufCBinaryData){sender->size, sender->bytes};
    chunk.last = last;
    chunk.total_bytes = sender->total;
    chunk.file_name = sender->first_sent ? chunk.file_name : sender->name;
    answer.request_id = sender->request_id;
    answer.body_case = CAM__ENVELOPE__BODY_CHUNK;
    answer.chunk = &chunk;
    sender->first_sent = true;
    stream_send(sender->stream, &answer);
}

static void read_done(void *context)
{
    struct file_sender *sender = context;
    bool last = sender->at_end && (!sender->follow || sender->ended);
    if (!stream_is_open(sender->stream)) {
        sender_end(sender);
        return;
    }
    if (sender->rc != CAM_OK) {
        stream_send_error(sender->stream, sender->request_id, sender->rc, sender->err.text);
        sender_end(sender);
        return;
    }
    if (sender->size > 0 || last) {
        send_piece(sender, last);
    }
    if (last) {
        sender_end(sender);
    } else if (sender->at_end) {
        sender->waiting = true;
        watches_wake(sender->api);
    } else {
        stream_when_drained(sender->stream, next_chunk, sender);
    }
}

static void next_chunk(void *context)
{
    struct file_sender *sender = context;
    sender->waiting = false;
    if (!stream_is_open(sender->stream)) {
        sender_end(sender);
        return;
    }
    struct cam_err err;
    enum cam_code rc = loop_work(sender->api->options.loop, read_work, read_done, sender, &err);
    if (rc != CAM_OK) {
        stream_send_error(sender->stream, sender->request_id, rc, err.text);
        sender_end(sender);
    }
}

static struct file_sender *sender_begin(struct api *api, struct stream *stream,
                                        const Cam__Envelope *envelope, int64_t job_id)
{
    struct file_sender *sender = cam_alloc(1, sizeof *sender);
    uint8_t *bytes = cam_alloc(1, CHUNK_BYTES_MAX);
    if (sender == NULL || bytes == NULL) {
        cam_free(bytes);
        cam_free(sender);
        stream_send_error(stream, envelope->request_id, CAM_NO_MEMORY,
                          "the daemon is short of memory");
        return NULL;
    }
    *sender = (struct file_sender){.next = api->followers,
                                   .api = api,
                                   .stream = stream,
                                   .request_id = envelope->request_id,
                                   .job_id = job_id,
                                   .peer_uid = ((const struct api_peer *)stream_data(stream))->uid,
                                   .fd = -1,
                                   .bytes = bytes};
    stream_hold(stream);
    api->followers = sender;
    return sender;
}

void api_logs(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    const Cam__LogsRequest *request = envelope->logs_request;
    struct file_sender *sender = sender_begin(api, stream, envelope, request->id);
    if (sender != NULL) {
        sender->is_log = true;
        sender->follow = request->follow;
        sender->attempt = request->attempt;
        sender->find = find_log;
        next_chunk(sender);
    }
}

void api_samples(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    struct file_sender *sender = sender_begin(api, stream, envelope, envelope->samples_request->id);
    if (sender != NULL) {
        sender->epoch = envelope->samples_request->epoch;
        sender->find = find_sample;
        next_chunk(sender);
    }
}

void api_weights(struct api *api, struct stream *stream, const Cam__Envelope *envelope)
{
    struct file_sender *sender = sender_begin(api, stream, envelope, envelope->weights_request->id);
    if (sender != NULL) {
        sender->find = find_weights;
        next_chunk(sender);
    }
}

void followers_changed(struct api *api, int64_t job_id)
{
    struct file_sender *next = NULL;
    for (struct file_sender *sender = api->followers; sender != NULL; sender = next) {
        next = sender->next;
        if (sender->waiting && sender->job_id == job_id) {
            next_chunk(sender);
        }
    }
}

bool followers_poll(struct api *api)
{
    struct file_sender *next = NULL;
    bool any = false;
    for (struct file_sender *sender = api->followers; sender != NULL; sender = next) {
        next = sender->next;
        any = any || sender->waiting;
        if (sender->waiting) {
            next_chunk(sender);
        }
    }
    return any;
}

void followers_closed(struct api *api, const struct stream *stream)
{
    struct file_sender *next = NULL;
    for (struct file_sender *sender = api->followers; sender != NULL; sender = next) {
        next = sender->next;
        if (sender->waiting && sender->stream == stream) {
            sender_end(sender);
        }
    }
}
