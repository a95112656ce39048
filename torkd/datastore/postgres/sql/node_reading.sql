-- Reading nodes and the figures of the whole.

-- name: get_nodes
-- The nodes that were heard of within five minutes; one that was up is offline after a minute of silence.
SELECT id, name, started_at, cpu_percent, last_heartbeat_at, queue, hostname, port, task_count, version,
       CASE WHEN status = 'UP' AND last_heartbeat_at < now() - interval '60 seconds' THEN 'OFFLINE' ELSE status END AS status
  FROM nodes
 WHERE last_heartbeat_at > now() - interval '5 minutes'
 ORDER BY name, id;

-- name: get_metrics
-- Running jobs, the running tasks of running jobs, and the nodes that were heard of within five minutes.
SELECT (SELECT count(*) FROM jobs WHERE state = 'RUNNING') AS jobs,
       (SELECT count(*) FROM jobs j JOIN tasks t ON t.job_id = j.id AND t.state = 'RUNNING' WHERE j.state = 'RUNNING') AS tasks,
       n.online, n.cpu_percent
  FROM (SELECT count(*) AS online, coalesce(avg(cpu_percent), 0)::float8 AS cpu_percent
          FROM nodes WHERE last_heartbeat_at > now() - interval '5 minutes') AS n;

-- name: get_figures
-- What is under way and what waits, a figure a row: by partial indexes, so that it costs the same whatever else is stored.
-- A node is a coordinator when it reads no queue of its own.
WITH heard AS (
    SELECT CASE WHEN queue = '' THEN 'coordinator' ELSE 'worker' END AS kind, cpu_percent, task_count,
           CASE WHEN status = 'UP' AND last_heartbeat_at < now() - interval '60 seconds' THEN 'OFFLINE' ELSE status END AS status
      FROM nodes WHERE last_heartbeat_at > now() - interval '5 minutes'
)
SELECT 'jobs' AS figure, state AS label, count(*)::float8 AS value
  FROM jobs WHERE state IN ('PENDING', 'SCHEDULED', 'RUNNING') GROUP BY state
UNION ALL
SELECT 'tasks', 'RUNNING', count(*) FROM tasks WHERE state = 'RUNNING'
UNION ALL
SELECT 'tasks', 'SCHEDULED', count(*) FROM tasks WHERE state = 'SCHEDULED'
UNION ALL
SELECT 'tasks', 'PENDING', count(*) FROM tasks WHERE state = 'PENDING' AND due_at IS NOT NULL
UNION ALL
SELECT 'tasks', 'CREATED', coalesce(sum(created - released), 0) FROM tasks WHERE state = 'RUNNING' AND released < size
UNION ALL
SELECT 'jobs_stored', '', sum(jobs) FROM job_counts
UNION ALL
SELECT 'schedules_late', '', count(*) FROM schedules WHERE state = 'ACTIVE' AND due_at < now() - interval '30 seconds'
UNION ALL
SELECT 'outbox', '', count(*) FROM outbox
UNION ALL
SELECT 'outbox_age', '', coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM outbox
UNION ALL
SELECT 'nodes', kind || ' ' || status, count(*) FROM heard GROUP BY kind, status
UNION ALL
SELECT 'cpu_percent', kind, avg(cpu_percent) FROM heard WHERE status <> 'OFFLINE' GROUP BY kind
UNION ALL
SELECT 'worker_tasks', '', coalesce(sum(task_count), 0) FROM heard WHERE kind = 'worker' AND status <> 'OFFLINE';
