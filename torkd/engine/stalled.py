"""What nothing carries on any more: a job without a live task, a task without a live child.

No sequence of events leads there, so it takes a fault of ours or a hand in the database. An event tells the version of the job
that was looked at: every change of the job or of its tasks grows it, so a version that still holds proves that what was
seen holds too, and a repair that comes twice, or after the job has gone on, changes nothing.
"""

from __future__ import annotations

from tork.job import JobState
from tork.task import TaskState
from torkd.engine import jobs, tasks
from torkd.engine.events import JobStalled, TaskStalled
from torkd.engine.rows import JobRow
from torkd.engine.turn import Follow, Turn

_ENDED_WELL = frozenset({TaskState.COMPLETED, TaskState.SKIPPED})


def job(turn: Turn, event: JobStalled) -> None:
    """Let the job go on from where its newest task left it: with the next step, with its failure, or with a new instance."""
    stalled = _as_seen(turn, event)
    if stalled is None:
        return
    last = turn.task(event.task_id)
    if stalled.state is JobState.PENDING:
        jobs.start(turn, stalled.id)
    elif last is not None and last.state is TaskState.FAILED:
        jobs.fail(turn, stalled, event.error or f"task {last.name or last.id} failed")
    elif last is not None and last.state in _ENDED_WELL and last.position == stalled.position:
        jobs.step_done(turn, stalled, last)
    else:
        jobs.advance(turn, stalled.id)


def task(turn: Turn, event: TaskStalled) -> None:
    """End the task as those who carried it out have ended."""
    stalled = turn.task(event.task_id)
    if _as_seen(turn, event) is None or stalled is None or stalled.state is not TaskState.RUNNING:
        return
    if not event.is_done:
        tasks.fail(turn, stalled, event.error)
        return
    ended = turn.set_task(
        stalled, TaskState.COMPLETED, completed_at=turn.now, progress=100.0, result=event.result or None
    )
    if ended.var and event.result:
        turn.set_result(ended.job_id, ended.var, event.result)
    turn.later(Follow.TASK_SETTLED, ended.id)


def _as_seen(turn: Turn, event: JobStalled | TaskStalled) -> JobRow | None:
    """The job, if it is active and nothing has changed in it."""
    found = turn.job(event.job_id)
    return found if found is not None and found.state.is_active and found.version == event.version else None
