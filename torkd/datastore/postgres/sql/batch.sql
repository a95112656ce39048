-- The statements of one batch of events. Rows go in as one JSON parameter each, so their number does not matter.

-- name: lock_roots
-- The only lock: the row of the root job. Jobs that somebody else works on are left for later.
SELECT id FROM jobs WHERE id = ANY(%(roots)s::text[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;

-- name: set_lock_timeout
-- For this transaction.
SELECT set_config('lock_timeout', %(milliseconds)s, true);

-- name: lock_roots_waiting
-- For an event that was skipped too often, and for people, who wait.
SELECT id FROM jobs WHERE id = ANY(%(roots)s::text[]) ORDER BY id FOR NO KEY UPDATE;

-- name: load
-- In one answer, each row as JSON: the tasks of the events and everything above them and above the jobs in `tops` (parents,
-- and the tasks that wait for sub-jobs), all their jobs, and for tasks that have ended at the top of their job its next step
-- with the context it reads.
-- OFFSET 0 makes each LATERAL a look-up of its own: no plan may read a whole table, however small it was when it was made.
WITH RECURSIVE first AS (
    SELECT unnest(%(tasks)s::text[]) AS id
    UNION
    SELECT j.parent_task_id FROM jobs j WHERE j.id = ANY(%(tops)s::text[])
),
chain AS (
    SELECT t.id, t.job_id, t.parent_id
    FROM first CROSS JOIN LATERAL (SELECT id, job_id, parent_id FROM tasks WHERE id = first.id OFFSET 0) t
    UNION
    SELECT p.id, p.job_id, p.parent_id
    FROM chain c
        CROSS JOIN LATERAL (SELECT parent_task_id FROM jobs WHERE id = c.job_id OFFSET 0) j
        CROSS JOIN LATERAL (
            SELECT id, job_id, parent_id FROM tasks WHERE id = coalesce(c.parent_id, j.parent_task_id) OFFSET 0) p
),
near AS (
    SELECT unnest(%(jobs)s::text[]) AS id UNION SELECT job_id FROM chain
),
top AS (
    SELECT DISTINCT t.job_id
    FROM unnest(%(ended)s::text[]) AS e (id)
        CROSS JOIN LATERAL (SELECT job_id FROM tasks WHERE id = e.id AND parent_id IS NULL OFFSET 0) t
),
ahead AS (
    SELECT s.job_id, s.position, s.spec, s.reads, s.reads_all
    FROM top
        CROSS JOIN LATERAL (SELECT id, position + 1 AS next FROM jobs WHERE id = top.job_id OFFSET 0) j
        CROSS JOIN LATERAL (SELECT * FROM job_steps WHERE job_id = j.id AND position = j.next OFFSET 0) s
)
SELECT 'task', to_json(r)::text FROM (
    SELECT t.id, t.job_id, t.root_id, t.parent_id, t.position, t.item_index, t.kind, t.state, t.name, t.queue,
           t.priority, t.var, t.retry::json AS retry, t.attempts, t.dispatch, t.redelivered, t.run_id, t.node_id,
           t.lease_id, t.due_at, t.progress, t.log_parts, t.size, t.created, t.released, t.completions, t.concurrency,
           t.goes_on, t.failures, t.redo_left, t.redo::json AS redo, t.subjob_id, t.version, CASE WHEN t.state = 'SCHEDULED' THEN t.scheduled_at END AS scheduled_at
    FROM chain c CROSS JOIN LATERAL (SELECT * FROM tasks WHERE id = c.id OFFSET 0) t) r
UNION ALL
SELECT 'job', to_json(r)::text FROM (
    SELECT j.id, j.root_id, j.parent_job_id, j.parent_task_id, j.name, j.state, j.position, j.task_count, j.progress,
           j.version, j.created_by, j.started_at, j.completed_at, j.failed_at, j.delete_at,
           j.defaults::json AS defaults, j.auto_delete, j.has_secrets, j.viewers, j.announces
    FROM near CROSS JOIN LATERAL (SELECT * FROM jobs WHERE id = near.id OFFSET 0) j) r
UNION ALL
SELECT 'step', to_json(ahead)::text FROM ahead
UNION ALL
SELECT 'context', to_json(r)::text FROM (
    SELECT c.job_id, c.namespace, c.key, c.value
    FROM ahead a CROSS JOIN LATERAL (
        SELECT * FROM job_context WHERE job_id = a.job_id AND key = ANY(a.reads) OFFSET 0) c
    UNION ALL
    SELECT c.job_id, c.namespace, c.key, c.value
    FROM ahead a CROSS JOIN LATERAL (
        SELECT * FROM job_context WHERE job_id = a.job_id AND namespace = ANY(a.reads_all) OFFSET 0) c
    WHERE cardinality(a.reads_all) > 0
) r;

-- name: which_exist
SELECT id FROM jobs WHERE id = ANY(%(jobs)s::text[]);

-- name: load_steps
-- Steps by job and position, with what they read.
SELECT s.job_id, s.position, s.spec, s.reads, s.reads_all
FROM unnest(%(jobs)s::text[], %(first)s::int[], %(last)s::int[]) AS w (job_id, first, last)
JOIN job_steps s ON s.job_id = w.job_id AND s.position BETWEEN w.first AND w.last;

-- name: load_steps_context
-- The context values that those steps read.
SELECT c.job_id, c.namespace, c.key, c.value
FROM unnest(%(jobs)s::text[], %(first)s::int[], %(last)s::int[]) AS w (job_id, first, last)
JOIN job_steps s ON s.job_id = w.job_id AND s.position BETWEEN w.first AND w.last
JOIN job_context c ON c.job_id = s.job_id AND c.key = ANY(s.reads)
UNION
SELECT c.job_id, c.namespace, c.key, c.value
FROM unnest(%(jobs)s::text[], %(first)s::int[], %(last)s::int[]) AS w (job_id, first, last)
JOIN job_steps s ON s.job_id = w.job_id AND s.position BETWEEN w.first AND w.last AND cardinality(s.reads_all) > 0
JOIN job_context c ON c.job_id = s.job_id AND c.namespace = ANY(s.reads_all);

-- name: load_context
-- Context values by name.
SELECT job_id, namespace, key, value FROM job_context
WHERE job_id = %(job)s AND (key = ANY(%(keys)s) OR namespace = ANY(%(namespaces)s));

-- name: load_waiting
-- Children that may be released, as JSON, with what they are.
SELECT to_json(r)::text, t.spec, t.scope, t.reason
FROM unnest(%(parents)s::text[], %(first)s::int[], %(end)s::int[]) AS w (parent_id, first, "end")
JOIN tasks t ON t.parent_id = w.parent_id AND t.item_index >= w.first AND t.item_index < w."end" AND t.state = 'CREATED'
CROSS JOIN LATERAL (
    SELECT t.id, t.job_id, t.root_id, t.parent_id, t.position, t.item_index, t.kind, t.state, t.name, t.queue,
           t.priority, t.var, t.retry::json AS retry, t.attempts, t.dispatch, t.redelivered, t.run_id, t.node_id,
           t.lease_id, t.due_at, t.progress, t.log_parts, t.size, t.created, t.released, t.completions, t.concurrency,
           t.goes_on, t.failures, t.redo_left, t.redo::json AS redo, t.subjob_id, t.version) r;

-- name: load_specs
SELECT id, spec, scope FROM tasks WHERE id = ANY(%(tasks)s);

-- name: load_items
-- The blocks of elements that the next children come from.
SELECT i.task_id, i.block, i.items
FROM unnest(%(tasks)s::text[], %(first)s::int[], %(last)s::int[]) AS w (task_id, first, last)
JOIN task_items i ON i.task_id = w.task_id AND i.block BETWEEN w.first AND w.last
ORDER BY i.task_id, i.block;

-- name: cancel_tree
-- Cancel what is active below these jobs, but for the rows that the batch writes itself; answers with the runs to stop, how many
-- tasks these were, and the jobs whose webhooks are to be told.
WITH RECURSIVE tree AS (
    SELECT unnest(%(jobs)s::text[]) AS id
    UNION
    SELECT j.id FROM tree JOIN jobs j ON j.parent_job_id = tree.id
),
ended_jobs AS (
    UPDATE jobs j SET state = 'CANCELLED', failed_at = %(now)s, version = j.version + 1
    FROM tree
    WHERE j.id = tree.id AND NOT j.id = ANY(%(known_jobs)s::text[]) AND j.state IN ('PENDING', 'SCHEDULED', 'RUNNING')
    RETURNING j.id, j.root_id, j.parent_job_id, j.parent_task_id, j.name, j.state, j.position, j.task_count, j.progress,
              j.version, j.created_by, j.started_at, j.completed_at, j.failed_at, j.has_secrets, j.announces
),
ended_tasks AS (
    UPDATE tasks t SET state = 'CANCELLED', failed_at = %(now)s, due_at = NULL, version = j.version + 1
    FROM tree JOIN jobs j ON j.id = tree.id
    WHERE t.job_id = tree.id AND NOT t.id = ANY(%(known_tasks)s::text[])
      AND t.state IN ('CREATED', 'PENDING', 'SCHEDULED', 'RUNNING')
    RETURNING t.run_id, t.node_id
)
SELECT 'job', id, version::text FROM ended_jobs
UNION ALL
SELECT 'tasks', '', count(*)::text FROM ended_tasks
UNION ALL
SELECT 'run', node_id, run_id FROM ended_tasks WHERE run_id IS NOT NULL AND node_id IS NOT NULL
UNION ALL
SELECT 'announce', id, to_json(ended_jobs)::text FROM ended_jobs WHERE announces <> '';

-- name: cancel_below
-- Cancel what is active below these tasks in their own jobs, but for the rows that the batch writes itself; answers with the runs
-- to stop, how many tasks these were, and the sub-jobs that tasks there wait for.
WITH RECURSIVE below AS (
    SELECT id, job_id, subjob_id, true AS is_top FROM tasks WHERE id = ANY(%(tasks)s::text[])
    UNION ALL
    SELECT t.id, t.job_id, t.subjob_id, false
    FROM below b CROSS JOIN LATERAL (
        SELECT id, job_id, subjob_id FROM tasks
        WHERE parent_id = b.id AND state IN ('CREATED', 'PENDING', 'SCHEDULED', 'RUNNING') OFFSET 0) t
),
ended AS (
    UPDATE tasks t SET state = 'CANCELLED', failed_at = %(now)s, due_at = NULL, version = j.version + 1
    FROM below b JOIN jobs j ON j.id = b.job_id
    WHERE t.id = b.id AND NOT b.is_top AND NOT t.id = ANY(%(known_tasks)s::text[])
      AND t.state IN ('CREATED', 'PENDING', 'SCHEDULED', 'RUNNING')
    RETURNING t.run_id, t.node_id
)
SELECT 'job', j.id, '' FROM below b JOIN jobs j ON j.id = b.subjob_id AND j.parent_task_id = b.id
UNION ALL
SELECT 'tasks', '', count(*)::text FROM ended
UNION ALL
SELECT 'run', node_id, run_id FROM ended WHERE run_id IS NOT NULL AND node_id IS NOT NULL;

-- name: load_failures
-- Of each of these tasks the first children whose last run has failed.
SELECT f.parent_id, f.job_id, f.item_index, f.name, f.error
FROM unnest(%(parents)s::text[]) AS p (id) CROSS JOIN LATERAL (
    SELECT t.parent_id, t.job_id, t.item_index, t.name, t.error
    FROM tasks t
    WHERE t.parent_id = p.id AND t.state = 'FAILED'
      AND NOT EXISTS (
          SELECT FROM tasks n
          WHERE n.parent_id = t.parent_id AND n.item_index = t.item_index AND (n.version, n.attempts) > (t.version, t.attempts))
    ORDER BY t.item_index LIMIT %(limit)s) f
ORDER BY f.parent_id, f.item_index;

-- name: insert_jobs
INSERT INTO jobs (id, root_id, parent_job_id, parent_task_id, name, state, position, task_count, progress, version,
                  created_by, created_at, started_at, completed_at, failed_at, delete_at, error, result, defaults,
                  auto_delete, has_secrets, viewers, schedule_id, announces)
SELECT id, root_id, parent_job_id, parent_task_id, name, state, position, task_count, progress, version,
       created_by, created_at, started_at, completed_at, failed_at, delete_at, error, result, defaults,
       auto_delete, has_secrets, viewers, schedule_id, announces
FROM json_to_recordset(%(rows)s::json) AS r (
    id text, root_id text, parent_job_id text, parent_task_id text, name text, state text, position int,
    task_count int, progress float8, version bigint, created_by text, created_at timestamptz, started_at timestamptz,
    completed_at timestamptz, failed_at timestamptz, delete_at timestamptz, error text, result text, defaults text,
    auto_delete text, has_secrets boolean, viewers text[], schedule_id text, announces text);

-- name: insert_details
INSERT INTO job_details (job_id, created_at, created_by, viewers, description, tags, output, webhooks, schedule_id, schedule_cron,
                         search)
SELECT job_id, created_at, created_by, viewers, description, tags, output, webhooks, schedule_id, schedule_cron,
       to_tsvector('english', left(searched, 100000))
FROM json_to_recordset(%(rows)s::json) AS r (
    job_id text, created_at timestamptz, created_by text, viewers text[], searched text, description text, tags text[],
    output text, webhooks text, schedule_id text, schedule_cron text);

-- name: insert_steps
INSERT INTO job_steps (job_id, position, spec, reads, reads_all)
SELECT job_id, position, spec, reads, reads_all
FROM json_to_recordset(%(rows)s::json) AS r (job_id text, position int, spec text, reads text[], reads_all text[]);

-- name: write
-- The common part of every batch. A null time, error, result or reason in an update leaves what is stored, but for the end of what
-- runs again; all else is as the row says. A retry has no definition of its own in hand: it is copied from the task it repeats.
WITH changed_jobs AS (
    UPDATE jobs j SET state = r.state, position = r.position, progress = r.progress, version = r.version,
        started_at = r.started_at, completed_at = r.completed_at, failed_at = r.failed_at, delete_at = r.delete_at,
        error = coalesce(r.error, j.error), result = coalesce(r.result, j.result)
    FROM json_to_recordset(%(jobs)s::json) r (
        id text, state text, position int, progress float8, version int8, started_at timestamptz,
        completed_at timestamptz, failed_at timestamptz, delete_at timestamptz, error text, result text)
    WHERE j.id = r.id
),
new_tasks AS (
    INSERT INTO tasks (id, job_id, root_id, parent_id, position, item_index, kind, state, name, queue, priority, var, retry,
                       attempts, dispatch, redelivered, run_id, node_id, lease_id, created_at, scheduled_at, started_at,
                       completed_at, failed_at, due_at, progress, error, result, log_parts, size, created, released,
                       completions, concurrency, goes_on, failures, redo_left, redo, reason, is_raw, subjob_id, scope, spec,
                       version)
    SELECT id, job_id, root_id, parent_id, position, item_index, kind, state, name, queue, priority,
           var, retry, attempts, dispatch, redelivered, run_id, node_id, lease_id, created_at,
           scheduled_at, started_at, completed_at, failed_at, due_at, progress, error, result, log_parts,
           size, created, released, completions, concurrency, goes_on, failures,
           redo_left, redo, reason, is_raw, subjob_id, scope,
           coalesce(spec, (SELECT c.spec FROM tasks c WHERE c.id = r.copy_of)), version
    FROM json_to_recordset(%(new_tasks)s::json) r (
        id text, job_id text, root_id text, parent_id text, position int, item_index int, kind text, state text, name text,
        queue text, priority int, var text, retry text, attempts int, dispatch int, redelivered int, run_id text,
        node_id text, lease_id text, created_at timestamptz, scheduled_at timestamptz, started_at timestamptz,
        completed_at timestamptz, failed_at timestamptz, due_at timestamptz, progress float8, error text, result text,
        log_parts int, size int, created int, released int, completions int, concurrency int, goes_on bool,
        failures int, redo_left int, redo text, reason text, is_raw bool, subjob_id text, scope text, spec text,
        version int8, copy_of text)
),
changed AS (
    UPDATE tasks t SET state = r.state, queue = r.queue, dispatch = r.dispatch, redelivered = r.redelivered,
        run_id = r.run_id, node_id = r.node_id, lease_id = r.lease_id, scheduled_at = coalesce(r.scheduled_at, t.scheduled_at),
        started_at = coalesce(r.started_at, t.started_at), completed_at = coalesce(r.completed_at, t.completed_at),
        failed_at = CASE WHEN r.state IN ('FAILED', 'CANCELLED') THEN coalesce(r.failed_at, t.failed_at) END, due_at = r.due_at, progress = r.progress,
        error = coalesce(r.error, t.error), result = coalesce(r.result, t.result), log_parts = r.log_parts, size = r.size,
        created = r.created, released = r.released, completions = r.completions, concurrency = r.concurrency,
        failures = r.failures, redo_left = r.redo_left, redo = r.redo, reason = coalesce(r.reason, t.reason), subjob_id = r.subjob_id, version = r.version
    FROM json_to_recordset(%(tasks)s::json) r (
        id text, state text, queue text, dispatch int, redelivered int, run_id text, node_id text, lease_id text,
        scheduled_at timestamptz, started_at timestamptz, completed_at timestamptz, failed_at timestamptz,
        due_at timestamptz, progress float8, error text, result text, log_parts int, size int, created int, released int,
        completions int, concurrency int, failures int, redo_left int, redo text, reason text, subjob_id text,
        version int8)
    WHERE t.id = r.id
),
context AS (
    INSERT INTO job_context (job_id, key, namespace, value)
    SELECT *
    FROM json_to_recordset(%(context)s::json) r (job_id text, key text, namespace text, value text)
    ON CONFLICT (job_id, key) DO UPDATE SET value = excluded.value
),
sent AS (
    INSERT INTO outbox (task_id, dispatch)
    SELECT * FROM json_to_recordset(%(sent)s::json) r (task_id text, dispatch int)
    ON CONFLICT DO NOTHING
)
DELETE FROM outbox o USING json_to_recordset(%(published)s::json) r (task_id text, dispatch int)
WHERE o.task_id = r.task_id AND o.dispatch = r.dispatch;

-- name: put_context
INSERT INTO job_context (job_id, key, namespace, value)
SELECT job_id, key, namespace, value
FROM json_to_recordset(%(rows)s::json) AS r (job_id text, key text, namespace text, value text)
ON CONFLICT (job_id, key) DO UPDATE SET value = excluded.value;

-- name: delete_outbox
DELETE FROM outbox o USING json_to_recordset(%(published)s::json) AS r (task_id text, dispatch int)
WHERE o.task_id = r.task_id AND o.dispatch = r.dispatch;

-- name: insert_items
INSERT INTO task_items (task_id, job_id, block, items)
SELECT task_id, job_id, block, items
FROM json_to_recordset(%(rows)s::json) AS r (task_id text, job_id text, block int, items text);

-- name: audit
-- Who did what, by the clock of the database.
INSERT INTO audit_log (user_id, username, action, target, detail, address)
SELECT user_id, username, action, target, detail, address
FROM json_to_recordset(%(rows)s::json) AS r (
    user_id text, username text, action text, target text, detail text, address text);

-- name: digest_key
SELECT secret FROM engine;

-- name: accept_key
INSERT INTO idempotency (owner, key, digest, job_id) VALUES (%(owner)s, %(key)s, %(digest)s, %(job)s)
ON CONFLICT (owner, key) DO NOTHING
RETURNING job_id;

-- name: accepted_key
SELECT job_id, digest FROM idempotency WHERE owner = %(owner)s AND key = %(key)s;
