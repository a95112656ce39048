-- oldest: 1
-- Lists of jobs that stay fast however many there are: their total from counters, and those of a state in order.
CREATE INDEX jobs_by_state ON jobs (state, created_at DESC, id DESC);
DROP INDEX jobs_active;

CREATE TABLE job_counts (
    jobs bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE FUNCTION count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM job_counts;
    ELSE
        INSERT INTO job_counts (jobs) SELECT TG_ARGV[0]::bigint * count(*) FROM changed HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER jobs_added AFTER INSERT ON jobs REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_jobs('1');
CREATE TRIGGER jobs_removed AFTER DELETE ON jobs REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_jobs('-1');
CREATE TRIGGER jobs_emptied AFTER TRUNCATE ON jobs FOR EACH STATEMENT EXECUTE FUNCTION count_jobs();

INSERT INTO job_counts (jobs) SELECT count(*) FROM jobs;
