-- Reading tasks for people.

-- name: get_tasks
-- Tasks by their ids, in any order.
SELECT t.id, t.job_id, t.parent_id, t.position, t.state, t.name, t.queue, t.priority, t.var, t.attempts, t.redelivered,
       t.node_id, t.created_at, t.scheduled_at, t.started_at, t.completed_at, t.failed_at, t.progress, t.error, t.result,
       t.size, t.created, t.completions, t.failures, t.subjob_id, t.reason, t.item_index, t.spec
  FROM tasks t
 WHERE t.id = ANY(%(task_ids)s::text[]);

-- name: get_execution
-- The tasks of a job in the order they ran; what has not started comes last in its place.
SELECT t.id, t.job_id, t.parent_id, t.position, t.state, t.name, t.queue, t.priority, t.var, t.attempts, t.redelivered,
       t.node_id, t.created_at, t.scheduled_at, t.started_at, t.completed_at, t.failed_at, t.progress, t.error, t.result,
       t.size, t.created, t.completions, t.failures, t.subjob_id, t.reason, t.item_index, t.spec
  FROM tasks t
 WHERE t.job_id = %(job_id)s
 ORDER BY t.position, t.started_at NULLS LAST, t.created_at, t.item_index, t.id
 LIMIT %(size)s OFFSET %(offset)s;

-- name: get_execution_ids
-- The ids of the tasks of a job, in that order.
SELECT t.id
  FROM tasks t
 WHERE t.job_id = %(job_id)s
 ORDER BY t.position, t.started_at NULLS LAST, t.created_at, t.item_index, t.id;

-- name: get_task_summary
-- A task in few words.
SELECT t.id, t.job_id, t.parent_id, t.position, t.progress, t.name, t.state, t.created_at, t.scheduled_at, t.started_at,
       t.completed_at, t.failed_at, t.error, t.result, t.var, t.node_id, t.attempts, t.reason, t.spec, t.version
  FROM tasks t
 WHERE t.id = ANY(%(task_ids)s::text[]);

-- name: get_beginnings
-- When jobs and tasks were made, handed out last, and started.
SELECT j.id, j.created_at, NULL::timestamptz AS scheduled_at, j.started_at
  FROM jobs j
 WHERE j.id = ANY(%(job_ids)s::text[])
UNION ALL
SELECT t.id, t.created_at, t.scheduled_at, t.started_at
  FROM tasks t
 WHERE t.id = ANY(%(task_ids)s::text[]);

-- name: get_changed_tasks
-- The tasks of a job that changed after a version, the oldest changes first; all changes of one version come together.
SELECT t.id, t.job_id, t.parent_id, t.position, t.progress, t.name, t.state, t.created_at, t.scheduled_at, t.started_at,
       t.completed_at, t.failed_at, t.error, t.result, t.var, t.node_id, t.attempts, t.reason, t.spec, t.version
  FROM tasks t
 WHERE t.job_id = %(job_id)s AND t.version > %(after)s
 ORDER BY t.version
 FETCH FIRST %(limit)s ROWS WITH TIES;
