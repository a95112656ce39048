"""What is known while a batch is decided: the rows that were loaded, and what the batch has changed so far.

Events of one batch are folded one after the other: `apply` takes the changes of one decision, the next decision sees them.
At the end `finished` gives every touched job its next version, which also marks its changed tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never

from msgspec.structs import replace

from tork.errors import TorkError
from tork.job import JobDefinition, JobState
from tork.task import TaskDefinition, TaskState
from torkd.engine.changes import (
    Announce,
    CancelBelow,
    CancelTree,
    Change,
    CreateJob,
    CreateTask,
    OrderKind,
    SendTask,
    SetResult,
    StoreItems,
    TellNode,
    UnfoldSoon,
    UpdateJob,
    UpdateTask,
)
from torkd.engine.reads import Reads
from torkd.engine.rows import JobRow, TaskRow

Context = dict[str, dict[str, str]]
"""Namespace (inputs, secrets, tasks) to name to value."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a job's list of tasks; the one after the last is the output template."""

    definition: TaskDefinition | None = None
    output: str = ""


class NotLoadedError(TorkError):
    """A decision needs more than was loaded. The shell loads it and asks again; nothing was decided."""

    def __init__(
        self,
        job_id: str,
        *,
        position: int | None = None,
        reads: Reads | None = None,
        failures_of: str | None = None,
        last_run: bool = False,
    ) -> None:
        missing = [f"step {position}"] if position is not None else []
        missing += [str(reads)] if reads is not None else []
        missing += [f"the failures of {failures_of}"] if failures_of is not None else []
        missing += ["the last run at its position"] if last_run else []
        super().__init__(f"job {job_id}: {' and '.join(missing)} not loaded")
        self.job_id = job_id
        self.position = position
        self.reads = reads
        self.failures_of = failures_of
        self.last_run = last_run


def attached_jobs(jobs: Iterable[JobRow], job_id: str) -> set[str]:
    """The job and all attached sub-jobs below it, as far as they are among `jobs`."""
    jobs = [job for job in jobs if job.parent_job_id is not None]
    tree = {job_id}
    while below := {job.id for job in jobs if job.parent_job_id in tree} - tree:
        tree |= below
    return tree


def below(task_id: str, tasks: Collection[TaskRow], jobs: Mapping[str, JobRow]) -> tuple[set[str], set[str]]:
    """The tasks below a task and the attached sub-jobs there, as far as they are among these. Tasks of the sub-jobs are left out."""
    found = {task_id}
    while more := {task.id for task in tasks if task.parent_id in found} - found:
        found |= more
    tops = [job.id for job in jobs.values() if job.parent_task_id in found]
    return found - {task_id}, set().union(*(attached_jobs(jobs.values(), top) for top in tops))


@dataclass(frozen=True, slots=True)
class Failure:
    """A child that has failed for good."""

    index: int
    name: str
    error: str


@dataclass(slots=True)
class View:
    """The rows of one batch. Everything in `dirty_*`, `new_*` and below is what the batch decided."""

    jobs: dict[str, JobRow] = field(default_factory=dict)
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    steps: dict[tuple[str, int], Step] = field(default_factory=dict)
    contexts: dict[str, Context] = field(default_factory=dict)
    context_reads: dict[str, Reads] = field(default_factory=dict)
    """What of a job's context was loaded; absent for a job that this batch made, whose context is all there."""
    items: dict[str, tuple[int, list[Any]]] = field(default_factory=dict)
    """Task id to the elements from an index on."""
    waiting: dict[tuple[str, int], str] = field(default_factory=dict)
    """(parent, item index) to the id of a child that may be released."""
    failures: dict[str, list[Failure]] = field(default_factory=dict)
    """Task id to the first of its children that have failed, as they are stored."""
    redo: dict[str, list[str]] = field(default_factory=dict)
    """Task id to the children that are to be run again, in their order: the first of them. They come with their specs."""
    last_runs: dict[str, str | None] = field(default_factory=dict)
    """Job id to the id of the latest task at its position, where somebody asked for it."""
    superseded: set[str] = field(default_factory=set)
    """Of the tasks that a person named, and those above: what was run again, or skipped, since."""
    failing: dict[str, list[str]] = field(default_factory=dict)
    """Job id to the tasks in it and in its sub-jobs that go on although children have failed, where somebody asked for them."""
    skipped_roots: set[str] = field(default_factory=set)

    definitions: dict[str, JobDefinition] = field(default_factory=dict)
    makers: dict[str, str | None] = field(default_factory=dict)
    """Of each new job, the id of the job that made it, if one did."""
    new_jobs: set[str] = field(default_factory=set)
    dirty_jobs: set[str] = field(default_factory=set)
    new_tasks: set[str] = field(default_factory=set)
    dirty_tasks: set[str] = field(default_factory=set)
    sends: list[str] = field(default_factory=list)
    results: dict[tuple[str, str], str] = field(default_factory=dict)
    stored_items: list[StoreItems] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    """Jobs whose trees are cancelled, by statement: most of their tasks are not in this view."""
    cancelled_below: list[str] = field(default_factory=list)
    """Tasks below which the same is done."""
    cancelled_at: datetime | None = None
    orders: list[TellNode] = field(default_factory=list)
    job_moves: list[tuple[JobRow, JobRow]] = field(default_factory=list)
    """Every change of a job that was there, as it was and as it became."""
    task_moves: list[tuple[TaskRow, TaskRow]] = field(default_factory=list)
    """The same of tasks."""
    cancelled_tasks: int = 0
    """How many tasks were cancelled by statement."""
    unfold: dict[str, UnfoldSoon] = field(default_factory=dict)
    announced: list[Announce] = field(default_factory=list)
    """What webhooks are told, in order."""

    def apply(self, changes: Iterable[Change], now: datetime) -> None:  # noqa: C901 - a case a change
        """Make the changes of one decision visible to the next."""
        for change in changes:
            match change:
                case CreateJob(row, definition, made_by):
                    self.jobs[row.id] = row
                    self.makers[row.id] = made_by
                    self.new_jobs.add(row.id)
                    self.definitions[row.id] = definition
                    self.contexts[row.id] = {"inputs": definition.inputs, "secrets": definition.secrets, "tasks": {}}
                case UpdateJob(row):
                    self.job_moves.append((self.jobs[row.id], row))
                    self.jobs[row.id] = row
                    self.dirty_jobs.add(row.id)
                case CreateTask(row):
                    self.tasks[row.id] = row
                    self.new_tasks.add(row.id)
                    self.dirty_jobs.add(row.job_id)
                    self.waiting.update(dict.fromkeys(row.held_back_at, row.id))
                case UpdateTask(row):
                    self.task_moves.append((self.tasks[row.id], row))
                    self.tasks[row.id] = row
                    self.dirty_tasks.add(row.id)
                    self.dirty_jobs.add(row.job_id)
                case SendTask(task_id):
                    self.sends.append(task_id)
                case SetResult(job_id, var, value):
                    self.results[job_id, var] = value
                    self.contexts.setdefault(job_id, {}).setdefault("tasks", {})[var] = value
                case StoreItems():
                    self.stored_items.append(change)
                case CancelTree(job_id):
                    self.cancelled.append(job_id)
                    tree = attached_jobs(self.jobs.values(), job_id)
                    self._cancel(tree - {job_id}, (task for task in self.tasks.values() if task.job_id in tree), now)
                case CancelBelow(task_id):
                    self.cancelled_below.append(task_id)
                    below_it, tree = below(task_id, self.tasks.values(), self.jobs)
                    doomed = (task for task in self.tasks.values() if task.id in below_it or task.job_id in tree)
                    self._cancel(tree, doomed, now)
                case TellNode():
                    self.orders.append(change)
                case Announce():
                    self.announced.append(change)
                case UnfoldSoon(task_id):
                    self.unfold[task_id] = change
                case _:
                    assert_never(change)

    def _cancel(self, job_ids: Iterable[str], tasks: Iterable[TaskRow], now: datetime) -> None:
        self.cancelled_at = now
        for sub_id in job_ids:
            if self.jobs[sub_id].state.is_active:
                cancelled_job = replace(self.jobs[sub_id], state=JobState.CANCELLED, failed_at=now)
                self.job_moves.append((self.jobs[sub_id], cancelled_job))
                self.jobs[sub_id] = cancelled_job
                self.dirty_jobs.add(sub_id)
        for task in list(tasks):
            if task.state.is_active:
                if task.run_id and task.node_id:
                    self.orders.append(TellNode(OrderKind.STOP, task.node_id, task.run_id))
                cancelled = replace(task, state=TaskState.CANCELLED, failed_at=now, due_at=None)
                self.task_moves.append((task, cancelled))
                self.tasks[task.id] = cancelled
                self.dirty_tasks.add(task.id)

    def finish(self) -> None:
        """Give every touched job its next version, and mark its changed tasks with it. Called once, before writing."""
        for job_id in self.dirty_jobs | self.new_jobs:
            if job_id in self.jobs:
                self.jobs[job_id] = replace(self.jobs[job_id], version=self.jobs[job_id].version + 1)
        for task_id in self.dirty_tasks | self.new_tasks:
            task = self.tasks[task_id]
            self.tasks[task_id] = replace(task, version=self.jobs[task.job_id].version)

    def sent_rows(self) -> list[TaskRow]:
        """The tasks to hand out, as they are at the end of the batch: each once, without those that ended meanwhile."""
        return [
            self.tasks[task_id]
            for task_id in dict.fromkeys(self.sends)
            if self.tasks[task_id].state is TaskState.SCHEDULED
        ]
