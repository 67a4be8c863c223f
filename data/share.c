#include "data/share.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

/* Behind the bytes once they are all there. */
static const char FILLED[8] = {'c', 'a', 'm', ' ', 'f', 'u', 'l', 'l'};

/* MPI's segments and the ranks' windows stand in the same folder and come later: as much again as
 * is taken stays free, and this much at least. */
static const int64_t ROOM_BYTES_MIN = INT64_C(32) << 20;

static enum cam_code unshared(struct cam_err *err, const char *why)
{
    return cam_fail(err, CAM_UNSUPPORTED, "the data are not shared: %s", why);
}

static bool has_room(int fd, int64_t size)
{
    struct statfs info;
    if (fstatfs(fd, &info) != 0 || info.f_type != TMPFS_MAGIC) {
        return false;
    }
    int64_t left = (int64_t)info.f_bavail * (int64_t)info.f_bsize - size;
    return left >= size && left >= ROOM_BYTES_MIN;
}

static enum cam_code lock(int fd, struct cam_err *err)
{
    int failed = flock(fd, LOCK_EX);
    while (failed != 0 && errno == EINTR) {
        failed = flock(fd, LOCK_EX);
    }
    return failed == 0 ? CAM_OK : unshared(err, strerror(errno));
}

/* Every page is there before it is touched: a full folder is an error here, no SIGBUS later. */
static enum cam_code reserve(int fd, int64_t size, struct cam_err *err)
{
    if (!has_room(fd, size)) {
        return unshared(err, "too little room in memory");
    }
    int failed = posix_fallocate(fd, 0, (off_t)size);
    if (failed != 0) {
        (void)!ftruncate(fd, 0);
        return unshared(err, strerror(failed));
    }
    return CAM_OK;
}

static bool is_filled(int fd, int64_t size)
{
    char mark[sizeof FILLED] = "";
    return pread(fd, mark, sizeof mark, (off_t)size) == (ssize_t)sizeof mark &&
           memcmp(mark, FILLED, sizeof mark) == 0;
}

static enum cam_code map(int fd, int64_t size, int protection, uint8_t **out, struct cam_err *err)
{
    void *bytes = mmap(NULL, (size_t)size, protection, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED) {
        return unshared(err, strerror(errno));
    }
    *out = bytes;
    return CAM_OK;
}

/* Under the lock. */
static enum cam_code fill_and_map(int fd, struct share *share, share_fill_fn fill, void *context,
                                  struct cam_err *err)
{
    int64_t size = share->size;
    enum cam_code rc = CAM_OK;
    if (is_filled(fd, size)) {
        return map(fd, size, PROT_READ, &share->bytes, err);
    }
    rc = reserve(fd, size + (int64_t)sizeof FILLED, err);
    if (rc == CAM_OK) {
        rc = map(fd, size, PROT_READ | PROT_WRITE, &share->bytes, err);
    }
    if (rc == CAM_OK) {
        rc = fill(context, share->bytes, err);
    }
    if (rc == CAM_OK && pwrite(fd, FILLED, sizeof FILLED, (off_t)size) != (ssize_t)sizeof FILLED) {
        rc = unshared(err, strerror(errno));
    }
    if (rc != CAM_OK) {
        (void)!ftruncate(fd, 0);
    } else {
        (void)mprotect(share->bytes, (size_t)size, PROT_READ);
    }
    return rc;
}

enum cam_code share_open(const char *folder, const char *name, int64_t size, share_fill_fn fill,
                         void *context, struct share *out, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    struct share share = {.size = size};
    enum cam_code rc = cam_path(path, err, "%s/%s", folder, name);
    if (rc != CAM_OK) {
        return rc;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return unshared(err, strerror(errno));
    }
    rc = lock(fd, err);
    if (rc == CAM_OK) {
        rc = fill_and_map(fd, &share, fill, context, err);
    }
    /* Closing alone would keep the lock: the mapping holds on to what was opened. */
    (void)flock(fd, LOCK_UN);
    (void)close(fd);
    if (rc != CAM_OK) {
        share_close(&share);
        return rc;
    }
    *out = share;
    return CAM_OK;
}

void share_close(struct share *share)
{
    if (share->bytes != NULL) {
        (void)munmap(share->bytes, (size_t)share->size);
        share->bytes = NULL;
    }
}
