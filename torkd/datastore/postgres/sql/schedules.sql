-- Schedules and their ticks. Rows go in as one JSON parameter, so their number does not matter.

-- name: now
-- The time of the transaction.
SELECT now();

-- name: add_schedule
INSERT INTO schedules (id, state, spec, zone, created_by, viewers, created_at, next_tick_at, due_at)
SELECT id, state, spec, zone, created_by, viewers, created_at, next_tick_at, due_at
FROM json_to_recordset(%(rows)s::json) AS r (
    id text, state text, spec text, zone text, created_by text, viewers text[], created_at timestamptz,
    next_tick_at timestamptz, due_at timestamptz);

-- name: lock_schedule
SELECT id, state, spec, zone, created_by, viewers, created_at, next_tick_at, due_at, last_at, error, now() AS now
FROM schedules WHERE id = %(id)s AND state <> 'DELETED' FOR UPDATE;

-- name: lock_due
-- Those that somebody else looks at are left to that one.
SELECT id, state, spec, zone, created_by, viewers, created_at, next_tick_at, due_at, last_at, error, now() AS now
FROM schedules
WHERE state = 'ACTIVE' AND due_at <= now() AND (cardinality(%(only)s::text[]) = 0 OR id = ANY(%(only)s::text[]))
ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: active_instances
-- The active jobs of some schedules.
SELECT schedule_id, id, root_id FROM jobs
WHERE schedule_id = ANY(%(ids)s::text[]) AND schedule_id IS NOT NULL AND state IN ('PENDING', 'SCHEDULED', 'RUNNING')
ORDER BY id LIMIT %(limit)s;

-- name: take_ticks
-- A tick that was written down before does not fire again, whatever the schedule's row says.
INSERT INTO schedule_ticks (schedule_id, tick, job_id, expires_at)
SELECT schedule_id, tick, job_id, now() + interval '7 days'
FROM json_to_recordset(%(rows)s::json) AS r (schedule_id text, tick timestamptz, job_id text)
ON CONFLICT DO NOTHING
RETURNING job_id;

-- name: update_schedules
UPDATE schedules s SET state = r.state, next_tick_at = r.next_tick_at, due_at = r.due_at, last_at = r.last_at, error = r.error
FROM json_to_recordset(%(rows)s::json) AS r (
    id text, state text, next_tick_at timestamptz, due_at timestamptz, last_at timestamptz, error text)
WHERE s.id = r.id;

-- name: set_back
UPDATE schedules s SET error = r.error, due_at = now() + make_interval(secs => %(seconds)s)
FROM json_to_recordset(%(rows)s::json) AS r (id text, error text) WHERE s.id = r.id;

-- name: get_schedules
SELECT s.id, s.state, s.spec, s.zone, s.created_at, s.next_tick_at, s.last_at, s.error,
       s.viewers IS NOT NULL AS is_restricted,
       u.id AS user_id, u.name AS user_name, u.username, u.disabled AS user_disabled, u.created_at AS user_created_at
  FROM schedules s
  LEFT JOIN users u ON u.id = s.created_by
 WHERE s.id = ANY(%(ids)s) AND s.state <> 'DELETED'
 ORDER BY s.created_at DESC, s.id DESC;

-- name: get_permissions
-- Who may see a schedule, in the order of the submission. Roles that were deleted are left out.
SELECT u.id AS user_id, u.name AS user_name, u.username, u.disabled, u.created_at AS user_created_at,
       r.id AS role_id, r.slug, r.name AS role_name, r.created_at AS role_created_at
  FROM schedules s
 CROSS JOIN LATERAL unnest(s.viewers) WITH ORDINALITY AS v (id, place)
  LEFT JOIN users u ON u.id = v.id
  LEFT JOIN roles r ON r.id = v.id
 WHERE s.id = %(id)s AND (u.id IS NOT NULL OR r.id IS NOT NULL)
 ORDER BY v.place;

-- name: find_schedules
-- Those that a viewer may see, or all.
SELECT id FROM schedules
 WHERE state <> 'DELETED'
   AND (%(viewer)s::text IS NULL OR viewers IS NULL OR created_by = %(viewer)s OR viewers && %(viewer_ids)s::text[])
 ORDER BY created_at DESC, id DESC LIMIT %(size)s OFFSET %(offset)s;

-- name: count_schedules
SELECT count(*) AS total FROM (
    SELECT FROM schedules
     WHERE state <> 'DELETED'
       AND (%(viewer)s::text IS NULL OR viewers IS NULL OR created_by = %(viewer)s OR viewers && %(viewer_ids)s::text[])
     LIMIT %(limit)s) AS matches;

-- name: seconds_to_next_tick
SELECT extract(epoch FROM due_at - clock_timestamp())::float8 FROM schedules
WHERE state = 'ACTIVE' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1;

-- name: lock_deleted
SELECT id FROM schedules WHERE state = 'DELETED' ORDER BY id LIMIT 20 FOR UPDATE;

-- name: let_instances_go
-- Jobs that have ended, with the attached ones below them: the retention removes what is to be deleted.
WITH RECURSIVE tree AS (
    SELECT id FROM (
        SELECT id FROM jobs
        WHERE schedule_id = ANY(%(ids)s::text[]) AND schedule_id IS NOT NULL
          AND state IN ('COMPLETED', 'FAILED', 'CANCELLED') AND (delete_at IS NULL OR delete_at > now())
        LIMIT %(limit)s) AS ended
    UNION
    SELECT j.id FROM tree JOIN jobs j ON j.parent_job_id = tree.id
)
UPDATE jobs SET delete_at = now() - interval '1 second' FROM tree WHERE jobs.id = tree.id;

-- name: forget_deleted
-- Their idempotency keys are kept for seven days more.
WITH keys AS (
    UPDATE idempotency SET expires_at = now() + interval '7 days' WHERE job_id = ANY(%(ids)s::text[]) AND expires_at IS NULL
)
DELETE FROM schedules s
WHERE s.id = ANY(%(ids)s::text[]) AND NOT EXISTS (SELECT FROM jobs j WHERE j.schedule_id = s.id);

-- name: forget_ticks
-- Those whose time is over and whose job is gone; the others later. Answers with how many it has looked at.
WITH old AS (
    SELECT schedule_id, tick, EXISTS (SELECT FROM jobs WHERE id = job_id) AS is_needed
    FROM schedule_ticks WHERE expires_at < now() LIMIT %(limit)s FOR UPDATE SKIP LOCKED
),
kept AS (
    UPDATE schedule_ticks t SET expires_at = now() + interval '7 days' FROM old
    WHERE t.schedule_id = old.schedule_id AND t.tick = old.tick AND old.is_needed
),
gone AS (
    DELETE FROM schedule_ticks t USING old WHERE t.schedule_id = old.schedule_id AND t.tick = old.tick AND NOT old.is_needed
)
SELECT count(*) FROM old;
