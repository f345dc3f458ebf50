-- From version 3 to version 4. Which replies of judges the runs of version 3 went by is not known.
CREATE TABLE replies (
  run    INTEGER NOT NULL,
  answer INTEGER NOT NULL,
  prompt TEXT NOT NULL,         -- name of the judge's prompt
  vote   INTEGER NOT NULL,      -- which of several votes on the same, from 1
  PRIMARY KEY (run, answer)
) WITHOUT ROWID;
