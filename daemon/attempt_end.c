#include "daemon/attempt_folder.h"

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/checkpoints.h"
#include "daemon/epoch_log.h"
#include "daemon/owner.h"
#include "proto/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    RECORD_BYTES_MAX = 1024 * 1024,
    ENVIRON_BYTES_MAX = 1024 * 1024,
    SHIM_APPEARS_MS = 5000, /* between its lock and its record */
    LOOK_AGAIN_MS = 10,
    PROOF_AT_ONCE_MS = 500,
};

static bool has_file(const char *job_dir, int attempt, const char *file)
{
    char path[CAM_PATH_SIZE];
    struct cam_err ignored;
    return attempt_path(job_dir, attempt, file, path, &ignored) == CAM_OK &&
           access(path, F_OK) == 0;
}

/* ---------------------------------------------------------------- after a restart of the daemon */

/* The lock is ours: what the attempt left says how it is. */
static enum cam_code find_unlocked(const char *job_dir, int attempt,
                                   enum attempt_finding *finding_out, bool *rebooted_out,
                                   struct cam_err *err)
{
    char boot_id[PROCESS_BOOT_ID_SIZE] = "";
    char path[CAM_PATH_SIZE];
    struct attempt_shim shim = {0};
    if (has_file(job_dir, attempt, "exit.json")) {
        *finding_out = ATTEMPT_ENDED;
        return CAM_OK;
    }
    enum cam_code rc = attempt_read_shim(job_dir, attempt, &shim, err);
    if (rc == CAM_NOT_FOUND) {
        *finding_out = ATTEMPT_NEVER_STARTED;
        rc = attempt_path(job_dir, attempt, "void", path, err);
        return rc == CAM_OK ? cam_file_replace(path, "", 0, 0600, err) : rc;
    }
    *finding_out = ATTEMPT_SHIM_DIED;
    struct cam_err ignored;
    *rebooted_out = rc == CAM_OK && process_boot_id(boot_id, &ignored) == CAM_OK &&
                    strcmp(boot_id, shim.boot_id) != 0;
    return CAM_OK; /* an unreadable shim.json was begun by a shim that is dead */
}

/* Somebody has the lock: the shim's pidfd, or -1 while its record is not there yet.  gone_out:
 * the record is there and its process is not, or is not the owner's. */
static int find_locked(const char *job_dir, int attempt, int64_t owner_uid, bool *gone_out)
{
    struct attempt_shim shim = {0};
    struct cam_err ignored;
    int64_t ticks = 0;
    *gone_out = false;
    if (attempt_read_shim(job_dir, attempt, &shim, &ignored) != CAM_OK || shim.pid <= 0 ||
        shim.pid > INT32_MAX) {
        return -1;
    }
    int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)shim.pid, 0);
    if (pidfd < 0) {
        *gone_out = errno == ESRCH;
        return -1;
    }
    /* Compared after opening: the descriptor cannot move on to another process. */
    enum cam_code rc = process_start_ticks((pid_t)shim.pid, &ticks, &ignored);
    if (rc != CAM_OK || ticks != shim.start_ticks || !owner_has_process(owner_uid, shim.pid)) {
        *gone_out = rc == CAM_OK || rc == CAM_NOT_FOUND;
        (void)close(pidfd);
        pidfd = -1;
    }
    return pidfd;
}

enum cam_code attempt_folder_find(const char *job_dir, int attempt, int64_t owner_uid,
                                  struct attempt_found *out, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    *out = (struct attempt_found){.pidfd = -1};
    enum cam_code rc = attempt_path(job_dir, attempt, NULL, path, err);
    if (rc == CAM_OK) {
        rc = cam_folder_create(path, 0700, err);
    }
    if (rc == CAM_OK) {
        rc = attempt_path(job_dir, attempt, "lock", path, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "%s: cannot open", path);
    }
    int64_t give_up_ns = cam_monotonic_ns() + (int64_t)SHIM_APPEARS_MS * 1000000;
    for (bool gone_before = false, gone = false;; gone_before = gone) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            rc = find_unlocked(job_dir, attempt, &out->finding, &out->rebooted, err);
            break;
        }
        out->pidfd = find_locked(job_dir, attempt, owner_uid, &gone);
        if (out->pidfd >= 0) {
            out->finding = ATTEMPT_LIVES;
            break;
        }
        /* The lock was asked for between two looks, so it is not the shim's end that was met: a
         * child that was to become mpirun has the lock too, and its shim was killed. */
        if (gone && gone_before) {
            out->finding = ATTEMPT_SHIM_DIED;
            break;
        }
        if (cam_monotonic_ns() > give_up_ns) {
            rc = cam_fail(err, CAM_IO, "%s: held, but nobody says by whom", path);
            break;
        }
        cam_sleep_ms(LOOK_AGAIN_MS);
    }
    (void)close(fd); /* and the lock with it: `void` is written, so no shim starts any more */
    return rc;
}

bool attempt_folder_never_began(const char *job_dir, int attempt)
{
    enum attempt_finding finding = ATTEMPT_SHIM_DIED;
    bool rebooted = false;
    char path[CAM_PATH_SIZE];
    struct cam_err ignored;
    int fd = -1;
    if (has_file(job_dir, attempt, "shim.json") || has_file(job_dir, attempt, "exit.json") ||
        attempt_path(job_dir, attempt, "lock", path, &ignored) != CAM_OK) {
        return false;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0) {
        return false;
    }
    enum cam_code rc = flock(fd, LOCK_EX | LOCK_NB) != 0
                           ? CAM_IO
                           : find_unlocked(job_dir, attempt, &finding, &rebooted, &ignored);
    (void)close(fd);
    return rc == CAM_OK && finding == ATTEMPT_NEVER_STARTED;
}

enum cam_code attempt_folder_point(const char *job_dir, int attempt, const char *endpoint,
                                   struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    char *known = NULL;
    size_t size = 0;
    struct cam_err ignored;
    enum cam_code rc = attempt_path(job_dir, attempt, "endpoint", path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    bool same = cam_file_read_plain(path, RECORD_BYTES_MAX, &known, &size, &ignored) == CAM_OK &&
                strcmp(known, endpoint) == 0;
    cam_free(known);
    return same ? CAM_OK : cam_file_replace(path, endpoint, strlen(endpoint), 0600, err);
}

/* ---------------------------------------------------------------- proof of death */

/* Whether a process was started with the attempt's mark in its environment. */
static bool carries_mark(const char *pid_text, const char *mark)
{
    char path[64];
    char *text = NULL;
    size_t size = 0;
    struct cam_err ignored;
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%.20s/environ", pid_text);
    if (cam_file_read(path, ENVIRON_BYTES_MAX, &text, &size, &ignored) != CAM_OK) {
        return false;
    }
    for (size_t at = 0; at < size && !found; at += strlen(text + at) + 1) {
        found = strcmp(text + at, mark) == 0;
    }
    cam_free(text);
    return found;
}

/* Kills whatever of the owner's carries the mark; returns how many were found.  A mark alone does
 * not do: who starts a set-user-id program gives it its environment. */
static int kill_strays(const char *scratch, int64_t owner_uid)
{
    char mark[CAM_PATH_SIZE];
    int found = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return 1; /* nothing is proved */
    }
    (void)snprintf(mark, sizeof mark, ATTEMPT_MARK "=%.4000s", scratch);
    for (const struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
            !carries_mark(entry->d_name, mark)) {
            continue;
        }
        int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)strtol(entry->d_name, NULL, 10), 0);
        /* Asked again: now the descriptor and the answer are of one process. */
        if (pidfd >= 0 && carries_mark(entry->d_name, mark) &&
            owner_has_process(owner_uid, strtol(entry->d_name, NULL, 10))) {
            (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
            found++;
        }
        if (pidfd >= 0) {
            (void)close(pidfd);
        }
    }
    (void)closedir(proc);
    return found;
}

static bool ranks_are_gone(const char *job_dir, int attempt)
{
    char path[CAM_PATH_SIZE];
    struct cam_err ignored;
    if (attempt_path(job_dir, attempt, "alive", path, &ignored) != CAM_OK) {
        return false;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return errno == ENOENT; /* no rank came as far as its first statement */
    }
    bool gone = flock(fd, LOCK_EX | LOCK_NB) == 0;
    (void)close(fd);
    return gone;
}

/* The part of the proof that lies in the owner's folders. */
static bool left_behind(const char *job_dir, int attempt, const struct owner *owner, bool *exit_out)
{
    struct cam_err ignored;
    if (owner_enter(owner, &ignored) != CAM_OK) {
        *exit_out = false;
        return false;
    }
    *exit_out = has_file(job_dir, attempt, "exit.json");
    bool gone = ranks_are_gone(job_dir, attempt);
    owner_leave(owner);
    return gone;
}

static bool remove_scratch(const char *scratch, const struct owner *owner)
{
    struct cam_err ignored;
    if (owner_enter(owner, &ignored) != CAM_OK) {
        return false;
    }
    bool removed = cam_folder_remove(scratch, &ignored) == CAM_OK;
    owner_leave(owner);
    return removed;
}

bool attempt_folder_prove(const char *job_dir, int attempt, const char *scratch,
                          const struct owner *owner)
{
    int64_t give_up_ns = cam_monotonic_ns() + (int64_t)PROOF_AT_ONCE_MS * 1000000;
    bool has_exit = false;
    (void)left_behind(job_dir, attempt, owner, &has_exit);
    if (has_exit) {
        return true;
    }
    for (;;) {
        /* Strays first: what was killed now may hold the ranks' lock a moment longer. */
        if (kill_strays(scratch, owner->uid) == 0 &&
            left_behind(job_dir, attempt, owner, &has_exit)) {
            return remove_scratch(scratch, owner);
        }
        if (cam_monotonic_ns() > give_up_ns) {
            return false;
        }
        cam_sleep_ms(LOOK_AGAIN_MS);
    }
}

/* ---------------------------------------------------------------- what it left */

static json_t *read_json(const char *job_dir, int attempt, const char *file)
{
    char path[CAM_PATH_SIZE];
    char *text = NULL;
    size_t size = 0;
    struct cam_err ignored;
    if (attempt_path(job_dir, attempt, file, path, &ignored) != CAM_OK ||
        cam_file_read_plain(path, RECORD_BYTES_MAX, &text, &size, &ignored) != CAM_OK) {
        return NULL;
    }
    json_t *record = json_loadb(text, size, 0, NULL);
    cam_free(text);
    return record;
}

static void read_outcome(const char *job_dir, struct post_mortem *mortem)
{
    json_t *record = read_json(job_dir, mortem->attempt, "outcome.json");
    const char *outcome = json_string_value(json_object_get(record, "outcome"));
    const char *digest = json_string_value(json_object_get(record, "weights_sha256"));
    const char *model = json_string_value(json_object_get(record, "model"));
    (void)snprintf(mortem->outcome, sizeof mortem->outcome, "%s", outcome == NULL ? "" : outcome);
    (void)snprintf(mortem->weights_sha256, sizeof mortem->weights_sha256, "%s",
                   digest == NULL ? "" : digest);
    (void)snprintf(mortem->model_path, sizeof mortem->model_path, "%s", model == NULL ? "" : model);
    mortem->step = json_integer_value(json_object_get(record, "step"));
    json_decref(record);
}

/* Ranks that only lost a peer tell of another's end: theirs is the account of last resort. */
static bool is_better(enum cam_code code, int64_t written_ns, const struct post_mortem *mortem,
                      int64_t best_written_ns)
{
    if (mortem->failure_code == CAM_OK || code == CAM_PEER_LOST) {
        return mortem->failure_code == CAM_OK;
    }
    return mortem->failure_code == CAM_PEER_LOST || written_ns < best_written_ns;
}

static void read_failure(const char *job_dir, const char *file, int64_t *best_written_ns,
                         struct post_mortem *mortem)
{
    char path[CAM_PATH_SIZE];
    struct cam_err ignored;
    struct stat status;
    json_t *record = read_json(job_dir, mortem->attempt, file);
    const char *name = json_string_value(json_object_get(record, "code"));
    const char *text = json_string_value(json_object_get(record, "text"));
    if (name != NULL && attempt_path(job_dir, mortem->attempt, file, path, &ignored) == CAM_OK &&
        stat(path, &status) == 0) {
        int64_t written_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
        enum cam_code code = cam_code_from_name(name);
        if (is_better(code, written_ns, mortem, *best_written_ns)) {
            *best_written_ns = written_ns;
            mortem->failure_code = code;
            (void)snprintf(mortem->failure_text, sizeof mortem->failure_text, "%s",
                           text == NULL ? name : text);
            cam_utf8_mend(mortem->failure_text);
            mortem->failure_rank = (int)json_integer_value(json_object_get(record, "rank"));
            mortem->failure_step = json_integer_value(json_object_get(record, "step"));
        }
    }
    json_decref(record);
}

static void read_failures(const char *job_dir, struct post_mortem *mortem)
{
    static const char PREFIX[] = "failure-";
    char folder[CAM_PATH_SIZE];
    struct cam_err ignored;
    int64_t best_written_ns = 0;
    if (attempt_path(job_dir, mortem->attempt, NULL, folder, &ignored) != CAM_OK) {
        return;
    }
    DIR *list = opendir(folder);
    if (list == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        size_t size = strlen(entry->d_name);
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) == 0 && size > 5 &&
            strcmp(entry->d_name + size - 5, ".json") == 0) {
            read_failure(job_dir, entry->d_name, &best_written_ns, mortem);
        }
    }
    (void)closedir(list);
}

/* Also a first attempt that never reported has fixed it. */
static void read_profile(const char *job_dir, struct post_mortem *mortem)
{
    char path[CAM_PATH_SIZE];
    char *text = NULL;
    size_t size = 0;
    struct cam_err ignored;
    if (cam_path(path, &ignored, "%s/profile.json", job_dir) == CAM_OK &&
        cam_file_read_plain(path, sizeof mortem->profile - 1, &text, &size, &ignored) == CAM_OK) {
        (void)snprintf(mortem->profile, sizeof mortem->profile, "%s", text);
    }
    cam_free(text);
}

void attempt_folder_read(const char *job_dir, struct post_mortem *mortem)
{
    char newest[CAM_PATH_SIZE];
    struct cam_err err = {0};
    mortem->failure_rank = -1;
    mortem->failure_step = -1;
    mortem->arena = cam_arena_create();
    if (mortem->arena == NULL ||
        epoch_log_read(job_dir, mortem->arena, &mortem->rows, &mortem->row_count, &err) != CAM_OK) {
        (void)snprintf(mortem->warning, sizeof mortem->warning, "%s", err.text);
    }
    mortem->has_exit = attempt_read_exit(job_dir, mortem->attempt, &mortem->exit, &err) == CAM_OK;
    if (!mortem->has_exit) {
        mortem->exit = (struct attempt_exit){.exit_code = -1};
    }
    read_outcome(job_dir, mortem);
    read_failures(job_dir, mortem);
    read_profile(job_dir, mortem);
    checkpoints_newest(job_dir, mortem->attempt, newest, &mortem->checkpoint_step);
}
