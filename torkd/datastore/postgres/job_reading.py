"""Reading jobs: one, a page of them, and what live views ask for. Always a fixed number of statements."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import psycopg
from msgspec.structs import replace

from tork.errors import NotFound
from tork.job import Job, JobSummary
from tork.page import Page
from tork.task import Task
from torkd.datastore.account_protocol import Viewer
from torkd.datastore.postgres.account_rows import read_permission
from torkd.datastore.postgres.job_rows import read_full_job, read_summary
from torkd.datastore.postgres.pages import COUNT_LIMIT, offset_of, page_of
from torkd.datastore.postgres.querying import Querying, Row, bindable
from torkd.datastore.postgres.search import Search, understand
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.postgres.task_rows import read_task, read_task_summary
from torkd.datastore.protocol import ExecutionPage, JobChanges, JobQuery

_SQL = load_statements("job_reading.sql")
_SEARCH_SQL = load_statements("job_search.sql")
_TASKS_SQL = load_statements("task_reading.sql")
CHANGED_AT_ONCE = 1000
"""How many changed tasks `job_changes` returns, unless more changed in one version."""


class JobReading(Querying):
    """The part of reading that is about jobs."""

    def get_job(self, job_id: str, execution: ExecutionPage | None = None) -> Job:
        asked = {"job_id": bindable(job_id)}
        with self._cursor() as cursor:
            row = cursor.execute(_SQL.get_job, asked).fetchone()
            if row is None:
                raise NotFound("job not found")
            steps = cursor.execute(_SQL.get_steps, asked | {"task_count": row["task_count"]}).fetchall()
            values = cursor.execute(_SQL.get_context, asked).fetchall()
            permissions = cursor.execute(_SQL.get_permissions, asked).fetchall() if row["is_restricted"] else []
            tasks = self._execution(cursor, asked["job_id"], execution)
        for stored in (*steps, *values):
            column = "spec" if "spec" in stored else "value"
            stored[column] = self._columns.open(row["id"], stored[column])
        job = read_full_job(self._columns.open_row(row, row["id"]), steps, values, tasks)
        return replace(job, permissions=[read_permission(named) for named in permissions]) if permissions else job

    def execution_in_parts(self, job_id: str, *, size: int) -> Iterator[list[Task]]:
        asked = {"job_id": bindable(job_id)}
        with self._cursor() as cursor:
            ids = [row["id"] for row in cursor.execute(_TASKS_SQL.get_execution_ids, asked)]
        for start in range(0, len(ids), size):
            yield self._tasks(asked["job_id"], ids[start : start + size])  # nothing of a part stays here

    def get_summary(self, job_id: str) -> JobSummary:
        with self._cursor() as cursor:
            rows = _summaries(cursor, [bindable(job_id)])
        if not rows:
            raise NotFound("job not found")
        return self._summary(rows[0])

    def list_jobs(self, query: JobQuery, *, page: int, size: int) -> Page[JobSummary]:
        with self._cursor() as cursor:
            search = understand(query, cursor)
            if search.hopeless:
                return page_of([], page=page, size=size, counted=0)
            place = {"size": size, "offset": offset_of(page, size), "limit": COUNT_LIMIT}
            counted, ids = _all_jobs(cursor, place) if search.is_for_all else _found_jobs(cursor, search, place)
            rows = _summaries(cursor, ids) if ids else []
        found = [self._summary(row) for row in rows]
        return page_of(found, page=page, size=size, counted=counted, in_full=search.is_for_all)

    def changed_jobs(self, job_ids: Collection[str], viewer: Viewer | None = None) -> list[JobSummary]:
        with self._cursor() as cursor:
            return [self._summary(row) for row in _summaries(cursor, list(job_ids), viewer)]

    def job_changes(self, job_id: str, after: int) -> JobChanges:
        """At most about `CHANGED_AT_ONCE` tasks. With `more`, `version` is how far this answer reaches."""
        job_id = bindable(job_id)
        asked = {"job_id": job_id, "after": after, "limit": CHANGED_AT_ONCE}
        with self._cursor() as cursor:
            rows = _summaries(cursor, [job_id])
            if not rows:
                raise NotFound("job not found")
            changed = cursor.execute(_TASKS_SQL.get_changed_tasks, asked).fetchall()
        more = len(changed) >= CHANGED_AT_ONCE
        version: int = rows[0]["version"]
        return JobChanges(
            # Never beyond the job as it was read: tasks read after it may have changed together with it once more.
            version=min(version, changed[-1]["version"]) if more else version,
            job=self._summary(rows[0]),
            tasks=[read_task_summary(self._columns.open_row(task, job_id)) for task in changed],
            more=more,
        )

    def versions_of(self, job_ids: Collection[str]) -> dict[str, int]:
        with self._cursor() as cursor:
            rows = cursor.execute(_SQL.get_versions, {"job_ids": [bindable(job_id) for job_id in job_ids]}).fetchall()
        return {row["id"]: row["version"] for row in rows}

    def secrets_of(self, job_id: str) -> dict[str, str]:
        return self.secrets_of_each([job_id]).get(job_id, {})

    def secrets_of_each(self, job_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """A secret of a job above that has the same name as one below is kept under `<job id>.<name>`."""
        found: dict[str, dict[str, str]] = {}
        with self._cursor() as cursor:
            for row in cursor.execute(_SQL.get_secrets, {"job_ids": [bindable(job_id) for job_id in job_ids]}):
                secrets = found.setdefault(row["job_id"], {})
                name = row["name"] if row["name"] not in secrets else f"{row['owner_id']}.{row['name']}"
                secrets[name] = self._columns.open(row["owner_id"], row["value"])
        return found

    def _summary(self, row: Row) -> JobSummary:
        return read_summary(self._columns.open_row(row, row["id"]))

    def _tasks(self, job_id: str, task_ids: list[str]) -> list[Task]:
        """In that order, without those that are gone."""
        with self._cursor() as cursor:
            rows = cursor.execute(_TASKS_SQL.get_tasks, {"task_ids": task_ids}).fetchall()
        tasks = {row["id"]: read_task(self._columns.open_row(row, job_id)) for row in rows}
        return [tasks[task_id] for task_id in task_ids if task_id in tasks]

    def _execution(self, cursor: psycopg.Cursor[Row], job_id: str, page: ExecutionPage | None) -> list[Task]:
        if page is not None and page.size <= 0:
            return []
        size, offset = (None, 0) if page is None else (page.size, offset_of(page.number, page.size))
        rows = cursor.execute(_TASKS_SQL.get_execution, {"job_id": job_id, "size": size, "offset": offset})
        return [read_task(self._columns.open_row(row, job_id)) for row in rows]


def _summaries(cursor: psycopg.Cursor[Row], job_ids: list[str], viewer: Viewer | None = None) -> list[Row]:
    asked = {
        "job_ids": job_ids,
        "viewer": viewer.user_id if viewer else None,
        "viewer_ids": viewer.ids if viewer else None,
    }
    return cursor.execute(_SQL.get_summaries, asked).fetchall()


def _all_jobs(cursor: psycopg.Cursor[Row], place: dict[str, int]) -> tuple[int, list[str]]:
    """How many jobs there are, and the ids of a page of them."""
    total: int = cursor.execute(_SEARCH_SQL.count_all).fetchall()[0]["total"]
    if place["offset"] <= total // 2:
        return total, [row["id"] for row in cursor.execute(_SEARCH_SQL.all_from_the_start, place)]
    return _counted(cursor.execute(_SEARCH_SQL.all_from_the_end, place).fetchall())


def _found_jobs(cursor: psycopg.Cursor[Row], search: Search, place: dict[str, int]) -> tuple[int, list[str]]:
    """How many jobs match, up to the limit, and the ids of a page of them."""
    statement, values = search.through_matches(), search.values | place
    counted, ids = _counted(cursor.execute(statement, values).fetchall())
    if counted < place["limit"]:
        return counted, ids
    statement, values = search.through_jobs(), search.values | place | {"far": place["offset"] + place["size"]}
    return counted, [row["id"] for row in cursor.execute(statement, values)]


def _counted(rows: list[Row]) -> tuple[int, list[str]]:
    """The total, which every row has, and the ids; of an empty page there is one row without an id."""
    return rows[0]["total"], [row["id"] for row in rows if row["id"] is not None]
