"""Firing what is due: in one transaction schedules go on to their next ticks, the ticks are written down, and their jobs are stored.

Invariant: a tick has a job if and only if it is written down, and it is written down once, whoever else looks at the same time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tork.errors import BadData, StateConflict, TorkError
from torkd.coordinator.handle import Handled, fold
from torkd.datastore.protocol import Batch, Datastore
from torkd.datastore.scheduling import Instance, LockedSchedules, ScheduleRow, Tick
from torkd.engine.events import CancelRequested, EngineEvent, JobSubmitted
from torkd.engine.ticks import MOST_MADE_UP_FOR, Ticks, ticks_due

log = logging.getLogger(__name__)

MOST_TICKS = 200
"""Jobs that one transaction makes, about: it stays short."""
SET_BACK_SECONDS = 60.0
"""When a schedule is looked at again with which something is wrong: what it lacks may be there by then."""


@dataclass(slots=True)
class Fired:
    """What one look came to."""

    looked_at: list[str] = field(default_factory=list)
    """The schedules that were due."""
    handled: list[Handled] = field(default_factory=list)
    """To be published."""
    skipped: set[str] = field(default_factory=set)
    """Schedules with a job to be replaced that somebody else works on: to be tried again."""


@dataclass(slots=True)
class _Plan:
    """What one schedule does."""

    row: ScheduleRow
    ticks: Ticks
    replaced: Sequence[Instance] = ()
    jobs: dict[str, datetime] = field(default_factory=dict)
    """Job to its tick."""


def fire_due(
    datastore: Datastore, *, new_id: Callable[[], str], limit: int, only: Collection[str] = (), wait: float = 0.0
) -> Fired:
    """Fire what is due; of `only` these, if any are given. `wait` is how many seconds to wait for jobs that are to be replaced.

    Raises `DatastoreUnavailable`: then nothing has fired. What can't be stored sets its own schedule back, and no other.
    """
    fired = Fired()
    try:
        with datastore.begin() as batch:
            _fire(batch, batch.lock_due(limit=limit, only=only), fired, new_id, wait)
    except BadData as error:
        due, fired = fired.looked_at, Fired(looked_at=fired.looked_at)
        if len(due) == 1:
            with datastore.begin() as batch:
                _set_back(batch, due[0], f"its job can't be stored: {error}")
        for schedule_id in due if len(due) > 1 else ():
            alone = fire_due(datastore, new_id=new_id, limit=1, only=[schedule_id], wait=wait)
            fired.handled += alone.handled
            fired.skipped |= alone.skipped
    return fired


def _fire(batch: Batch, due: LockedSchedules, fired: Fired, new_id: Callable[[], str], wait: float) -> None:
    fired.looked_at = [*(row.id for row in due.rows), *due.unreadable]
    for schedule_id, reason in due.unreadable.items():
        _set_back(batch, schedule_id, reason)
    plans = _plans(batch, due, new_id)
    cancels: list[EngineEvent] = [
        CancelRequested(job_id=job.job_id, root_id=job.root_id) for plan in plans for job in plan.replaced
    ]
    view = batch.load(cancels, wait=wait)
    if view.skipped_roots:
        busy = {plan.row.id for plan in plans if any(job.root_id in view.skipped_roots for job in plan.replaced)}
        fired.skipped = busy
        plans = [plan for plan in plans if plan.row.id not in busy]
        still = {job.job_id for plan in plans for job in plan.replaced}
        cancels = [event for event in cancels if event.job_id in still]
    ticks = [Tick(schedule_id=plan.row.id, tick=tick, job_id=job) for plan in plans for job, tick in plan.jobs.items()]
    taken = batch.take_ticks(ticks)
    events = [*cancels, *(submission_of(plan.row, job) for plan in plans for job in plan.jobs if job in taken)]
    handled = fold(batch, view, events, now=due.now, new_id=new_id)
    failures = {event.job_id: error for event, error in handled.failed if not isinstance(error, StateConflict)}
    batch.update_schedules([_after(plan, due.now, taken, failures) for plan in plans])
    fired.handled.append(handled)


def _plans(batch: Batch, due: LockedSchedules, new_id: Callable[[], str]) -> list[_Plan]:
    plans: list[_Plan] = []
    most = max(MOST_TICKS // max(len(due.rows), 1), 1)
    for row in due.rows:
        active = due.instances.get(row.id, [])
        try:
            ticks = ticks_due(
                row.fire_times(),
                due=row.next_tick_at or due.now,
                now=due.now,
                overlap=row.overlap,
                catchup=row.catchup,
                is_busy=bool(active),
                most=most,
            )
        except (TorkError, ValueError) as error:
            _set_back(batch, row.id, str(error))
        else:
            if ticks.left_out_until is not None:
                log.warning(
                    "a scheduled job has missed more ticks than are made up for, %d: those from %s until before %s are left out",
                    MOST_MADE_UP_FOR, row.next_tick_at, ticks.left_out_until, extra={"schedule_id": row.id},
                )  # fmt: skip
            jobs = {new_id(): tick for tick in ticks.fire}
            plans.append(_Plan(row, ticks, replaced=active if jobs else (), jobs=jobs))
    return plans


def _set_back(batch: Batch, schedule_id: str, reason: str) -> None:
    log.error(
        "a scheduled job can't fire now, and is looked at again in %g s: %s",
        SET_BACK_SECONDS,
        reason,
        extra={"schedule_id": schedule_id},
    )
    batch.set_back(schedule_id, reason, seconds=SET_BACK_SECONDS)


def submission_of(row: ScheduleRow, job_id: str) -> JobSubmitted:
    """The job of a schedule, for whom the schedule was taken."""
    return JobSubmitted(
        job_id=job_id, definition=row.definition, created_by=row.created_by, viewers=row.viewers, schedule_id=row.id
    )


def _after(plan: _Plan, now: datetime, taken: set[str], failures: dict[str, Exception]) -> ScheduleRow:
    """The schedule after its ticks."""
    failed = [failures[job] for job in plan.jobs if job in failures]
    following = plan.ticks.following
    return replace(
        plan.row,
        next_tick_at=following,
        due_at=following,
        last_at=now if taken & plan.jobs.keys() else plan.row.last_at,
        error=f"its job could not be made: {failed[-1]}" if failed else "",
    )
