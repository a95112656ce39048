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
