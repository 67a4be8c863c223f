#include "proto/hold.h"

#include "base/clock.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOK_AGAIN_MS = 2 };

static const char *const NAMES[] = {
    [HOLD_ROW_COMMITTED] = "row-committed",
    [HOLD_FILES_WRITTEN] = "files-written",
    [HOLD_SHIM_SPAWNED] = "shim-spawned",
    [HOLD_LOCK_TAKEN] = "lock-taken",
    [HOLD_VOID_CHECKED] = "void-checked",
    [HOLD_SHIM_RECORDED] = "shim-recorded",
    [HOLD_MPIRUN_FORKED] = "mpirun-forked",
    [HOLD_BEFORE_MPI_INIT] = "before-mpi-init",
    [HOLD_RANK_LOADS] = "rank-loads",
    [HOLD_LANE_COMPUTES] = "lane-computes",
    [HOLD_CHECKPOINT_WRITTEN] = "checkpoint-written",
    [HOLD_FAMILY_ENDED] = "family-ended",
    [HOLD_EXIT_RECORDED] = "exit-recorded",
    [HOLD_END_FOUND] = "end-found",
};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == HOLD_POINT_COUNT, "a name for every point");

const char *hold_name(enum hold_point point)
{
    return NAMES[point];
}

void hold_at(enum hold_point point)
{
    char armed[PATH_MAX];
    char held[PATH_MAX];
    const char *folder = getenv(HOLD_VARIABLE);
    if (folder == NULL) {
        return;
    }
    int length = snprintf(armed, sizeof armed, "%s/%s", folder, NAMES[point]);
    if (length < 0 || (size_t)length >= sizeof armed || access(armed, F_OK) != 0) {
        return;
    }
    length = snprintf(held, sizeof held, "%s/%s.%d", folder, NAMES[point], (int)getpid());
    int fd = length < 0 || (size_t)length >= sizeof held
                 ? -1
                 : open(held, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return;
    }
    (void)close(fd);
    while (access(armed, F_OK) == 0) {
        cam_sleep_ms(LOOK_AGAIN_MS);
    }
    (void)unlink(held);
}
