"""Loading what a batch of events needs: a fixed number of statements in two round trips, however many events there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from tork.job import Defaults, JobState
from tork.task import Retry, TaskDefinition, TaskState
from torkd.broker.messages import RunEnded, RunOutcome
from torkd.datastore.postgres.pool import Connection
from torkd.datastore.postgres.statements import load_statements
from torkd.engine.events import ChildrenDue, EngineEvent, JobSubmitted, RestartRequested
from torkd.engine.reads import Reads
from torkd.engine.rows import JobRow, TaskKind, TaskRow
from torkd.engine.view import Step, View

SQL = load_statements("batch.sql")

ITEM_BLOCK = 100
"""Elements of an each in one row."""

STEPS_AT_ONCE = 50
"""How many steps are read when a decision asks for more: jobs that skip many tasks go through them fast."""

_decode_task = msgspec.json.Decoder(TaskDefinition).decode
_decode_retry = msgspec.json.Decoder(Retry).decode
_decode_defaults = msgspec.json.Decoder(Defaults).decode
_decode_any = msgspec.json.Decoder().decode


@dataclass(slots=True)
class _Second:
    """What the first round trip showed to be needed."""

    jobs: set[str] = field(default_factory=set)
    steps: dict[str, int] = field(default_factory=dict)
    """Job id to position."""
    waiting: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Parent id to the range of children."""
    unfolding: list[TaskRow] = field(default_factory=list)


def load(connection: Connection, events: Sequence[EngineEvent], *, wait: bool) -> View:
    """Lock the roots and read the rows."""
    view = View()
    stored = [event for event in events if not isinstance(event, JobSubmitted)]
    if not stored:
        return view
    roots = {event.root_id for event in stored}
    task_ids = {
        event.task_id
        for event in stored
        if not isinstance(event, JobSubmitted | RestartRequested) and hasattr(event, "task_id")
    }
    job_ids = roots | {event.job_id for event in stored}
    lock = connection.execute(SQL.lock_roots_waiting if wait else SQL.lock_roots, {"roots": sorted(roots)})
    task_rows = connection.execute(SQL.load_tasks, {"tasks": list(task_ids)}) if task_ids else None
    job_rows = connection.execute(SQL.load_jobs, {"jobs": list(job_ids)})
    locked = {root for (root,) in lock.fetchall()}
    _add_tasks(view, task_rows.fetchall() if task_rows else [], locked)
    _add_jobs(view, job_rows.fetchall(), locked)
    # A root that is neither locked nor there is gone, and its events with it; one that is there is somebody else's now.
    gone = roots - locked
    if gone:
        view.skipped_roots = {row[0] for row in connection.execute(SQL.load_jobs, {"jobs": list(gone)}).fetchall()}
    _load_second(connection, view, _what_else(view, stored))
    return view


def _add_tasks(view: View, rows: Iterable[Sequence[Any]], locked: set[str]) -> None:
    for row in rows:
        if row[2] in locked:
            view.tasks[row[0]] = _task_row(row)


def _add_jobs(view: View, rows: Iterable[Sequence[Any]], locked: set[str]) -> None:
    for row in rows:
        if row[1] in locked:
            view.jobs[row[0]] = _job_row(row)


def _task_row(row: Sequence[Any]) -> TaskRow:
    return TaskRow(
        id=row[0],
        job_id=row[1],
        root_id=row[2],
        parent_id=row[3],
        position=row[4],
        item_index=row[5],
        kind=TaskKind(row[6]),
        state=TaskState(row[7]),
        name=row[8],
        queue=row[9],
        priority=row[10],
        var=row[11],
        retry=_decode_retry(row[12]) if row[12] else None,
        attempts=row[13],
        dispatch=row[14],
        redelivered=row[15],
        run_id=row[16],
        node_id=row[17],
        lease_id=row[18],
        due_at=row[19],
        progress=row[20],
        log_parts=row[21],
        size=row[22],
        created=row[23],
        released=row[24],
        completions=row[25],
        concurrency=row[26],
        subjob_id=row[27],
        version=row[28],
    )


def _job_row(row: Sequence[Any]) -> JobRow:
    return JobRow(
        id=row[0],
        root_id=row[1],
        parent_job_id=row[2],
        parent_task_id=row[3],
        name=row[4],
        state=JobState(row[5]),
        position=row[6],
        task_count=row[7],
        progress=row[8],
        version=row[9],
        created_by=row[10],
        started_at=row[11],
        completed_at=row[12],
        failed_at=row[13],
        delete_at=row[14],
        defaults=_decode_defaults(row[15]) if row[15] else None,
        auto_delete=row[16],
        has_secrets=row[17],
    )


def _what_else(view: View, events: Sequence[EngineEvent]) -> _Second:
    second = _Second()
    second.jobs = {task.job_id for task in view.tasks.values()} - view.jobs.keys()
    done_below: Counter[str] = Counter()
    for event in events:
        if isinstance(event, RunEnded) and event.outcome is RunOutcome.COMPLETED:
            _after_completion(view, second, view.tasks.get(event.task_id), done_below)
        elif isinstance(event, ChildrenDue):
            task = view.tasks.get(event.task_id)
            if task is not None and task.state is TaskState.RUNNING:
                second.unfolding.append(task)
        elif isinstance(event, RestartRequested) and event.job_id in view.jobs:
            second.steps[event.job_id] = max(view.jobs[event.job_id].position, 1)
    for parent_id, count in done_below.items():
        parent = view.tasks[parent_id]
        if parent.released < parent.created:
            second.waiting[parent_id] = (parent.released, parent.released + count)
    return second


def _after_completion(view: View, second: _Second, task: TaskRow | None, done_below: Counter[str]) -> None:
    """Walk up as far as this completion may complete parents; note children to release and steps to come."""
    while task is not None:
        if task.parent_id is not None:
            parent = view.tasks.get(task.parent_id)
            if parent is None:
                return
            done_below[parent.id] += 1
            if parent.completions + done_below[parent.id] < parent.size:
                return
            task = parent
            continue
        job = view.jobs.get(task.job_id)
        if job is None:
            return
        second.steps[job.id] = job.position + 1
        if job.position < job.task_count or job.parent_task_id is None:
            return
        task = view.tasks.get(job.parent_task_id)


def _load_second(connection: Connection, view: View, second: _Second) -> None:
    locked = {job.root_id for job in view.jobs.values()}
    jobs = connection.execute(SQL.load_jobs, {"jobs": list(second.jobs)}) if second.jobs else None
    wanted = {
        "jobs": list(second.steps),
        "first": list(second.steps.values()),
        "last": list(second.steps.values()),
    }
    steps = connection.execute(SQL.load_steps, wanted) if second.steps else None
    context = connection.execute(SQL.load_steps_context, wanted) if second.steps else None
    waiting = _ask_waiting(connection, second)
    specs = items = None
    if second.unfolding:
        specs = connection.execute(SQL.load_specs, {"tasks": [task.id for task in second.unfolding]})
        items = connection.execute(
            SQL.load_items,
            {
                "tasks": [task.id for task in second.unfolding],
                "first": [task.created // ITEM_BLOCK for task in second.unfolding],
                "last": [task.created // ITEM_BLOCK + 3 for task in second.unfolding],
            },
        )
    if jobs is not None:
        _add_jobs(view, jobs.fetchall(), locked)
    if steps is not None and context is not None:
        _add_steps(view, steps.fetchall(), context.fetchall())
        for job_id, position in second.steps.items():
            if job_id in view.jobs and position > view.jobs[job_id].task_count:
                view.steps.setdefault((job_id, position), Step())
    if waiting is not None:
        for row in waiting.fetchall():
            _add_waiting(view, row)
    if specs is not None and items is not None:
        _add_unfolding(view, specs.fetchall(), items.fetchall())


def _ask_waiting(connection: Connection, second: _Second) -> Any:
    if not second.waiting:
        return None
    ranges = {
        "parents": list(second.waiting),
        "first": [first for first, _ in second.waiting.values()],
        "end": [end for _, end in second.waiting.values()],
    }
    return connection.execute(SQL.load_waiting, ranges)


def _add_waiting(view: View, row: Sequence[Any]) -> None:
    child = replace(_task_row(row), scope=_decode_any(row[29]) if row[29] else None, spec=_decode_task(row[30]))
    view.tasks.setdefault(child.id, child)
    assert child.parent_id is not None
    assert child.item_index is not None
    view.waiting[child.parent_id, child.item_index] = child.id


def _add_unfolding(view: View, specs: Iterable[Sequence[Any]], blocks: Iterable[Sequence[Any]]) -> None:
    for task_id, spec, scope in specs:
        task = view.tasks[task_id]
        view.tasks[task_id] = replace(task, spec=_decode_task(spec), scope=_decode_any(scope) if scope else None)
    for task_id, block, items in blocks:
        first, known = view.items.setdefault(task_id, (block * ITEM_BLOCK, []))
        if first + len(known) == block * ITEM_BLOCK:
            known.extend(_decode_any(items))


def _add_steps(view: View, steps: Iterable[Sequence[Any]], context: Iterable[Sequence[Any]]) -> None:
    for job_id, position, spec, reads, reads_all in steps:
        job = view.jobs.get(job_id)
        last = job is not None and position > job.task_count
        view.steps[job_id, position] = Step(output=spec) if last else Step(definition=_decode_task(spec))
        _note_reads(view, job_id, Reads(frozenset(reads), frozenset(reads_all)))
    _add_context(view, context)


def _note_reads(view: View, job_id: str, reads: Reads) -> None:
    view.context_reads[job_id] = view.context_reads.get(job_id, Reads()) | reads


def _add_context(view: View, rows: Iterable[Sequence[Any]]) -> None:
    for job_id, namespace, key, value in rows:
        # What this batch has set already is newer than what is stored.
        view.contexts.setdefault(job_id, {}).setdefault(namespace, {}).setdefault(key[len(namespace) + 1 :], value)


def load_steps(connection: Connection, view: View, job_id: str, position: int) -> None:
    """Steps from `position` on, some at a time, with what they read."""
    wanted = {"jobs": [job_id], "first": [position], "last": [position + STEPS_AT_ONCE - 1]}
    steps = connection.execute(SQL.load_steps, wanted)
    context = connection.execute(SQL.load_steps_context, wanted)
    found = steps.fetchall()
    _add_steps(view, found, context.fetchall())
    # A job without an output has no row after its last step.
    if position not in {row[1] for row in found}:
        view.steps[job_id, position] = Step()


def load_context(connection: Connection, view: View, job_id: str, reads: Reads) -> None:
    """More of a job's context."""
    rows = connection.execute(
        SQL.load_context, {"job": job_id, "keys": list(reads.keys), "namespaces": list(reads.namespaces)}
    )
    _add_context(view, rows.fetchall())
    _note_reads(view, job_id, reads)
