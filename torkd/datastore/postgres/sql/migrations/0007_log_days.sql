-- A partition a day for what tasks print, so that old days are dropped as a whole. Stored parts move to the partition of their day.
-- Earlier versions tell rows by their place in the one table, so none of them may run after this.
CREATE TEMPORARY TABLE parts_before ON COMMIT DROP AS SELECT * FROM task_log_parts;
DROP TABLE task_log_parts;

CREATE SEQUENCE task_log_parts_seq;
CREATE TABLE task_log_parts (
    task_id    text NOT NULL,
    dispatch   integer NOT NULL,
    run_id     text NOT NULL,
    number     integer NOT NULL,
    job_id     text NOT NULL,
    seq        bigint NOT NULL DEFAULT nextval('task_log_parts_seq'),
    contents   text NOT NULL,
    created_at timestamptz NOT NULL,           -- when it was printed, by the worker: the same in every copy of the part
    PRIMARY KEY (task_id, dispatch, run_id, number, created_at)
) PARTITION BY RANGE (created_at);
ALTER SEQUENCE task_log_parts_seq OWNED BY task_log_parts.seq;
CREATE INDEX task_log_parts_of_job ON task_log_parts (job_id, seq);
CREATE INDEX task_log_parts_of_task ON task_log_parts (task_id, seq);
CREATE INDEX task_log_parts_oldest ON task_log_parts USING brin (created_at) WITH (pages_per_range = 32);
CREATE TABLE task_log_parts_default PARTITION OF task_log_parts DEFAULT;

DO $$
DECLARE
    day date;
BEGIN
    FOR day IN
        SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date FROM parts_before
        WHERE created_at BETWEEN now() - interval '100 days' AND now() + interval '1 day'
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF task_log_parts FOR VALUES FROM (%L) TO (%L)',
                       'task_log_parts_' || to_char(day, 'YYYYMMDD'), day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
    END LOOP;
END
$$;
INSERT INTO task_log_parts (task_id, dispatch, run_id, number, job_id, seq, contents, created_at)
SELECT task_id, dispatch, run_id, number, job_id, seq, contents, created_at FROM parts_before ORDER BY seq;
SELECT setval('task_log_parts_seq', max(seq)) FROM task_log_parts HAVING max(seq) IS NOT NULL;
