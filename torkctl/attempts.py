"""Runs of one task after the other: which of them was followed by a retry, and which retry it was."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from tork.task import TaskState

if TYPE_CHECKING:
    from datetime import datetime

    from torkctl.client.documents import Attempts, TaskReport

_DEFAULT_DELAY_SECONDS = 1.0
_DEFAULT_SCALING_FACTOR = 2.0
_LONGEST_DELAY_SECONDS = 7 * 86_400.0
"""The engine waits no longer."""


def has_retry_left(task: TaskReport) -> bool:
    """Whether a failure of this run is followed by another one, as long as the job goes on."""
    return task.retry is not None and task.retry.attempts < task.retry.limit


def retry_delay_seconds(retry: Attempts) -> float:
    """The wait before the next run."""
    from tork.durations import parse_seconds
    from tork.errors import DurationError

    try:
        initial = parse_seconds(retry.initial_delay) if retry.initial_delay else _DEFAULT_DELAY_SECONDS
    except DurationError:
        initial = _DEFAULT_DELAY_SECONDS
    factor = (retry.scaling_factor or _DEFAULT_SCALING_FACTOR) ** retry.attempts
    return max(0.0, min(initial * factor, _LONGEST_DELAY_SECONDS))


def retry_at(task: TaskReport) -> datetime | None:
    """When a run that was made to retry another one begins. None for one that retries nothing."""
    if task.retry is None or not task.retry.attempts or task.created_at is None:
        return None
    before = structs.replace(task.retry, attempts=task.retry.attempts - 1)
    return task.created_at + timedelta(seconds=retry_delay_seconds(before))


def runs_of(task: TaskReport, execution: Sequence[TaskReport]) -> list[TaskReport]:
    """All runs of the task in their order, among the tasks of its job."""
    there = [other for other in execution if (other.parent_id, other.position) == (task.parent_id, task.position)]
    return next((chain for chain in runs(there) if task.id in {run.id for run in chain}), [task])


def runs(siblings: Sequence[TaskReport]) -> list[list[TaskReport]]:
    """The tasks of one parent, each as its runs in their order: the first, its retries, what a restart made anew."""
    found: list[list[TaskReport]] = []
    awaiting: dict[Hashable, list[list[TaskReport]]] = {}
    """The chains by what their next run would be like, so that thousands of siblings are not compared with each other."""
    has_places = any(task.item_index for task in siblings)  # an older server does not tell them
    for task in siblings:
        earlier = awaiting.get(_as_next(task, has_places=has_places))
        if earlier:
            chain = earlier.pop()
            chain.append(task)
        else:
            chain = [task]
            found.append(chain)
        awaiting.setdefault(_expected(task, has_places=has_places), []).append(chain)
    return found


def _as_next(task: TaskReport, *, has_places: bool) -> Hashable:
    place = (task.position, task.parent_id, task.item_index)
    if not task.parent_id or has_places:
        return place  # there is one task there, which only a retry, a restart or a skip makes again
    return (*place, task.name, _attempts(task), task.created_at)


def _expected(task: TaskReport, *, has_places: bool) -> Hashable:
    place = (task.position, task.parent_id, task.item_index)
    if not task.parent_id or has_places:
        return place
    if task.state is not TaskState.FAILED:
        return None
    return (*place, task.name, _attempts(task) + 1, task.failed_at)


def _attempts(task: TaskReport) -> int:
    return task.retry.attempts if task.retry else 0
