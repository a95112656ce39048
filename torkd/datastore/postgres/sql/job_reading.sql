-- Reading jobs for people. Secrets are as stored: the caller hides them.

-- name: get_job
-- Everything of a job that is one row.
SELECT j.id, j.parent_job_id, j.parent_task_id, j.name, j.state, j.position, j.task_count, j.progress, j.version,
       j.created_at, j.started_at, j.completed_at, j.failed_at, j.delete_at, j.error, j.result, j.defaults, j.auto_delete,
       j.viewers IS NOT NULL AS is_restricted, d.description, d.tags, d.output, d.webhooks, d.schedule_id, d.schedule_cron,
       u.id AS user_id, u.name AS user_name, u.username, u.disabled AS user_disabled, u.created_at AS user_created_at
  FROM jobs j
  JOIN job_details d ON d.job_id = j.id
  LEFT JOIN users u ON u.id = j.created_by
 WHERE j.id = %(job_id)s;

-- name: get_steps
-- The definitions of a job's top-level tasks; the row after the last is the output template and is left out.
SELECT spec FROM job_steps WHERE job_id = %(job_id)s AND position <= %(task_count)s ORDER BY position;

-- name: get_context
-- The values that a job's expressions can read.
SELECT namespace, substr(key, length(namespace) + 2) AS name, value
  FROM job_context
 WHERE job_id = %(job_id)s
 ORDER BY key;

-- name: get_summaries
-- Some jobs in few words, each with its version; without those that a viewer may not see, if one is given.
SELECT j.id, j.parent_task_id, j.name, j.state, j.position, j.task_count, j.progress, j.version,
       j.created_at, j.started_at, j.completed_at, j.failed_at, j.error, j.result,
       d.description, d.tags, d.schedule_id, d.schedule_cron,
       u.id AS user_id, u.name AS user_name, u.username, u.disabled AS user_disabled, u.created_at AS user_created_at,
       (SELECT json_object_agg(substr(c.key, 8), c.value ORDER BY c.key)
          FROM job_context c WHERE c.job_id = j.id AND c.namespace = 'inputs') AS inputs
  FROM jobs j
  JOIN job_details d ON d.job_id = j.id
  LEFT JOIN users u ON u.id = j.created_by
 WHERE j.id = ANY(%(job_ids)s)
   AND (%(viewer)s::text IS NULL OR j.viewers IS NULL OR (j.viewers IS NOT NULL AND j.created_by = %(viewer)s) OR j.viewers && %(viewer_ids)s::text[])
 ORDER BY j.created_at DESC, j.id DESC;

-- name: get_permissions
-- Who may see a job, in the order of the submission. Roles that were deleted are left out.
SELECT u.id AS user_id, u.name AS user_name, u.username, u.disabled, u.created_at AS user_created_at,
       r.id AS role_id, r.slug, r.name AS role_name, r.created_at AS role_created_at
  FROM jobs j
 CROSS JOIN LATERAL unnest(j.viewers) WITH ORDINALITY AS v (id, place)
  LEFT JOIN users u ON u.id = v.id
  LEFT JOIN roles r ON r.id = v.id
 WHERE j.id = %(job_id)s AND (u.id IS NOT NULL OR r.id IS NOT NULL)
 ORDER BY v.place;

-- name: get_versions
-- The versions of some jobs.
SELECT id, version FROM jobs WHERE id = ANY(%(job_ids)s);

-- name: get_secrets
-- What is to be hidden of some jobs: their secrets, those they have to do with (`hidden`), and the same of the jobs above them;
-- `depth` is 0 for a job's own.
WITH RECURSIVE family AS (
    SELECT id AS job_id, id AS owner_id, parent_job_id, has_secrets, 0 AS depth FROM jobs WHERE id = ANY(%(job_ids)s)
    UNION
    SELECT f.job_id, j.id, j.parent_job_id, j.has_secrets, f.depth + 1
      FROM family f JOIN jobs j ON j.id = f.parent_job_id
)
SELECT f.job_id, f.owner_id, f.depth, substr(c.key, length(c.namespace) + 2) AS name, c.value
  FROM family f
  JOIN job_context c ON c.job_id = f.owner_id AND c.namespace IN ('secrets', 'hidden')
 WHERE f.has_secrets
 ORDER BY f.job_id, f.depth, c.key;
