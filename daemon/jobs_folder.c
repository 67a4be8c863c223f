#include "daemon/jobs_folder.h"

#include "base/arena.h"
#include "base/clock.h"
#include "daemon/folder_lock.h"
#include "daemon/owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---------------------------------------------------------------- the folder of all jobs */

static enum cam_code take_lock(const char *path, int64_t wait_ms, int *fd_out, struct cam_err *err)
{
    int64_t holder = 0;
    enum cam_code rc = folder_lock(path, wait_ms, fd_out, &holder, err);
    if (rc == CAM_CONFLICT) {
        return cam_fail(err, CAM_CONFLICT,
                        "jobs folder %s is in use by another cambriand (pid %lld there): name "
                        "another folder with --jobs-dir",
                        path, (long long)holder);
    }
    /* Only who is asked for it reads the pid: a full disk is no reason not to serve. */
    struct cam_err unsigned_lock;
    enum cam_code ignored = rc == CAM_OK ? folder_lock_sign(*fd_out, path, &unsigned_lock) : rc;
    (void)ignored;
    return rc;
}

/* The largest number of a job's folder in it; 0: none. */
static int64_t largest_job(const char *path)
{
    int64_t largest = 0;
    DIR *list = opendir(path);
    if (list == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        char *end = NULL;
        int64_t id = strtoll(entry->d_name, &end, 10);
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && *end == '\0' && id > largest) {
            largest = id;
        }
    }
    (void)closedir(list);
    return largest;
}

static enum cam_code check_owner(const char *path, const struct jobs_owner *owner,
                                 struct cam_err *err)
{
    char found[ATTEMPT_QUEUE_SIZE];
    enum cam_code rc = attempt_read_queue(path, found, err);
    if (rc == CAM_OK && strcmp(found, owner->queue) == 0) {
        return CAM_OK;
    }
    if (rc != CAM_OK && rc != CAM_NOT_FOUND) {
        return rc;
    }
    /* Not marked yet: new, or of a release that did not mark; then its jobs are in the database. */
    if (rc == CAM_NOT_FOUND && largest_job(path) <= owner->last_id) {
        return attempt_write_queue(path, owner->queue, err);
    }
    return cam_fail(err, CAM_CONFLICT,
                    "jobs folder %s belongs to another queue than this state folder's database: "
                    "move it away, restore the database that it is of, or name another folder with "
                    "--jobs-dir",
                    path);
}

enum cam_code jobs_folder_take(char path[CAM_PATH_SIZE], const struct jobs_owner *owner,
                               int64_t wait_ms, int *fd_out, struct cam_err *err)
{
    char absolute[CAM_PATH_SIZE];
    enum cam_code rc = cam_folder_create(path, 0700, err);
    if (rc == CAM_OK && realpath(path, absolute) == NULL) {
        rc = cam_fail_errno(err, errno, "%s", path);
    }
    if (rc == CAM_OK && owner->everybody && chmod(absolute, 0711) != 0) {
        rc = cam_fail_errno(err, errno, "%s: cannot let its jobs' owners through", absolute);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    memcpy(path, absolute, sizeof absolute);
    rc = take_lock(path, wait_ms, fd_out, err);
    return rc == CAM_OK ? check_owner(path, owner, err) : rc;
}

/* ---------------------------------------------------------------- one job's folder */

static bool is_held(const char *attempt_dir, const char *file)
{
    char path[CAM_PATH_SIZE];
    struct cam_err ignored;
    if (cam_path(path, &ignored, "%s/%s", attempt_dir, file) != CAM_OK) {
        return false;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return held;
}

/* A shim or a rank lives in it: it writes by path, into whatever is there under its name. */
static enum cam_code check_dead(const char *attempt_dir, struct cam_err *err)
{
    if (!is_held(attempt_dir, "lock") && !is_held(attempt_dir, "alive")) {
        return CAM_OK;
    }
    return cam_fail(err, CAM_CONFLICT,
                    "%s: processes that this queue does not know of still work there: end them, or "
                    "wait for their end, and resume",
                    attempt_dir);
}

/* All attempts, or those from a number on. */
static enum cam_code check_all_dead(const char *job_dir, int from, struct cam_err *err)
{
    char attempts[CAM_PATH_SIZE];
    char attempt_dir[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(attempts, err, "%s/attempts", job_dir);
    DIR *list = rc == CAM_OK ? opendir(attempts) : NULL;
    if (list == NULL) {
        return rc;
    }
    for (const struct dirent *entry = readdir(list); rc == CAM_OK && entry != NULL;
         entry = readdir(list)) {
        if (entry->d_name[0] == '.' || strtol(entry->d_name, NULL, 10) < from) {
            continue;
        }
        rc = cam_path(attempt_dir, err, "%s/%s", attempts, entry->d_name);
        if (rc == CAM_OK) {
            rc = check_dead(attempt_dir, err);
        }
    }
    (void)closedir(list);
    return rc;
}

static enum cam_code move_aside(const char *path, const char *whose, char said[JOBS_SAID_SIZE],
                                struct cam_err *err)
{
    char aside[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(aside, err, "%s.stale-%lld", path, (long long)cam_wall_ms());
    if (rc != CAM_OK) {
        return rc;
    }
    if (rename(path, aside) != 0) {
        return cam_fail_errno(err, errno, "%s: %s, and cannot be moved aside", path, whose);
    }
    (void)snprintf(said, JOBS_SAID_SIZE, "%.450s was there already, %s: moved aside to %.450s",
                   path, whose, strrchr(aside, '/') + 1);
    return CAM_OK;
}

static enum cam_code whose(const char *job_dir, const struct jobs_claim *claim, bool *ours_out,
                           struct cam_err *err)
{
    char attempts[CAM_PATH_SIZE];
    struct attempt_job job = {0};
    struct cam_arena *arena = cam_arena_create();
    enum cam_code rc = arena == NULL ? cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", job_dir)
                                     : attempt_read_job(job_dir, arena, &job, err);
    if (rc == CAM_OK && job.queue[0] == '\0') { /* of a release that wrote none */
        *ours_out = !claim->first_start && job.id == claim->job_id;
    } else if (rc == CAM_OK) {
        *ours_out = job.id == claim->job_id && job.submitted_at_ms == claim->submitted_at_ms &&
                    strcmp(job.queue, claim->queue) == 0;
    } else if (rc == CAM_NOT_FOUND || rc == CAM_CORRUPT) {
        /* job.json comes before the first attempt's folder. */
        rc = cam_path(attempts, err, "%s/attempts", job_dir);
        *ours_out = !claim->first_start || (rc == CAM_OK && access(attempts, F_OK) != 0);
    }
    cam_arena_destroy(arena);
    return rc;
}

/* Looks into the folder with the rights of whomever it belongs to. */
static enum cam_code look(const char *job_dir, const struct stat *found,
                          const struct jobs_claim *claim, bool *ours_out, struct cam_err *err)
{
    struct owner holder;
    owner_plain(found->st_uid, found->st_gid, &holder);
    enum cam_code rc = owner_enter(&holder, err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = whose(job_dir, claim, ours_out, err);
    if (owner_is_other(claim->owner_uid) || owner_is_other(found->st_uid)) {
        *ours_out = *ours_out && found->st_uid == (uid_t)claim->owner_uid;
    }
    if (rc == CAM_OK && !*ours_out) {
        rc = check_all_dead(job_dir, 0, err);
    }
    owner_leave(&holder);
    return rc;
}

enum cam_code jobs_folder_claim(const char *job_dir, const struct jobs_claim *claim,
                                char said[JOBS_SAID_SIZE], struct cam_err *err)
{
    struct stat found;
    bool ours = true;
    if (lstat(job_dir, &found) != 0) {
        return errno == ENOENT ? CAM_OK
                               : cam_fail_errno(err, errno, "%s: cannot look at it", job_dir);
    }
    /* Root's and empty: a daemon was killed between making it and giving it away. */
    if (owner_is_other(claim->owner_uid) && found.st_uid == geteuid() && rmdir(job_dir) == 0) {
        return CAM_OK;
    }
    enum cam_code rc = look(job_dir, &found, claim, &ours, err);
    return rc != CAM_OK || ours ? rc : move_aside(job_dir, "of another job", said, err);
}

enum cam_code jobs_folder_create(const char *job_dir, int64_t owner_uid, int64_t owner_gid,
                                 struct cam_err *err)
{
    struct stat found;
    bool other = owner_is_other(owner_uid);
    if (mkdir(job_dir, 0700) == 0) {
        /* The name is in a folder of root's: nobody else can have put a link there. */
        return other && lchown(job_dir, (uid_t)owner_uid, (gid_t)owner_gid) != 0
                   ? cam_fail_errno(err, errno, "%s: cannot give it to its owner", job_dir)
                   : CAM_OK;
    }
    if (errno != EEXIST || lstat(job_dir, &found) != 0) {
        return cam_fail_errno(err, errno, "%s: cannot create", job_dir);
    }
    return S_ISDIR(found.st_mode) && (!other || found.st_uid == (uid_t)owner_uid)
               ? CAM_OK
               : cam_fail(err, CAM_DENIED, "%s: is there already, and is not its owner's", job_dir);
}

enum cam_code jobs_folder_new_attempt(const char *job_dir, int attempt, char said[JOBS_SAID_SIZE],
                                      struct cam_err *err)
{
    char folder[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(folder, err, "%s/attempts", job_dir);
    if (rc == CAM_OK) {
        rc = cam_folder_create(folder, 0700, err);
    }
    if (rc == CAM_OK) { /* earlier ones are proved dead; later ones a restored backup forgot */
        rc = check_all_dead(job_dir, attempt, err);
    }
    if (rc == CAM_OK) {
        rc = attempt_path(job_dir, attempt, NULL, folder, err);
    }
    if (rc != CAM_OK || mkdir(folder, 0700) == 0) {
        return rc;
    }
    if (errno != EEXIST) {
        return cam_fail_errno(err, errno, "%s: cannot create", folder);
    }
    rc = move_aside(folder, "of an attempt that this queue does not know", said, err);
    if (rc == CAM_OK && mkdir(folder, 0700) != 0) {
        rc = cam_fail_errno(err, errno, "%s: cannot create", folder);
    }
    return rc;
}
