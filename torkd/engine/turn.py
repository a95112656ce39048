"""One decision in the making: reads fall through to the view, writes are kept as changes on top of it.

The view itself is not touched, so a decision that raises has changed nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Any

from msgspec.structs import replace

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
from torkd.engine.hook_events import TOLD_JOB_STATES, TOLD_TASK_STATES, HookEvent
from torkd.engine.reads import NAMESPACES, Reads, reads_of
from torkd.engine.rows import JobRow, TaskRow
from torkd.engine.transitions import check_job, check_task
from torkd.engine.view import Context, Failure, NotLoadedError, Step, View, attached_jobs, below


class Follow(Enum):
    """What can follow from a change. The subject is a task or, for the last two, a job."""

    TASK_SETTLED = auto()
    """The task has ended: its parent or its job goes on."""
    UNFOLD_TASK = auto()
    """The parallel or each is RUNNING: its first children are made."""
    MAKE_CHILD = auto()
    """The next child of the task is made."""
    START_SUBJOB = auto()
    """The sub-job task is RUNNING: its job is made."""
    START_JOB = auto()
    ADVANCE_JOB = auto()
    """The task at the job's position is made, or the job ends."""


class Turn:
    """The state of one decision. What follows from a change is kept for `run`, so that chains need no recursion."""

    def __init__(self, view: View, now: datetime, new_id: Callable[[], str]) -> None:
        self.view = view
        self.now = now
        self.new_id = new_id
        self.changes: list[Change] = []
        self._todo: deque[tuple[Follow, str]] = deque()
        self.unfolding: dict[str, deque[Any]] = {}
        """Parent to the elements whose children are being made."""
        self.not_stored: set[str] = set()
        """Parents whose elements are nowhere else."""
        self._jobs: dict[str, JobRow] = {}
        self._tasks: dict[str, TaskRow] = {}
        self._held_back: dict[tuple[str, int], str] = {}
        self._new_tasks: set[str] = set()
        self._definitions: dict[str, JobDefinition] = {}
        self._results: dict[str, dict[str, str]] = {}

    def later(self, follow: Follow, subject_id: str) -> None:
        """This follows, once what is being done is done."""
        self._todo.append((follow, subject_id))

    def run(self, actions: Mapping[Follow, Callable[[Turn, str], None]]) -> None:
        """Carry out what follows; what follows from an action comes before what was to do already."""
        while self._todo:
            follow, subject_id = self._todo.popleft()
            later, self._todo = self._todo, deque()
            actions[follow](self, subject_id)
            self._todo.extend(later)

    @property
    def tasks_made(self) -> int:
        """The tasks that this batch has made so far."""
        return len(self.view.new_tasks) + len(self._new_tasks)

    def job(self, job_id: str) -> JobRow | None:
        """The job as it is now; None when there is none (it was deleted)."""
        return self._jobs.get(job_id) or self.view.jobs.get(job_id)

    def task(self, task_id: str) -> TaskRow | None:
        """The task as it is now; None when there is none."""
        return self._tasks.get(task_id) or self.view.tasks.get(task_id)

    def waiting_child(self, parent_id: str, index: int) -> TaskRow | None:
        """The child at this place, if it is held back."""
        place = (parent_id, index)
        task_id = self._held_back.get(place) or self.view.waiting.get(place)
        child = self.task(task_id) if task_id else None
        return child if child is not None and child.state is TaskState.CREATED else None

    def create_job(self, row: JobRow, definition: JobDefinition, *, made_by: str | None = None) -> None:
        """A new job; `made_by` is the id of the job whose task made it."""
        self._jobs[row.id] = row
        self._definitions[row.id] = definition
        self.changes.append(CreateJob(row, definition, made_by))
        self._announce_job(row, changes_state=True)

    def set_job(self, job: JobRow, state: JobState | None = None, **fields: Any) -> JobRow:
        """Change a job. A change of state must be legal."""
        changes_state = state is not None and state is not job.state
        if state is not None and changes_state:
            check_job(job.id, job.state, state)
            fields["state"] = state
        job = replace(job, **fields)
        self._jobs[job.id] = job
        self.changes.append(UpdateJob(job))
        if job.announces and (changes_state or "progress" in fields):
            self._announce_job(job, changes_state=changes_state)
        return job

    def create_task(self, row: TaskRow) -> TaskRow:
        """A new task."""
        self._tasks[row.id] = row
        self._new_tasks.add(row.id)
        self._held_back.update(dict.fromkeys(row.held_back_at, row.id))
        self.changes.append(CreateTask(row))
        return row

    def set_task(self, task: TaskRow, state: TaskState | None = None, **fields: Any) -> TaskRow:
        """Change a task. A change of state must be legal."""
        before = task
        if state is not None and state is not task.state:
            check_task(task.id, task.state, state)
            fields["state"] = state
        task = replace(task, **fields)
        self._tasks[task.id] = task
        self.changes.append(UpdateTask(task))
        job = self.job(task.job_id)
        if job is not None and job.announces:
            self._announce_task(job, before, task)
        return task

    def send(self, task: TaskRow) -> None:
        """Hand the task out."""
        self.changes.append(SendTask(task.id))

    def set_result(self, job_id: str, var: str, value: str) -> None:
        """Let later tasks read it."""
        self._results.setdefault(job_id, {})[var] = value
        self.changes.append(SetResult(job_id, var, value))

    def store_items(self, task: TaskRow, items: list[Any]) -> None:
        """Keep the elements whose children come later."""
        self.changes.append(StoreItems(task.id, task.job_id, items))

    def cancel_tree(self, job_id: str) -> None:
        """Cancel all that is active below the job. What this decision knows of it is changed at once."""
        self.changes.append(CancelTree(job_id))
        tree = attached_jobs((self.view.jobs | self._jobs).values(), job_id)
        self._cancel(tree - {job_id}, (task for task in self._known_tasks() if task.job_id in tree))

    def cancel_below(self, task: TaskRow) -> None:
        """Cancel all that is active below the task. What this decision knows of it is changed at once."""
        self.changes.append(CancelBelow(task.id))
        known = self._known_tasks()
        below_it, tree = below(task.id, known, self.view.jobs | self._jobs)
        self._cancel(tree, (task for task in known if task.id in below_it or task.job_id in tree))

    def _known_tasks(self) -> list[TaskRow]:
        return list((self.view.tasks | self._tasks).values())

    def _cancel(self, job_ids: Iterable[str], tasks: Iterable[TaskRow]) -> None:
        for sub_id in job_ids:
            sub_job = self.job(sub_id)
            if sub_job is not None and sub_job.state.is_active:
                self._jobs[sub_id] = replace(sub_job, state=JobState.CANCELLED, failed_at=self.now)
                self._announce_job(self._jobs[sub_id], changes_state=True)
        for task in tasks:
            if task.state.is_active:
                self._tasks[task.id] = replace(task, state=TaskState.CANCELLED, failed_at=self.now, due_at=None)

    def last_run(self, job_id: str) -> TaskRow | None:
        """The latest task at the position of a job that has ended; None when there is none. Raises `NotLoadedError`."""
        if job_id not in self.view.last_runs:
            raise NotLoadedError(job_id, last_run=True)
        return self.task(self.view.last_runs[job_id] or "")

    def failures_of(self, parent: TaskRow) -> list[Failure]:
        """Children that have failed for good, in their order: the first ones, if there are many. Raises `NotLoadedError`."""
        is_stored = parent.id not in self._new_tasks and parent.id not in self.view.new_tasks
        if is_stored and parent.id not in self.view.failures:
            raise NotLoadedError(parent.job_id, failures_of=parent.id)
        here = [task for task in self._known_tasks() if task.parent_id == parent.id and self._is_news(task)]
        places = {task.item_index for task in here}
        found = {
            failure.index: failure for failure in self.view.failures.get(parent.id, ()) if failure.index not in places
        }
        for task in here:
            if task.state is TaskState.FAILED and task.item_index is not None:
                found[task.item_index] = Failure(task.item_index, task.name, task.error or "")
        for task in here:
            if task.state is not TaskState.FAILED and task.item_index is not None:
                found.pop(task.item_index, None)
        return [found[index] for index in sorted(found)]

    def _is_news(self, task: TaskRow) -> bool:
        """Whether it is otherwise than what is stored of it."""
        return task.id in self._tasks or task.id in self.view.dirty_tasks or task.id in self.view.new_tasks

    def _announce_job(self, job: JobRow, *, changes_state: bool) -> None:
        event = HookEvent.JOB_STATE if changes_state else HookEvent.JOB_PROGRESS
        if event in job.announces and not (changes_state and job.state not in TOLD_JOB_STATES):
            self.changes.append(Announce(event, job))

    def _announce_task(self, job: JobRow, before: TaskRow, task: TaskRow) -> None:
        if task.state is before.state:
            if task.progress != before.progress and HookEvent.TASK_PROGRESS in job.announces:
                self.changes.append(Announce(HookEvent.TASK_PROGRESS, job, task))
        elif HookEvent.TASK_STATE in job.announces:
            if before.state is TaskState.PENDING and task.state is TaskState.RUNNING:
                # It is carried out by others and handed to nobody: that its turn has come is told all the same.
                self.changes.append(Announce(HookEvent.TASK_STATE, job, before))
            if task.state in TOLD_TASK_STATES:
                self.changes.append(Announce(HookEvent.TASK_STATE, job, task))

    def tell(self, kind: OrderKind, node_id: str, run_id: str) -> None:
        """Tell the node of a run."""
        self.changes.append(TellNode(kind, node_id, run_id))

    def unfold_soon(self, task: TaskRow) -> None:
        """Come back for more children."""
        self.changes.append(UnfoldSoon(task.id, task.job_id, task.root_id))

    def step(self, job: JobRow, position: int) -> Step:
        """A step of the job. Raises `NotLoadedError`."""
        definition = self._definitions.get(job.id) or self.view.definitions.get(job.id)
        if definition is not None:
            if position > len(definition.tasks):
                return Step(output=definition.output)
            return Step(definition=definition.tasks[position - 1])
        try:
            return self.view.steps[job.id, position]
        except KeyError:
            raise NotLoadedError(job.id, position=position) from None

    def require(self, job_id: str, definition: TaskDefinition) -> None:
        """Raises `NotLoadedError` unless all of the context that the definition reads is here."""
        if job_id in self._definitions or job_id in self.view.definitions:
            return
        needed = reads_of(definition)
        if not self.view.context_reads.get(job_id, Reads()).covers(needed):
            raise NotLoadedError(job_id, reads=needed)

    def context(self, job: JobRow, scope: dict[str, Any] | None) -> dict[str, Any]:
        """What expressions of this job see: the four namespaces, and the variables of the eaches around."""
        own = self._definitions.get(job.id)
        if own is not None:
            known: Context = {"inputs": own.inputs, "secrets": own.secrets, "tasks": {}}
        else:
            known = self.view.contexts.get(job.id, {})
        context: dict[str, Any] = {name: known.get(name, {}) for name in NAMESPACES}
        if job.id in self._results:
            context["tasks"] = context["tasks"] | self._results[job.id]
        context["job"] = {"id": job.id, "name": job.name}
        if scope:
            context.update(scope)
        return context
