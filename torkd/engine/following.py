"""What follows from a change, by its kind: where tasks, their parents and their jobs meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tork.task import TaskState
from torkd.engine import fanout, jobs, tasks
from torkd.engine.rows import JobRow, TaskKind, TaskRow
from torkd.engine.turn import Follow, Turn


def task_settled(turn: Turn, task_id: str) -> None:
    """The task has ended: its parent goes on, or the job's next step comes, or the job ends."""
    task = turn.task(task_id)
    assert task is not None
    job = turn.job(task.job_id)
    if job is None or not job.state.is_active:
        return
    if task.state is TaskState.FAILED:
        _failed(turn, job, task)
    elif task.state in {TaskState.COMPLETED, TaskState.SKIPPED}:
        if task.parent_id is not None:
            fanout.child_done(turn, job, task)
        else:
            jobs.step_done(turn, job, task)


def _failed(turn: Turn, job: JobRow, task: TaskRow) -> None:
    """The job fails with it, unless one of the tasks around it goes on without it."""
    if not _is_sheltered(turn, task):
        jobs.fail(turn, job, task.error or "failed")
        return
    if task.kind is not TaskKind.REGULAR:
        turn.cancel_below(task)
    parent = turn.task(task.parent_id or "")
    assert parent is not None
    if parent.goes_on:
        fanout.child_failed(turn, parent)
    else:
        tasks.fail(turn, parent, task.error or "failed")


def _is_sheltered(turn: Turn, task: TaskRow) -> bool:
    parent = turn.task(task.parent_id) if task.parent_id else None
    while parent is not None and parent.state is TaskState.RUNNING:
        if parent.goes_on:
            return True
        parent = turn.task(parent.parent_id) if parent.parent_id else None
    return False


ACTIONS: Mapping[Follow, Callable[[Turn, str], None]] = {
    Follow.TASK_SETTLED: task_settled,
    Follow.UNFOLD_TASK: fanout.start,
    Follow.MAKE_CHILD: fanout.make_child,
    Follow.START_SUBJOB: jobs.start_subjob,
    Follow.START_JOB: jobs.start,
    Follow.ADVANCE_JOB: jobs.advance,
}
