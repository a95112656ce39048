"""Loading what running again and skipping need, which few events ask for. What the batch knows already is not read anew."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec.structs import replace

from tork.task import TaskState
from torkd.datastore.postgres.pool import Connection
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.postgres.task_decoding import decode_job, decode_task, with_definition
from torkd.engine import fanout
from torkd.engine.events import EngineEvent, RetryRequested, SkipRequested
from torkd.engine.rows import Redo, TaskKind, TaskRow
from torkd.engine.view import View

SQL = load_statements("surgery.sql")

REDONE_AT_ONCE = 250
"""Children of one parent that are run again in one transaction."""


def load_redo(connection: Connection, view: View, parents: Collection[TaskRow], columns: SealedColumns) -> None:
    """The next children to be run again, as far as there is room for them."""
    redone = {parent.id: parent.redo or Redo() for parent in parents if parent.redo_left and fanout.room(parent) > 0}
    if not redone:
        return
    room = {parent.id: min(fanout.room(parent), REDONE_AT_ONCE) for parent in parents}
    rows = connection.execute(
        SQL.load_redo,
        {
            "parents": list(redone),
            "first": [redo.first for redo in redone.values()],
            "until": [redo.until for redo in redone.values()],
            "with_failed": [redo.with_failed for redo in redone.values()],
            "limits": [room[parent_id] for parent_id in redone],
            "tasks": [task_id for redo in redone.values() for task_id in redo.task_ids[:REDONE_AT_ONCE]],
        },
    ).fetchall()
    for parent_id, document, spec, scope, reason in rows:
        child = with_definition(decode_task(document, columns), spec, scope, columns)
        view.tasks[child.id] = replace(child, reason=columns.open(child.job_id, reason) if reason else None)
        view.redo.setdefault(parent_id, []).append(child.id)


def load_last_runs(connection: Connection, view: View, job_id: str, columns: SealedColumns) -> list[str]:
    """The latest tasks at the positions of this job and of all sub-jobs in hand that have ended; answers with those jobs."""
    ended = {TaskState.FAILED, TaskState.CANCELLED}
    below = {
        task.subjob_id
        for task in view.tasks.values()
        if task.kind is TaskKind.SUBJOB and task.state in ended and task.subjob_id
    }
    wanted = [wanted_id for wanted_id in below | {job_id} if wanted_id not in view.last_runs]
    view.last_runs |= dict.fromkeys(wanted)
    for job, task in connection.execute(SQL.load_last_runs, {"jobs": wanted}).fetchall():
        row = decode_job(job, columns)
        view.jobs.setdefault(row.id, row)
        if task is not None:
            last = decode_task(task, columns)
            view.tasks.setdefault(last.id, last)
            view.last_runs[row.id] = last.id
    return [wanted_id for wanted_id in wanted if wanted_id in view.jobs]


def load_places(connection: Connection, view: View, events: Sequence[EngineEvent], columns: SealedColumns) -> None:
    """Whether the tasks that people name are the last at their places, and what has failed in a job that goes on."""
    named = [event for event in events if isinstance(event, SkipRequested | RetryRequested) and event.task_id]
    if named and view.tasks:
        rows = connection.execute(SQL.load_superseded, {"tasks": list(view.tasks)}).fetchall()
        view.superseded = {task_id for (task_id,) in rows}
    for event in events:
        if isinstance(event, RetryRequested) and not event.task_id and event.job_id in view.jobs:
            _add_failing(view, event.job_id, connection.execute(SQL.load_failing, {"job": event.job_id}), columns)


def _add_failing(view: View, job_id: str, rows: Iterable[Sequence[str]], columns: SealedColumns) -> None:
    view.failing[job_id] = []
    for job, task in rows:
        row, failing = decode_job(job, columns), decode_task(task, columns)
        view.jobs.setdefault(row.id, row)
        view.tasks.setdefault(failing.id, failing)
        view.failing[job_id].append(failing.id)
