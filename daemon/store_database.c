#include "daemon/store_database.h"

#include "base/mem.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    APPLICATION_ID = 0x43414d42, /* "CAMB" */
    STATEMENTS_MAX = 96,
    WAL_BYTES_KEPT = 64 * 1024 * 1024,
    READER_WAITS_MS = 2000,
    WRITER_WAITS_MS = 5000, /* for a person's sqlite3, say: they are in nobody's plan */
};

struct kept_statement {
    const char *sql;
    sqlite3_stmt *statement;
};

struct database {
    sqlite3 *handle;
    char *path;
    struct kept_statement kept[STATEMENTS_MAX];
    int kept_count;
};

/* The one translator from SQLite's codes to ours. */
static enum cam_code sqlite_fail(const struct database *db, int code, struct cam_err *err)
{
    static const struct {
        int primary;
        enum cam_code code;
    } CODES[] = {
        {SQLITE_FULL, CAM_DISK_FULL},      {SQLITE_CORRUPT, CAM_CORRUPT},
        {SQLITE_NOTADB, CAM_CORRUPT},      {SQLITE_NOMEM, CAM_NO_MEMORY},
        {SQLITE_CONSTRAINT, CAM_CONFLICT}, {SQLITE_BUSY, CAM_UNAVAILABLE},
        {SQLITE_LOCKED, CAM_UNAVAILABLE},  {SQLITE_PERM, CAM_DENIED},
        {SQLITE_AUTH, CAM_DENIED},         {SQLITE_READONLY, CAM_DENIED},
        {SQLITE_CANTOPEN, CAM_IO},         {SQLITE_IOERR, CAM_IO},
    };
    enum cam_code ours = CAM_INTERNAL;
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        ours = CODES[i].primary == (code & 0xff) ? CODES[i].code : ours;
    }
    return cam_fail(err, ours, "%s: %s", db->path,
                    db->handle == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db->handle));
}

static enum cam_code execute(struct database *db, const char *sql, struct cam_err *err)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? CAM_OK : sqlite_fail(db, code, err);
}

static enum cam_code prepare(struct database *db, const char *sql, sqlite3_stmt **out,
                             struct cam_err *err)
{
    for (int i = 0; i < db->kept_count; i++) {
        if (db->kept[i].sql == sql) {
            *out = db->kept[i].statement;
            return CAM_OK;
        }
    }
    if (db->kept_count == STATEMENTS_MAX) {
        return cam_fail(err, CAM_INTERNAL, "%s: more than %d statements", db->path, STATEMENTS_MAX);
    }
    int code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (code != SQLITE_OK) {
        return sqlite_fail(db, code, err);
    }
    db->kept[db->kept_count++] = (struct kept_statement){sql, *out};
    return CAM_OK;
}

static enum cam_code bind(struct database *db, sqlite3_stmt *statement, const char *types,
                          va_list args, struct cam_err *err)
{
    int code = SQLITE_OK;
    for (int i = 0; code == SQLITE_OK && types[i] != '\0'; i++) {
        if (types[i] == 'i') {
            code = sqlite3_bind_int64(statement, i + 1, va_arg(args, int64_t));
        } else if (types[i] == 'd') {
            code = sqlite3_bind_double(statement, i + 1, va_arg(args, double));
        } else {
            /* The text outlives the statement's run: both end before the caller goes on. */
            code =
                sqlite3_bind_text(statement, i + 1, va_arg(args, const char *), -1, SQLITE_STATIC);
        }
    }
    return code == SQLITE_OK ? CAM_OK : sqlite_fail(db, code, err);
}

enum cam_code database_run(struct database *db, struct cam_err *err, const char *sql,
                           const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    enum cam_code rc = prepare(db, sql, &statement, err);
    if (rc != CAM_OK) {
        return rc;
    }
    va_list args;
    va_start(args, types);
    rc = bind(db, statement, types, args, err);
    va_end(args);
    if (rc == CAM_OK) {
        int code = sqlite3_step(statement);
        rc = code == SQLITE_DONE || code == SQLITE_ROW ? CAM_OK : sqlite_fail(db, code, err);
    }
    (void)sqlite3_reset(statement);
    return rc;
}

enum cam_code database_query(struct database *db, struct query *out, struct cam_err *err,
                             const char *sql, const char *types, ...)
{
    *out = (struct query){.db = db};
    enum cam_code rc = prepare(db, sql, &out->statement, err);
    if (rc != CAM_OK) {
        out->statement = NULL;
        return rc;
    }
    va_list args;
    va_start(args, types);
    rc = bind(db, out->statement, types, args, err);
    va_end(args);
    return rc;
}

bool query_next(struct query *query, enum cam_code *rc, struct cam_err *err)
{
    int code = sqlite3_step(query->statement);
    if (code == SQLITE_ROW) {
        return true;
    }
    *rc = code == SQLITE_DONE ? CAM_OK : sqlite_fail(query->db, code, err);
    return false;
}

int64_t query_int(const struct query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

double query_real(const struct query *query, int column)
{
    return sqlite3_column_double(query->statement, column);
}

const char *query_text(const struct query *query, int column)
{
    const char *text = (const char *)sqlite3_column_text(query->statement, column);
    return text == NULL ? "" : text;
}

void query_end(struct query *query)
{
    if (query->statement != NULL) {
        (void)sqlite3_reset(query->statement);
        (void)sqlite3_clear_bindings(query->statement);
        query->statement = NULL;
    }
}

enum cam_code database_number(struct database *db, int64_t otherwise, int64_t *out,
                              struct cam_err *err, const char *sql)
{
    struct query q;
    enum cam_code rc = database_query(db, &q, err, sql, "");
    *out = otherwise;
    if (rc == CAM_OK && query_next(&q, &rc, err)) {
        *out = query_int(&q, 0);
    }
    query_end(&q);
    return rc;
}

int64_t database_last_id(const struct database *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t database_changes(const struct database *db)
{
    return sqlite3_changes(db->handle);
}

bool database_in_transaction(const struct database *db)
{
    return sqlite3_get_autocommit(db->handle) == 0;
}

static enum cam_code open_handle(const char *path, int flags, const char *vfs,
                                 struct database **out, struct cam_err *err)
{
    struct database *db = cam_alloc(1, sizeof *db);
    char *copy = cam_strdup(path);
    if (db == NULL || copy == NULL) {
        cam_free(copy);
        cam_free(db);
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    db->path = copy;
    int code = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, vfs);
    if (code == SQLITE_OK) {
        code = sqlite3_extended_result_codes(db->handle, 1);
    }
    if (code != SQLITE_OK) {
        enum cam_code rc = sqlite_fail(db, code, err);
        database_close(db);
        return rc;
    }
    *out = db;
    return CAM_OK;
}

/* A damaged database is refused and stays as it is: it may be all that is left of the queue. */
static enum cam_code check_whole(struct database *db, struct cam_err *err)
{
    struct query q;
    enum cam_code rc = database_query(db, &q, err, "PRAGMA quick_check(1)", "");
    if (rc == CAM_OK && query_next(&q, &rc, err) && strcmp(query_text(&q, 0), "ok") != 0) {
        rc = cam_fail(err, CAM_CORRUPT, "%s: %s", db->path, query_text(&q, 0));
    }
    query_end(&q);
    if (rc == CAM_CORRUPT) {
        char found[256];
        /* What SQLite said follows the path, which is told once. */
        (void)snprintf(found, sizeof found, "%.255s", err->text + strlen(db->path) + 2);
        rc = cam_fail(err, CAM_CORRUPT,
                      "%s: damaged database (%s); the file was kept as it is: restore a backup, or "
                      "move both it and the jobs folder away to start with an empty queue",
                      db->path, found);
    }
    return rc;
}

static enum cam_code check_ours(struct database *db, int64_t *version_out, struct cam_err *err)
{
    int64_t application = 0;
    int64_t tables = 0;
    enum cam_code rc = database_number(db, 0, &application, err, "PRAGMA application_id");
    if (rc == CAM_OK) {
        rc = database_number(db, 0, version_out, err, "PRAGMA user_version");
    }
    if (rc == CAM_OK) {
        rc = database_number(db, 0, &tables, err, "SELECT count(*) FROM sqlite_schema");
    }
    if (rc == CAM_OK && application != APPLICATION_ID && (application != 0 || tables > 0)) {
        rc = cam_fail(err, CAM_INVALID, "%s: a database, but not one of cambriand's", db->path);
    }
    return rc;
}

static enum cam_code apply(struct database *db, const struct migration *migration,
                           struct cam_err *err)
{
    char version[64];
    (void)snprintf(version, sizeof version, "PRAGMA user_version = %d", migration->number);
    enum cam_code rc = execute(db, "BEGIN IMMEDIATE", err);
    if (rc == CAM_OK) {
        rc = execute(db, migration->sql, err);
    }
    if (rc == CAM_OK) {
        rc = execute(db, version, err);
    }
    if (rc == CAM_OK) {
        rc = execute(db, "COMMIT", err);
    }
    if (rc != CAM_OK) {
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
        cam_err_prefix(err, "migration %s", migration->name);
    }
    return rc;
}

static enum cam_code migrate(struct database *db, int64_t version,
                             const struct database_options *options, struct cam_err *err)
{
    const struct migration *table = MIGRATIONS;
    int count = MIGRATION_COUNT;
    if (options != NULL && options->migrations != NULL) {
        table = options->migrations;
        count = options->migration_count;
    }
    if (version > count) {
        return cam_fail(err, CAM_UNSUPPORTED,
                        "%s: schema %lld is newer than this daemon (%s), which knows up to %d: "
                        "start the newer daemon",
                        db->path, (long long)version, CAMBRIAN_VERSION, count);
    }
    enum cam_code rc = CAM_OK;
    for (int i = (int)version; rc == CAM_OK && i < count; i++) {
        rc = apply(db, &table[i], err);
    }
    return rc;
}

enum cam_code database_open_writer(const char *path, const struct database_options *options,
                                   struct database **out, struct cam_err *err)
{
    struct database *db = NULL;
    int64_t version = 0;
    struct stat status;
    bool fresh = stat(path, &status) != 0 || status.st_size == 0;
    enum cam_code rc = open_handle(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                   options == NULL ? NULL : options->vfs, &db, err);
    if (rc != CAM_OK) {
        return rc;
    }
    (void)sqlite3_busy_timeout(db->handle, WRITER_WAITS_MS);
    rc = fresh ? execute(db, "PRAGMA auto_vacuum = INCREMENTAL", err) : check_whole(db, err);
    if (rc == CAM_OK) {
        rc = check_ours(db, &version, err);
    }
    if (rc == CAM_OK) {
        char sql[256];
        (void)snprintf(sql, sizeof sql,
                       "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                       "PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = %d;"
                       "PRAGMA temp_store = MEMORY",
                       WAL_BYTES_KEPT);
        rc = execute(db, sql, err);
    }
    if (rc == CAM_OK) {
        rc = migrate(db, version, options, err);
    }
    if (rc != CAM_OK) {
        database_close(db);
        return rc;
    }
    *out = db;
    return CAM_OK;
}

enum cam_code database_open_reader(const char *path, struct database **out, struct cam_err *err)
{
    enum cam_code rc = open_handle(path, SQLITE_OPEN_READONLY, NULL, out, err);
    if (rc == CAM_OK) {
        (void)sqlite3_busy_timeout((*out)->handle, READER_WAITS_MS);
    }
    return rc;
}

void database_close(struct database *db)
{
    if (db == NULL) {
        return;
    }
    for (int i = 0; i < db->kept_count; i++) {
        (void)sqlite3_finalize(db->kept[i].statement);
    }
    /* SQLite itself would do this at the last connection's close only, and readers may remain: a
     * stopped daemon leaves one whole file. */
    if (db->handle != NULL && sqlite3_db_readonly(db->handle, "main") == 0) {
        (void)sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
    (void)sqlite3_close(db->handle);
    cam_free(db->path);
    cam_free(db);
}
