"""How far a job is, in percent: never back, never over 100, children of composites weighted by their number."""

from __future__ import annotations

from tork.task import TaskState
from torkd.broker.messages import RunProgressed
from torkd.engine.rows import JobRow, TaskRow
from torkd.engine.turn import Turn


def after(job: JobRow, position: int) -> float:
    """The job's progress when the task at `position` is done."""
    return _grown(job, position / job.task_count * 100)


def reported(turn: Turn, event: RunProgressed) -> None:
    """A running task told how far it is. Only the run that owns the task counts, and a report that came late does not."""
    task = turn.task(event.task_id)
    job = turn.job(event.job_id)
    if task is None or job is None or not job.state.is_active or task.state is not TaskState.RUNNING:
        return
    if task.dispatch != event.dispatch or task.run_id != event.run_id:
        return
    percent = min(100.0, max(0.0, event.progress))  # in this order NaN becomes 0
    if percent <= task.progress:
        return
    task = turn.set_task(task, progress=percent)
    of_top_level(turn, job, task)


def of_top_level(turn: Turn, job: JobRow, task: TaskRow) -> None:
    """Carry the progress of a top-level task into its job's. Below the top, counting completions is enough."""
    latest = turn.job(job.id)
    if task.parent_id is not None or latest is None or task.position != latest.position:
        return
    percent = _grown(latest, (task.position - 1 + task.progress / 100) / latest.task_count * 100)
    if percent != latest.progress:
        turn.set_job(latest, progress=percent)


def _grown(job: JobRow, percent: float) -> float:
    return max(job.progress, min(round(percent, 2), 100.0))
