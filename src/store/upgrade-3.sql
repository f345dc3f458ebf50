-- From version 2 to version 3. How long the answers of version 2 waited is not known.
ALTER TABLE answers ADD COLUMN waited_ms INTEGER;
ALTER TABLE results ADD COLUMN waited_ms INTEGER;
