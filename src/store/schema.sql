-- Version 2. Times are seconds since 1970.
CREATE TABLE runs (
  id         INTEGER PRIMARY KEY,
  plan       BLOB NOT NULL,     -- digest of what is planned; equal plans can resume each other
  candidate  TEXT NOT NULL,
  baseline   TEXT,
  target     TEXT NOT NULL,
  planned    INTEGER NOT NULL,  -- answers
  started_at INTEGER NOT NULL,
  ended_at   INTEGER,
  ended      TEXT               -- complete, or why not; NULL while it runs and after a kill
);
CREATE INDEX runs_by_plan ON runs (plan);

CREATE TABLE answers (
  id         INTEGER PRIMARY KEY,
  key        BLOB NOT NULL,     -- identity: target, model, request, case, repeat, and the arm where both arms ask the same
  request    BLOB NOT NULL,     -- SHA-256 of the body as it was sent
  case_id    TEXT NOT NULL,
  target     TEXT NOT NULL,
  model      TEXT NOT NULL,     -- asked for
  served     TEXT,              -- answered by
  latency_ms INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,
  answer     TEXT NOT NULL,     -- JSON: text, tool calls, finish reason, usage
  reusable   INTEGER NOT NULL,  -- 0 for recorded answers
  created_at INTEGER NOT NULL,
  imported   INTEGER NOT NULL DEFAULT 0, -- 1 for answers of another store
  waited_ms  INTEGER            -- before the successful attempt; NULL when it is not known
);
CREATE INDEX answers_by_key ON answers (key) WHERE reusable;

-- What each planned answer of a run came to: an answer, or a failure.
CREATE TABLE results (
  run      INTEGER NOT NULL,
  seq      INTEGER NOT NULL,    -- position in plan order
  answer   INTEGER,
  source   TEXT NOT NULL,
  attempts INTEGER NOT NULL,    -- made by this run
  failure  TEXT,                -- JSON, when there is no answer
  arm      TEXT NOT NULL,       -- baseline or candidate
  repeat   INTEGER NOT NULL,    -- from 1
  waited_ms INTEGER,            -- before the last attempt; NULL when nothing was sent or it is not known
  PRIMARY KEY (run, seq)
) WITHOUT ROWID;

-- Replies of judges that a run went by.
CREATE TABLE replies (
  run    INTEGER NOT NULL,
  answer INTEGER NOT NULL,
  prompt TEXT NOT NULL,         -- name of the judge's prompt
  vote   INTEGER NOT NULL,      -- which of several votes on the same, from 1
  PRIMARY KEY (run, answer)
) WITHOUT ROWID;

-- Cases of the candidate that a run judged and that did not pass.
CREATE TABLE not_passed (
  run     INTEGER NOT NULL,
  case_id TEXT NOT NULL,
  outcome TEXT NOT NULL,        -- fail or error
  PRIMARY KEY (run, case_id)
) WITHOUT ROWID;

-- Batch jobs that wait at the service, from before they are created until their answers are kept.
CREATE TABLE batches (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
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

-- What a run was, and what it came to.
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

-- Looks that count: each attempt at what is tested, with the run that has all of its answers.
CREATE TABLE looks (
  key        BLOB NOT NULL,     -- identity of what is tested, and why earlier looks were left behind
  attempt    INTEGER NOT NULL,  -- from 1
  same       BLOB NOT NULL,     -- identity of what is tested alone
  run        INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,  -- planned before the first look
  step       INTEGER NOT NULL,  -- repeats that each attempt adds
  repeats    INTEGER NOT NULL,  -- of all attempts so far
  candidates INTEGER NOT NULL,  -- from which the best was to be picked
  decision   TEXT NOT NULL,
  needed     INTEGER,           -- repeats that would probably settle it
  PRIMARY KEY (key, attempt)
) WITHOUT ROWID;
CREATE INDEX looks_by_same ON looks (same);

-- The first answer that a run showed somebody to a question, whatever came of it: it stands, and is never replaced.
CREATE TABLE shown (
  question BLOB NOT NULL,       -- identity of what both arms are asked; once more with why earlier looks were left behind
  arm      TEXT NOT NULL,
  repeat   INTEGER NOT NULL,
  answer   INTEGER NOT NULL,
  run      INTEGER NOT NULL,    -- the one that showed it first
  PRIMARY KEY (question, arm, repeat)
) WITHOUT ROWID;

CREATE VIEW run_identities AS
  SELECT facts.run, started_at, json_extract(facts, '$.set') AS set_of, json_extract(facts, '$.series') AS series,
         json_extract(facts, '$.requests_sha256') AS requests
  FROM facts JOIN runs ON runs.id = facts.run;
