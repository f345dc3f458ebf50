-- From version 5 to version 6. Of earlier runs it is not known which looks they were: they count for none.
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
  policy     TEXT NOT NULL,     -- digest of the rules
  PRIMARY KEY (key, attempt)
) WITHOUT ROWID;
CREATE INDEX looks_by_same ON looks (same);
