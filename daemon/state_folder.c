#include "daemon/state_folder.h"

#include "base/file.h"
#include "daemon/folder_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum cam_code state_folder_check_type(const char *path, int64_t f_type, struct cam_err *err)
{
    static const struct {
        int64_t type; /* of statfs(2) */
        const char *name;
    } REFUSED[] = {
        {0x6969, "NFS"},        {0xff534d42, "CIFS"}, {0xfe534d42, "SMB"},  {0x517b, "SMB"},
        {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"}, {0x00c36400, "Ceph"}, {0x5346414f, "AFS"},
        {0x013111a8, "IBRIX"},  {0x61756673, "AUFS"}, {0x564c, "NCP"},      {0x01021997, "9P"},
        {0x19830326, "BeeGFS"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        if (REFUSED[i].type == (f_type & 0xffffffff)) {
            return cam_fail(err, CAM_INVALID,
                            "state folder %s lies on %s: the database needs a local disk; choose "
                            "another --state-dir (--jobs-dir may be shared)",
                            path, REFUSED[i].name);
        }
    }
    return CAM_OK;
}

enum cam_code state_folder_prepare(const char *path, bool everybody, struct cam_err *err)
{
    struct statfs status;
    enum cam_code rc = cam_folder_create(path, 0700, err);
    if (rc != CAM_OK) {
        return rc;
    }
    if (everybody && chmod(path, 0711) != 0) {
        return cam_fail_errno(err, errno, "%s: cannot let users through to their jobs", path);
    }
    if (statfs(path, &status) != 0) {
        return cam_fail_errno(err, errno, "%s: cannot tell its file system", path);
    }
    return state_folder_check_type(path, (int64_t)status.f_type, err);
}

enum cam_code state_folder_lock(const char *path, int64_t wait_ms, int *fd_out, struct cam_err *err)
{
    int64_t holder = 0;
    enum cam_code rc = folder_lock(path, wait_ms, fd_out, &holder, err);
    if (rc == CAM_CONFLICT) {
        return cam_fail(err, CAM_CONFLICT, "%s: cambriand %lld works on this state folder", path,
                        (long long)holder);
    }
    if (rc == CAM_OK) {
        rc = folder_lock_sign(*fd_out, path, err);
        if (rc != CAM_OK) {
            (void)close(*fd_out);
        }
    }
    return rc;
}

enum cam_code state_folder_owner(const char *path, int64_t *pid_out, struct cam_err *err)
{
    char lock[CAM_PATH_SIZE];
    enum cam_code rc = cam_path(lock, err, "%s/lock", path);
    if (rc != CAM_OK) {
        return rc;
    }
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
    *pid_out = held ? folder_lock_pid(fd) : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return *pid_out > 0 ? CAM_OK : cam_fail(err, CAM_NOT_FOUND, "no cambriand works on %s", path);
}
