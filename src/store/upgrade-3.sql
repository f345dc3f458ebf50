-- From version 2 to version 3. How long the answers of version 2 waited is not known.
ALTER TABLE answers ADD COLUMN waited_ms INTEGER;
ALTER TABLE results ADD COLUMN waited_ms INTEGER;

-- Batch jobs that wait at the service, from before they are created until their answers are kept.
CREATE TABLE batches (
  id         INTEGER PRIMARY KEY,
  run        INTEGER NOT NULL,
  label      TEXT NOT NULL,     -- unique; what the job is looked for by when its name was lost
  name       TEXT,              -- the service's name; NULL until it has answered
  file       TEXT,              -- the uploaded requests, if they were
  created_at INTEGER NOT NULL
);
CREATE INDEX batches_by_run ON batches (run);

CREATE TABLE batch_items (
  batch INTEGER NOT NULL,
  seq   INTEGER NOT NULL,
  key   BLOB NOT NULL,
  PRIMARY KEY (batch, seq)
) WITHOUT ROWID;
