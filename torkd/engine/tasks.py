"""What happens to one task: it is made, handed out, claimed, ends, is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tork.durations import parse_duration
from tork.errors import DurationError, ExpressionError
from tork.job import JobState
from tork.task import DEFAULT_QUEUE, Retry, TaskDefinition, TaskState, is_task_queue
from torkd.broker.messages import RunClaimed, RunEnded, RunOutcome
from torkd.engine.changes import OrderKind
from torkd.engine.events import RetryDue, RunLost
from torkd.engine.instance import evaluate_task, with_defaults
from torkd.engine.rows import JobRow, TaskKind, TaskRow, goes_on, kind_of
from torkd.engine.turn import Follow, Turn

_STOPPED = frozenset({TaskState.CANCELLED, TaskState.SKIPPED})
"""How a task may have ended before its run."""

MAX_REDELIVERIES = 5
"""How often a task is handed out again after its worker died."""

DEFAULT_RETRY_DELAY = timedelta(seconds=1)
DEFAULT_SCALING_FACTOR = 2.0
MAX_RETRY_DELAY = timedelta(days=7)
"""Further waits don't grow beyond this."""


def create(
    turn: Turn,
    job: JobRow,
    definition: TaskDefinition,
    *,
    parent: TaskRow | None = None,
    index: int | None = None,
    scope: dict[str, Any] | None = None,
    hold: bool = False,
) -> None:
    """Make the instance of a task, and start it unless it is to be held back."""
    error = None
    try:
        spec = evaluate_task(definition, turn.context(job, scope))
    except ExpressionError as failure:
        spec, error = definition, str(failure)
    kind = kind_of(spec)
    if kind is TaskKind.REGULAR and job.defaults is not None:
        spec = with_defaults(spec, job.defaults)
    row = TaskRow(
        id=turn.new_id(),
        job_id=job.id,
        root_id=job.root_id,
        parent_id=parent.id if parent else None,
        position=parent.position if parent else job.position,
        item_index=index,
        kind=kind,
        state=TaskState.CREATED if hold else TaskState.PENDING,
        name=spec.name,
        queue=spec.queue,
        priority=spec.priority,
        var=spec.var,
        retry=spec.retry,
        goes_on=goes_on(spec),
        created_at=turn.now,
        scope=scope if kind.has_children or error is not None else None,
        spec=spec,
        is_raw=error is not None,
    )
    row = turn.create_task(row)
    if error is not None:
        fail(turn, row, error)
    elif not hold:
        start(turn, row)


def start(turn: Turn, task: TaskRow) -> None:
    """Start a task whose turn has come: skip it, unfold it, start its job, or hand it out."""
    spec = task.spec
    assert spec is not None
    if task.state is TaskState.CREATED:
        task = turn.set_task(task, TaskState.PENDING)
    if spec.if_.strip() == "false" or task.reason is not None:
        skip(turn, task)
    elif task.kind is TaskKind.REGULAR:
        schedule(turn, task)
    else:
        task = turn.set_task(task, TaskState.RUNNING, scheduled_at=turn.now, started_at=turn.now)
        turn.later(Follow.START_SUBJOB if task.kind is TaskKind.SUBJOB else Follow.UNFOLD_TASK, task.id)


def skip(turn: Turn, task: TaskRow, **fields: Any) -> None:
    """The job goes on without the task."""
    if task.state is TaskState.PENDING:
        fields |= {"scheduled_at": turn.now, "started_at": turn.now}
    turn.set_task(task, TaskState.SKIPPED, completed_at=turn.now, due_at=None, **fields)
    turn.later(Follow.TASK_SETTLED, task.id)


def schedule(turn: Turn, task: TaskRow) -> None:
    """Hand the task out to its queue."""
    queue = task.queue or DEFAULT_QUEUE
    if not is_task_queue(queue):
        fail(turn, task, f"queue '{queue}' is not for tasks: the engine uses it itself (any other name would do)")
        return
    task = turn.set_task(
        task, TaskState.SCHEDULED, queue=queue, scheduled_at=turn.now, due_at=None, dispatch=task.dispatch + 1
    )
    turn.send(task)


def claimed(turn: Turn, event: RunClaimed) -> None:
    """A run says that it has started, or asks whether it may: the first one owns the task.

    When the owner speaks with another lease, its worker has been restarted and goes on with the run.
    """
    task = turn.task(event.task_id)
    job = turn.job(event.job_id)
    if task is None or job is None or not _is_current(task, event):
        refusal = OrderKind.REFUSE if event.redelivered else OrderKind.STOP
        if task is None or task.run_id != event.run_id or task.state in _STOPPED:
            turn.tell(refusal, event.node_id, event.run_id)
        return
    if task.state is TaskState.SCHEDULED:
        _take(turn, job, task, event)
    elif task.lease_id != event.lease_id:
        turn.set_task(task, node_id=event.node_id, lease_id=event.lease_id)
    if event.redelivered:
        turn.tell(OrderKind.GRANT, event.node_id, event.run_id)


def ended(turn: Turn, event: RunEnded) -> None:
    """A run has ended. Only the one that owns the task counts; any is told that its report has been heard."""
    turn.tell(OrderKind.ACKNOWLEDGE, event.node_id, event.run_id)
    task = turn.task(event.task_id)
    job = turn.job(event.job_id)
    if task is None or job is None or not job.state.is_active or not _is_current(task, event):
        return
    if event.outcome is RunOutcome.HANDED_BACK:
        _hand_out_again(turn, task, redelivered=task.redelivered, log_parts=event.log_parts)
        return
    if task.state is TaskState.SCHEDULED:
        task = _take(turn, job, task, event)
    if event.outcome is RunOutcome.COMPLETED:
        result = event.result.replace("\0", "")
        task = turn.set_task(
            task,
            TaskState.COMPLETED,
            completed_at=event.ended_at,
            result=result,
            progress=100.0,
            log_parts=event.log_parts,
        )
        if task.var and result:
            turn.set_result(task.job_id, task.var, result)
        turn.later(Follow.TASK_SETTLED, task.id)
    else:
        task = turn.set_task(task, log_parts=event.log_parts)
        fail_or_retry(turn, job, task, event.error.replace("\0", "") or "failed without saying why")


def lost(turn: Turn, event: RunLost) -> None:
    """The worker is gone: the task is handed out again, but not for ever."""
    task = turn.task(event.task_id)
    job = turn.job(event.job_id)
    if task is None or job is None or not job.state.is_active:
        return
    owner = (task.dispatch, task.run_id, task.lease_id)
    if task.state is not TaskState.RUNNING or owner != (event.dispatch, event.run_id, event.lease_id):
        return
    if task.redelivered >= MAX_REDELIVERIES:
        fail(turn, task, "task redelivered too many times")
    else:
        _hand_out_again(turn, task, redelivered=task.redelivered + 1, log_parts=task.log_parts)


def retry_due(turn: Turn, event: RetryDue) -> None:
    """The wait before a retry is over."""
    task = turn.task(event.task_id)
    job = turn.job(event.job_id)
    if task is None or job is None or not job.state.is_active:
        return
    if task.state is TaskState.PENDING and task.due_at is not None:
        schedule(turn, task)


def fail_or_retry(turn: Turn, job: JobRow, task: TaskRow, error: str) -> None:
    """The task failed: try it again as its policy says, or let its job fail."""
    policy = task.retry
    if policy is None or task.attempts >= policy.limit or not job.state.is_active:
        fail(turn, task, error)
        return
    turn.set_task(task, TaskState.FAILED, failed_at=turn.now, error=error)
    delay = retry_delay(policy, task.attempts + 1)
    again = copy(turn, task, attempts=task.attempts + 1, due_at=turn.now + delay)
    if not delay:
        schedule(turn, again)


def copy(turn: Turn, task: TaskRow, **fields: Any) -> TaskRow:
    """Make the same task once more, as it was evaluated then."""
    row = TaskRow(
        id=turn.new_id(),
        job_id=task.job_id,
        root_id=task.root_id,
        parent_id=task.parent_id,
        position=task.position,
        item_index=task.item_index,
        kind=task.kind,
        state=TaskState.PENDING,
        name=task.name,
        queue=task.queue,
        priority=task.priority,
        var=task.var,
        retry=task.retry,
        goes_on=task.goes_on,
        created_at=turn.now,
        scope=task.scope,
        spec=task.spec,
        copy_of=task.id,
        **fields,
    )
    return turn.create_task(row)


def fail(turn: Turn, task: TaskRow, error: str) -> None:
    """The task failed for good."""
    turn.set_task(task, TaskState.FAILED, failed_at=turn.now, due_at=None, error=error)
    turn.later(Follow.TASK_SETTLED, task.id)


def retry_delay(policy: Retry, attempt: int) -> timedelta:
    """The wait before retry number `attempt`, from 1: the initial delay, longer by the scaling factor each time."""
    initial = DEFAULT_RETRY_DELAY
    if policy.initial_delay:
        try:
            initial = parse_duration(policy.initial_delay)
        except DurationError:
            initial = DEFAULT_RETRY_DELAY
    factor = float((policy.scaling_factor or DEFAULT_SCALING_FACTOR) ** (attempt - 1))
    seconds = min(initial.total_seconds() * factor, MAX_RETRY_DELAY.total_seconds())
    return timedelta(seconds=max(seconds, 0.0))


def _is_current(task: TaskRow, event: RunClaimed | RunEnded) -> bool:
    if task.dispatch != event.dispatch:
        return False
    if task.state is TaskState.SCHEDULED:
        return True
    return task.state is TaskState.RUNNING and task.run_id == event.run_id


def _take(turn: Turn, job: JobRow, task: TaskRow, event: RunClaimed | RunEnded) -> TaskRow:
    if job.state is JobState.SCHEDULED:
        turn.set_job(job, JobState.RUNNING)
    return turn.set_task(
        task,
        TaskState.RUNNING,
        run_id=event.run_id,
        node_id=event.node_id,
        lease_id=event.lease_id,
        started_at=event.started_at,
    )


def _hand_out_again(turn: Turn, task: TaskRow, *, redelivered: int, log_parts: int) -> None:
    fields: dict[str, Any] = {"run_id": None, "node_id": None, "lease_id": None, "progress": 0.0}
    task = turn.set_task(
        task,
        TaskState.SCHEDULED,
        dispatch=task.dispatch + 1,
        redelivered=redelivered,
        log_parts=log_parts,
        scheduled_at=turn.now,
        **fields,
    )
    turn.send(task)
