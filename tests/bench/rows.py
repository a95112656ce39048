"""A great many jobs, made by SQL in minutes: what a busy year leaves in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

RUNNING = 200
RARE, COMMON = "rare", "common"
VIEWER = "viewer"
"""Of every twenty jobs one names somebody who may see it; of fifty such people this is one."""
_TABLES = ("jobs", "job_details", "job_steps", "job_context", "tasks")
_JOBS = """
INSERT INTO jobs (id, root_id, name, state, position, task_count, progress, created_by, created_at, started_at, completed_at,
                  failed_at, result, viewers)
SELECT md5('job' || i), md5('job' || i), 'render scene ' || i, state, %(tasks)s, %(tasks)s, 100, repeat('0', 32),
       at, at, CASE WHEN state = 'COMPLETED' THEN at + interval '9 s' END,
       CASE WHEN state IN ('FAILED', 'CANCELLED') THEN at + interval '9 s' END, 'fine',
       CASE WHEN i %% 20 = 3 THEN ARRAY[md5('viewer' || i %% 1000)] END
FROM generate_series(1, %(jobs)s) AS i,
     LATERAL (SELECT now() - (%(jobs)s - i) * interval '1 s' AS at,
                     CASE WHEN i %% (%(jobs)s / %(running)s) = 0 THEN 'RUNNING' WHEN i %% 40 = 0 THEN 'FAILED'
                          WHEN i %% 250 = 1 THEN 'CANCELLED' ELSE 'COMPLETED' END AS state) AS s
"""
_DETAILS = """
INSERT INTO job_details (job_id, created_at, created_by, viewers, description, tags, search)
SELECT j.id, j.created_at, j.created_by, j.viewers, text,
       ARRAY['kind-' || i %% 50] || CASE WHEN i %% 2 = 0 THEN ARRAY['common'] ELSE '{}' END
           || CASE WHEN i %% 50000 = 0 THEN ARRAY['rare'] ELSE '{}' END,
       to_tsvector('english', 'render scene ' || i || ' ' || text)
FROM generate_series(1, %(jobs)s) AS i JOIN jobs j ON j.id = md5('job' || i),
     LATERAL (SELECT 'a film of customer ' || i %% 5000 || CASE WHEN i %% 20000 = 7 THEN ' with subtitles' ELSE '' END AS text) AS d
"""
_STEPS = """
INSERT INTO job_steps (job_id, position, spec, reads, reads_all)
SELECT md5('job' || i), p, json_build_object('name', 'step ' || p, 'run', 'render --scene ' || i)::text, '{inputs.scene}', '{}'
FROM generate_series(1, %(jobs)s) AS i, generate_series(1, %(tasks)s) AS p
"""
_CONTEXT = """
INSERT INTO job_context (job_id, key, namespace, value)
SELECT md5('job' || i), 'inputs.scene', 'inputs', i::text FROM generate_series(1, %(jobs)s) AS i
"""
_TASKS = """
INSERT INTO tasks (id, job_id, root_id, position, kind, state, name, queue, dispatch, created_at, scheduled_at, started_at,
                   completed_at, progress, spec)
SELECT md5('task' || i || '-' || p), j.id, j.id, p, 'regular',
       CASE WHEN j.state = 'RUNNING' AND p = %(tasks)s THEN 'RUNNING' ELSE 'COMPLETED' END, 'step ' || p, 'default', 1,
       j.created_at, j.created_at, j.created_at, j.created_at + interval '9 s', 100,
       json_build_object('name', 'step ' || p, 'run', 'render --scene ' || i)::text
FROM generate_series(1, %(jobs)s) AS i JOIN jobs j ON j.id = md5('job' || i), generate_series(1, %(tasks)s) AS p
"""
_WIDE_TASKS = """
INSERT INTO tasks (id, job_id, root_id, position, kind, state, name, queue, dispatch, created_at, scheduled_at, started_at,
                   completed_at, progress, item_index, spec, result)
SELECT md5('wide' || i), j.id, j.id, 1, 'regular', 'COMPLETED', 'item ' || i, 'default', 1,
       now(), now(), now(), now(), 100, i,
       json_build_object('name', 'item ' || i, 'run', 'render --scene ' || i, 'env', json_build_object('SCENE', i::text))::text, 'fine'
FROM generate_series(1, %(tasks)s) AS i, (SELECT id FROM jobs WHERE id = %(job)s) AS j
ON CONFLICT (id) DO UPDATE SET job_id = excluded.job_id
"""


def make_rows(dsn: str, *, jobs: int, tasks: int) -> None:
    """So many jobs with so many tasks each, `RUNNING` of which run for ever, in a database without any."""
    values = {"jobs": jobs, "tasks": tasks, "running": RUNNING}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET synchronous_commit = off")
        with _without_indexes(connection):
            connection.execute(_JOBS, values)
            connection.execute("CREATE INDEX by_number ON jobs (id)")
            for statement in (_DETAILS, _STEPS, _CONTEXT, _TASKS):
                connection.execute(statement, values)
            connection.execute("DROP INDEX by_number")
        connection.execute("VACUUM (ANALYZE)")


def make_viewer(dsn: str, password_hash: str) -> None:
    """An account that may see some of the jobs that others may not."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO users (id, name, username, password_hash) VALUES (md5('viewer3'), 'Viewer', %s, %s)",
            (VIEWER, password_hash),
        )


def make_wide_job(dsn: str, job_id: str, tasks: int) -> None:
    """Add so many tasks to a job."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_WIDE_TASKS, {"job": job_id, "tasks": tasks})
        connection.execute("ANALYZE tasks")


@contextmanager
def _without_indexes(connection: psycopg.Connection[tuple[str, ...]]) -> Iterator[None]:
    """Rows go in several times as fast, and the indexes are as compact as after a rebuild."""
    keys = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'p' AND conrelid = ANY(%s::text[]::regclass[])",
        (list(_TABLES),),
    ).fetchall()
    for table, name, _ in keys:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY(%s)",
        (list(_TABLES),),
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}".encode())
    yield
    for table, name, definition in keys:
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}".encode())
    for _, definition in indexes:
        connection.execute(definition.encode())
