"""A job's timeline as one document, its tasks in a flat list in the order of the tree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from torkctl.client.documents import JobReport
from torkctl.timing import Timed, critical_seconds, flat


class TimelineTask(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One run of a task. What it did not do took 0 seconds."""

    id: str
    name: str
    kind: str
    depth: int
    """How many tasks it is inside of, sub-jobs included."""

    state: str
    attempt: int
    attempts: int
    created_at: datetime
    ended_at: datetime
    """Of a task that goes on: now."""

    waited_seconds: float
    queued_seconds: float
    ran_seconds: float
    is_critical: bool


class Timeline(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job, its tasks, and what its critical path comes to."""

    id: str
    name: str
    state: str
    created_at: datetime
    ended_at: datetime
    critical_queued_seconds: float
    critical_ran_seconds: float
    tasks: list[TimelineTask]


def timeline_document(job: JobReport, top: Sequence[Timed], now: datetime) -> Timeline:
    """The job's timeline."""
    queued, ran = critical_seconds(top)
    return Timeline(
        id=job.id,
        name=job.name,
        state=job.state.value,
        created_at=job.created_at,
        ended_at=job.completed_at or job.failed_at or now,
        critical_queued_seconds=round(queued, 3),
        critical_ran_seconds=round(ran, 3),
        tasks=[_task(depth, one) for depth, one in flat(top)],
    )


def _task(depth: int, one: Timed) -> TimelineTask:
    task = one.branch.task
    return TimelineTask(
        id=task.id,
        name=task.name,
        kind=one.branch.kind,
        depth=depth,
        state=one.branch.state,
        attempt=one.branch.number,
        attempts=one.branch.of,
        created_at=one.created_at,
        ended_at=one.ended_at,
        waited_seconds=round(one.waited_seconds, 3),
        queued_seconds=round(one.queued_seconds, 3),
        ran_seconds=round(one.ran_seconds, 3),
        is_critical=one.is_critical,
    )
