/*
 * Places where a test stops a process of an attempt's life and looks at, kills or lets go what it
 * finds: one row a step of the launch, of the training and of the end, in their order.  Daemon,
 * shim and ranks call hold_at where the step is done.
 *
 * For tests only.  The daemon's environment variable CAMBRIAN_TEST_HOLDS names a folder, and the
 * daemon hands it on to the shim and the ranks.  A process that comes to POINT and finds the file
 * FOLDER/POINT creates FOLDER/POINT.PID and waits until FOLDER/POINT is removed; so a test arms
 * a point, waits for who comes, kills or not, and removes the file: nothing of it takes a sleep.
 * Without the variable a point costs one look at the environment and does nothing.
 */
#ifndef HOLD_H
#define HOLD_H

#define HOLD_VARIABLE "CAMBRIAN_TEST_HOLDS"

enum hold_point {
    HOLD_ROW_COMMITTED,   /* daemon: the attempt is in the database, nothing of it on disk */
    HOLD_FILES_WRITTEN,   /* daemon: its folder is complete, the shim not yet spawned */
    HOLD_SHIM_SPAWNED,    /* shim: its first statement; it has no lock */
    HOLD_LOCK_TAKEN,      /* shim */
    HOLD_VOID_CHECKED,    /* shim: nothing forbids the start; shim.json is not there */
    HOLD_SHIM_RECORDED,   /* shim: shim.json is there; from here on the attempt counts as begun */
    HOLD_MPIRUN_FORKED,   /* the shim's child: still the shim's image, lock and signals */
    HOLD_BEFORE_MPI_INIT, /* each rank: it holds `alive` */
    HOLD_RANK_LOADS,      /* the last rank waits for its batch; its heartbeats go on, as below */
    HOLD_LANE_COMPUTES,   /* the lane of the last shard */
    HOLD_CHECKPOINT_WRITTEN, /* rank 0's writer: what it writes takes long */
    HOLD_FAMILY_ENDED,       /* shim: every process is reaped, no record of it */
    HOLD_EXIT_RECORDED,      /* shim: exit.json is there; it holds its lock */
    HOLD_END_FOUND,          /* daemon: has read what was left, and not stored it */
    HOLD_POINT_COUNT,
};

/* "row-committed" and so on: the file's name. */
const char *hold_name(enum hold_point point);

/* Returns at once where the test has not armed the point.  Blocks the thread otherwise; that of
 * the daemon is its loop.  Fit for a child between fork and exec of a process of one thread. */
void hold_at(enum hold_point point);

#endif
