-- Reading what tasks printed. Log parts were masked before they were stored, so a search sees no secret.

-- name: job_log
-- A page of a job's log: the newest part first, of the last task first; tasks that ran side by side as they printed.
SELECT p.task_id, p.run_id, p.number, p.contents, p.created_at
  FROM task_log_parts p
  JOIN tasks t ON t.id = p.task_id
 WHERE p.job_id = %(job_id)s
 ORDER BY t.position DESC, t.created_at DESC, p.seq DESC
 LIMIT %(size)s OFFSET %(offset)s;

-- name: count_job_log
-- The parts of a job's log.
SELECT count(*) AS total FROM (SELECT FROM task_log_parts p WHERE p.job_id = %(job_id)s LIMIT %(limit)s) AS parts;

-- name: search_job_log
-- As `job_log`, the parts in which all words occur.
SELECT p.task_id, p.run_id, p.number, p.contents, p.created_at
  FROM task_log_parts p
  JOIN tasks t ON t.id = p.task_id
 WHERE p.job_id = %(job_id)s AND to_tsvector('english', left(p.contents, 200000)) @@ plainto_tsquery('english', %(text)s)
 ORDER BY t.position DESC, t.created_at DESC, p.seq DESC
 LIMIT %(size)s OFFSET %(offset)s;

-- name: count_search_job_log
-- The parts of a job's log in which all words occur.
SELECT count(*) AS total
  FROM (SELECT FROM task_log_parts p
         WHERE p.job_id = %(job_id)s AND to_tsvector('english', left(p.contents, 200000)) @@ plainto_tsquery('english', %(text)s)
         LIMIT %(limit)s) AS parts;

-- name: task_log
-- A page of a task's log, the newest part first.
SELECT p.task_id, p.run_id, p.number, p.contents, p.created_at
  FROM task_log_parts p
 WHERE p.task_id = %(task_id)s
 ORDER BY p.dispatch DESC, p.run_id, p.number DESC
 LIMIT %(size)s OFFSET %(offset)s;

-- name: count_task_log
-- The parts of a task's log.
SELECT count(*) AS total FROM (SELECT FROM task_log_parts p WHERE p.task_id = %(task_id)s LIMIT %(limit)s) AS parts;

-- name: search_task_log
-- As `task_log`, the parts in which all words occur.
SELECT p.task_id, p.run_id, p.number, p.contents, p.created_at
  FROM task_log_parts p
 WHERE p.task_id = %(task_id)s AND to_tsvector('english', left(p.contents, 200000)) @@ plainto_tsquery('english', %(text)s)
 ORDER BY p.dispatch DESC, p.run_id, p.number DESC
 LIMIT %(size)s OFFSET %(offset)s;

-- name: count_search_task_log
-- The parts of a task's log in which all words occur.
SELECT count(*) AS total
  FROM (SELECT FROM task_log_parts p
         WHERE p.task_id = %(task_id)s AND to_tsvector('english', left(p.contents, 200000)) @@ plainto_tsquery('english', %(text)s)
         LIMIT %(limit)s) AS parts;

-- name: job_exists
-- Whether there is such a job.
SELECT 1 AS found FROM jobs WHERE id = %(job_id)s;

-- name: task_exists
-- Whether there is such a task.
SELECT 1 AS found FROM tasks WHERE id = %(task_id)s;

-- name: job_log_after
-- The parts of a job's log after a place, in the order they were stored.
SELECT seq, job_id, task_id, run_id, number, contents, created_at
  FROM task_log_parts
 WHERE job_id = %(job_id)s AND seq > %(seq)s
 ORDER BY seq LIMIT %(limit)s;

-- name: task_log_after
-- The parts of a task's log after a place, in the order they were stored.
SELECT seq, job_id, task_id, run_id, number, contents, created_at
  FROM task_log_parts
 WHERE task_id = %(task_id)s AND seq > %(seq)s
 ORDER BY seq LIMIT %(limit)s;

-- name: place_in_job
-- Where a part stands in its job's log.
SELECT seq FROM task_log_parts WHERE job_id = %(job_id)s AND run_id = %(run_id)s AND number = %(number)s;

-- name: place_in_task
-- Where a part stands in its task's log.
SELECT seq FROM task_log_parts WHERE task_id = %(task_id)s AND run_id = %(run_id)s AND number = %(number)s;

-- name: job_log_state
-- The state of a job, and whether every announced part of its tasks is stored. Only an ended job's parts are counted.
SELECT j.state,
       CASE WHEN j.state IN ('PENDING', 'SCHEDULED', 'RUNNING') THEN false
            ELSE NOT EXISTS (
                SELECT FROM tasks t
                  LEFT JOIN (SELECT p.task_id, p.run_id, count(*) AS parts
                               FROM task_log_parts p WHERE p.job_id = %(job_id)s GROUP BY p.task_id, p.run_id) AS stored
                         ON stored.task_id = t.id AND stored.run_id = t.run_id
                 WHERE t.job_id = j.id AND t.log_parts > coalesce(stored.parts, 0))
       END AS complete
  FROM jobs j
 WHERE j.id = %(job_id)s;

-- name: task_log_state
-- The state of a task, and whether every part its last run announced is stored. Only an ended task's parts are counted.
SELECT t.state,
       CASE WHEN t.state IN ('CREATED', 'PENDING', 'SCHEDULED', 'RUNNING') THEN false
            ELSE t.log_parts <= (SELECT count(*) FROM task_log_parts p WHERE p.task_id = t.id AND p.run_id = t.run_id)
       END AS complete
  FROM tasks t
 WHERE t.id = %(task_id)s;
