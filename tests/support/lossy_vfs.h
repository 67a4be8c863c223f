/*
 * An SQLite VFS for tests of the store: it remembers what was synced, so that a power loss can be
 * had at any moment, and it can run out of space or fail.  Over the system's own VFS; one process.
 */
#ifndef LOSSY_VFS_H
#define LOSSY_VFS_H

#define LOSSY_VFS_NAME "lossy"

/* Registers the VFS (once is enough) and forgets all files. */
void lossy_reset(void);

/* Writes into folder what a power loss now would leave of every file: its last synced bytes. */
void lossy_power_loss(const char *folder);

/* Writes beyond this many more bytes fail with SQLITE_FULL; negative: never. */
void lossy_space_left(long bytes);

/* From now on every sync fails with an I/O error. */
void lossy_fail_syncs(void);

#endif
