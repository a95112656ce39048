"""What follows from a change, by its kind: where tasks, their parents and their jobs meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tork.task import TaskState
from torkd.engine import fanout, jobs
from torkd.engine.turn import Follow, Turn


def task_settled(turn: Turn, task_id: str) -> None:
    """The task has ended: its parent goes on, or the job's next step comes, or the job ends."""
    task = turn.task(task_id)
    assert task is not None
    job = turn.job(task.job_id)
    if job is None or not job.state.is_active:
        return
    if task.state is TaskState.FAILED:
        jobs.fail(turn, job, task.error or "failed")
    elif task.state in {TaskState.COMPLETED, TaskState.SKIPPED}:
        if task.parent_id is not None:
            fanout.child_done(turn, job, task)
        else:
            jobs.step_done(turn, job, task)


ACTIONS: Mapping[Follow, Callable[[Turn, str], None]] = {
    Follow.TASK_SETTLED: task_settled,
    Follow.UNFOLD_TASK: fanout.start,
    Follow.MAKE_CHILD: fanout.make_child,
    Follow.START_SUBJOB: jobs.start_subjob,
    Follow.START_JOB: jobs.start,
    Follow.ADVANCE_JOB: jobs.advance,
}
