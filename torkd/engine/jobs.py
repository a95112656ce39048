"""What happens to a whole job: it starts, goes on step by step, ends, is cancelled, is started again."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from tork.durations import parse_duration
from tork.errors import DurationError, ExpressionError, StateConflict
from tork.job import JobDefinition, JobState
from tork.task import TaskState
from torkd.engine import progress, tasks
from torkd.engine.events import CancelRequested, EventFailed, JobSubmitted, RestartRequested
from torkd.engine.hook_events import announced_by
from torkd.engine.instance import text_of
from torkd.engine.nested_secrets import nested_secrets
from torkd.engine.rows import JobRow, TaskRow
from torkd.engine.turn import Follow, Turn


def submitted(turn: Turn, event: JobSubmitted) -> None:
    """A new job: its first task is made in the same transaction."""
    if turn.job(event.job_id) is not None:
        return
    row = _new_job(turn, event.job_id, event.definition, created_by=event.created_by, viewers=event.viewers)
    if event.schedule_id is not None:
        row = replace(row, schedule_id=event.schedule_id)
    turn.create_job(row, event.definition)
    start(turn, row.id)


def _new_job(
    turn: Turn, job_id: str, definition: JobDefinition, *, created_by: str, viewers: tuple[str, ...] | None
) -> JobRow:
    return JobRow(
        id=job_id,
        root_id=job_id,
        name=definition.name,
        state=JobState.PENDING,
        task_count=len(definition.tasks),
        created_by=created_by,
        created_at=turn.now,
        defaults=definition.defaults,
        auto_delete=definition.auto_delete.after if definition.auto_delete else None,
        has_secrets=bool(definition.secrets) or any(nested_secrets(definition.tasks)),
        viewers=viewers,
        announces=announced_by(definition.webhooks) if definition.webhooks else "",
    )


def start(turn: Turn, job_id: str) -> None:
    """Start a PENDING job."""
    job = turn.job(job_id)
    if job is None or job.state is not JobState.PENDING:
        return
    turn.set_job(job, JobState.SCHEDULED, position=1, started_at=turn.now)
    advance(turn, job_id)


def advance(turn: Turn, job_id: str) -> None:
    """Make the task at the job's position, or end the job after the last."""
    job = turn.job(job_id)
    if job is None or not job.state.is_active:
        return
    step = turn.step(job, job.position)
    if job.position > job.task_count:
        _finish(turn, job, step.output)
    else:
        assert step.definition is not None
        tasks.create(turn, job, step.definition)


def step_done(turn: Turn, job: JobRow, task: TaskRow) -> None:
    """The task at the job's position has ended well."""
    if task.position != job.position:
        return
    turn.set_job(job, position=job.position + 1, progress=progress.after(job, task.position))
    turn.later(Follow.ADVANCE_JOB, job.id)


def _finish(turn: Turn, job: JobRow, output: str) -> None:
    try:
        result = text_of(output, turn.context(job, None))
    except ExpressionError as failure:
        fail(turn, job, str(failure))
        return
    job = turn.set_job(
        job,
        JobState.COMPLETED,
        completed_at=turn.now,
        result=result,
        progress=100.0,
        delete_at=turn.now + _keep_for(job) if job.auto_delete else None,
    )
    parent = turn.task(job.parent_task_id) if job.parent_task_id else None
    if parent is None or parent.state is not TaskState.RUNNING:
        return
    parent = turn.set_task(parent, TaskState.COMPLETED, completed_at=turn.now, result=result, progress=100.0)
    if parent.var and result:
        turn.set_result(parent.job_id, parent.var, result)
    turn.later(Follow.TASK_SETTLED, parent.id)


def _keep_for(job: JobRow) -> timedelta:
    try:
        return parse_duration(job.auto_delete or "0")
    except DurationError:
        return timedelta()


def fail(turn: Turn, job: JobRow, error: str) -> None:
    """The job failed: cancel what is active in it, and let the task that waits for it fail with the same error."""
    turn.set_job(job, JobState.FAILED, failed_at=turn.now, error=error)
    turn.cancel_tree(job.id)
    parent = turn.task(job.parent_task_id) if job.parent_task_id else None
    if parent is not None and parent.state is TaskState.RUNNING:
        tasks.fail(turn, parent, error)


def event_failed(turn: Turn, event: EventFailed) -> None:
    """An event of the task could not be handled: better a failed job with the reason than one that hangs."""
    task = turn.task(event.task_id)
    job = turn.job(event.job_id)
    if job is None or not job.state.is_active:
        return
    if task is not None and task.state is TaskState.FAILED:
        return  # its job goes on without it
    # One that is held back fails with its job: its siblings are released in their order.
    if task is not None and task.state.is_active and task.state is not TaskState.CREATED:
        tasks.fail(turn, task, event.reason)
    else:
        fail(turn, job, event.reason)


def cancel(turn: Turn, event: CancelRequested) -> None:
    """End a job. An attached sub-job takes the jobs above it along. Raises `StateConflict` when it has ended already."""
    job = turn.job(event.job_id)
    if job is None:
        return
    if not job.state.is_active:
        raise StateConflict("job is not running")
    top = job
    while top.parent_job_id and (above := turn.job(top.parent_job_id)) is not None and above.state.is_active:
        turn.set_job(top, JobState.CANCELLED, failed_at=turn.now)
        top = above
    turn.set_job(top, JobState.CANCELLED, failed_at=turn.now)
    turn.cancel_tree(top.id)


def restart(turn: Turn, event: RestartRequested) -> None:
    """Let a failed or cancelled job go on from the task where it stopped, in a fresh instance of it."""
    job = turn.job(event.job_id)
    if job is None:
        return
    if job.state not in {JobState.FAILED, JobState.CANCELLED}:
        raise StateConflict(f"job is {job.state} and can not be restarted")
    if job.position > job.task_count:
        raise StateConflict("job has no more tasks to run")
    resume(turn, job)
    advance(turn, job.id)


def resume(turn: Turn, job: JobRow) -> None:
    """A failed or cancelled job goes on."""
    turn.set_job(
        job,
        JobState.RUNNING,
        position=max(job.position, 1),
        started_at=job.started_at or turn.now,
        failed_at=None,
        error="",
        result="",
    )


def start_subjob(turn: Turn, task_id: str) -> None:
    """Start the job of a sub-job task that is RUNNING since now; a detached one lets the task complete at once."""
    task = turn.task(task_id)
    assert task is not None
    parent_job = turn.job(task.job_id)
    if task.state is not TaskState.RUNNING or parent_job is None or not parent_job.state.is_active:
        return
    assert task.spec is not None
    subjob = task.spec.subjob
    assert subjob is not None
    definition = JobDefinition(
        name=subjob.name,
        description=subjob.description,
        tasks=subjob.tasks,
        inputs=subjob.inputs,
        secrets=subjob.secrets,
        output=subjob.output,
        auto_delete=subjob.auto_delete,
        webhooks=subjob.webhooks,
    )
    row = _new_job(turn, turn.new_id(), definition, created_by=parent_job.created_by, viewers=parent_job.viewers)
    # What it gets from its parent may hold the parent's secrets.
    row = replace(row, has_secrets=row.has_secrets or parent_job.has_secrets)
    if not subjob.detached:
        row = _attached(row, parent_job, task)
    turn.create_job(row, definition, made_by=parent_job.id)
    turn.set_task(task, subjob_id=row.id)
    turn.later(Follow.START_JOB, row.id)
    if subjob.detached:
        latest = turn.task(task.id)
        assert latest is not None
        turn.set_task(latest, TaskState.COMPLETED, completed_at=turn.now, progress=100.0)
        turn.later(Follow.TASK_SETTLED, task.id)


def _attached(row: JobRow, parent_job: JobRow, task: TaskRow) -> JobRow:
    return replace(row, root_id=parent_job.root_id, parent_job_id=parent_job.id, parent_task_id=task.id)
