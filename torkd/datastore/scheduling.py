"""The part of the port to the datastore that is about schedules: rows that say when a job starts again, and ticks that have fired.

A tick is one transaction: the row goes on to its next tick, the tick is written down, the job is stored. Whoever has the lock
of a schedule's row decides about it; ticks skip rows that somebody else has. Time is the database's: all coordinators agree on it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from tork.fire_times import FireTimes
from tork.job import CatchUp, JobDefinition, Overlap
from tork.page import Page
from tork.schedule import ScheduledJob
from torkd.datastore.account_protocol import Viewer

ACTIVE, PAUSED, DELETED = "ACTIVE", "PAUSED", "DELETED"
"""States of a row. What is DELETED is gone for users; it stays until its jobs are gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """An active job of a schedule."""

    job_id: str
    root_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleRow:
    """A schedule as it is stored."""

    id: str
    definition: JobDefinition
    state: str = ACTIVE
    zone: str
    created_by: str
    viewers: tuple[str, ...] | None = None
    """Ids of the users and roles that may see it and its jobs; None: everybody."""
    created_at: datetime
    next_tick_at: datetime | None
    due_at: datetime | None
    """When to look at it: at its next tick, or later after something went wrong."""
    last_at: datetime | None = None
    error: str = ""

    @property
    def overlap(self) -> Overlap:
        """What a tick does while a job of it is active."""
        given = self.definition.schedule
        return Overlap(given.overlap) if given is not None and given.overlap else Overlap.ALLOW

    @property
    def catchup(self) -> CatchUp:
        """Which missed ticks are made up for."""
        given = self.definition.schedule
        return CatchUp(given.catchup) if given is not None and given.catchup else CatchUp.NONE

    def fire_times(self) -> FireTimes:
        """When it fires. Raises `tork.definition.CronError` where its time zone is not known."""
        given = self.definition.schedule
        return FireTimes.of_text(given.cron if given is not None else "", zone=self.zone, created_at=self.created_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedSchedules:
    """Rows whose lock is held until the end of the transaction."""

    now: datetime
    rows: Sequence[ScheduleRow]
    instances: dict[str, list[Instance]] = field(default_factory=dict)
    """Schedule to its active jobs, where jobs must not overlap."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Schedules that can't be read, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A tick that fires: at its nominal time it makes this job."""

    schedule_id: str
    tick: datetime
    job_id: str


class SchedulingBatch(Protocol):
    """What a transaction does with schedules, beside handling events."""

    def now(self) -> datetime:
        """The time of the transaction."""

    def add_schedule(self, row: ScheduleRow) -> None:
        """A new one."""

    def lock_schedule(self, schedule_id: str) -> LockedSchedules:
        """Wait for this one, in any state but DELETED. Raises `NotFound`."""

    def lock_due(self, *, limit: int, only: Collection[str] = ()) -> LockedSchedules:
        """ACTIVE ones that are due, first those that are longest, without those that somebody else has; `only` among these, if any."""

    def take_ticks(self, ticks: Sequence[Tick]) -> set[str]:
        """Write them down; the ids of their jobs, without those whose tick had fired before."""

    def update_schedules(self, rows: Sequence[ScheduleRow]) -> None:
        """Store state, times and error of rows whose lock is held."""

    def set_back(self, schedule_id: str, error: str, *, seconds: float) -> None:
        """Note what is wrong with a schedule, and look at it again after a while."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleared:
    """What became of schedules that were deleted."""

    instances: Sequence[Instance] = ()
    """Jobs of theirs that are still active."""
    remaining: int = 0
    """How many of the schedules still have jobs: those are the retention's to remove now, or active."""
    more: bool = False
    """Whether there is more to forget or to let go at once."""


class ScheduleReading(Protocol):
    """Reading schedules for people. Values are as stored, secrets included."""

    def get_schedule(self, schedule_id: str) -> ScheduledJob:
        """A scheduled job. Raises `NotFound`."""

    def list_schedules(self, *, page: int, size: int, viewer: Viewer | None = None) -> Page[ScheduledJob]:
        """Newest first, without permissions; those that the viewer may see, if one is given."""


class ScheduleUpkeep(Protocol):
    """What coordinators ask between ticks."""

    def seconds_to_next_tick(self) -> float | None:
        """How long until a schedule is due, negative when one is; None when there is none."""

    def clear_schedules(self, *, limit: int) -> Cleared:
        """Let the retention remove jobs of schedules that were deleted, some at a time.

        Those of them that have no job any more are forgotten, and so are old ticks.
        """
