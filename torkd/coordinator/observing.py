"""What a coordinator's batches bring about, for whoever counts it. Nothing is asked for it and nothing is stored.

It is told after the commit, once a batch: what is counted has happened, though a process that dies in between counts less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tork.job import JobState
from tork.task import TaskState
from torkd.broker.messages import RunClaimed, RunEnded
from torkd.coordinator.handle import Handled
from torkd.engine.events import EngineEvent, RunLost

_JOB_ENDS = frozenset(state for state in JobState if not state.is_active)
_TASK_ENDS = frozenset(state for state in TaskState if not state.is_active)


@dataclass(slots=True)
class Tally:
    """What one batch brought about. Durations are in seconds."""

    events: int = 0
    jobs_created: int = 0
    jobs_ended: list[tuple[JobState, float | None]] = field(default_factory=list)
    """With the time since their start, for those that had started."""
    jobs_cancelled_along: int = 0
    """Sub-jobs that ended because another did, and were not looked at."""
    tasks_ended: Counter[TaskState] = field(default_factory=Counter)
    runs_ended: list[tuple[TaskState, float]] = field(default_factory=list)
    """How long tasks ran, by the worker's clock."""
    queued: list[float] = field(default_factory=list)
    """How long tasks waited from their hand-out to the start of their run."""
    handed_out: int = 0
    retried: int = 0
    runs_lost: int = 0
    runs_handed_back: int = 0
    redelivered: int = 0


class Observer(Protocol):
    """Whoever counts. Called from the threads that do the work, so it must be quick, and it must not raise."""

    def batch_handled(self, tally: Tally, seconds: float) -> None:
        """A batch was committed, so long after it was begun."""

    def command_handled(self, tally: Tally) -> None:
        """What people asked for was committed: new jobs, for example."""

    def batch_put_off(self) -> None:
        """A batch has to be tried again: the database or the broker was away."""

    def event_buried(self) -> None:
        """An event can't be handled, ever."""

    def log_parts_stored(self, parts: int, characters: int) -> None:
        """What tasks printed was stored."""


def tally_of(handled: Handled, events: Sequence[EngineEvent]) -> Tally:
    """What these events brought about. An event that came twice has changed nothing the second time."""
    view = handled.view
    tally = Tally(events=len(events), jobs_created=len(view.new_jobs), jobs_cancelled_along=handled.cancelled_jobs)
    for before, job in view.job_moves:
        if job.state in _JOB_ENDS and before.state not in _JOB_ENDS:
            end = job.completed_at or job.failed_at
            seconds = (end - job.started_at).total_seconds() if end and job.started_at else None
            tally.jobs_ended.append((job.state, seconds))
    ended = _count_tasks(tally, handled)
    _count_events(tally, handled, events, ended)
    if view.cancelled_tasks:
        tally.tasks_ended[TaskState.CANCELLED] += view.cancelled_tasks
    tally.retried = sum(1 for task_id in view.new_tasks if view.tasks[task_id].attempts)
    return tally


def _count_tasks(tally: Tally, handled: Handled) -> dict[str, TaskState]:
    """Count what became of tasks; those that have ended, with their states."""
    ended: dict[str, TaskState] = {}
    for before, task in handled.view.task_moves:
        state = task.state
        if state is before.state:
            continue
        if state in _TASK_ENDS:
            ended[task.id] = state
            tally.tasks_ended[state] += 1
        elif state is TaskState.SCHEDULED:
            tally.handed_out += 1
            tally.runs_handed_back += before.state is TaskState.RUNNING and task.redelivered == before.redelivered
        elif before.state is TaskState.SCHEDULED and before.scheduled_at and task.started_at:
            # By two clocks, which may differ.
            tally.queued.append(max((task.started_at - before.scheduled_at).total_seconds(), 0.0))
    return ended


def _count_events(tally: Tally, handled: Handled, events: Sequence[EngineEvent], ended: dict[str, TaskState]) -> None:
    moved: set[str] | None = None
    for event in events:
        kind = type(event)
        if kind is RunEnded:
            assert isinstance(event, RunEnded)
            state = ended.pop(event.task_id, None)
            if state is not None:
                tally.runs_ended.append((state, max((event.ended_at - event.started_at).total_seconds(), 0.0)))
        elif kind is RunLost:
            assert isinstance(event, RunLost)
            if moved is None:
                moved = {task.id for before, task in handled.view.task_moves if before.state is TaskState.RUNNING}
            tally.runs_lost += event.task_id in moved
        elif kind is RunClaimed:
            assert isinstance(event, RunClaimed)
            tally.redelivered += event.redelivered
