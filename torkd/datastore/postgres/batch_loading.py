"""Loading what a batch of events needs: a fixed number of statements in two round trips, however many events there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import msgspec
from msgspec.structs import replace

from tork.task import TaskState
from torkd.broker.messages import RunEnded, RunOutcome
from torkd.datastore.postgres import surgery_loading
from torkd.datastore.postgres.pool import Connection
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.postgres.task_decoding import (
    decode_any,
    decode_definition,
    decode_job,
    decode_task,
    with_definition,
)
from torkd.engine.changes import UnfoldSoon
from torkd.engine.events import (
    CancelRequested,
    ChildrenDue,
    EngineEvent,
    EventFailed,
    JobStalled,
    JobSubmitted,
    RestartRequested,
    RetryRequested,
)
from torkd.engine.fanout import FAILURES_LOADED
from torkd.engine.reads import Reads
from torkd.engine.rows import TaskRow
from torkd.engine.view import Failure, Step, View

SQL = load_statements("batch.sql")

ITEM_BLOCK = 100
"""Elements of an each in one row."""

WAITING_AT_ONCE = 250
"""How many children that are held back are read to be released."""

CHILDREN_AT_ONCE = 500
"""When a batch may make and release so many children, further composites come later: transactions stay short."""

STEPS_AT_ONCE = 50
"""How many steps are read when a decision asks for more: jobs that skip many tasks go through them fast."""


class _StepRow(msgspec.Struct, frozen=True):
    job_id: str
    position: int
    spec: str
    reads: list[str]
    reads_all: list[str]


class _ContextRow(msgspec.Struct, frozen=True):
    job_id: str
    namespace: str
    key: str
    value: str


_decode_step_row = msgspec.json.Decoder(_StepRow).decode
_decode_context_row = msgspec.json.Decoder(_ContextRow).decode


@dataclass(slots=True)
class _Second:
    """What the first round trip showed to be needed."""

    steps: dict[str, int] = field(default_factory=dict)
    """Job id to position."""
    waiting: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Parent id to the range of children."""
    unfolding: dict[str, TaskRow] = field(default_factory=dict)
    children: int = 0
    """How many children those may make or release."""


def load(connection: Connection, events: Sequence[EngineEvent], columns: SealedColumns, *, wait: float) -> View:
    """Lock the roots and read the rows."""
    view = View()
    stored = [event for event in events if not isinstance(event, JobSubmitted)]
    if not stored:
        return view
    roots = {event.root_id for event in stored}
    if wait:
        connection.execute(SQL.set_lock_timeout, {"milliseconds": str(max(int(wait * 1000), 1))})
    lock = connection.execute(
        SQL.lock_roots_waiting if wait else SQL.lock_roots, {"roots": text_array(sorted(roots))}, prepare=True
    )
    rows = connection.execute(
        SQL.load,
        {
            "tasks": text_array({task_id for event in stored if (task_id := getattr(event, "task_id", None))}),
            "jobs": text_array(roots | {event.job_id for event in stored}),
            "tops": text_array({event.job_id for event in stored if _is_about_job(event)}),
            "ended": text_array({event.task_id for event in stored if _is_completion(event)}),
        },
        prepare=True,
    )
    locked = {root for (root,) in lock.fetchall()}
    _add_rows(view, rows.fetchall(), locked, columns)
    if gone := roots - locked:
        # A root that is neither locked nor there was deleted, and its events with it; the others are somebody else's now.
        there = connection.execute(SQL.which_exist, {"jobs": text_array(gone)})
        view.skipped_roots = {root for (root,) in there.fetchall()}
    _note_ends(view, [task.job_id for event in stored if (task := _ended_at_the_top(view, event))])
    second = _what_else(view, stored)
    _load_second(connection, view, second, columns)
    surgery_loading.load_places(connection, view, stored, columns)
    _note_ends(view, second.steps)
    return view


def text_array(values: Iterable[str]) -> str:
    """A `text[]` literal: binding one text costs a tenth of binding a list."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _is_completion(event: EngineEvent) -> TypeGuard[RunEnded]:
    return isinstance(event, RunEnded) and event.outcome is RunOutcome.COMPLETED


def _ended_at_the_top(view: View, event: EngineEvent) -> TaskRow | None:
    """The task of the event, if `load` read the step after it."""
    task = view.tasks.get(event.task_id) if _is_completion(event) else None
    return task if task is not None and task.parent_id is None else None


def _note_ends(view: View, job_ids: Iterable[str]) -> None:
    """A job without an output has no row after its last step. Only for jobs whose next step was asked for."""
    for job_id in job_ids:
        job = view.jobs.get(job_id)
        if job is not None and job.position == job.task_count:
            view.steps.setdefault((job.id, job.position + 1), Step())


def _is_about_job(event: EngineEvent) -> bool:
    """Whether the event may end the job itself: the tasks that wait for it are above it."""
    return isinstance(event, CancelRequested | RestartRequested | RetryRequested | EventFailed | JobStalled)


def _add_rows(view: View, rows: Iterable[Sequence[Any]], locked: set[str], columns: SealedColumns) -> None:
    steps: list[_StepRow] = []
    context: list[_ContextRow] = []
    for kind, document in rows:
        match kind:
            case "task":
                task = decode_task(document, columns)
                if task.root_id in locked:
                    view.tasks[task.id] = task
            case "job":
                job = decode_job(document, columns)
                if job.root_id in locked:
                    view.jobs[job.id] = job
            case "step":
                steps.append(_decode_step_row(document))
            case "context":
                context.append(_decode_context_row(document))
    _add_steps(view, steps, context, columns)


def _what_else(view: View, events: Sequence[EngineEvent]) -> _Second:
    second = _Second()
    done_below: Counter[str] = Counter()
    for event in events:
        if _is_completion(event):
            _after_completion(view, second, view.tasks.get(event.task_id), done_below)
        elif isinstance(event, RunEnded):
            _after_failure(view, view.tasks.get(event.task_id), done_below)
        elif isinstance(event, ChildrenDue):
            task = view.tasks.get(event.task_id)
            if task is not None and task.state is TaskState.RUNNING:
                _unfold(view, second, task)
        elif isinstance(event, RestartRequested) and event.job_id in view.jobs:
            second.steps[event.job_id] = max(view.jobs[event.job_id].position, 1)
    for parent_id in done_below.keys() | second.unfolding.keys():
        parent = view.tasks[parent_id]
        count = max(done_below[parent_id], WAITING_AT_ONCE if parent_id in second.unfolding else 0)
        if parent.released < parent.created:
            second.waiting[parent_id] = (parent.released, parent.released + count)
    return second


def _unfold(view: View, second: _Second, task: TaskRow) -> None:
    """Read what the next children are made of, unless the batch has enough to do: then they come in another."""
    if task.id in second.unfolding:
        return
    if second.children >= CHILDREN_AT_ONCE:
        view.unfold[task.id] = UnfoldSoon(task.id, task.job_id, task.root_id)
        return
    second.unfolding[task.id] = task
    second.children += min(task.size - task.created, CHILDREN_AT_ONCE // 2)
    second.children += min(task.created - task.released, WAITING_AT_ONCE)


def _after_completion(view: View, second: _Second, task: TaskRow | None, done_below: Counter[str]) -> None:
    """Walk up as far as this completion may complete parents; note children to release and steps to come."""
    while task is not None:
        if task.parent_id is not None:
            parent = view.tasks.get(task.parent_id)
            if parent is None:
                return
            done_below[parent.id] += 1
            if parent.completions + parent.failures + done_below[parent.id] < parent.size:
                return
            task = parent
            continue
        job = view.jobs.get(task.job_id)
        if job is None:
            return
        if (job.id, job.position + 1) not in view.steps:
            second.steps[job.id] = job.position + 1
        if job.position < job.task_count or job.parent_task_id is None:
            return
        task = view.tasks.get(job.parent_task_id)


def _after_failure(view: View, task: TaskRow | None, done_below: Counter[str]) -> None:
    """It may make room for a sibling."""
    parent = view.tasks.get(task.parent_id) if task is not None and task.parent_id is not None else None
    if parent is not None and parent.goes_on:
        done_below[parent.id] += 1


def _load_second(connection: Connection, view: View, second: _Second, columns: SealedColumns) -> None:
    waiting = _ask_waiting(connection, second)
    specs = items = None
    if second.unfolding:
        unfolding = list(second.unfolding.values())
        specs = connection.execute(SQL.load_specs, {"tasks": [task.id for task in unfolding]})
        items = connection.execute(
            SQL.load_items,
            {
                "tasks": [task.id for task in unfolding],
                "first": [task.created // ITEM_BLOCK for task in unfolding],
                "last": [task.created // ITEM_BLOCK + 3 for task in unfolding],
            },
        )
    if second.steps:
        first = list(second.steps.values())
        _load_steps(connection, view, list(second.steps), first, first, columns)
    if waiting is not None:
        for document, spec, scope, reason in waiting.fetchall():
            child = with_definition(decode_task(document, columns), spec, scope, columns)
            _add_waiting(view, replace(child, reason=columns.open(child.job_id, reason) if reason else None))
    if specs is not None and items is not None:
        _add_unfolding(view, specs.fetchall(), items.fetchall(), columns)
    surgery_loading.load_redo(connection, view, second.unfolding.values(), columns)


def _ask_waiting(connection: Connection, second: _Second) -> Any:
    if not second.waiting:
        return None
    ranges = {
        "parents": list(second.waiting),
        "first": [first for first, _ in second.waiting.values()],
        "end": [end for _, end in second.waiting.values()],
    }
    return connection.execute(SQL.load_waiting, ranges)


def _add_waiting(view: View, child: TaskRow) -> None:
    view.tasks.setdefault(child.id, child)
    assert child.parent_id is not None
    assert child.item_index is not None
    view.waiting[child.parent_id, child.item_index] = child.id


def _add_unfolding(
    view: View, specs: Iterable[Sequence[Any]], blocks: Iterable[Sequence[Any]], columns: SealedColumns
) -> None:
    for task_id, spec, scope in specs:
        view.tasks[task_id] = with_definition(view.tasks[task_id], spec, scope, columns)
    for task_id, block, items in blocks:
        first, known = view.items.setdefault(task_id, (block * ITEM_BLOCK, []))
        if first + len(known) == block * ITEM_BLOCK:
            known.extend(decode_any(columns.open(view.tasks[task_id].job_id, items)))


def _add_steps(view: View, steps: Iterable[_StepRow], context: Iterable[_ContextRow], columns: SealedColumns) -> None:
    for step in steps:
        job = view.jobs.get(step.job_id)
        if job is None:
            continue
        spec = columns.open(job.id, step.spec)
        if step.position > job.task_count:
            view.steps[job.id, step.position] = Step(output=spec)
        else:
            view.steps[job.id, step.position] = Step(definition=decode_definition(spec))
        _note_reads(view, job.id, Reads(frozenset(step.reads), frozenset(step.reads_all)))
    _add_context(view, context, columns)


def _note_reads(view: View, job_id: str, reads: Reads) -> None:
    view.context_reads[job_id] = view.context_reads.get(job_id, Reads()) | reads


def _add_context(view: View, rows: Iterable[_ContextRow], columns: SealedColumns) -> None:
    for row in rows:
        # What this batch has set already is newer than what is stored.
        values = view.contexts.setdefault(row.job_id, {}).setdefault(row.namespace, {})
        name = row.key[len(row.namespace) + 1 :]
        if name not in values:
            values[name] = columns.open(row.job_id, row.value)


def load_steps(connection: Connection, view: View, job_id: str, position: int, columns: SealedColumns) -> None:
    """Steps from `position` on, some at a time, with what they read."""
    _load_steps(connection, view, [job_id], [position], [position + STEPS_AT_ONCE - 1], columns)
    # A job without an output has no row after its last step.
    view.steps.setdefault((job_id, position), Step())


def _load_steps(
    connection: Connection, view: View, jobs: list[str], first: list[int], last: list[int], columns: SealedColumns
) -> None:
    wanted = {"jobs": jobs, "first": first, "last": last}
    steps = connection.execute(SQL.load_steps, wanted)
    context = connection.execute(SQL.load_steps_context, wanted)
    _add_steps(
        view,
        [_StepRow(*row) for row in steps.fetchall()],
        [_ContextRow(*row) for row in context.fetchall()],
        columns,
    )


def load_failures(connection: Connection, view: View, parent_id: str, columns: SealedColumns) -> None:
    """The first children of a task that have failed, and as many more as the batch may have tried again since.

    With it come those of others that this batch may end too: many small composites would take a statement each.
    """
    limit = FAILURES_LOADED + len(view.new_tasks)
    others = [other_id for other_id in _may_end(view) if other_id != parent_id and other_id not in view.failures]
    rows = connection.execute(SQL.load_failures, {"parents": [parent_id, *others], "limit": limit}).fetchall()
    found: dict[str, list[Failure]] = {loaded_id: [] for loaded_id in (parent_id, *others)}
    for loaded_id, job_id, index, name, error in rows:
        found[loaded_id].append(Failure(index, columns.open(job_id, name), columns.open(job_id, error or "")))
    # Of the others only all that there are: the batch may yet try more of them again than the limit allows for.
    view.failures |= {key: failures for key, failures in found.items() if key == parent_id or len(failures) < limit}


def _may_end(view: View) -> list[str]:
    """The tasks that go on after failures, and of which no more children are left than the batch has in hand."""
    in_hand = Counter(task.parent_id for task in view.tasks.values())
    return [
        task.id
        for task in view.tasks.values()
        if task.goes_on
        and task.state is TaskState.RUNNING
        and task.size - task.completions - task.failures <= in_hand[task.id]
    ]


def load_last_runs(connection: Connection, view: View, job_id: str, columns: SealedColumns) -> None:
    """The latest task at the position of a job that has ended, and what is needed to make another; the same of sub-jobs in hand."""
    loaded = surgery_loading.load_last_runs(connection, view, job_id, columns)
    positions = [max(view.jobs[loaded_id].position, 1) for loaded_id in loaded]
    _load_steps(connection, view, loaded, positions, positions, columns)


def load_context(connection: Connection, view: View, job_id: str, reads: Reads, columns: SealedColumns) -> None:
    """More of a job's context."""
    rows = connection.execute(
        SQL.load_context, {"job": job_id, "keys": list(reads.keys), "namespaces": list(reads.namespaces)}
    )
    _add_context(view, [_ContextRow(*row) for row in rows.fetchall()], columns)
    _note_reads(view, job_id, reads)
