-- Finding jobs. A search puts a head, the conditions that were asked for (joined by AND) and a tail together; every value is bound.

-- name: words
-- What each word of a search means: its lexemes, and the state whose name has the same. A stop word has none and is left out.
SELECT q.query::text AS query,
       (SELECT s.state FROM unnest(%(states)s::text[]) AS s (state) WHERE to_tsvector('english', s.state) @@ q.query) AS state
  FROM unnest(%(words)s::text[]) AS w (word), plainto_tsquery('english', w.word) AS q (query)
 WHERE numnode(q.query) > 0;

-- name: find
-- Head: the ids of the jobs that match.
SELECT j.id FROM jobs j WHERE true

-- name: find_by_details
-- Head: as `find`, for conditions on what never changes.
SELECT j.id FROM jobs j JOIN job_details d ON d.job_id = j.id WHERE true

-- name: newest_first
-- Tail of `find`.
ORDER BY j.created_at DESC, j.id DESC LIMIT %(size)s OFFSET %(offset)s

-- name: count
-- Head: how many jobs match.
SELECT count(*) AS total FROM (SELECT FROM jobs j WHERE true

-- name: count_by_details
-- Head: as `count`, for conditions on what never changes.
SELECT count(*) AS total FROM (SELECT FROM jobs j JOIN job_details d ON d.job_id = j.id WHERE true

-- name: at_most
-- Tail of `count`: counting goes one beyond the limit, to tell whether there are more.
LIMIT %(limit)s) AS matches

-- name: has_words
-- Condition: every word occurs in name or description.
d.search @@ %(words_query)s::tsquery

-- name: has_state_words
-- Condition: each of these words is the job's state, or occurs in name or description. A state is not in the text index because it changes.
NOT EXISTS (SELECT FROM unnest(%(state_queries)s::tsquery[], %(state_names)s::text[]) AS w (query, state)
             WHERE NOT (j.state = w.state OR d.search @@ w.query))

-- name: has_text_tags
-- Condition: the job has one of the tags of the search text.
d.tags && %(text_tags)s::text[]

-- name: has_tags
-- Condition: the job has one of these tags.
d.tags && %(tags)s::text[]

-- name: has_state
-- Condition: the job is in one of these states.
j.state = ANY(%(states)s)

-- name: has_prefix
-- Condition: the id starts with a text.
j.id ~>=~ %(id_from)s AND j.id ~<~ %(id_to)s

-- name: may_be_seen
-- Condition: the job names nobody, or is the viewer's own, or names the viewer or one of its roles.
(j.viewers IS NULL OR j.created_by = %(viewer)s OR j.viewers && %(viewer_ids)s::text[])

-- name: has_schedule
-- Condition: a schedule has made the job.
j.schedule_id = %(schedule_id)s
