-- What keeps the engine going between events.

-- name: record_nodes
INSERT INTO nodes (id, lease_id, name, hostname, port, queue, status, cpu_percent, task_count, version, started_at,
                   last_heartbeat_at)
SELECT DISTINCT ON (id) id, lease_id, name, hostname, port, queue, status, cpu_percent, task_count, version, started_at, now()
FROM json_to_recordset(%(rows)s::json) AS r (
    id text, lease_id text, name text, hostname text, port int, queue text, status text, cpu_percent float8,
    task_count int, version text, started_at timestamptz)
ORDER BY id, started_at DESC
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

-- name: note_unknown_leases
-- A worker whose runs are known before its first heartbeat is: its lease counts from now, by the clock of the database.
INSERT INTO leases (id, node_id, renewed_at)
SELECT DISTINCT ON (t.lease_id) t.lease_id, coalesce(t.node_id, ''), now()
FROM tasks t WHERE t.state = 'RUNNING' AND t.lease_id IS NOT NULL AND NOT EXISTS (SELECT FROM leases l WHERE l.id = t.lease_id)
ORDER BY t.lease_id
ON CONFLICT DO NOTHING;

-- name: lost_runs
-- Runs whose lease has ended, or was not renewed while heartbeats were read without a gap for a whole lease: since the reading
-- stopped, nobody could be heard, so only silence before that counts.
SELECT t.id, t.job_id, t.root_id, t.dispatch, t.run_id, t.lease_id
FROM engine e CROSS JOIN leases l JOIN tasks t ON t.lease_id = l.id
WHERE t.state = 'RUNNING'
  AND (l.ended
       OR (l.renewed_at < e.heartbeats_until - make_interval(secs => %(lease)s)
           AND e.heartbeats_since < e.heartbeats_until - make_interval(secs => %(lease)s)
           AND e.heartbeats_until > now() - make_interval(secs => %(lease)s)))
LIMIT %(limit)s;

-- name: lost_nodes
-- Nodes without a lease that may still be renewed: like lost_runs, nothing is lost while heartbeats may be unread.
SELECT n FROM engine e CROSS JOIN unnest(%(nodes)s::text[]) n
WHERE e.heartbeats_since < e.heartbeats_until - make_interval(secs => %(lease)s)
  AND e.heartbeats_until > now() - make_interval(secs => %(lease)s)
  AND NOT EXISTS (SELECT FROM leases l WHERE l.node_id = n AND NOT l.ended
                  AND l.renewed_at >= e.heartbeats_until - make_interval(secs => %(lease)s));

-- name: due_retries
SELECT id, job_id, root_id FROM tasks
WHERE state = 'PENDING' AND due_at IS NOT NULL AND due_at <= %(now)s ORDER BY due_at LIMIT %(limit)s;

-- name: unfolding
-- Composites with room for children that nobody may be releasing or making.
SELECT id, job_id, root_id FROM tasks
WHERE state = 'RUNNING' AND (released < size OR redo_left > 0)
  AND released - completions - failures - redo_left < coalesce(nullif(concurrency, 0), 1000)
LIMIT %(limit)s;

-- name: root_of
SELECT root_id FROM jobs WHERE id = %(job)s;

-- name: end_leases
-- Those of workers that were never heard of too.
WITH unheard AS (
    INSERT INTO leases (id, node_id, renewed_at, ended)
    SELECT DISTINCT ON (t.lease_id) t.lease_id, coalesce(t.node_id, ''), now(), true
    FROM tasks t WHERE t.state = 'RUNNING' AND t.lease_id IS NOT NULL ORDER BY t.lease_id
    ON CONFLICT DO NOTHING
)
UPDATE leases SET ended = true WHERE NOT ended;

-- name: forget_leases
DELETE FROM leases l WHERE l.renewed_at < now() - interval '1 hour'
  AND NOT EXISTS (SELECT FROM tasks t WHERE t.lease_id = l.id AND t.state = 'RUNNING');

-- name: forget_nodes
DELETE FROM nodes WHERE last_heartbeat_at < now() - interval '1 day';

-- name: leftovers
SELECT task_id, dispatch FROM outbox WHERE created_at < now() - make_interval(secs => %(age)s)
ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: bodies
-- What a worker gets, with the secrets to hide in the logs: those of the job and of all jobs above it.
SELECT t.id, t.job_id, t.root_id, t.dispatch, t.queue, t.priority, t.spec,
       CASE WHEN j.has_secrets THEN (
           WITH RECURSIVE above AS (
               SELECT j.id, j.parent_job_id
               UNION
               SELECT p.id, p.parent_job_id FROM above JOIN jobs p ON p.id = above.parent_job_id
           )
           SELECT array_agg(ARRAY[c.job_id, c.value]) FROM above JOIN job_context c ON c.job_id = above.id AND c.namespace IN ('secrets', 'hidden'))
       END
FROM unnest(%(tasks)s::text[], %(dispatches)s::int[]) AS w (task_id, dispatch)
JOIN tasks t ON t.id = w.task_id AND t.dispatch = w.dispatch AND t.state = 'SCHEDULED'
JOIN jobs j ON j.id = t.job_id
ORDER BY t.scheduled_at, t.position, t.item_index;

-- name: sealed_with
-- The id of the key that values are sealed with; empty: none.
SELECT sealed_with FROM engine;

-- name: seal_with
-- From now on values are sealed with this key.
UPDATE engine SET sealed_with = %(key_id)s, rekeyed_with = '' WHERE sealed_with <> %(key_id)s;

-- name: epoch
SELECT epoch FROM engine;

-- name: begin_epoch
UPDATE engine SET epoch = %(epoch)s WHERE epoch = %(expected)s RETURNING epoch;

-- name: send_all_again
-- Every hand-out that no run holds, as the broker may have lost it. Old enough to be taken up at once.
INSERT INTO outbox (task_id, dispatch, created_at)
SELECT id, dispatch, now() - interval '1 hour' FROM tasks WHERE state = 'SCHEDULED'
ON CONFLICT DO NOTHING;

-- name: queues_with_hand_outs
SELECT DISTINCT queue FROM tasks WHERE state = 'SCHEDULED';

-- name: send_unseen_again
-- Hand-outs of a queue that was empty for a while, and that no run holds: the broker has lost them.
INSERT INTO outbox (task_id, dispatch, created_at)
SELECT id, dispatch, now() - interval '1 hour' FROM tasks
WHERE state = 'SCHEDULED' AND scheduled_at < %(before)s AND queue = %(queue)s
ORDER BY scheduled_at LIMIT %(limit)s
ON CONFLICT DO NOTHING;

-- name: forget_everything
TRUNCATE jobs, job_details, job_steps, job_context, tasks, task_items, outbox, task_log_parts, leases, idempotency, schedules, schedule_ticks,
    webhook_lanes, webhook_deliveries;

-- name: lock_log
-- Writers of log parts take turns, so that seq grows in the order of commits.
SELECT pg_advisory_xact_lock(7464251);

-- name: add_log_parts
INSERT INTO task_log_parts (task_id, dispatch, run_id, number, job_id, contents, created_at)
SELECT task_id, dispatch, run_id, number, job_id, contents, printed_at
FROM json_to_recordset(%(rows)s::json) AS r (
    task_id text, dispatch int, run_id text, number int, job_id text, contents text, printed_at timestamptz)
ON CONFLICT DO NOTHING;

-- name: lock_retention
-- One coordinator at a time removes what is old; the others leave it to that one.
SELECT pg_try_advisory_xact_lock(7464252);

-- name: old_jobs
-- Jobs that have ended, whole trees: a sub-job stays as long as the job at its root is active, unless it says otherwise.
SELECT j.id FROM jobs j
WHERE j.state IN ('COMPLETED', 'FAILED', 'CANCELLED')
  AND (j.delete_at < now()
       OR (j.created_at < now() - make_interval(secs => %(age)s)
           AND NOT EXISTS (SELECT FROM jobs r WHERE r.id = j.root_id AND r.state IN ('PENDING', 'SCHEDULED', 'RUNNING'))))
LIMIT %(limit)s FOR UPDATE OF j SKIP LOCKED;

-- name: delete_some_tasks
DELETE FROM tasks WHERE ctid = ANY(ARRAY(SELECT ctid FROM tasks WHERE job_id = ANY(%(jobs)s) LIMIT %(limit)s));

-- name: delete_some_items
DELETE FROM task_items WHERE ctid = ANY(ARRAY(SELECT ctid FROM task_items WHERE job_id = ANY(%(jobs)s) LIMIT %(limit)s));

-- name: delete_some_log_parts
-- By what tells a part in all partitions: places are counted in each of them.
DELETE FROM task_log_parts p
USING (SELECT job_id, seq FROM task_log_parts WHERE job_id = ANY(%(jobs)s) LIMIT %(limit)s) AS old
WHERE p.job_id = old.job_id AND p.seq = old.seq;

-- name: delete_jobs
-- What is left of jobs without tasks. Their idempotency keys are kept for seven days more.
WITH a AS (DELETE FROM job_details WHERE job_id = ANY(%(jobs)s)),
     b AS (DELETE FROM job_steps WHERE job_id = ANY(%(jobs)s)),
     c AS (DELETE FROM job_context WHERE job_id = ANY(%(jobs)s)),
     d AS (UPDATE idempotency SET expires_at = now() + interval '7 days' WHERE job_id = ANY(%(jobs)s))
DELETE FROM jobs WHERE id = ANY(%(jobs)s);

-- name: delete_old_logs
-- Where logs are kept so short that whole days are too coarse.
DELETE FROM task_log_parts p
USING (SELECT job_id, seq FROM task_log_parts
        WHERE created_at < now() - make_interval(secs => %(age)s) LIMIT %(limit)s) AS old
WHERE p.job_id = old.job_id AND p.seq = old.seq;

-- name: delete_old_stray_logs
-- What is in no day's partition.
DELETE FROM task_log_parts_default WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM task_log_parts_default WHERE created_at < now() - make_interval(secs => %(age)s) LIMIT %(limit)s));

-- name: log_days
-- The partitions of days, and the time.
SELECT now(), array(SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                    WHERE i.inhparent = 'task_log_parts'::regclass);

-- name: has_stray_logs
-- Whether parts of that time are in no day's partition: then it can't have one any more.
SELECT EXISTS (SELECT FROM task_log_parts_default WHERE created_at >= %(start)s AND created_at < %(end)s);

-- name: set_lock_timeout
-- For this transaction.
SELECT set_config('lock_timeout', %(timeout)s, true);

-- name: delete_old_audit
DELETE FROM audit_log WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM audit_log WHERE at < now() - make_interval(secs => %(age)s) LIMIT %(limit)s));

-- name: delete_old_keys
DELETE FROM idempotency WHERE ctid = ANY(ARRAY(SELECT ctid FROM idempotency WHERE expires_at < now() LIMIT %(limit)s));

-- name: fold_job_counts
-- All that was counted so far as one row. What is appended meanwhile stays as it is.
WITH gone AS (DELETE FROM job_counts RETURNING jobs)
INSERT INTO job_counts (jobs) SELECT coalesce(sum(jobs), 0) FROM gone;
