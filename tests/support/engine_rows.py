"""The rows that the engine's datastore in memory holds, and what a batch loads of them.

A loaded task comes without its definition, its times, its result; a job with the steps and context values that the next decision
is expected to need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from tork.job import JobDefinition
from tork.task import TaskState
from torkd.engine import fanout
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
from torkd.engine.reads import NAMESPACES, NOTHING, Reads, reads_of, reads_of_text
from torkd.engine.rows import JobRow, TaskRow
from torkd.engine.view import Failure, Step, View, attached_jobs

ITEMS_LOADED = 250
"""Elements, and held-back children, that are loaded for `ChildrenDue`."""
REDONE_LOADED = 250
"""Children that are loaded to be run again."""
STEPS_LOADED = 50
"""Further steps that are loaded when a decision asks for one."""
TASK_TIMES = ("created_at", "scheduled_at", "started_at", "completed_at", "failed_at")


@dataclass
class EngineRows:
    """Jobs and tasks, as Postgres holds them."""

    jobs: dict[str, JobRow] = field(default_factory=dict)
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    definitions: dict[str, JobDefinition] = field(default_factory=dict)
    contexts: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    items: dict[str, list[Any]] = field(default_factory=dict)

    def load(self, events: Sequence[EngineEvent], *, all_waiting: bool) -> View:
        """What a batch of events begins with."""
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
            self.load_steps(view, job_id, first, first if len(events) == 1 else first + 1)
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

    def load_last_run(self, view: View, job_id: str) -> None:
        """The latest task at the position of a job."""
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
        self.load_context(view, task.job_id, reads_of(task.spec))

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

    def load_steps(self, view: View, job_id: str, first: int, last: int | None = None) -> None:
        """Steps of a job, each with the context that it reads."""
        definition = self.definitions[job_id]
        for position in range(first, min(last or first, len(definition.tasks) + 1) + 1):
            if position > len(definition.tasks):
                view.steps[job_id, position] = Step(output=definition.output)
                self.load_context(view, job_id, reads_of_text(definition.output))
            else:
                step = definition.tasks[position - 1]
                view.steps[job_id, position] = Step(definition=step)
                self.load_context(view, job_id, reads_of(step))

    def load_context(self, view: View, job_id: str, reads: Reads) -> None:
        """Context values of a job."""
        known = view.contexts.setdefault(job_id, {name: {} for name in NAMESPACES})
        for namespace, values in self.contexts[job_id].items():
            for name, value in values.items():
                if namespace in reads.namespaces or f"{namespace}.{name}" in reads.keys:
                    known[namespace].setdefault(name, value)
        view.context_reads[job_id] = view.context_reads.get(job_id, NOTHING) | reads

    def load_failures(self, view: View, parent_id: str) -> None:
        """The first children of a task that have failed."""
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
