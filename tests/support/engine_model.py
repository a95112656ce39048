"""A datastore in memory for the engine: it loads a view, folds a batch of events through `decide` and keeps the outcome.

It does what the Postgres one does, and no more: a loaded task comes without its definition, its times, its result; a job
with the steps and context values that the next decision is expected to need; everything stored goes through JSON. So a
decision that leans on what would not be loaded fails here too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from tests.support.builders import START
from tork.errors import TorkError
from tork.job import JobDefinition, JobState
from tork.task import TaskDefinition, TaskState
from torkd.engine import fanout
from torkd.engine.changes import Announce, Change, OrderKind, TellNode
from torkd.engine.decide import decide
from torkd.engine.events import (
    CancelRequested,
    ChildrenDue,
    EngineEvent,
    JobSubmitted,
    RestartRequested,
    RetryRequested,
    SkipRequested,
)
from torkd.engine.fanout import FAILURES_LOADED
from torkd.engine.hook_events import HookEvent
from torkd.engine.reads import NAMESPACES, NOTHING, Reads, reads_of, reads_of_text
from torkd.engine.rows import JobRow, Redo, TaskKind, TaskRow
from torkd.engine.view import Failure, NotLoadedError, Step, View, attached_jobs, below

ITEMS_LOADED = 250
"""Elements, and held-back children, that are loaded for `ChildrenDue`."""
FAILED_AT = {TaskState.FAILED, TaskState.CANCELLED}
"""States with that time; a task that is revived loses it."""
REDONE_LOADED = 250
"""Children that are loaded to be run again."""
STEPS_LOADED = 50
"""Further steps that are loaded when a decision asks for one."""
TASK_TIMES = ("created_at", "scheduled_at", "started_at", "completed_at", "failed_at")
LEFT_WHEN_NONE = {"error", "result"}
NOT_UPDATED = {"name", "var", "priority", "retry", "goes_on", "scope", "spec", "is_raw", "created_at"}
"""Columns of a task that are written once."""

Row = TypeVar("Row", JobRow, TaskRow)


@dataclass
class Outcome:
    """What one batch did."""

    changes: list[list[Change]]
    """For each event, what was decided; empty when it failed."""
    errors: list[TorkError | None]
    orders: list[TellNode]
    sent: list[str]


@dataclass
class EngineModel:
    """All jobs and tasks, as Postgres holds them."""

    now: datetime = START
    jobs: dict[str, JobRow] = field(default_factory=dict)
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    definitions: dict[str, JobDefinition] = field(default_factory=dict)
    contexts: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    items: dict[str, list[Any]] = field(default_factory=dict)
    outbox: list[tuple[str, int]] = field(default_factory=list)
    orders: list[TellNode] = field(default_factory=list)
    unfolding: list[ChildrenDue] = field(default_factory=list)
    results_set: Counter[tuple[str, str]] = field(default_factory=Counter)
    loads: int = 0
    """How often a decision had to wait for more to be loaded."""
    ids_used: int = 0
    announced: list[Announce] = field(default_factory=list)
    """What webhooks were told, in order."""

    def handle(self, *events: EngineEvent, all_waiting: bool = False) -> Outcome:
        """Handle a batch of events in one transaction."""
        view = self._load(events, all_waiting=all_waiting)
        outcome = Outcome([], [], [], [])
        for event in events:
            try:
                changes = self._decide(view, event)
            except TorkError as error:
                outcome.changes.append([])
                outcome.errors.append(error)
                continue
            view.apply(changes, self.now)
            outcome.changes.append(changes)
            outcome.errors.append(None)
        view.finish()
        self._write(view, outcome)
        return outcome

    def copy(self) -> EngineModel:
        """An independent copy: rows are frozen, so the tables alone are copied."""
        twin = copy(self)
        for name in (
            "jobs",
            "tasks",
            "definitions",
            "items",
            "outbox",
            "orders",
            "unfolding",
            "results_set",
            "announced",
        ):
            setattr(twin, name, copy(getattr(self, name)))
        twin.contexts = {job: {name: dict(of) for name, of in known.items()} for job, known in self.contexts.items()}
        return twin

    def _decide(self, view: View, event: EngineEvent) -> list[Change]:
        loaded: set[str] = set()
        first_id = self.ids_used
        while True:
            try:
                return decide(view, event, now=self.now, new_id=self._new_id)
            except NotLoadedError as error:
                missing = error
            assert str(missing) not in loaded, f"asked for twice: {missing}"
            loaded.add(str(missing))
            self.ids_used = first_id
            self.loads += 1
            if missing.position is not None:
                self._load_steps(view, missing.job_id, missing.position, missing.position + STEPS_LOADED)
            if missing.reads is not None:
                self._load_context(view, missing.job_id, missing.reads)
            if missing.failures_of is not None:
                self._load_failures(view, missing.failures_of)
            if missing.last_run:
                self._load_last_run(view, missing.job_id)

    def _new_id(self) -> str:
        self.ids_used += 1
        return f"id{self.ids_used}"

    # Loading

    def _load(self, events: Sequence[EngineEvent], *, all_waiting: bool) -> View:
        view = View()
        jobs = {event.job_id for event in events}
        for event in events:
            if not isinstance(event, JobSubmitted | CancelRequested | RestartRequested):
                jobs |= self._load_ancestors(view, event.task_id)
            if isinstance(event, RetryRequested) and not event.task_id:
                jobs |= self._load_failing(view, event.job_id)
        for job_id in list(jobs):
            while job_id in self.jobs and (above := self.jobs[job_id].parent_job_id):
                task_id = self.jobs[job_id].parent_task_id
                assert task_id is not None
                jobs |= self._load_ancestors(view, task_id) | {above}
                job_id = above
        for job_id in jobs & set(self.jobs):
            job = self.jobs[job_id]
            view.jobs[job_id] = replace(job, created_at=None, error=None, result=None)
            first = max(job.position, 1)
            self._load_steps(view, job_id, first, first if len(events) == 1 else first + 1)
        for event in events:
            if isinstance(event, ChildrenDue) and event.task_id in view.tasks:
                self._load_children(view, event.task_id, all_waiting=all_waiting)
        for task in list(view.tasks.values()):
            self._load_waiting(view, task, ITEMS_LOADED * 10 if all_waiting else len(events))
        if any(isinstance(event, SkipRequested | RetryRequested) for event in events):
            view.superseded = {
                task_id for task_id in view.tasks if self.last_at_place(self.tasks[task_id]).id != task_id
            }
        return view

    def last_at_place(self, task: TaskRow) -> TaskRow:
        """The latest run of a task."""
        if task.parent_id is not None:
            return self.newest_children(task.parent_id)[task.item_index or 0]
        there = [
            other
            for other in self.tasks.values()
            if (other.job_id, other.position, other.parent_id) == (task.job_id, task.position, None)
        ]
        return max(there, key=lambda other: (other.version, other.attempts))

    def _load_failing(self, view: View, job_id: str) -> set[str]:
        tree = attached_jobs(self.jobs.values(), job_id)
        failing = [
            task
            for task in self.tasks.values()
            if task.job_id in tree and task.state is TaskState.RUNNING and task.failures
        ]
        view.failing[job_id] = [task.id for task in failing]
        for task in failing:
            view.tasks.setdefault(task.id, _as_loaded(task))
        return {task.job_id for task in failing}

    def _load_last_run(self, view: View, job_id: str) -> None:
        job = self.jobs.get(job_id)
        view.last_runs[job_id] = None
        if job is None:
            return
        view.jobs.setdefault(job_id, replace(job, created_at=None, error=None, result=None))
        runs = [
            task
            for task in self.tasks.values()
            if task.job_id == job_id and task.parent_id is None and task.position == job.position
        ]
        if runs:
            last = self.last_at_place(runs[0])
            view.last_runs[job_id] = last.id
            view.tasks.setdefault(last.id, _as_loaded(last))

    def _load_ancestors(self, view: View, task_id: str | None) -> set[str]:
        jobs = set()
        while task_id is not None and task_id in self.tasks:
            task = self.tasks[task_id]
            view.tasks[task_id] = _as_loaded(task)
            jobs.add(task.job_id)
            task_id = task.parent_id or self.jobs[task.job_id].parent_task_id
        return jobs

    def _load_children(self, view: View, task_id: str, *, all_waiting: bool) -> None:
        task = self.tasks[task_id]
        view.tasks[task_id] = replace(view.tasks[task_id], spec=task.spec, scope=task.scope)
        room = len(self.tasks) if all_waiting else min(fanout.room(task), REDONE_LOADED)
        self._load_redo(view, task, room)
        if task_id in self.items:
            view.items[task_id] = (task.created, self.items[task_id][task.created :][:ITEMS_LOADED])
        self._load_waiting(view, task, ITEMS_LOADED)
        assert task.spec is not None
        self._load_context(view, task.job_id, reads_of(task.spec))

    def _load_redo(self, view: View, parent: TaskRow, room: int) -> None:
        redo = parent.redo
        if not parent.redo_left or redo is None or room <= 0:
            return
        states = {TaskState.CANCELLED} | ({TaskState.FAILED} if redo.with_failed else set())
        meant = [
            child
            for place, child in self.newest_children(parent.id).items()
            if child.state in states and place >= redo.first and child.version <= redo.until
        ][:room]
        meant += [self.tasks[task_id] for task_id in redo.task_ids[:REDONE_LOADED]]
        for child in sorted(meant, key=lambda child: child.item_index or 0):
            view.tasks[child.id] = replace(_as_loaded(child), spec=child.spec, scope=child.scope, reason=child.reason)
            view.redo.setdefault(parent.id, []).append(child.id)

    def _load_waiting(self, view: View, parent: TaskRow, number: int) -> None:
        if not parent.kind.has_children:
            return
        for child in self.tasks.values():
            for place in child.held_back_at:
                if place[0] == parent.id and place[1] < parent.released + number:
                    view.waiting[place] = child.id
                    loaded = replace(_as_loaded(child), spec=child.spec, scope=child.scope, reason=child.reason)
                    view.tasks.setdefault(child.id, loaded)

    def _load_steps(self, view: View, job_id: str, first: int, last: int | None = None) -> None:
        definition = self.definitions[job_id]
        for position in range(first, min(last or first, len(definition.tasks) + 1) + 1):
            if position > len(definition.tasks):
                view.steps[job_id, position] = Step(output=definition.output)
                self._load_context(view, job_id, reads_of_text(definition.output))
            else:
                step = definition.tasks[position - 1]
                view.steps[job_id, position] = Step(definition=step)
                self._load_context(view, job_id, reads_of(step))

    def _load_context(self, view: View, job_id: str, reads: Reads) -> None:
        known = view.contexts.setdefault(job_id, {name: {} for name in NAMESPACES})
        for namespace, values in self.contexts[job_id].items():
            for name, value in values.items():
                if namespace in reads.namespaces or f"{namespace}.{name}" in reads.keys:
                    known[namespace].setdefault(name, value)
        view.context_reads[job_id] = view.context_reads.get(job_id, NOTHING) | reads

    def _load_failures(self, view: View, parent_id: str) -> None:
        newest = self.newest_children(parent_id)
        failed = [task for task in newest.values() if task.state is TaskState.FAILED]
        view.failures[parent_id] = [
            Failure(task.item_index or 0, task.name, task.error or "")
            for task in failed[: FAILURES_LOADED + len(view.new_tasks)]
        ]

    def newest_children(self, parent_id: str) -> dict[int, TaskRow]:
        """The latest run of each child, by its place."""
        children = [task for task in self.tasks.values() if task.parent_id == parent_id and task.item_index is not None]
        children.sort(key=lambda task: (task.item_index, task.version, task.attempts))
        return {task.item_index: task for task in children if task.item_index is not None}

    # Writing

    def _write(self, view: View, outcome: Outcome) -> None:
        self.announced += view.announced
        self._cancel_trees(view, outcome)
        for job_id in [job_id for job_id in view.jobs if job_id in view.new_jobs]:
            assert job_id not in self.jobs
            definition = view.definitions[job_id]
            self.definitions[job_id] = _through_json(definition, JobDefinition)
            self.contexts[job_id] = {
                "inputs": dict(definition.inputs),
                "secrets": dict(definition.secrets),
                "tasks": {},
            }
            self.jobs[job_id] = replace(view.jobs[job_id], error=view.jobs[job_id].error or "")
        for job_id in view.dirty_jobs - view.new_jobs:
            self.jobs[job_id] = _updated(self.jobs[job_id], view.jobs[job_id], LEFT_WHEN_NONE, {"created_at"})
        for task_id in [task_id for task_id in view.tasks if task_id in view.new_tasks]:
            assert task_id not in self.tasks
            self.tasks[task_id] = self._inserted(view.tasks[task_id], view)
        for task_id in view.dirty_tasks - view.new_tasks:
            old, new = self.tasks[task_id], view.tasks[task_id]
            is_revived = old.kind is not TaskKind.REGULAR and old.state in FAILED_AT
            assert old.state.is_active or is_revived, f"{old} had ended and became {new}"
            row = _updated(old, new, LEFT_WHEN_NONE | set(TASK_TIMES) | {"reason"}, NOT_UPDATED)
            self.tasks[task_id] = row if row.state in FAILED_AT else replace(row, failed_at=None)
        for (job_id, var), value in view.results.items():
            self.contexts[job_id]["tasks"][var] = value
            self.results_set[job_id, var] += 1
        for stored in view.stored_items:
            assert stored.task_id not in self.items
            self.items[stored.task_id] = _through_json(stored.items, list[Any])
        outcome.sent += [row.id for row in view.sent_rows()]
        self.outbox += [(row.id, row.dispatch) for row in view.sent_rows()]
        outcome.orders += view.orders
        self.orders += outcome.orders
        self.unfolding += [
            ChildrenDue(task_id=due.task_id, job_id=due.job_id, root_id=due.root_id) for due in view.unfold.values()
        ]

    def _cancel_trees(self, view: View, outcome: Outcome) -> None:
        """The statements that cancel what is not in the view."""
        tops = list(view.cancelled)
        for task_id in view.cancelled_below:
            below_it, _ = below(task_id, self.tasks.values(), {})
            for task in [self.tasks[below_id] for below_id in below_it]:
                if task.state.is_active and task.id not in view.tasks:
                    self._cancel_task(task, view, outcome)
            waiting = below_it | {task_id}
            tops += [job.id for job in self.jobs.values() if job.parent_task_id in waiting]
        for top in tops:
            for job_id in attached_jobs(self.jobs.values(), top) & set(self.jobs):
                job = self.jobs[job_id]
                version = job.version + 1
                if job_id not in view.jobs and job.state.is_active:
                    self.jobs[job_id] = replace(
                        job, state=JobState.CANCELLED, failed_at=view.cancelled_at, version=version
                    )
                    if HookEvent.JOB_STATE in job.announces:
                        self.announced.append(Announce(HookEvent.JOB_STATE, self.jobs[job_id]))
                for task in [task for task in self.tasks.values() if task.job_id == job_id and task.state.is_active]:
                    if task.id not in view.tasks:
                        self._cancel_task(task, view, outcome)

    def _cancel_task(self, task: TaskRow, view: View, outcome: Outcome) -> None:
        if task.run_id and task.node_id:
            outcome.orders.append(TellNode(OrderKind.STOP, task.node_id, task.run_id))
        job = view.jobs.get(task.job_id) or self.jobs[task.job_id]
        self.tasks[task.id] = replace(
            task, state=TaskState.CANCELLED, failed_at=view.cancelled_at, due_at=None, version=job.version
        )

    def _inserted(self, row: TaskRow, view: View) -> TaskRow:
        spec = row.spec
        if spec is None:
            assert row.copy_of is not None
            source = self.tasks.get(row.copy_of) or view.tasks[row.copy_of]
            spec = source.spec
        assert spec is not None
        assert row.created_at is not None
        return replace(
            row,
            spec=_through_json(spec, TaskDefinition),
            copy_of=None,
            scope=_through_json(row.scope, dict[str, Any] | None),
            redo=_through_json(row.redo, Redo | None),
        )

    # What upkeep finds

    def retries_waiting(self) -> list[TaskRow]:
        """Tasks that wait for their next attempt."""
        return [task for task in self.tasks.values() if task.state is TaskState.PENDING and task.due_at is not None]

    def with_room(self) -> list[ChildrenDue]:
        """Composites that have room for children which nobody is releasing or making."""
        return [
            ChildrenDue(task_id=task.id, job_id=task.job_id, root_id=task.root_id)
            for task in self.tasks.values()
            if task.state is TaskState.RUNNING
            and (task.released < task.size or task.redo_left)
            and task.released - task.completions - task.failures - task.redo_left < (task.concurrency or 1_000)
        ]

    def pass_time(self, delay: timedelta) -> None:
        """Let the clock go on."""
        self.now += delay


def _as_loaded(task: TaskRow) -> TaskRow:
    """What a batch loads of a task: no definition, no times but the one that decides, no texts."""
    return replace(
        task,
        **dict.fromkeys(TASK_TIMES),
        error=None,
        result=None,
        reason=None,
        scope=None,
        spec=None,
        copy_of=None,
    )


def _updated(old: Row, new: Row, left_when_none: Collection[str], kept: Collection[str]) -> Row:
    """What an UPDATE leaves: some columns are not in it, and a None leaves others as they are."""
    values = {
        name: getattr(new, name)
        for name in new.__struct_fields__
        if name not in kept and not (name in left_when_none and getattr(new, name) is None)
    }
    return replace(old, **values)


def _through_json(value: Any, to: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value), type=to)
