-- oldest: 1
-- Running again what failed, and going on without a task. A torkd that does not know them leaves children that are to be run again to
-- those that do.
ALTER TABLE tasks ADD COLUMN redo_left integer NOT NULL DEFAULT 0, ADD COLUMN redo text, ADD COLUMN reason text,
    ADD COLUMN is_raw boolean NOT NULL DEFAULT false;
DROP INDEX tasks_unfolding;
CREATE INDEX tasks_unfolding ON tasks (id) WHERE state = 'RUNNING' AND (released < size OR redo_left > 0);
CREATE INDEX tasks_failing ON tasks (job_id) WHERE failures > 0 AND state = 'RUNNING';
