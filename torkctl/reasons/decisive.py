"""Which task of a job it comes down to: the one that failed, or the one that holds it up most."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tork.job import JobState
from tork.node import Queue
from tork.task import TaskState, is_task_queue
from torkctl.client.documents import JobReport, TaskReport
from torkctl.endings import culprit_of

_STUCK = 0
_RANKS = {TaskState.RUNNING: 1, TaskState.PENDING: 2, TaskState.SCHEDULED: 3, TaskState.CREATED: 4}


def decisive_task(job: JobReport, queues: Sequence[Queue] | None) -> TaskReport | None:
    """The task that tells why the job is as it is. None when that is not for a task to tell."""
    if job.state is JobState.FAILED:
        return culprit_of(job.execution)
    if not job.state.is_active:
        return None
    return _holding_up(job.execution, queues)


def decisive_below(job: JobReport, task: TaskReport, queues: Sequence[Queue] | None) -> TaskReport:
    """The task within a composite one that tells why that is as it is, or the task itself."""
    inside = _within(job.execution, task.id)
    if task.state is TaskState.FAILED:
        return culprit_of([task, *inside]) or task
    return _holding_up(inside, queues) or task if task.state is TaskState.RUNNING else task


def unserved(queues: Sequence[Queue] | None) -> Collection[str]:
    """The queues of which it is known that no worker takes tasks from them."""
    return {queue.name for queue in queues or () if not queue.subscribers}


def served(queues: Sequence[Queue]) -> list[str]:
    """The queues that workers take tasks from."""
    return sorted(queue.name for queue in queues if queue.subscribers and is_task_queue(queue.name))


def _holding_up(tasks: Sequence[TaskReport], queues: Sequence[Queue] | None) -> TaskReport | None:
    """Among those that are under way and have nothing under way inside them."""
    active = [task for task in tasks if task.state is not None and task.state.is_active]
    parents = {task.parent_id for task in active}
    known = None if queues is None else {queue.name for queue in queues}

    def rank(task: TaskReport) -> int:
        is_unknown = known is not None and task.queue not in known
        if task.state is TaskState.SCHEDULED and (is_unknown or task.queue in unserved(queues)):
            return _STUCK
        assert task.state is not None
        return _RANKS.get(task.state, 9)

    return min((task for task in active if task.id not in parents), key=rank, default=None)


def _within(execution: Sequence[TaskReport], task_id: str) -> list[TaskReport]:
    """Everything below a composite task. A parent may come after its children."""
    children: dict[str, list[TaskReport]] = {}
    for task in execution:
        children.setdefault(task.parent_id, []).append(task)
    found: list[TaskReport] = []
    waiting = [task_id]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += [task.id for task in below if task.id]
    return found
