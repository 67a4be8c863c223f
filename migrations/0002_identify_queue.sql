-- Which queue this is: job numbers begin at 1 in every database, so a folder of jobs
-- (JOBS/queue.json) and a job's folder in it (job.json) name the queue that they are of.

CREATE TABLE identity (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    queue    TEXT    NOT NULL
) STRICT;

INSERT INTO identity (only_row, queue) VALUES (1, lower(hex(randomblob(16))));
