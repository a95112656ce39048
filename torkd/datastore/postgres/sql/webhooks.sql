-- Webhooks: what they are told, written with the change; and who delivers it, in which order.

-- name: hooked_jobs
-- The webhooks of some jobs.
SELECT job_id, webhooks FROM job_details WHERE job_id = ANY(%(jobs)s::text[]) AND webhooks IS NOT NULL;

-- name: hooked_tasks
-- Tasks in few words, as they are before the batch is written.
SELECT t.id, t.job_id, t.parent_id, t.position, t.progress, t.name, t.state, t.created_at, t.scheduled_at, t.started_at,
       t.completed_at, t.failed_at, t.error, t.result, t.var, t.node_id, t.attempts, t.reason, t.spec
  FROM tasks t
 WHERE t.id = ANY(%(tasks)s::text[]);

-- name: hooked_context
-- Values that the headers of webhooks read.
SELECT job_id, namespace, key, value FROM job_context WHERE job_id = ANY(%(jobs)s::text[]) AND key = ANY(%(keys)s::text[])
UNION
SELECT job_id, namespace, key, value FROM job_context
 WHERE job_id = ANY(%(jobs)s::text[]) AND namespace = ANY(%(namespaces)s::text[]);

-- name: add_deliveries
-- The row of an address is locked by this until the commit, so whoever has made its last delivery sees these or comes before them.
WITH added AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS r (
        job_id text, lane int, target text, version bigint, number int, event text, request text)
),
stored AS (
    INSERT INTO webhook_deliveries (job_id, lane, version, number, event, request)
    SELECT job_id, lane, version, number, event, request FROM added
)
INSERT INTO webhook_lanes (job_id, lane, target, waiting, due_at)
SELECT job_id, lane, min(target), count(*), now() FROM added GROUP BY job_id, lane ORDER BY job_id, lane
ON CONFLICT (job_id, lane) DO UPDATE SET waiting = webhook_lanes.waiting + excluded.waiting,
    due_at = coalesce(webhook_lanes.due_at, excluded.due_at);

-- name: claim_lane
-- The address that waits for the longest, for a while. Those that somebody else is at are left to them.
WITH next AS (
    SELECT job_id, lane FROM webhook_lanes
    WHERE due_at <= now() AND NOT target = ANY(%(busy)s::text[])
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE webhook_lanes l SET due_at = now() + make_interval(secs => %(lease)s), claimed_by = %(node)s, claims = l.claims + 1
FROM next n WHERE l.job_id = n.job_id AND l.lane = n.lane
RETURNING l.job_id, l.lane, l.claims, l.target, l.tries, l.waiting;

-- name: first_deliveries
SELECT version, number, event, request, extract(epoch FROM now() - created_at)::float8 FROM webhook_deliveries
WHERE job_id = %(job)s AND lane = %(lane)s ORDER BY version, number LIMIT %(limit)s;

-- name: nothing_waits
-- For an address whose deliveries somebody has removed by hand.
UPDATE webhook_lanes SET waiting = 0, due_at = NULL, claimed_by = NULL
WHERE job_id = %(job)s AND lane = %(lane)s AND claims = %(claim)s AND waiting = %(waiting)s;

-- name: settle
-- What became of the first deliveries of an address. Nothing changes when somebody else has claimed it meanwhile.
WITH lane AS (
    UPDATE webhook_lanes SET waiting = waiting - %(done)s, delivered = delivered + %(delivered)s, given_up = given_up + %(given_up)s,
        tries = %(tries)s, tried_at = coalesce(%(tried_at)s, tried_at),
        status = CASE WHEN %(tried_at)s::timestamptz IS NULL THEN status ELSE %(status)s::int END,
        error = CASE WHEN %(tried_at)s::timestamptz IS NULL THEN error ELSE %(error)s::text END,
        claimed_by = CASE WHEN %(keep)s THEN claimed_by END,
        due_at = CASE WHEN waiting <= %(done)s THEN NULL ELSE now() + make_interval(secs => %(seconds)s) END
    WHERE job_id = %(job)s AND lane = %(lane)s AND claims = %(claim)s
    RETURNING waiting, job_is_gone
),
gone AS (
    DELETE FROM webhook_deliveries d USING lane
    WHERE d.job_id = %(job)s AND d.lane = %(lane)s AND (d.version, d.number) <= (%(version)s, %(number)s)
),
totals AS (
    UPDATE webhook_totals t SET delivered = t.delivered + %(delivered)s, given_up = t.given_up + %(given_up)s
    FROM lane WHERE %(done)s > 0
)
SELECT waiting, job_is_gone FROM lane;

-- name: forget_lane
DELETE FROM webhook_lanes WHERE job_id = %(job)s AND lane = %(lane)s AND waiting <= 0 AND job_is_gone;

-- name: release_lanes
-- Those of a process that was killed: its successor has its name.
UPDATE webhook_lanes SET due_at = now(), claimed_by = NULL WHERE claimed_by = %(node)s;

-- name: next_lane
SELECT extract(epoch FROM min(due_at) - now())::float8 FROM webhook_lanes
WHERE due_at IS NOT NULL AND NOT target = ANY(%(busy)s::text[]);

-- name: leave_lanes
-- Of jobs that are removed: what waits is still delivered.
UPDATE webhook_lanes SET job_is_gone = true WHERE job_id = ANY(%(jobs)s);

-- name: forget_lanes
DELETE FROM webhook_lanes WHERE job_id = ANY(%(jobs)s) AND waiting <= 0;

-- name: get_figures
SELECT t.delivered, t.given_up, coalesce(sum(l.waiting), 0)::bigint AS waiting,
       count(l.job_id) FILTER (WHERE l.tries > 0)::bigint AS failing
  FROM webhook_totals t LEFT JOIN webhook_lanes l ON l.due_at IS NOT NULL
 GROUP BY t.delivered, t.given_up;

-- name: get_lanes
-- How the addresses of a job are doing.
SELECT j.id, l.lane, l.waiting, l.delivered, l.given_up, l.tries, l.tried_at, l.status, l.error,
       CASE WHEN l.claimed_by IS NULL THEN l.due_at END AS due_at, d.webhooks
  FROM jobs j
  JOIN job_details d ON d.job_id = j.id
  LEFT JOIN webhook_lanes l ON l.job_id = j.id
 WHERE j.id = %(job_id)s
 ORDER BY l.lane;
