#include "lossy_vfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 16 };

/* The synced bytes of one path; bytes NULL: never synced, so the file would not be there. */
struct shadow {
    char path[1024];
    char *bytes;
    sqlite3_int64 size;
};

struct lossy_file {
    sqlite3_file base;
    struct shadow *shadow; /* NULL: not a file that matters */
    sqlite3_file *real;    /* behind this struct */
};

static struct shadow g_shadows[FILES_MAX];
static long g_space_left = -1;
static int g_fail_syncs;
static sqlite3_vfs *g_real;
static sqlite3_vfs g_vfs;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct lossy_file *)file)->real;
}

static int vfs_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int vfs_read(sqlite3_file *file, void *out, int size, sqlite3_int64 at)
{
    return real_of(file)->pMethods->xRead(real_of(file), out, size, at);
}

static int vfs_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
    sqlite3_int64 end = 0;
    if (g_space_left >= 0) {
        (void)real_of(file)->pMethods->xFileSize(real_of(file), &end);
        long more = at + size > end ? (long)(at + size - end) : 0;
        if (more > g_space_left) {
            return SQLITE_FULL;
        }
        g_space_left -= more;
    }
    return real_of(file)->pMethods->xWrite(real_of(file), bytes, size, at);
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int vfs_sync(sqlite3_file *file, int flags)
{
    struct shadow *shadow = ((struct lossy_file *)file)->shadow;
    sqlite3_file *real = real_of(file);
    if (g_fail_syncs) {
        return SQLITE_IOERR_FSYNC;
    }
    int code = real->pMethods->xSync(real, flags);
    if (code == SQLITE_OK && shadow != NULL) {
        free(shadow->bytes);
        (void)real->pMethods->xFileSize(real, &shadow->size);
        shadow->bytes = calloc(1, (size_t)shadow->size + 1);
        if (shadow->size > 0) {
            (void)real->pMethods->xRead(real, shadow->bytes, (int)shadow->size, 0);
        }
    }
    return code;
}

static int vfs_file_size(sqlite3_file *file, sqlite3_int64 *out)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), out);
}

static int vfs_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int vfs_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int vfs_check_lock(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int vfs_control(sqlite3_file *file, int op, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}

static int vfs_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int vfs_device(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int vfs_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void vfs_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int vfs_shm_unmap(sqlite3_file *file, int drop)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), drop);
}

static const sqlite3_io_methods METHODS = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_file_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_lock,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector,
    .xDeviceCharacteristics = vfs_device,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

static struct shadow *shadow_of(const char *path)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (strcmp(g_shadows[i].path, path) == 0) {
            return &g_shadows[i];
        }
    }
    for (int i = 0; i < FILES_MAX; i++) {
        if (g_shadows[i].path[0] == '\0') {
            (void)snprintf(g_shadows[i].path, sizeof g_shadows[i].path, "%s", path);
            return &g_shadows[i];
        }
    }
    return NULL;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    struct lossy_file *lossy = (struct lossy_file *)file;
    lossy->real = (sqlite3_file *)(lossy + 1);
    lossy->shadow = path == NULL ? NULL : shadow_of(path);
    int code = g_real->xOpen(g_real, path, lossy->real, flags, out);
    file->pMethods = code == SQLITE_OK ? &METHODS : NULL;
    return code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    (void)vfs;
    struct shadow *shadow = shadow_of(path);
    if (shadow != NULL) {
        free(shadow->bytes);
        *shadow = (struct shadow){0};
    }
    return g_real->xDelete(g_real, path, sync);
}

void lossy_reset(void)
{
    for (int i = 0; i < FILES_MAX; i++) {
        free(g_shadows[i].bytes);
        g_shadows[i] = (struct shadow){0};
    }
    g_space_left = -1;
    g_fail_syncs = 0;
    if (g_real == NULL) {
        g_real = sqlite3_vfs_find(NULL);
        g_vfs = *g_real;
        g_vfs.zName = LOSSY_VFS_NAME;
        g_vfs.szOsFile = (int)sizeof(struct lossy_file) + g_real->szOsFile;
        g_vfs.xOpen = vfs_open;
        g_vfs.xDelete = vfs_delete;
        (void)sqlite3_vfs_register(&g_vfs, 0);
    }
}

void lossy_power_loss(const char *folder)
{
    for (int i = 0; i < FILES_MAX; i++) {
        const struct shadow *shadow = &g_shadows[i];
        char path[2048];
        if (shadow->bytes == NULL) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s%s", folder, strrchr(shadow->path, '/'));
        FILE *file = fopen(path, "wb");
        if (file != NULL) {
            (void)fwrite(shadow->bytes, 1, (size_t)shadow->size, file);
            (void)fclose(file);
        }
    }
}

void lossy_space_left(long bytes)
{
    g_space_left = bytes;
}

void lossy_fail_syncs(void)
{
    g_fail_syncs = 1;
}
