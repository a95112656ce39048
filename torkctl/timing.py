"""When the tasks of a job waited, queued and ran, and which of them its duration hangs on: the critical path.

A task waits from when it is there until it is handed out (for a retry, or for its turn in an each), then it is in its queue
until a worker begins it. Clocks of workers differ a little from that of the coordinator, so no time is ever negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from torkctl.branches import Branch


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One run of a task in time; all four moments are there, in this order, and equal where nothing was between them."""

    branch: Branch
    created_at: datetime
    handed_out_at: datetime
    started_at: datetime
    ended_at: datetime
    is_critical: bool
    children: Sequence[Timed] = ()

    @property
    def waited_seconds(self) -> float:
        """For a retry or its turn."""
        return (self.handed_out_at - self.created_at).total_seconds()

    @property
    def queued_seconds(self) -> float:
        """In its queue."""
        return (self.started_at - self.handed_out_at).total_seconds()

    @property
    def ran_seconds(self) -> float:
        """With a worker, or until what is inside it had ended."""
        return (self.ended_at - self.started_at).total_seconds()


def timed(top: Sequence[Branch], now: datetime) -> list[Timed]:
    """The tasks of a job, which run one after the other, and all below them."""
    return _siblings(top, now, in_sequence=True, parent_is_critical=True)


def flat(siblings: Sequence[Timed], depth: int = 0) -> Iterator[tuple[int, Timed]]:
    """Each with how deep it is, in the order of the tree."""
    for one in siblings:
        yield depth, one
        yield from flat(one.children, depth + 1)


def critical_seconds(siblings: Sequence[Timed]) -> tuple[float, float]:
    """How long the critical path was in queues, and how long it ran."""
    tasks = [one for _, one in flat(siblings) if one.is_critical and not one.children]
    return sum(one.queued_seconds for one in tasks), sum(one.ran_seconds for one in tasks)


def _siblings(branches: Sequence[Branch], now: datetime, *, in_sequence: bool, parent_is_critical: bool) -> list[Timed]:
    if not parent_is_critical:
        critical: set[str] = set()
    elif in_sequence:
        critical = {branch.task.id for branch in branches if branch.state != "SKIPPED"}
    else:
        critical = _last_chain(branches, now)
    return [_timed(branch, now, is_critical=branch.task.id in critical) for branch in branches]


def _timed(branch: Branch, now: datetime, *, is_critical: bool) -> Timed:
    created_at, handed_out_at, started_at, ended_at = _moments(branch, now)
    is_job = branch.kind == "subjob"
    below = _siblings(branch.children, now, in_sequence=is_job, parent_is_critical=is_critical)
    return Timed(
        branch=branch,
        created_at=created_at,
        handed_out_at=handed_out_at,
        started_at=started_at,
        ended_at=ended_at,
        is_critical=is_critical,
        children=below,
    )


def _moments(branch: Branch, now: datetime) -> tuple[datetime, datetime, datetime, datetime]:
    task = branch.task
    end = branch.ended_at or (now if task.state and task.state.is_active else None)
    known = [at for at in (task.created_at, task.scheduled_at, task.started_at, end) if at]
    latest = end or max(known, default=now)
    created_at = min(task.created_at or min(known, default=now), latest)
    handed_out_at = min(max(task.scheduled_at or task.started_at or latest, created_at), latest)
    started_at = min(max(task.started_at or latest, handed_out_at), latest)
    return created_at, handed_out_at, started_at, latest


def _last_chain(branches: Sequence[Branch], now: datetime) -> set[str]:
    """Of tasks side by side the last to end, and before it always the one whose end let it begin."""
    moments = {branch.task.id: _moments(branch, now) for branch in branches}
    begun = [branch for branch in branches if branch.task.scheduled_at or branch.task.started_at or branch.number > 1]
    by_end = sorted(begun, key=lambda branch: (moments[branch.task.id][3], -moments[branch.task.id][1].timestamp()))
    before = {later.task.id: earlier.task.id for earlier, later in pairwise(branches) if later.number > 1}
    chain: set[str] = set()
    limit: datetime | None = None
    needed = ""
    for branch in reversed(by_end):
        _, handed_out_at, _, ended_at = moments[branch.task.id]
        if limit is not None and (branch.task.id != needed if needed else ended_at > limit):
            continue
        chain.add(branch.task.id)
        limit = handed_out_at
        needed = before.get(branch.task.id, "")
    return chain
