-- oldest: 1
-- The id of the key that seals what may hold secrets: a process without that key must not begin.
ALTER TABLE engine ADD COLUMN sealed_with text NOT NULL DEFAULT '';
