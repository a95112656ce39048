-- Finding jobs. A search is made of branches, each with conditions joined by AND that an index can answer; a job that matches
-- any branch is found. Every value is bound; `{n}` is the number of the branch, `{t}` the table that is read in any case: d or j.

-- name: words
-- What each word of a search means: its lexemes, and the state whose name has the same. A stop word has none and is left out.
SELECT q.query::text AS query,
       (SELECT s.state FROM unnest(%(states)s::text[]) AS s (state) WHERE to_tsvector('english', s.state) @@ q.query) AS state
  FROM unnest(%(words)s::text[]) AS w (word), plainto_tsquery('english', w.word) AS q (query)
 WHERE numnode(q.query) > 0;

-- name: count_all
-- How many jobs there are.
SELECT coalesce(sum(jobs), 0)::bigint AS total FROM job_counts;

-- name: all_from_the_start
-- A page of all jobs, by going past those before it.
SELECT id FROM jobs ORDER BY created_at DESC, id DESC LIMIT %(size)s OFFSET %(offset)s;

-- name: all_from_the_end
-- A page of all jobs, by going past those after it. How many these are is counted in the same moment: a job that comes or goes
-- shifts no page.
WITH counted AS MATERIALIZED (SELECT coalesce(sum(jobs), 0)::bigint AS total FROM job_counts)
SELECT total, id
  FROM counted
  LEFT JOIN (SELECT id, created_at FROM jobs ORDER BY created_at, id
              LIMIT (SELECT greatest(least(total - %(offset)s, %(size)s), 0) FROM counted)
             OFFSET (SELECT greatest(total - %(offset)s - %(size)s, 0) FROM counted)) AS page ON true
 ORDER BY created_at DESC, id DESC;

-- name: found
-- Head of a search that goes through all matches, up to the limit.
WITH found AS MATERIALIZED (SELECT id, created_at FROM (

-- name: counted_page
-- Tail of it: how many there are, and the page.
) AS matches LIMIT %(limit)s)
SELECT total, id
  FROM (SELECT count(*) AS total FROM found) AS counted
  LEFT JOIN (SELECT id, created_at FROM found ORDER BY created_at DESC, id DESC LIMIT %(size)s OFFSET %(offset)s) AS page ON true
 ORDER BY created_at DESC, id DESC;

-- name: some
-- Tail of one of its branches: one beyond what is counted, to tell whether there are more.
LIMIT %(limit)s

-- name: newest
-- Head of a search that goes through the jobs, the newest first, until the page is full: for more matches than are counted.
SELECT id FROM (

-- name: newest_first
-- Tail of it.
) AS found ORDER BY created_at DESC, id DESC LIMIT %(size)s OFFSET %(offset)s

-- name: newest_of_branch
-- Tail of one of its branches.
ORDER BY j.created_at DESC, j.id DESC LIMIT %(far)s

-- name: jobs
-- Head of a branch without conditions on what is searched for.
SELECT j.id, j.created_at FROM jobs j WHERE true

-- name: details
-- Head of a branch with conditions on what never changes alone.
SELECT d.job_id AS id, d.created_at FROM job_details d WHERE true

-- name: jobs_with_details
-- Head of a branch with both.
SELECT j.id, j.created_at FROM jobs j JOIN job_details d ON d.job_id = j.id WHERE true

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

-- name: has_completed
-- Condition: the job is in none of the other states, which few jobs are in. Where most matches are meant, these few are read
-- instead of looking up each match.
NOT EXISTS (SELECT FROM jobs j WHERE j.id = d.job_id AND j.state = ANY(%(not_completed)s))

-- name: has_prefix
-- Condition: the id starts with a text.
j.id ~>=~ %(id_from)s AND j.id ~<~ %(id_to)s

-- name: may_be_seen
-- Condition: the job names nobody, or is the viewer's own, or names the viewer or one of its roles.
({t}.viewers IS NULL OR ({t}.viewers IS NOT NULL AND {t}.created_by = %(viewer)s) OR {t}.viewers && %(viewer_ids)s::text[])

-- name: has_schedule
-- Condition: a schedule has made the job.
{t}.schedule_id = %(schedule_id)s
