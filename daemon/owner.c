#include "daemon/owner.h"

#include "base/mem.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOKUP_BYTES_MAX = 1024 * 1024, LOOKUP_BYTES = 16 * 1024, STATUS_BYTES = 4096 };

/* 32-bit systems have an older call under the plain name. */
#ifdef SYS_setgroups32
#define SET_GROUPS SYS_setgroups32
#else
#define SET_GROUPS SYS_setgroups
#endif

bool owner_is_other(int64_t uid)
{
    return geteuid() == 0 && uid != 0;
}

void owner_plain(int64_t uid, int64_t gid, struct owner *out)
{
    *out = (struct owner){.uid = (uid_t)uid, .gid = (gid_t)gid, .home = "/"};
}

static enum cam_code take_entry(const struct passwd *entry, struct owner *out, struct cam_err *err)
{
    out->gid = entry->pw_gid;
    out->group_count = OWNER_GROUPS_MAX;
    if (strlen(entry->pw_name) >= sizeof out->name || strlen(entry->pw_dir) >= sizeof out->home) {
        return cam_fail(err, CAM_UNSUPPORTED, "user %lld: name or home of over %zu bytes",
                        (long long)out->uid, sizeof out->name);
    }
    (void)snprintf(out->name, sizeof out->name, "%s", entry->pw_name);
    (void)snprintf(out->home, sizeof out->home, "%s", entry->pw_dir);
    if (getgrouplist(entry->pw_name, entry->pw_gid, out->groups, &out->group_count) < 0) {
        return cam_fail(err, CAM_UNSUPPORTED, "user %s is in more than %d groups", out->name,
                        OWNER_GROUPS_MAX);
    }
    return CAM_OK;
}

enum cam_code owner_resolve(int64_t uid, int64_t gid, struct owner *out, struct cam_err *err)
{
    owner_plain(uid, gid, out);
    if (!owner_is_other(uid)) {
        return CAM_OK;
    }
    for (size_t size = LOOKUP_BYTES; size <= LOOKUP_BYTES_MAX; size *= 2) {
        struct passwd entry;
        struct passwd *found = NULL;
        char *bytes = cam_alloc(1, size);
        if (bytes == NULL) {
            return cam_fail(err, CAM_NO_MEMORY, "user %lld: out of memory", (long long)uid);
        }
        int failed = getpwuid_r((uid_t)uid, &entry, bytes, size, &found);
        enum cam_code rc = CAM_OK;
        if (failed == 0 && found != NULL) {
            rc = take_entry(found, out, err);
        } else if (failed != 0 && failed != ERANGE && failed != ENOENT && failed != ESRCH) {
            /* A directory that does not answer: not to be taken for a user without groups. */
            rc = cam_fail_errno(err, failed, "user %lld cannot be looked up", (long long)uid);
        }
        cam_free(bytes);
        if (failed != ERANGE) {
            return rc;
        }
    }
    return cam_fail(err, CAM_UNSUPPORTED, "user %lld: an entry of over 1 MiB", (long long)uid);
}

/* setfsuid(2) and setfsgid(2) tell the id before, and no error: asked twice, they tell it. */
static bool set_file_ids(uid_t uid, gid_t gid)
{
    (void)setfsgid(gid);
    (void)setfsuid(uid);
    return setfsgid((gid_t)-1) == (int)gid && setfsuid((uid_t)-1) == (int)uid;
}

/* This thread's; the C library has no name for the calls. */
static bool use_capabilities(bool wanted)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, sets) != 0) {
        return false;
    }
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        sets[i].effective = wanted ? sets[i].permitted : 0;
    }
    return syscall(SYS_capset, &header, sets) == 0;
}

void owner_leave(const struct owner *owner)
{
    if (!owner_is_other(owner->uid)) {
        return;
    }
    /* A daemon of the system keeps no supplementary groups: root needs none. */
    if (!use_capabilities(true) || !set_file_ids(0, getegid()) ||
        syscall(SET_GROUPS, (size_t)0, NULL) != 0) {
        abort();
    }
}

enum cam_code owner_enter(const struct owner *owner, struct cam_err *err)
{
    if (!owner_is_other(owner->uid)) {
        return CAM_OK;
    }
    if (!use_capabilities(true)) { /* then they could not come back either */
        return cam_fail_errno(err, errno, "cannot give up capabilities for user %lld",
                              (long long)owner->uid);
    }
    if (syscall(SET_GROUPS, (size_t)owner->group_count, owner->groups) != 0) {
        return cam_fail_errno(err, errno, "cannot take the groups of user %lld",
                              (long long)owner->uid);
    }
    if (!set_file_ids(owner->uid, owner->gid) || !use_capabilities(false)) {
        owner_leave(owner);
        return cam_fail(err, CAM_DENIED, "cannot act as user %lld (no CAP_SETUID?)",
                        (long long)owner->uid);
    }
    return CAM_OK;
}

bool owner_become(const struct owner *owner)
{
    if (!owner_is_other(owner->uid)) {
        return true;
    }
    /* The system calls themselves: glibc's stop the other threads, of which a child has none.
     * The groups and the gid first, while this is still allowed. */
    return syscall(SET_GROUPS, (size_t)owner->group_count, owner->groups) == 0 &&
           syscall(SYS_setresgid, owner->gid, owner->gid, owner->gid) == 0 &&
           syscall(SYS_setresuid, owner->uid, owner->uid, owner->uid) == 0;
}

bool owner_has_process(int64_t uid, int64_t pid)
{
    char path[64];
    char text[STATUS_BYTES];
    if (!owner_is_other(uid)) {
        return true;
    }
    (void)snprintf(path, sizeof path, "/proc/%lld/status", (long long)pid);
    FILE *file = fopen(path, "re");
    bool same = false;
    while (file != NULL && fgets(text, sizeof text, file) != NULL) {
        unsigned long ids[4];
        if (sscanf(text, "Uid: %lu %lu %lu %lu", &ids[0], &ids[1], &ids[2], &ids[3]) == 4) {
            same = ids[0] == (unsigned long)uid && ids[1] == (unsigned long)uid &&
                   ids[2] == (unsigned long)uid && ids[3] == (unsigned long)uid;
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return same;
}

bool owner_admits(int64_t owner_uid, int64_t peer_uid)
{
    return peer_uid == 0 || peer_uid == owner_uid || peer_uid == (int64_t)geteuid();
}
