"""Reading what tasks printed: in pages with the newest first, and onwards from a place for those who follow."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from tork.errors import NotFound
from tork.log import TaskLogPart
from tork.page import Page
from tork.task import TaskState
from tork.wire import as_utc
from torkd.datastore.postgres.pages import COUNT_LIMIT, offset_of, page_of
from torkd.datastore.postgres.querying import Querying, Row, bindable
from torkd.datastore.postgres.search import split_text
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.protocol import LogPosition, LogState

_SQL = load_statements("log_reading.sql")
_ACTIVE = frozenset(state.value for state in TaskState if state.is_active)
# the names of a job's active states are among those of a task's


class LogReading(Querying):
    """The part of reading that is about logs."""

    def job_log(self, job_id: str, *, text: str, page: int, size: int) -> Page[TaskLogPart]:
        return self._log_page("job", job_id, text=text, page=page, size=size)

    def task_log(self, task_id: str, *, text: str, page: int, size: int) -> Page[TaskLogPart]:
        return self._log_page("task", task_id, text=text, page=page, size=size)

    def log_after(self, *, job_id: str = "", task_id: str = "", seq: int, limit: int) -> list[LogPosition]:
        owner, asked = _owner(job_id, task_id)
        with self._cursor() as cursor:
            rows = cursor.execute(_SQL[f"{owner}_log_after"], asked | {"seq": seq, "limit": limit}).fetchall()
        return [LogPosition(seq=row["seq"], part=_part(row), job_id=row["job_id"]) for row in rows]

    def log_place(self, run_id: str, number: int, *, job_id: str = "", task_id: str = "") -> int:
        owner, asked = _owner(job_id, task_id)
        part = {"run_id": bindable(run_id), "number": number}
        with self._cursor() as cursor:
            row = cursor.execute(_SQL[f"place_in_{owner}"], asked | part).fetchone()
        return row["seq"] if row else 0

    def log_state(self, *, job_id: str = "", task_id: str = "") -> LogState:
        owner, asked = _owner(job_id, task_id)
        with self._cursor() as cursor:
            row = cursor.execute(_SQL[f"{owner}_log_state"], asked).fetchone()
        if row is None:
            raise NotFound(f"{owner} not found")
        ended = row["state"] not in _ACTIVE
        return LogState(ended=ended, complete=ended and row["complete"], state=row["state"])

    def _log_page(self, owner: str, owner_id: str, *, text: str, page: int, size: int) -> Page[TaskLogPart]:
        words, _ = split_text(bindable(text))
        name = f"search_{owner}_log" if words else f"{owner}_log"
        asked: dict[str, Any] = {f"{owner}_id": bindable(owner_id), "text": " ".join(words)}
        place = {"size": size, "offset": offset_of(page, size)}
        with self._cursor() as cursor:
            rows = cursor.execute(_SQL[name], asked | place).fetchall()
            counted = cursor.execute(_SQL[f"count_{name}"], asked | {"limit": COUNT_LIMIT}).fetchall()[0]["total"]
            if not counted and not cursor.execute(_SQL[f"{owner}_exists"], asked).fetchone():
                raise NotFound(f"{owner} not found")
        return page_of([_part(row) for row in rows], page=page, size=size, counted=counted)


def _owner(job_id: str, task_id: str) -> tuple[str, dict[str, Any]]:
    if bool(job_id) == bool(task_id):
        raise ValueError("the log of either a job or a task can be read: give one of job_id and task_id")
    return ("job", {"job_id": bindable(job_id)}) if job_id else ("task", {"task_id": bindable(task_id)})


def _part_id(row: Row) -> str:
    """32 hexadecimal characters, always the same for the same part."""
    return blake2b(f"{row['run_id']}:{row['number']}".encode(), digest_size=16).hexdigest()


def _part(row: Row) -> TaskLogPart:
    return TaskLogPart(
        id=_part_id(row),
        number=row["number"],
        task_id=row["task_id"],
        contents=row["contents"],
        created_at=as_utc(row["created_at"]),
        run=row["run_id"],
    )
