"""Sub-jobs: the jobs that tasks of a job stand for. Those that are detached go their own way and are not looked at.

Invariant: however deep and wide jobs are nested, no more than `MOST_SUB_JOBS` are asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tork.errors import TorkError
from torkctl import diagnostics

if TYPE_CHECKING:
    from tork.task import TaskSummary
    from torkctl.client import Api
    from torkctl.client.documents import JobReport, TaskOutline, TaskReport
    from torkctl.client.patience import Patience

MOST_SUB_JOBS = 100


def sub_jobs(api: Api, job: JobReport) -> dict[str, JobReport]:
    """The jobs below a job by their ids, those nearest to it first. One that can't be read is left out."""
    found: dict[str, JobReport] = {}
    waiting = deque(sub_job_ids(job))
    while waiting and len(found) < MOST_SUB_JOBS:
        job_id = waiting.popleft()
        try:
            found[job_id] = api.job(job_id)
        except TorkError as error:
            diagnostics.detail(f"sub-job {job_id} can't be read: {error}")
        else:
            waiting += sub_job_ids(found[job_id])
    return found


def sub_job_ids(job: JobReport) -> list[str]:
    """The jobs that its tasks stand for."""
    return [job_id for job_id in map(sub_job_id, job.execution) if job_id]


def sub_job_id(task: TaskReport) -> str:
    """The job that the task stands for, or nothing."""
    return task.subjob.id if task.subjob and not task.subjob.detached else ""


def has_sub_jobs(tasks: Sequence[TaskOutline]) -> bool:
    """Whether one of the tasks, or a task inside it, stands for a job."""
    return any((task.subjob and not task.subjob.detached) or has_sub_jobs(task.inner) for task in tasks)


class Scout:
    """Finds the sub-jobs of one job while it runs. A task is asked for only where the definition has a sub-job."""

    def __init__(self, api: Api, job_id: str, patience: Patience) -> None:
        self._api = api
        self._job_id = job_id
        self._patience = patience
        self._positions: frozenset[int] | None = None
        self._done: set[str] = set()

    def sub_job_task(self, task: TaskSummary) -> TaskReport | None:
        """The task in full when it stands for a job that has begun; once for each."""
        from tork.task import TaskState

        has_begun = task.state is not None and (task.state is TaskState.RUNNING or not task.state.is_active)
        if not has_begun or task.id in self._done or task.position not in self._places():
            return None
        try:
            report = self._api.task(task.id, patience=self._patience)
        except TorkError as error:
            diagnostics.detail(f"task {task.id} can't be read: {error}")
            return None
        if not report.subjob or sub_job_id(report):
            self._done.add(task.id)
        return report if sub_job_id(report) else None

    def _places(self) -> frozenset[int]:
        if self._positions is None:
            try:
                tasks = self._api.outline(self._job_id, patience=self._patience).tasks
            except TorkError as error:
                diagnostics.detail(f"the definition of job {self._job_id} can't be read: {error}")
                return frozenset()
            self._positions = frozenset(place for place, task in enumerate(tasks, 1) if has_sub_jobs([task]))
        return self._positions
