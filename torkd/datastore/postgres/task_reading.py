"""Reading tasks."""

from __future__ import annotations

from collections.abc import Collection

from tork.errors import NotFound
from tork.task import Task, TaskSummary
from tork.wire import as_utc
from torkd.datastore.postgres.querying import Querying, Row, bindable, moment
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.postgres.task_rows import read_task, read_task_summary
from torkd.datastore.protocol import Beginning

_SQL = load_statements("task_reading.sql")


class TaskReading(Querying):
    """The part of reading that is about tasks."""

    def get_task(self, task_id: str) -> Task:
        return read_task(self._task_row(_SQL.get_tasks, task_id))

    def get_task_summary(self, task_id: str) -> TaskSummary:
        return read_task_summary(self._task_row(_SQL.get_task_summary, task_id))

    def beginnings(self, job_ids: Collection[str], task_ids: Collection[str]) -> dict[str, Beginning]:
        asked = {"job_ids": list(job_ids), "task_ids": list(task_ids)}
        with self._cursor() as cursor:
            return {
                row["id"]: Beginning(
                    created_at=as_utc(row["created_at"]),
                    scheduled_at=moment(row["scheduled_at"]),
                    started_at=moment(row["started_at"]),
                )
                for row in cursor.execute(_SQL.get_beginnings, asked)
            }

    def _task_row(self, statement: str, task_id: str) -> Row:
        with self._cursor() as cursor:
            row = cursor.execute(statement, {"task_ids": [bindable(task_id)]}).fetchone()
        if row is None:
            raise NotFound("task not found")
        return self._columns.open_row(row, row["job_id"])
