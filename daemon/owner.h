/*
 * Acting with a job owner's rights.  A daemon that is root serves everybody, and everything below
 * JOBS/ID belongs to the job's owner, who may put links, pipes or anything else there, and who may
 * name any path as data.  So the daemon touches files of a job, or that a job names, only between
 * owner_enter and owner_leave: the kernel then decides as it would for the owner, and a link to a
 * file that only root reads leads nowhere.  What lies in such a folder is opened with O_NONBLOCK
 * where it is read (cam_file_read_plain), since a pipe under its name would hold the thread.
 *
 * Outside of that stay: the folder JOBS itself and JOBS/ID as a name in it (both root's to change),
 * /proc and signals.
 *
 * Why it is safe with threads: owner_enter changes this thread's file-system uid and gid
 * (setfsuid(2), which glibc leaves per thread) and its supplementary groups (the system call
 * itself: glibc's setgroups would change all threads).  Real, effective and saved ids stay root's,
 * so that the owner can neither signal nor trace the daemon, and owner_leave always succeeds; if
 * the kernel says otherwise the process ends, because a pool thread with a stranger's rights
 * must not go on to the next request.  All effective capabilities go as well: those over files go
 * with the file-system uid, but CAP_SYS_PTRACE would open /proc/PID/cwd of anybody's process, and
 * CAP_SYS_RESOURCE would write past the owner's quota.  No path of the owner's is opened without
 * O_NOCTTY: a daemon that leads its session would take their terminal, and ^C from there.
 *
 * A daemon that is not root has one user: both functions do nothing then, and for root's own jobs.
 */
#ifndef OWNER_H
#define OWNER_H

#include "base/arena.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { OWNER_GROUPS_MAX = 256, OWNER_TEXT_SIZE = 512 };

/* A plain value.  {.uid = geteuid()} is this daemon itself. */
struct owner {
    uid_t uid;
    gid_t gid;
    int group_count;
    gid_t groups[OWNER_GROUPS_MAX];
    char name[OWNER_TEXT_SIZE]; /* "" where the system knows no name */
    char home[OWNER_TEXT_SIZE]; /* "/" where it knows none */
};

/* Whether acting for this user means other rights than this process's own. */
bool owner_is_other(int64_t uid);

/* Looks up group, groups, name and home; asks the system's user database, so it may block.  gid
 * is used only for a user that it does not know: one may connect with a borrowed group. */
CAM_CHECKED enum cam_code owner_resolve(int64_t uid, int64_t gid, struct owner *out,
                                        struct cam_err *err);

/* Only uid and gid: enough for files of the owner's own.  Never blocks. */
void owner_plain(int64_t uid, int64_t gid, struct owner *out);

/* This thread gets the owner's rights to files.  Not nested.  After a failure nothing changed;
 * CAM_DENIED where this process may not (a container's root without CAP_SETUID). */
CAM_CHECKED enum cam_code owner_enter(const struct owner *owner, struct cam_err *err);
/* Root's rights again. */
void owner_leave(const struct owner *owner);

/* Becomes the owner for good, all ids; in a child between fork and exec (async-signal-safe).
 * false: errno. */
bool owner_become(const struct owner *owner);

/* Whether all ids of a process are this user's; true for every process where the daemon has one
 * user.  A file says which process is a shim: it must not name somebody else's. */
bool owner_has_process(int64_t uid, int64_t pid);

/* Whether a peer may see into and change a job: its owner, this daemon's user, and root. */
bool owner_admits(int64_t owner_uid, int64_t peer_uid);

#endif
