-- From version 4 to version 5. Of the runs of version 4 it is not known what they were, nor how each answer was judged.
CREATE TABLE facts (
  run       INTEGER PRIMARY KEY,
  candidate BLOB NOT NULL,      -- digest of prompt, model, target and judges: whose outcomes are of one kind
  baseline  BLOB,               -- the same of the other arm
  repeats   INTEGER NOT NULL,
  facts     TEXT NOT NULL,      -- JSON: prompts, digests, selection
  concluded TEXT                -- JSON: decision, exit code, reasons; NULL until the run is decided
);
CREATE INDEX facts_by_candidate ON facts (candidate);
CREATE INDEX facts_by_baseline ON facts (baseline);

-- Each state of a case once, however many runs ask it.
CREATE TABLE cases (
  id       INTEGER PRIMARY KEY,
  digest   BLOB NOT NULL,       -- of everything that is written about it
  case_id  TEXT NOT NULL,
  critical INTEGER NOT NULL,
  tags     TEXT NOT NULL,       -- JSON
  weight   INTEGER NOT NULL,    -- in thousandths
  cluster  TEXT
);
CREATE UNIQUE INDEX cases_by_digest ON cases (digest);

-- How each answer was judged; the newest runs only, see outcomes.rs.
CREATE TABLE outcomes (
  run     INTEGER NOT NULL,
  case_no INTEGER NOT NULL,
  arm     INTEGER NOT NULL,     -- 0 baseline, 1 candidate
  repeat  INTEGER NOT NULL,     -- from 1
  mark    INTEGER NOT NULL,     -- 0 fail, 1 pass, 2 and 3 error, 4 and more skipped
  score   REAL,                 -- 0 to 1; NULL when it was not judged
  answer  INTEGER,              -- NULL when there is none, or it was asked beyond the plan
  PRIMARY KEY (run, case_no, arm, repeat)
) WITHOUT ROWID;
