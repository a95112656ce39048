-- Looking at everything for what no sequence of events leads to. Each finding is one statement, so that it sees one moment.

-- name: moment
-- The clock that leases are judged by, whether anything is to be done, and since when and until when heartbeats were read.
SELECT now() AS now, EXISTS (SELECT FROM jobs WHERE state IN ('PENDING', 'SCHEDULED', 'RUNNING')) AS is_busy,
       heartbeats_since, heartbeats_until, sealed_with, rekeyed_with
FROM engine;

-- name: down_nodes
-- Nodes that are alive and say themselves that they can't work.
SELECT id, name, hostname, port FROM nodes
WHERE status = 'DOWN' AND last_heartbeat_at > now() - make_interval(secs => %(lease)s + %(late)s)
ORDER BY name, id LIMIT %(limit)s;

-- name: stalled_jobs
-- Active jobs without a task that could end, with the newest task at their position.
SELECT j.id, j.root_id, j.version, t.id AS task_id, t.error
FROM jobs j
    LEFT JOIN LATERAL (
        SELECT id, error FROM tasks
        WHERE job_id = j.id AND position = j.position AND parent_id IS NULL ORDER BY created_at DESC, id DESC LIMIT 1) t ON true
WHERE j.state IN ('PENDING', 'SCHEDULED', 'RUNNING')
  AND NOT EXISTS (
      SELECT FROM tasks a WHERE a.job_id = j.id AND a.state IN ('CREATED', 'PENDING', 'SCHEDULED', 'RUNNING'))
ORDER BY j.created_at LIMIT %(limit)s;

-- name: stalled_parents
-- Tasks all of whose children are handed out and none of them is left, or is to be run again: the last one to end would have ended them.
SELECT t.id, t.job_id, t.root_id, j.version, t.size, done.count AS done
FROM jobs j JOIN tasks t ON t.job_id = j.id AND t.state = 'RUNNING' AND t.kind IN ('parallel', 'each') AND t.released >= t.size AND t.redo_left = 0
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT item_index) FROM tasks WHERE parent_id = t.id AND state IN ('COMPLETED', 'SKIPPED')) done
WHERE j.state IN ('PENDING', 'SCHEDULED', 'RUNNING')
  AND NOT EXISTS (
      SELECT FROM tasks c WHERE c.parent_id = t.id AND c.state IN ('CREATED', 'PENDING', 'SCHEDULED', 'RUNNING'))
ORDER BY t.id LIMIT %(limit)s;

-- name: stalled_subjobs
-- Tasks whose sub-job has ended without them, or is not there.
SELECT t.id, t.job_id, t.root_id, j.version, t.subjob_id, s.state, s.result, s.error
FROM jobs j JOIN tasks t ON t.job_id = j.id AND t.state = 'RUNNING' AND t.kind = 'subjob'
    LEFT JOIN jobs s ON s.id = t.subjob_id
WHERE j.state IN ('PENDING', 'SCHEDULED', 'RUNNING')
  AND (s.id IS NULL OR s.state IN ('COMPLETED', 'FAILED', 'CANCELLED'))
ORDER BY t.id LIMIT %(limit)s;

-- name: silent_runs
-- Runs whose lease was not renewed for so long, or was never heard of. They may be given up by the rule of lost_runs alone.
SELECT t.id, t.job_id, t.root_id, t.dispatch, coalesce(t.run_id, '') AS run_id, t.lease_id, coalesce(t.node_id, '') AS node_id,
       l.id IS NOT NULL AND (l.ended
           OR (l.renewed_at < e.heartbeats_until - make_interval(secs => %(lease)s)
               AND e.heartbeats_since < e.heartbeats_until - make_interval(secs => %(lease)s)
               AND e.heartbeats_until > now() - make_interval(secs => %(lease)s))) AS may_be_given_up
FROM engine e CROSS JOIN tasks t LEFT JOIN leases l ON l.id = t.lease_id
WHERE t.state = 'RUNNING' AND t.lease_id IS NOT NULL
  AND coalesce(l.renewed_at, t.started_at) < now() - make_interval(secs => %(lease)s + %(late)s)
ORDER BY t.id LIMIT %(limit)s;

-- name: late_retries
SELECT id, job_id, root_id FROM tasks
WHERE state = 'PENDING' AND due_at < now() - make_interval(secs => %(late)s) ORDER BY due_at LIMIT %(limit)s;

-- name: old_outbox
SELECT task_id, dispatch FROM outbox WHERE created_at < now() - make_interval(secs => %(late)s)
ORDER BY created_at LIMIT %(limit)s;

-- name: waiting_hand_outs
-- Every queue with tasks that no run holds: how many of them were handed out so long ago, but for those that are still to be sent.
SELECT t.queue, count(*) FILTER (WHERE old) AS count, (array_agg(t.id ORDER BY t.scheduled_at) FILTER (WHERE old))[1:10] AS task_ids
FROM (
    SELECT id, queue, scheduled_at,
           scheduled_at < now() - make_interval(secs => %(unseen)s)
               AND NOT EXISTS (SELECT FROM outbox o WHERE o.task_id = tasks.id AND o.dispatch = tasks.dispatch) AS old
    FROM tasks WHERE state = 'SCHEDULED') t
GROUP BY t.queue ORDER BY t.queue;

-- name: served_queues
-- Queues from which somebody alive runs a task. A worker with no free slot reads none.
SELECT DISTINCT t.queue
FROM leases l JOIN tasks t ON t.lease_id = l.id AND t.state = 'RUNNING'
WHERE NOT l.ended AND l.renewed_at > now() - make_interval(secs => %(lease)s + %(late)s);
