"""Playing jobs on a datastore: batches of events through the five steps, and a look at the rows they left."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row, tuple_row

from tests.support.builders import START, report_of
from tork.errors import BadData
from tork.job import JobDefinition
from torkd.coordinator.handle import Handled, handle
from torkd.datastore.postgres.sealed_columns import MARK, SealedColumns
from torkd.datastore.protocol import Datastore, Dispatch
from torkd.engine.events import ChildrenDue, EngineEvent, JobSubmitted
from torkd.engine.rows import TaskRow
from torkd.sealing import KeyRing

_TASK = """
SELECT (to_jsonb(t) - 'scope' - 'spec' || jsonb_build_object('retry', t.retry::jsonb, 'redo', t.redo::jsonb))::text AS task,
       t.job_id, t.name, t.error, t.result, t.reason, t.spec, t.scope
FROM tasks t
"""


class DatastorePlay:
    """One datastore, with a connection of its own to look behind it."""

    def __init__(self, datastore: Datastore, dsn: str, keys: KeyRing | None = None) -> None:
        """`keys` are those of the datastore."""
        self.datastore, self.dsn = datastore, dsn
        self._columns = SealedColumns(keys)
        self.now = START
        self._numbers = itertools.count(1)
        self._connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)

    def __enter__(self) -> DatastorePlay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def new_id(self) -> str:
        """Ids in the order of their making."""
        return f"id{next(self._numbers):08d}"

    def count_from(self, number: int) -> None:
        """Make further ids from this number on: for a database that has some already."""
        self._numbers = itertools.count(number)

    def handle(self, *events: EngineEvent, forget: Collection[Dispatch] = (), wait: float = 0.0) -> Handled:
        """Handle a batch; a failure of one of the events is raised."""
        handled = self.try_handle(*events, forget=forget, wait=wait)
        if handled.failed:
            raise handled.failed[0][1]
        return handled

    def try_handle(self, *events: EngineEvent, forget: Collection[Dispatch] = (), wait: float = 0.0) -> Handled:
        """Handle a batch."""
        return handle(self.datastore, events, now=self.now, new_id=self.new_id, forget=forget, wait=wait)

    def submit(self, definition: JobDefinition, job_id: str = "job") -> Handled:
        """Submit a job, and make all children that are to be made soon."""
        return self.unfold(self.handle(JobSubmitted(job_id=job_id, definition=definition, created_by="ann")))

    def unfold(self, handled: Handled) -> Handled:
        """Come back for children until nobody asks any more."""
        first = handled
        while soon := list(handled.view.unfold.values()):
            handled = self.handle(
                *(ChildrenDue(task_id=due.task_id, job_id=due.job_id, root_id=due.root_id) for due in soon)
            )
        return first

    def complete(self, *names: str, job_id: str = "job", **fields: Any) -> Handled:
        """A worker has done the newest tasks of these names, all told in one batch."""
        return self.unfold(self.handle(*(report_of(self.task(name, job_id), **fields) for name in names)))

    def complete_rows(self, tasks: Sequence[TaskRow]) -> None:
        """A worker has done these, as they are now."""
        now = {task.id: task for task in self.tasks()}
        self.unfold(self.handle(*(report_of(now[task.id]) for task in tasks)))

    def run_all(self, job_id: str = "job") -> None:
        """Workers do whatever is handed out, until nothing is."""
        while ready := self.tasks(state="SCHEDULED"):
            self.unfold(self.handle(*(report_of(task) for task in ready[:100])))
        assert self.job(job_id)["state"] != "PENDING"

    def pass_time(self, delay: timedelta) -> datetime:
        """Let the coordinator's clock go on."""
        self.now += delay
        return self.now

    def tasks(self, **values: str) -> list[TaskRow]:
        """The tasks with these values, in the order of their making."""
        wanted = values.pop("name", None)
        where = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in values.items()
        )
        query = sql.SQL(_TASK) + (sql.SQL("WHERE ") + where if values else sql.SQL("")) + sql.SQL(" ORDER BY id")
        found = [self._columns.open_row(row, row["job_id"]) for row in self._connection.execute(query)]
        return [_task_of(row) for row in found if wanted in {None, row["name"]}]

    def task(self, name: str, job_id: str = "job") -> TaskRow:
        """The newest task of that name."""
        return self.tasks(name=name, job_id=job_id)[-1]

    def states(self, job_id: str = "job") -> dict[str, str]:
        """Name to state of the newest task of each name."""
        return {task.name: task.state.value for task in self.tasks(job_id=job_id)}

    def job(self, job_id: str = "job") -> dict[str, Any]:
        """The row of a job."""
        return self.row("SELECT * FROM jobs WHERE id = %s", job_id)

    def jobs_named(self, name: str) -> list[dict[str, Any]]:
        """The rows of the jobs of that name."""
        return [row for row in self.rows("SELECT * FROM jobs ORDER BY id") if row["name"] == name]

    def outbox(self) -> list[tuple[str, int]]:
        """The hand-outs that nobody has confirmed, in the order of tasks."""
        return [(row["task_id"], row["dispatch"]) for row in self.rows("SELECT * FROM outbox ORDER BY task_id")]

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """What a query finds, opened."""
        found = self._connection.execute(query, values).fetchall()
        for row in found:
            for column, value in row.items():
                if isinstance(value, str) and value.startswith(MARK):
                    row[column] = self._open(value)
        return found

    def _open(self, value: str) -> str:
        """Whichever job's or schedule's it is."""
        owners = "SELECT id FROM jobs UNION ALL SELECT id FROM schedules"
        for (owner,) in self._connection.cursor(row_factory=tuple_row).execute(owners):
            try:
                return self._columns.open(owner, value)
            except BadData:
                continue
        raise AssertionError("a sealed value is nobody's")

    def row(self, query: str, *values: object) -> dict[str, Any]:
        """The one row that a query finds."""
        (row,) = self.rows(query, *values)
        return row

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.row(f"SELECT count(*) AS rows FROM {table}")["rows"])

    def change(self, statement: str, *values: object) -> None:
        """Change something behind the datastore's back."""
        self._connection.execute(statement, values)


def _task_of(row: dict[str, Any]) -> TaskRow:
    document = msgspec.json.decode(row["task"]) | {name: row[name] for name in ("name", "error", "result", "reason")}
    document |= {name: msgspec.json.decode(row[name]) for name in ("spec", "scope") if row[name]}
    return msgspec.convert(document, TaskRow, strict=False)
