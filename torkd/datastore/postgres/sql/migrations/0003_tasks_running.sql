-- oldest: 2
-- Running tasks are counted by the index of those that are held, so it has all of them. Earlier versions find in it what they look for.
CREATE INDEX tasks_running ON tasks (lease_id) WHERE state = 'RUNNING';
DROP INDEX tasks_held;
