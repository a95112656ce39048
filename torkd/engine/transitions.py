"""Which change of state is legal. These tables give the code, the tests and the diagram in the docs."""

from __future__ import annotations

from tork.errors import IllegalTransition
from tork.job import JobState
from tork.task import TaskState

JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset({JobState.SCHEDULED, JobState.FAILED, JobState.CANCELLED}),
    JobState.SCHEDULED: frozenset({JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}),
    JobState.FAILED: frozenset({JobState.RUNNING}),
    JobState.CANCELLED: frozenset({JobState.RUNNING}),
    JobState.COMPLETED: frozenset(),
}
"""From a job's state to those that may follow. FAILED and CANCELLED lead on by a restart, a retry or a skip only."""

TASK_TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.CREATED: frozenset({TaskState.PENDING, TaskState.CANCELLED, TaskState.FAILED}),
    TaskState.PENDING: frozenset(
        {TaskState.SCHEDULED, TaskState.RUNNING, TaskState.SKIPPED, TaskState.CANCELLED, TaskState.FAILED}
    ),
    TaskState.SCHEDULED: frozenset(
        {TaskState.RUNNING, TaskState.COMPLETED, TaskState.SKIPPED, TaskState.CANCELLED, TaskState.FAILED}
    ),
    TaskState.RUNNING: frozenset(
        {TaskState.SCHEDULED, TaskState.COMPLETED, TaskState.SKIPPED, TaskState.CANCELLED, TaskState.FAILED}
    ),
    TaskState.COMPLETED: frozenset(),
    TaskState.FAILED: frozenset({TaskState.RUNNING}),
    TaskState.CANCELLED: frozenset({TaskState.RUNNING}),
    TaskState.SKIPPED: frozenset(),
    TaskState.STOPPED: frozenset(),
}
"""From a task's state to those that may follow. RUNNING goes back to SCHEDULED when its run is lost or handed back. FAILED and
CANCELLED lead on only for a task made of others, by a retry or a skip of something below it."""


def check_job(job_id: str, before: JobState, after: JobState) -> None:
    """Raises `IllegalTransition` unless the job may go from `before` to `after`."""
    if after not in JOB_TRANSITIONS[before]:
        raise IllegalTransition(f"job {job_id} is {before} and can't become {after}")


def check_task(task_id: str, before: TaskState, after: TaskState) -> None:
    """Raises `IllegalTransition` unless the task may go from `before` to `after`."""
    if after not in TASK_TRANSITIONS[before]:
        raise IllegalTransition(f"task {task_id} is {before} and can't become {after}")
