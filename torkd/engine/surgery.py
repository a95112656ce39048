"""What people do to a job that does not go as it should: run again what failed and keep the rest, or go on without a task.

A task made of others that has ended is opened again, and with it all that is around it. Ended tasks that a worker has run stay as they
are: another run of the same place follows. A composite counts its children that are to be run again (`redo_left`) and runs them as it has
room, a chunk at a time, so that a million failures cost no more memory than a few.
"""

from __future__ import annotations

from msgspec.structs import replace

from tork.errors import StateConflict
from tork.job import JobState
from tork.task import TaskState
from torkd.engine import fanout, jobs, tasks
from torkd.engine.changes import OrderKind
from torkd.engine.events import ChildrenDue, RetryRequested, SkipRequested
from torkd.engine.rows import JobRow, Redo, TaskKind, TaskRow
from torkd.engine.turn import Turn

_DONE = frozenset({TaskState.COMPLETED, TaskState.SKIPPED})


def skip(turn: Turn, event: SkipRequested) -> None:
    """Let the job go on without a task. Raises `StateConflict` when it is done, or the job has gone on since."""
    task = turn.task(event.task_id)
    if task is None or turn.job(event.job_id) is None or task.state is TaskState.SKIPPED:
        return
    if task.state is TaskState.COMPLETED:
        raise StateConflict("task is COMPLETED and can not be skipped")
    if task.state is TaskState.CREATED:
        turn.set_task(task, reason=event.reason)  # when its turn comes: children are released in their order
    elif task.state.is_active:
        if task.run_id and task.node_id:
            turn.tell(OrderKind.STOP, task.node_id, task.run_id)
        if task.kind is not TaskKind.REGULAR:
            turn.cancel_below(task)
        tasks.skip(turn, task, reason=event.reason)
    else:
        _open_above(turn, task)
        _take_out(turn, task)
        tasks.skip(turn, tasks.copy(turn, task), reason=event.reason)


def retry(turn: Turn, event: RetryRequested) -> None:
    """Run again what failed. Raises `StateConflict` when nothing has, or the job has gone on since."""
    job = turn.job(event.job_id)
    if job is None:
        return
    if event.task_id:
        _retry_task(turn, job, turn.task(event.task_id))
    elif job.state.is_active:
        failing = [task for task_id in turn.view.failing.get(job.id, ()) if (task := turn.task(task_id)) is not None]
        if not failing:
            raise StateConflict(f"job is {job.state} and nothing in it has failed")
        for task in failing:
            _redo_failures(turn, task)
    else:
        if job.state is JobState.COMPLETED:
            raise StateConflict("job is COMPLETED and can not be retried")
        if job.position > job.task_count:
            raise StateConflict("job has no more tasks to run")
        _open_job(turn, job)
        _go_on(turn, job)


def _retry_task(turn: Turn, job: JobRow, task: TaskRow | None) -> None:
    if task is None or not _is_in(turn, task, job):
        raise StateConflict("the task is not one of this job")
    if task.state is TaskState.RUNNING and task.failures:
        _redo_failures(turn, task)
        return
    if task.state.is_active or task.state in _DONE:
        raise StateConflict(f"task is {task.state} and can not be retried")
    own_job = turn.job(task.job_id)
    assert own_job is not None
    _open_above(turn, task)
    parent = turn.task(task.parent_id) if task.parent_id else None
    if parent is None:
        _again(turn, own_job, task)
        return
    if not waits(parent, task):
        redo = parent.redo or Redo()
        parent = turn.set_task(
            parent,
            failures=parent.failures - 1,
            redo_left=parent.redo_left + 1,
            redo=replace(redo, task_ids=(*redo.task_ids, task.id)),
        )
    turn.unfold_soon(parent)


def _is_in(turn: Turn, task: TaskRow, job: JobRow) -> bool:
    """Whether the task is in the job or in a sub-job of it."""
    inside: JobRow | None = turn.job(task.job_id)
    while inside is not None and inside.id != job.id:
        inside = turn.job(inside.parent_job_id) if inside.parent_job_id else None
    return inside is not None


def _redo_failures(turn: Turn, task: TaskRow) -> None:
    """All children that have failed so far are run again, while the others go on."""
    job = turn.job(task.job_id)
    assert job is not None
    redo = Redo(until=job.version, with_failed=True)
    task = turn.set_task(task, failures=0, redo_left=task.redo_left + task.failures, redo=redo)
    turn.unfold_soon(task)


# Opening what has ended


def _open_above(turn: Turn, task: TaskRow) -> None:
    """Let all that is around an ended task go on."""
    if task.id in turn.view.superseded:
        raise StateConflict("task was run again or skipped since (right would be its last run)")
    job = turn.job(task.job_id)
    assert job is not None
    parent = turn.task(task.parent_id) if task.parent_id else None
    if parent is not None:
        _open(turn, parent)
    elif job.state.is_active or job.position != task.position:
        raise StateConflict(f"job is {job.state} and has gone on since")
    else:
        _open_job(turn, job)
        jobs.resume(turn, job)


def _open_job(turn: Turn, job: JobRow) -> None:
    """Let all that is around an ended job go on."""
    if job.parent_task_id:
        waiting = turn.task(job.parent_task_id)
        if waiting is None or waiting.subjob_id != job.id:
            raise StateConflict("the task that waited for the job is gone")
        _open(turn, waiting)


def _open(turn: Turn, task: TaskRow) -> None:
    """Let a task go on that was carried out by others."""
    if task.state is TaskState.RUNNING:
        return
    if task.state in _DONE:
        raise StateConflict(f"the task around it is {task.state}: the job has gone on since")
    _open_above(turn, task)
    _take_out(turn, task)
    _revive(turn, task, with_failed=False)


def _revive(turn: Turn, task: TaskRow, *, with_failed: bool) -> None:
    """Children that were cancelled are run again, those that failed if they are to be or have to be, and the rest is made."""
    if task.kind is TaskKind.SUBJOB:
        turn.set_task(task, TaskState.RUNNING, failed_at=None, error="")
        return
    job = turn.job(task.job_id)
    assert job is not None
    # When it has ended before all that were to be run again were, what counts as failed is not known.
    with_failed = with_failed or not task.goes_on or task.redo_left > 0
    kept = 0 if with_failed else task.failures
    task = turn.set_task(
        task,
        TaskState.RUNNING,
        failed_at=None,
        error="",
        released=task.created,
        failures=kept,
        redo_left=task.created - task.completions - kept,
        redo=Redo(until=job.version, with_failed=with_failed),
    )
    turn.unfold_soon(task)


def _take_out(turn: Turn, task: TaskRow) -> None:
    """An ended child counts neither as failed nor as one to be run again any more: it goes on, or somebody takes its place."""
    parent = turn.task(task.parent_id) if task.parent_id else None
    if parent is None:
        return
    if waits(parent, task):
        assert parent.redo is not None
        others = tuple(task_id for task_id in parent.redo.task_ids if task_id != task.id)
        turn.set_task(parent, redo_left=parent.redo_left - 1, redo=replace(parent.redo, task_ids=others))
    else:
        turn.set_task(parent, failures=parent.failures - 1)


def waits(parent: TaskRow, child: TaskRow) -> bool:
    """Whether the child is one of those that are to be run again."""
    redo = parent.redo
    if redo is None or not parent.redo_left or child.item_index is None:
        return False
    is_meant = child.version <= redo.until and (redo.with_failed or child.state is TaskState.CANCELLED)
    return child.id in redo.task_ids or (is_meant and child.item_index >= redo.first)


# Running again


def children_due(turn: Turn, event: ChildrenDue) -> None:
    """Run children again, as far as there is room."""
    parent = turn.task(event.task_id)
    job = turn.job(event.job_id)
    if parent is None or job is None or not job.state.is_active or parent.state is not TaskState.RUNNING:
        return
    left_before = parent.redo_left
    for child_id in turn.view.redo.get(parent.id, ()):
        child = turn.task(child_id)
        if parent.redo_left and child is not None and fanout.room(parent) > 0 and waits(parent, child):
            parent = _dealt_with(turn, parent, child)
            _again(turn, job, child)
    if 0 < parent.redo_left < left_before and fanout.room(parent) > 0:
        turn.unfold_soon(parent)


def _dealt_with(turn: Turn, parent: TaskRow, child: TaskRow) -> TaskRow:
    redo = parent.redo
    assert redo is not None
    assert child.item_index is not None
    if child.id in redo.task_ids:
        redo = replace(redo, task_ids=tuple(task_id for task_id in redo.task_ids if task_id != child.id))
    else:
        redo = replace(redo, first=child.item_index + 1)
    return turn.set_task(parent, redo_left=parent.redo_left - 1, redo=redo if parent.redo_left > 1 else None)


def _again(turn: Turn, job: JobRow, task: TaskRow) -> None:
    """Run an ended task again: what is made of others goes on with those that are missing, anything else starts anew."""
    if task.kind.has_children and task.size:
        _revive(turn, task, with_failed=True)
    elif task.kind is TaskKind.SUBJOB and (sub_job := _unfinished_job(turn, task)) is not None:
        _revive(turn, task, with_failed=True)
        _go_on(turn, sub_job)
    elif task.parent_id is None:
        jobs.advance(turn, job.id)
    elif task.is_raw:
        assert task.spec is not None
        turn.require(job.id, task.spec)
        parent = turn.task(task.parent_id)
        tasks.create(turn, job, task.spec, parent=parent, index=task.item_index, scope=task.scope)
    else:
        tasks.start(turn, tasks.copy(turn, task, reason=task.reason))


def _go_on(turn: Turn, job: JobRow) -> None:
    """A job that has ended goes on with what is missing at its position."""
    last = turn.last_run(job.id)
    jobs.resume(turn, job)
    if last is None or last.state in _DONE:
        jobs.advance(turn, job.id)
    else:
        _again(turn, job, last)


def _unfinished_job(turn: Turn, task: TaskRow) -> JobRow | None:
    """The job of a sub-job task, if it can go on."""
    if not task.subjob_id:
        return None
    turn.last_run(task.subjob_id)
    job = turn.job(task.subjob_id)
    if job is None or job.state.is_active or job.state is JobState.COMPLETED or job.position > job.task_count:
        return None
    return job
