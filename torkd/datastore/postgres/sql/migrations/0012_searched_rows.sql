-- oldest: 1
-- Searches that need not look up every match: what never changes of a job's row stands with what is searched for.
-- The table is made anew, which takes half a minute for a million jobs: in place it would take minutes, and twice the space.
LOCK TABLE job_details IN ACCESS EXCLUSIVE MODE;
ALTER TABLE job_details RENAME TO job_details_before;
ALTER INDEX job_details_pkey RENAME TO job_details_before_pkey;
ALTER INDEX job_details_tags RENAME TO job_details_before_tags;
ALTER INDEX job_details_search RENAME TO job_details_before_search;
DO $$
DECLARE name text;
BEGIN
    -- Named since Postgres 18, in all of the schema.
    FOR name IN SELECT conname FROM pg_constraint WHERE conrelid = 'job_details_before'::regclass AND contype = 'n' LOOP
        EXECUTE format('ALTER TABLE job_details_before RENAME CONSTRAINT %I TO %I', name, 'before_' || name);
    END LOOP;
END
$$;

CREATE TABLE job_details (
    job_id       text NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text NOT NULL,
    viewers      text[],
    description  text NOT NULL DEFAULT '',
    tags         text[] NOT NULL DEFAULT '{}',
    output       text NOT NULL DEFAULT '',
    webhooks     text,
    schedule_id  text,
    schedule_cron text,
    search       tsvector NOT NULL
);
INSERT INTO job_details (job_id, created_at, created_by, viewers, description, tags, output, webhooks, schedule_id, schedule_cron, search)
SELECT d.job_id, j.created_at, j.created_by, j.viewers, d.description, d.tags, d.output, d.webhooks, d.schedule_id, d.schedule_cron, d.search
  FROM job_details_before d JOIN jobs j ON j.id = d.job_id;
DROP TABLE job_details_before;
ALTER TABLE job_details ADD PRIMARY KEY (job_id);
CREATE INDEX job_details_tags ON job_details USING gin (tags);
CREATE INDEX job_details_search ON job_details USING gin (search);
ANALYZE job_details;

-- For daemons of before, which know nothing of the new columns.
CREATE FUNCTION complete_job_details() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT created_at, created_by, viewers INTO NEW.created_at, NEW.created_by, NEW.viewers FROM jobs WHERE id = NEW.job_id;
    RETURN NEW;
END
$$;
CREATE TRIGGER job_details_of_before BEFORE INSERT ON job_details
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION complete_job_details();
