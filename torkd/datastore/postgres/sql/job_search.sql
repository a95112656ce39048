-- Finding jobs. A search is made of branches, each with conditions joined by AND that an index can answer; a job that matches
-- any branch is found. Every value is bound; `{n}` is the number of the branch.

-- name: words
-- What each word of a search means: its lexemes, and the state whose name has the same. A stop word has none and is left out.
SELECT q.query::text AS query,
       (SELECT s.state FROM unnest(%(states)s::text[]) AS s (state) WHERE to_tsvector('english', s.state) @@ q.query) AS state
  FROM unnest(%(words)s::text[]) AS w (word), plainto_tsquery('english', w.word) AS q (query)
 WHERE numnode(q.query) > 0;

-- name: count_all
-- How many jobs there are.
SELECT coalesce(sum(jobs), 0)::bigint AS total FROM job_counts;

-- name: jobs
-- Head of a branch with conditions on the row of a job alone.
SELECT j.id, j.created_at FROM jobs j WHERE true

-- name: jobs_with_details
-- Head of a branch with conditions on what never changes too.
SELECT j.id, j.created_at FROM jobs j JOIN job_details d ON d.job_id = j.id WHERE true

-- name: few_details
-- Head of a branch of which few match: what never changes is asked first, and each match is looked up. OFFSET 0 keeps the
-- planner from going through all jobs, newest first, until it has found a page of them: it guesses that rare tags are less rare.
SELECT j.id, j.created_at FROM (SELECT d.job_id FROM job_details d WHERE true

-- name: look_up
-- Middle of such a branch: here conditions on the row of a job follow.
OFFSET 0) AS d CROSS JOIN LATERAL (SELECT id, created_at, state, schedule_id, created_by, viewers FROM jobs WHERE id = d.job_id OFFSET 0) AS j WHERE true

-- name: details
-- Head of a branch that is counted, with conditions on what never changes alone.
SELECT d.job_id AS id FROM job_details d WHERE true

-- name: found
-- Head of all branches.
SELECT id FROM (

-- name: counted
-- Head of all branches, when they are counted.
SELECT count(*) AS total FROM (SELECT FROM (

-- name: newest_of_branch
-- Tail of a branch whose page is wanted.
ORDER BY j.created_at DESC, j.id DESC LIMIT %(far)s

-- name: newest_first
-- Tail of all branches.
) AS found ORDER BY created_at DESC, id DESC LIMIT %(size)s OFFSET %(offset)s

-- name: some_of_branch
-- Tail of a branch that is counted: one beyond the limit, to tell whether there are more.
LIMIT %(limit)s

-- name: at_most
-- Tail of all branches, when they are counted.
) AS found LIMIT %(limit)s) AS matches

-- name: has_words
-- Condition: every word occurs in name or description.
d.search @@ %(words_{n})s::tsquery

-- name: has_text_tags
-- Condition: the job has one of the tags of the search text.
d.tags && %(text_tags)s::text[]

-- name: has_tags
-- Condition: the job has one of these tags.
d.tags && %(tags)s::text[]

-- name: has_state
-- Condition: the job is in this state.
j.state = %(state_{n})s

-- name: has_prefix
-- Condition: the id starts with a text.
j.id ~>=~ %(id_from)s AND j.id ~<~ %(id_to)s

-- name: may_be_seen
-- Condition: the job names nobody, or is the viewer's own, or names the viewer or one of its roles.
(j.viewers IS NULL OR (j.viewers IS NOT NULL AND j.created_by = %(viewer)s) OR j.viewers && %(viewer_ids)s::text[])

-- name: has_schedule
-- Condition: a schedule has made the job.
j.schedule_id = %(schedule_id)s
