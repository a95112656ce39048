-- oldest: 1
-- The id of the key that everything stored was found to be sealed with: keys of before may go then.
ALTER TABLE engine ADD COLUMN rekeyed_with text NOT NULL DEFAULT '';
