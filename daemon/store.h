/*
 * The store: one thread with the only writing connection, and group commit.
 *
 * A request is a struct store_op, usually the first member of the caller's own struct.  run is
 * called on the store's thread inside a savepoint of a transaction shared with whatever else has
 * arrived meanwhile; done is called on the owner's thread after the commit, with op->rc.  Memory
 * changes and answers leave only from done with CAM_OK: then it is on disk (fsync).
 *
 *   loop thread:  store_submit ----> queue ----> store thread: BEGIN, run..., COMMIT
 *                 store_deliver <--- wake  <---- done list
 *
 * run may be called again after its effects were rolled back, so it sets its results anew.  A bad
 * request is rolled back alone.  Where the commit itself fails, every request of the batch fails.
 * After CAM_IO or CAM_CORRUPT the store accepts nothing more (store_broken).
 *
 * Full disk: RESERVE_BYTES are kept in a file and given up, so that requests marked essential
 * (ends, reports) can still be stored; the others fail with CAM_DISK_FULL until it is back.
 */
#ifndef STORE_H
#define STORE_H

#include "base/status.h"
#include "daemon/store_database.h"

#include <stdbool.h>

enum { STORE_RESERVE_BYTES = 16 * 1024 * 1024 };

struct store;
struct store_op;

typedef enum cam_code (*store_run_fn)(struct database *db, struct store_op *op,
                                      struct cam_err *err);
typedef void (*store_done_fn)(struct store_op *op);

struct store_op {
    store_run_fn run;
    store_done_fn done; /* owns op from here on */
    bool essential;
    enum cam_code rc;
    struct cam_err err;
    struct store_op *next; /* the store's */
};

struct store_options {
    const char *path;
    const char *reserve_path; /* NULL: no reserve */
    struct database_options database;
    bool inline_mode;            /* no thread: store_deliver does the work (tests, simulator) */
    void (*wake)(void *context); /* called on the store's thread when store_deliver is due */
    void *wake_context;
};

/* Opens and starts; see database_open_writer for refusals. */
CAM_CHECKED enum cam_code store_open(const struct store_options *options, struct store **out,
                                     struct cam_err *err);

/* Commits what was submitted, delivers nothing more, joins the thread.  NULL is allowed. */
void store_close(struct store *store);

/* Takes op over until its done.  Never fails and never calls done itself. */
void store_submit(struct store *store, struct store_op *op);

/* Calls done for all that finished, in the order of the commits.  Owner's thread. */
void store_deliver(struct store *store);

/* True after an I/O error or damage: the daemon must end (training goes on without it). */
bool store_broken(const struct store *store, struct cam_err *why);

/* True while the reserve is used up. */
bool store_disk_full(const struct store *store);

#endif
