-- The queue as first released.  Times are milliseconds since 1970 (wall clock), 0: not yet.
-- auto_vacuum=INCREMENTAL is set when the file is created (store_database.c): it cannot be set
-- later.  Paths are not stored: a job's folder is JOBS/ID.

PRAGMA application_id = 1128353090; -- "CAMB"

-- Texts once each: a million jobs of one job file would be 1.5 GB otherwise.
CREATE TABLE specs (
    sha256 TEXT NOT NULL PRIMARY KEY,
    text   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    state            TEXT    NOT NULL CHECK (state IN ('queued', 'held', 'starting', 'running',
                         'stopping', 'succeeded', 'failed', 'cancelled', 'interrupted')),
    request_key      TEXT,                        -- of the submit; NULL: none given
    owner_uid        INTEGER NOT NULL,
    owner_gid        INTEGER NOT NULL,
    name             TEXT    NOT NULL,
    kind             TEXT    NOT NULL,
    spec_sha256      TEXT    NOT NULL REFERENCES specs (sha256),
    file_name        TEXT    NOT NULL,            -- as typed, for FILE:LINE
    base_dir         TEXT    NOT NULL,
    set_json         TEXT    NOT NULL DEFAULT '[]',
    env_json         TEXT    NOT NULL DEFAULT '{}', -- of the job file, for its ranks
    queue            TEXT    NOT NULL DEFAULT 'default',
    priority         INTEGER NOT NULL DEFAULT 0,
    not_before_ms    INTEGER NOT NULL DEFAULT 0,  -- backoff
    array_id         INTEGER,
    task_index       INTEGER,
    isa              TEXT,
    ranks_min        INTEGER NOT NULL CHECK (ranks_min >= 1),
    ranks_max        INTEGER NOT NULL CHECK (ranks_max >= ranks_min),
    shards           INTEGER NOT NULL,
    threads_per_shard INTEGER NOT NULL,
    epochs           INTEGER NOT NULL,
    batch            INTEGER NOT NULL,
    steps_per_epoch  INTEGER NOT NULL,
    parameters       INTEGER NOT NULL,
    flops_per_step   INTEGER NOT NULL,
    bytes_per_rank   INTEGER NOT NULL,
    retry_max        INTEGER NOT NULL,
    backoff_ms       INTEGER NOT NULL,
    time_limit_ms    INTEGER NOT NULL,            -- over all attempts; 0: none
    attempt          INTEGER NOT NULL DEFAULT 0,  -- number of the last one
    attempt_ranks    INTEGER NOT NULL DEFAULT 0,  -- its ranks
    counted          INTEGER NOT NULL DEFAULT 0,  -- attempts that count against retry_max
    counted_at_step  INTEGER NOT NULL DEFAULT 0,  -- newest checkpoint when one was last counted
    elapsed_ms       INTEGER NOT NULL DEFAULT 0,  -- of ended attempts: the time limit's sum
    cancel_now       INTEGER NOT NULL DEFAULT 0,  -- the cancel asked for was --now
    epochs_finished  INTEGER NOT NULL DEFAULT 0,
    step             INTEGER NOT NULL DEFAULT 0,
    submitted_at_ms  INTEGER NOT NULL,
    started_at_ms    INTEGER NOT NULL DEFAULT 0,
    ended_at_ms      INTEGER NOT NULL DEFAULT 0,
    weights_sha256   TEXT    NOT NULL DEFAULT '',
    model_path       TEXT    NOT NULL DEFAULT '', -- relative to the job's folder
    numeric_profile  TEXT    NOT NULL DEFAULT '', -- JSON, from the first attempt
    error_code       TEXT    NOT NULL DEFAULT '',
    error_text       TEXT    NOT NULL DEFAULT '',
    error_rank       INTEGER NOT NULL DEFAULT -1,
    error_step       INTEGER NOT NULL DEFAULT -1
) STRICT;

CREATE UNIQUE INDEX jobs_by_key ON jobs (owner_uid, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX jobs_unended ON jobs (id)
    WHERE state IN ('queued', 'held', 'starting', 'running', 'stopping');
CREATE INDEX jobs_ended ON jobs (ended_at_ms)
    WHERE state IN ('succeeded', 'failed', 'cancelled', 'interrupted');

-- Jobs that must have succeeded before.
CREATE TABLE dependencies (
    job_id   INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    after_id INTEGER NOT NULL,
    PRIMARY KEY (job_id, after_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    job_id        INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt       INTEGER NOT NULL,
    ranks         INTEGER NOT NULL,
    scratch       TEXT    NOT NULL,               -- private folder in memory
    started_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER NOT NULL DEFAULT 0,     -- 0: not proved dead yet; its slots are taken
    cause         TEXT    NOT NULL DEFAULT '',
    counted       INTEGER NOT NULL DEFAULT 0,
    elapsed_ms    INTEGER NOT NULL DEFAULT 0,
    exit_code     INTEGER NOT NULL DEFAULT 0,
    signal        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, attempt)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_open ON attempts (job_id) WHERE ended_at_ms = 0;

-- One row an epoch, whichever attempt brought it first.
CREATE TABLE epochs (
    job_id        INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    epoch         INTEGER NOT NULL CHECK (epoch >= 1),
    attempt       INTEGER NOT NULL,
    steps         INTEGER NOT NULL,
    seconds       REAL    NOT NULL,
    samples_per_s REAL    NOT NULL,
    metrics       TEXT    NOT NULL,               -- JSON object, names sorted, 17 digits
    PRIMARY KEY (job_id, epoch)
) STRICT, WITHOUT ROWID;

-- What happened, in order.  Rows are added, and removed by retention, never changed.
CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id     INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    attempt    INTEGER NOT NULL DEFAULT 0,
    kind       TEXT    NOT NULL,
    from_state TEXT    NOT NULL DEFAULT '',
    to_state   TEXT    NOT NULL DEFAULT '',
    text       TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX events_of_job ON events (job_id, id);

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

-- Counters, since counting a million rows takes a fifth of a second.
CREATE TABLE job_counts (
    state TEXT    NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO job_counts (state, count) VALUES
    ('queued', 0), ('held', 0), ('starting', 0), ('running', 0), ('stopping', 0),
    ('succeeded', 0), ('failed', 0), ('cancelled', 0), ('interrupted', 0);

CREATE TRIGGER jobs_count_added AFTER INSERT ON jobs
BEGIN
    UPDATE job_counts SET count = count + 1 WHERE state = NEW.state;
END;

CREATE TRIGGER jobs_count_moved AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state
BEGIN
    UPDATE job_counts SET count = count - 1 WHERE state = OLD.state;
    UPDATE job_counts SET count = count + 1 WHERE state = NEW.state;
END;

CREATE TRIGGER jobs_count_removed AFTER DELETE ON jobs
BEGIN
    UPDATE job_counts SET count = count - 1 WHERE state = OLD.state;
END;
