"""A datastore in memory for the engine: it loads a view, folds a batch of events through `decide` and keeps the outcome.

It does what the Postgres one does, and no more: it loads as little (`engine_rows`), and everything stored goes through JSON. So a
decision that leans on what would not be loaded fails here too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from tests.support.builders import START
from tests.support.engine_rows import STEPS_LOADED, TASK_TIMES, EngineRows
from tork.errors import TorkError
from tork.job import JobDefinition, JobState
from tork.task import TaskDefinition, TaskState
from torkd.engine.changes import Announce, Change, OrderKind, TellNode
from torkd.engine.decide import decide
from torkd.engine.events import ChildrenDue, EngineEvent
from torkd.engine.hook_events import HookEvent
from torkd.engine.rows import JobRow, Redo, TaskKind, TaskRow
from torkd.engine.view import NotLoadedError, View, attached_jobs, below

FAILED_AT = {TaskState.FAILED, TaskState.CANCELLED}
"""States with that time; a task that is revived loses it."""
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
class EngineModel(EngineRows):
    """All jobs and tasks, and what becomes of them batch by batch."""

    now: datetime = START
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
        view = self.load(events, all_waiting=all_waiting)
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
                self.load_steps(view, missing.job_id, missing.position, missing.position + STEPS_LOADED)
            if missing.reads is not None:
                self.load_context(view, missing.job_id, missing.reads)
            if missing.failures_of is not None:
                self.load_failures(view, missing.failures_of)
            if missing.last_run:
                self.load_last_run(view, missing.job_id)

    def _new_id(self) -> str:
        self.ids_used += 1
        return f"id{self.ids_used}"

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
