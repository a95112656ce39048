-- oldest: 1
-- Children that go on when another has failed. A torkd that does not know them ends their job at the first failure, so the upgrade
-- should not take long.
ALTER TABLE tasks ADD COLUMN goes_on boolean NOT NULL DEFAULT false, ADD COLUMN failures integer NOT NULL DEFAULT 0;
CREATE INDEX tasks_unsuccessful ON tasks (parent_id, item_index)
    WHERE parent_id IS NOT NULL AND state IN ('FAILED', 'CANCELLED');
