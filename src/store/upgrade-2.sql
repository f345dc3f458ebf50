-- From version 1 to version 2. In version 1 the arms of a run with a baseline took turns, the baseline first.
ALTER TABLE answers ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;
ALTER TABLE results ADD COLUMN arm TEXT;
ALTER TABLE results ADD COLUMN repeat INTEGER;
UPDATE results SET arm = CASE
  WHEN seq % 2 = 0 AND (SELECT baseline FROM runs WHERE runs.id = results.run) IS NOT NULL THEN 'baseline'
  ELSE 'candidate'
END;
