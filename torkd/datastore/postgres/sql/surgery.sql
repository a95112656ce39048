-- What is needed to run children again and to skip them. Tasks come as JSON, without their texts.

-- name: load_redo
-- Children that are to be run again, with what they are: of each parent the first ones that ended before a version of its job and were
-- not run again since, and some by their ids.
SELECT t.parent_id,
       (to_jsonb(t) - ARRAY['spec', 'scope', 'error', 'result', 'reason']
           || jsonb_build_object('retry', t.retry::jsonb, 'redo', t.redo::jsonb))::text, t.spec, t.scope, t.reason
FROM (
    SELECT t.*
    FROM unnest(%(parents)s::text[], %(first)s::int[], %(until)s::bigint[], %(with_failed)s::boolean[], %(limits)s::int[])
             AS w (parent_id, first, until, with_failed, "limit")
        CROSS JOIN LATERAL (
            SELECT * FROM tasks t
            WHERE t.parent_id = w.parent_id AND t.item_index >= w.first AND t.version <= w.until
              AND t.state IN ('FAILED', 'CANCELLED') AND (w.with_failed OR t.state = 'CANCELLED')
              AND NOT EXISTS (
                  SELECT FROM tasks n
                  WHERE n.parent_id = t.parent_id AND n.item_index = t.item_index
                    AND (n.version, n.attempts) > (t.version, t.attempts))
            ORDER BY t.item_index LIMIT w."limit") t
    UNION
    SELECT t.* FROM tasks t WHERE t.id = ANY(%(tasks)s::text[])
) t
ORDER BY t.parent_id, t.item_index;

-- name: load_last_runs
-- Of each job its row, and the latest task at its position.
SELECT (to_jsonb(j) - ARRAY['error', 'result'] || jsonb_build_object('defaults', j.defaults::jsonb))::text,
       (to_jsonb(t) - ARRAY['spec', 'scope', 'error', 'result', 'reason']
           || jsonb_build_object('retry', t.retry::jsonb, 'redo', t.redo::jsonb))::text
FROM jobs j
    LEFT JOIN LATERAL (
        SELECT * FROM tasks t WHERE t.job_id = j.id AND t.position = j.position AND t.parent_id IS NULL
        ORDER BY t.version DESC, t.attempts DESC LIMIT 1) t ON true
WHERE j.id = ANY(%(jobs)s::text[]);

-- name: load_superseded
-- Those of these tasks that another run has followed at their place.
SELECT t.id FROM tasks t
WHERE t.id = ANY(%(tasks)s::text[])
  AND CASE WHEN t.parent_id IS NULL
      THEN EXISTS (
          SELECT FROM tasks n
          WHERE n.job_id = t.job_id AND n.position = t.position AND n.parent_id IS NULL
            AND (n.version, n.attempts) > (t.version, t.attempts))
      ELSE EXISTS (
          SELECT FROM tasks n
          WHERE n.parent_id = t.parent_id AND n.item_index = t.item_index
            AND (n.version, n.attempts) > (t.version, t.attempts))
      END;

-- name: load_failing
-- The tasks of a job and of its sub-jobs that go on although children have failed, and the jobs they are in.
WITH RECURSIVE tree AS (
    SELECT %(job)s::text AS id
    UNION
    SELECT j.id FROM tree JOIN jobs j ON j.parent_job_id = tree.id
)
SELECT (to_jsonb(j) - ARRAY['error', 'result'] || jsonb_build_object('defaults', j.defaults::jsonb))::text,
       (to_jsonb(t) - ARRAY['spec', 'scope', 'error', 'result', 'reason']
           || jsonb_build_object('retry', t.retry::jsonb, 'redo', t.redo::jsonb))::text
FROM tree JOIN tasks t ON t.job_id = tree.id AND t.failures > 0 AND t.state = 'RUNNING' JOIN jobs j ON j.id = t.job_id
ORDER BY t.id;
