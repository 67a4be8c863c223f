#include "worker/checkpoint/checkpoint.h"

#include "base/mem.h"
#include "proto/attempt.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "step-";

enum cam_code checkpoint_folder(const struct checkpoint_entry *entry, char out[CAM_PATH_SIZE],
                                struct cam_err *err)
{
    return cam_path(out, err, "attempts/%d/checkpoints/%s%012lld", entry->attempt, PREFIX,
                    (long long)entry->step);
}

static enum cam_code write_files(const char *folder, const struct snapshot *snapshot,
                                 const struct run_state *state,
                                 const struct state_identity *identity, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    struct state_digests digests;
    enum cam_code rc = cam_path(path, err, "%s/model.safetensors", folder);
    if (rc == CAM_OK) {
        rc = snapshot_write_model(snapshot, path, digests.model_sha256, err);
    }
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/optimizer.safetensors", folder);
    }
    if (rc == CAM_OK) {
        rc = snapshot_write_optimizer(snapshot, path, digests.optimizer_sha256, err);
    }
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/state.json", folder);
    }
    if (rc == CAM_OK) {
        rc = state_write(path, state, identity, &digests, err);
    }
    if (rc == CAM_OK) {
        rc = snapshot_write_vocabulary(snapshot, folder, err);
    }
    return rc == CAM_OK ? cam_folder_sync(folder, err) : rc;
}

enum cam_code checkpoint_write(const struct checkpoint_target *target,
                               const struct snapshot *snapshot, const struct run_state *state,
                               char folder_out[CAM_PATH_SIZE], struct cam_err *err)
{
    const struct checkpoint_entry entry = {.step = state->step, .attempt = target->attempt};
    char parent[CAM_PATH_SIZE];
    char final[CAM_PATH_SIZE];
    char beside[CAM_PATH_SIZE];
    enum cam_code rc = checkpoint_folder(&entry, folder_out, err);
    if (rc == CAM_OK) {
        rc = attempt_path(target->job_dir, target->attempt, "checkpoints", parent, err);
    }
    if (rc == CAM_OK) {
        rc = cam_path(final, err, "%s/%s", target->job_dir, folder_out);
    }
    if (rc == CAM_OK) {
        rc = cam_path(beside, err, "%s.tmp", final);
    }
    if (rc == CAM_OK) {
        rc = cam_folder_remove(beside, err);
    }
    if (rc == CAM_OK) {
        rc = cam_folder_create(beside, 0700, err);
    }
    if (rc == CAM_OK) {
        rc = write_files(beside, snapshot, state, target->identity, err);
    }
    if (rc == CAM_OK && rename(beside, final) != 0) {
        rc = cam_fail_errno(err, errno, "cannot rename %s to %s", beside, final);
    }
    if (rc == CAM_OK) {
        return cam_folder_sync(parent, err);
    }
    struct cam_err ignored; /* the first error is the one to tell */
    (void)!cam_folder_remove(beside, &ignored);
    return rc;
}

enum cam_code checkpoint_read(const char *job_dir, const char *folder,
                              const struct state_identity *identity, struct snapshot *snapshot,
                              struct run_state *state_out, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    struct state_digests digests;
    struct run_state state;
    enum cam_code rc = cam_path(path, err, "%s/%s/state.json", job_dir, folder);
    if (rc == CAM_OK) {
        rc = state_read(path, identity, &state, &digests, err);
    }
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/%s/model.safetensors", job_dir, folder);
    }
    if (rc == CAM_OK) {
        rc = snapshot_read_model(snapshot, path, digests.model_sha256, err);
    }
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/%s/optimizer.safetensors", job_dir, folder);
    }
    if (rc == CAM_OK) {
        rc = snapshot_read_optimizer(snapshot, path, digests.optimizer_sha256, err);
    }
    if (rc == CAM_OK) {
        *state_out = state;
    }
    return rc;
}

/* By the time they were written: an attempt that found a later step damaged went on from an earlier
 * one, and what it writes must outlive what it could not use. */
static int newest_first(const void *left, const void *right)
{
    const struct checkpoint_entry *a = left;
    const struct checkpoint_entry *b = right;
    if (a->attempt != b->attempt) {
        return a->attempt < b->attempt ? 1 : -1;
    }
    return (a->step < b->step) - (a->step > b->step);
}

/* The step of "step-000000000042", or -1 for any other name. */
static int64_t step_of(const char *name)
{
    size_t prefix = sizeof PREFIX - 1;
    if (strncmp(name, PREFIX, prefix) != 0 || strlen(name) < prefix + 12) {
        return -1;
    }
    char *end = NULL;
    errno = 0;
    long long step = strtoll(name + prefix, &end, 10);
    return errno == 0 && *end == '\0' ? (int64_t)step : -1;
}

struct listing {
    struct checkpoint_entry *entry;
    size_t count;
    size_t capacity;
};

static enum cam_code add_entry(struct listing *listing, struct checkpoint_entry entry,
                               struct cam_err *err)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? 16 : 2 * listing->capacity;
        struct checkpoint_entry *grown =
            cam_grow(listing->entry, listing->capacity, capacity, sizeof *grown);
        if (grown == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "the list of checkpoints: out of memory");
        }
        listing->entry = grown;
        listing->capacity = capacity;
    }
    listing->entry[listing->count++] = entry;
    return CAM_OK;
}

static enum cam_code list_attempt(const char *job_dir, int attempt, struct listing *listing,
                                  struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(job_dir, attempt, "checkpoints", path, err);
    if (rc != CAM_OK) {
        return rc;
    }
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return errno == ENOENT ? CAM_OK : cam_fail_errno(err, errno, "cannot read %s", path);
    }
    for (struct dirent *at = readdir(folder); at != NULL && rc == CAM_OK; at = readdir(folder)) {
        int64_t step = step_of(at->d_name);
        if (step >= 0) {
            rc = add_entry(listing, (struct checkpoint_entry){step, attempt}, err);
        }
    }
    (void)closedir(folder);
    return rc;
}

enum cam_code checkpoint_list(const char *job_dir, int attempt, struct checkpoint_entry **out,
                              size_t *count_out, struct cam_err *err)
{
    struct listing listing = {0};
    for (int i = 1; i <= attempt; i++) {
        enum cam_code rc = list_attempt(job_dir, i, &listing, err);
        if (rc != CAM_OK) {
            cam_free(listing.entry);
            return rc;
        }
    }
    if (listing.count > 1) {
        qsort(listing.entry, listing.count, sizeof *listing.entry, newest_first);
    }
    *out = listing.entry;
    *count_out = listing.count;
    return CAM_OK;
}

/* A folder that a killed writer left: "step-...tmp" of an attempt that has ended. */
static enum cam_code remove_leftovers(const char *job_dir, int attempt, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(job_dir, attempt, "checkpoints", path, err);
    DIR *folder = rc == CAM_OK ? opendir(path) : NULL;
    if (folder == NULL) {
        return rc;
    }
    for (struct dirent *at = readdir(folder); at != NULL && rc == CAM_OK; at = readdir(folder)) {
        size_t size = strlen(at->d_name);
        if (strncmp(at->d_name, PREFIX, sizeof PREFIX - 1) == 0 && size > 4 &&
            strcmp(at->d_name + size - 4, ".tmp") == 0) {
            char leftover[CAM_PATH_SIZE];
            rc = cam_path(leftover, err, "%s/%s", path, at->d_name);
            if (rc == CAM_OK) {
                rc = cam_folder_remove(leftover, err);
            }
        }
    }
    (void)closedir(folder);
    return rc;
}

bool anchors_has(const struct anchors *anchors, int64_t step)
{
    return anchors->every > 0 && anchors_before(anchors, step) == step;
}

int64_t anchors_before(const struct anchors *anchors, int64_t step)
{
    return step - step % anchors->steps_per_epoch % anchors->every;
}

static enum cam_code remove_entry(const char *job_dir, const struct checkpoint_entry *entry,
                                  struct cam_err *err)
{
    char folder[CAM_PATH_SIZE];
    char path[CAM_PATH_SIZE];
    enum cam_code rc = checkpoint_folder(entry, folder, err);
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/%s", job_dir, folder);
    }
    return rc == CAM_OK ? cam_folder_remove(path, err) : rc;
}

/* Whether one of the first `keep` entries goes back to this one, the newest of its step. */
static bool is_needed(const struct checkpoint_entry *entries, size_t at, size_t keep,
                      const struct anchors *anchors)
{
    bool needed = false;
    for (size_t i = 0; i < keep && anchors->every > 0; i++) {
        needed |= anchors_before(anchors, entries[i].step) == entries[at].step;
    }
    for (size_t i = 0; i < at; i++) {
        needed &= entries[i].step != entries[at].step;
    }
    return needed;
}

enum cam_code checkpoint_retire(const char *job_dir, int attempt, int64_t keep,
                                const struct anchors *anchors, struct cam_err *err)
{
    struct checkpoint_entry *entries = NULL;
    size_t count = 0;
    enum cam_code rc = checkpoint_list(job_dir, attempt, &entries, &count, err);
    for (size_t i = (size_t)keep; rc == CAM_OK && i < count; i++) {
        if (!is_needed(entries, i, (size_t)keep, anchors)) {
            rc = remove_entry(job_dir, &entries[i], err);
        }
    }
    cam_free(entries);
    for (int i = 1; rc == CAM_OK && i < attempt; i++) {
        rc = remove_leftovers(job_dir, i, err);
    }
    return rc;
}

enum cam_code checkpoint_forget(const char *job_dir, int attempt, int64_t step, struct cam_err *err)
{
    struct checkpoint_entry *entries = NULL;
    size_t count = 0;
    enum cam_code rc = checkpoint_list(job_dir, attempt, &entries, &count, err);
    for (size_t i = 0; rc == CAM_OK && i < count; i++) {
        if (entries[i].step > step) {
            rc = remove_entry(job_dir, &entries[i], err);
        }
    }
    cam_free(entries);
    return rc;
}
