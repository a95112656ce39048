-- What keeps the engine going between events.

-- name: record_nodes
INSERT INTO nodes (id, lease_id, name, hostname, port, queue, status, cpu_percent, task_count, version, started_at,
                   last_heartbeat_at)
SELECT DISTINCT ON (id) id, lease_id, name, hostname, port, queue, status, cpu_percent, task_count, version, started_at, now()
FROM json_to_recordset(%(rows)s::json) AS r (
    id text, lease_id text, name text, hostname text, port int, queue text, status text, cpu_percent float8,
    task_count int, version text, started_at timestamptz)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET lease_id = excluded.lease_id, name = excluded.name, hostname = excluded.hostname,
    port = excluded.port, queue = excluded.queue, status = excluded.status, cpu_percent = excluded.cpu_percent,
    task_count = excluded.task_count, version = excluded.version, started_at = excluded.started_at,
    last_heartbeat_at = now();

-- name: renew_leases
-- A lease that was ended stays so: its runs are somebody else's by now.
INSERT INTO leases (id, node_id, renewed_at)
SELECT DISTINCT ON (lease_id) lease_id, id, now() FROM json_to_recordset(%(rows)s::json) AS r (lease_id text, id text)
ORDER BY lease_id
ON CONFLICT (id) DO UPDATE SET renewed_at = now();

-- name: note_heartbeats
-- Heartbeats were read just now. A gap since the last time starts the count anew, which extends every lease.
UPDATE engine SET heartbeats_until = now(),
    heartbeats_since = CASE WHEN heartbeats_until > now() - make_interval(secs => %(gap)s) THEN heartbeats_since ELSE now() END;

-- name: lost_runs
-- Runs whose lease has ended, or was not renewed while heartbeats were read without a gap for a whole lease.
SELECT t.id, t.job_id, t.root_id, t.dispatch, t.run_id
FROM tasks t LEFT JOIN leases l ON l.id = t.lease_id CROSS JOIN engine e
WHERE t.state = 'RUNNING' AND t.lease_id IS NOT NULL
  AND (coalesce(l.ended, false)
       OR (coalesce(l.renewed_at, t.started_at) < now() - make_interval(secs => %(lease)s)
           AND e.heartbeats_since < now() - make_interval(secs => %(lease)s)
           AND e.heartbeats_until > now() - make_interval(secs => %(lease)s)))
LIMIT %(limit)s;

-- name: due_retries
SELECT id, job_id, root_id FROM tasks
WHERE state = 'PENDING' AND due_at IS NOT NULL AND due_at <= %(now)s ORDER BY due_at LIMIT %(limit)s;

-- name: next_due
SELECT min(due_at) FROM tasks WHERE state = 'PENDING' AND due_at IS NOT NULL;

-- name: unfolding
-- Composites that wait for children which nobody is making.
SELECT id, job_id, root_id FROM tasks
WHERE state = 'RUNNING' AND created < size AND created < completions + greatest(concurrency, 1000) LIMIT %(limit)s;

-- name: root_of
SELECT root_id FROM jobs WHERE id = %(job)s;

-- name: end_leases
UPDATE leases SET ended = true WHERE NOT ended;

-- name: forget_leases
DELETE FROM leases l WHERE l.ended AND l.renewed_at < now() - interval '1 hour'
  AND NOT EXISTS (SELECT FROM tasks t WHERE t.lease_id = l.id AND t.state = 'RUNNING');

-- name: leftovers
SELECT task_id, dispatch FROM outbox WHERE created_at < now() - make_interval(secs => %(age)s)
ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: bodies
-- What a worker gets, with the secrets to hide in the logs: those of the job and of the topmost job above it.
SELECT t.id, t.job_id, t.root_id, t.dispatch, t.queue, t.priority, t.spec,
       CASE WHEN j.has_secrets OR r.has_secrets THEN
           (SELECT array_agg(c.value) FROM job_context c
            WHERE c.job_id IN (t.job_id, t.root_id) AND c.namespace = 'secrets')
       END
FROM unnest(%(tasks)s::text[], %(dispatches)s::int[]) AS w (task_id, dispatch)
JOIN tasks t ON t.id = w.task_id AND t.dispatch = w.dispatch AND t.state = 'SCHEDULED'
JOIN jobs j ON j.id = t.job_id LEFT JOIN jobs r ON r.id = t.root_id
ORDER BY t.scheduled_at, t.position, t.item_index;

-- name: epoch
SELECT epoch FROM engine;

-- name: begin_epoch
UPDATE engine SET epoch = %(epoch)s WHERE epoch = %(expected)s RETURNING epoch;

-- name: send_all_again
-- Every hand-out that no run holds, as the broker may have lost it. Old enough to be taken up at once.
INSERT INTO outbox (task_id, dispatch, created_at)
SELECT id, dispatch, now() - interval '1 hour' FROM tasks WHERE state = 'SCHEDULED'
ON CONFLICT DO NOTHING;

-- name: cancel_all_tasks
UPDATE tasks SET state = 'CANCELLED', failed_at = now() WHERE state IN ('CREATED', 'PENDING', 'SCHEDULED', 'RUNNING');

-- name: cancel_all_jobs
UPDATE jobs SET state = 'CANCELLED', failed_at = now(), version = version + 1
WHERE state IN ('PENDING', 'SCHEDULED', 'RUNNING');

-- name: empty_outbox
DELETE FROM outbox;

-- name: lock_log
-- Writers of log parts take turns, so that seq grows in the order of commits.
SELECT pg_advisory_xact_lock(7464251);

-- name: add_log_parts
INSERT INTO task_log_parts (task_id, dispatch, run_id, number, job_id, contents, created_at)
SELECT task_id, dispatch, run_id, number, job_id, contents, printed_at
FROM json_to_recordset(%(rows)s::json) AS r (
    task_id text, dispatch int, run_id text, number int, job_id text, contents text, printed_at timestamptz)
ON CONFLICT DO NOTHING;

-- name: old_jobs
SELECT id FROM jobs
WHERE (delete_at < now())
   OR (created_at < now() - make_interval(secs => %(age)s) AND state IN ('COMPLETED', 'FAILED', 'CANCELLED'))
LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: delete_job_rows
WITH a AS (DELETE FROM tasks WHERE job_id = ANY(%(jobs)s)),
     b AS (DELETE FROM job_details WHERE job_id = ANY(%(jobs)s)),
     c AS (DELETE FROM job_steps WHERE job_id = ANY(%(jobs)s)),
     d AS (DELETE FROM job_context WHERE job_id = ANY(%(jobs)s)),
     e AS (DELETE FROM task_items WHERE job_id = ANY(%(jobs)s)),
     f AS (DELETE FROM task_log_parts WHERE job_id = ANY(%(jobs)s))
DELETE FROM jobs WHERE id = ANY(%(jobs)s);

-- name: delete_old_logs
DELETE FROM task_log_parts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM task_log_parts WHERE created_at < now() - make_interval(secs => %(age)s) LIMIT %(limit)s));

-- name: delete_old_keys
-- Keys are kept for seven days beyond their job.
DELETE FROM idempotency i WHERE i.created_at < now() - interval '7 days'
  AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = i.job_id
                  AND coalesce(j.completed_at, j.failed_at, now()) > now() - interval '7 days');
