/*
 * One SQLite connection, and the only file that knows sqlite3.h.
 *
 * database_open_writer creates, checks, migrates; the store thread owns what it returns.
 * database_open_reader gives a read-only connection for the thread pool.  A connection is used by
 * one thread at a time.  Statements are prepared once and kept, keyed by the address of their SQL,
 * which must therefore be a string constant.
 *
 * Calling sequence of a query:
 *     struct query q;
 *     rc = database_query(db, &q, err, "SELECT a, b FROM t WHERE c = ?", "i", c);
 *     while (rc == CAM_OK && query_next(&q, &rc, err)) { ... query_int(&q, 0) ... }
 *     query_end(&q);
 */
#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include "base/status.h"
#include "migrations/migrations.h"

#include <stdbool.h>
#include <stdint.h>

struct database;
struct sqlite3_stmt;

struct query {
    struct database *db;
    struct sqlite3_stmt *statement;
};

/* How to open; zero is the daemon's own way. */
struct database_options {
    const char *vfs;                    /* NULL: the system's */
    const struct migration *migrations; /* NULL: those built in */
    int migration_count;
};

/*
 * Opens (or creates) the database for writing: WAL, synchronous=FULL, foreign keys on, every older
 * schema brought up to date.  CAM_CORRUPT names a damaged file, which is left as it is;
 * CAM_UNSUPPORTED a newer schema; CAM_INVALID a file that is no database of ours.
 */
CAM_CHECKED enum cam_code database_open_writer(const char *path,
                                               const struct database_options *options,
                                               struct database **out, struct cam_err *err);
CAM_CHECKED enum cam_code database_open_reader(const char *path, struct database **out,
                                               struct cam_err *err);
void database_close(struct database *db);

/*
 * Runs one statement to its end.  types has a letter a parameter: i int64_t, d double, s text
 * (NULL binds NULL).  CAM_DISK_FULL, CAM_IO, CAM_CORRUPT, CAM_CONFLICT (a constraint), and
 * CAM_NO_MEMORY name what SQLite said.
 */
CAM_CHECKED enum cam_code database_run(struct database *db, struct cam_err *err, const char *sql,
                                       const char *types, ...);

/* Starts a query, as database_run; ends with query_end also after a failure. */
CAM_CHECKED enum cam_code database_query(struct database *db, struct query *out,
                                         struct cam_err *err, const char *sql, const char *types,
                                         ...);
/* True while there is a row; at the end false with *rc CAM_OK or the failure. */
bool query_next(struct query *query, enum cam_code *rc, struct cam_err *err);
int64_t query_int(const struct query *query, int column);
double query_real(const struct query *query, int column);
/* Valid until the next query_next; never NULL ("" for NULL). */
const char *query_text(const struct query *query, int column);
void query_end(struct query *query);

/* The first column of the first row as a number, or otherwise where there is no row. */
CAM_CHECKED enum cam_code database_number(struct database *db, int64_t otherwise, int64_t *out,
                                          struct cam_err *err, const char *sql);

int64_t database_last_id(const struct database *db);
/* Rows changed by the last statement. */
int64_t database_changes(const struct database *db);
/* False once SQLite has rolled the open transaction back by itself (full disk, I/O error). */
bool database_in_transaction(const struct database *db);

#endif
