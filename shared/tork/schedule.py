"""Scheduled jobs: a job that starts again and again, with everything about it (`ScheduledJob`) and in short."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from tork.account import Permission, User
from tork.job import Defaults
from tork.task import AutoDelete, TaskDefinition, WebhookDefinition
from tork.wire import Told


class ScheduleState(StrEnum):
    """Whether it fires."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class ScheduledJob(Told, frozen=True, kw_only=True):
    """A scheduled job, with everything about it."""

    id: str
    name: str = ""
    description: str = ""
    cron: str = ""
    zone: str = ""
    """The time zone where `cron` names none."""
    overlap: str = ""
    catchup: str = ""
    state: ScheduleState
    inputs: dict[str, str] = {}
    tasks: list[TaskDefinition]
    created_by: User | None = None
    defaults: Defaults | None = None
    auto_delete: AutoDelete | None = None
    webhooks: list[WebhookDefinition] = []
    permissions: list[Permission] = []
    created_at: datetime
    next_at: datetime | None = None
    """When it fires next, unless it is paused."""
    last_at: datetime | None = None
    """When it last started a job."""
    error: str = ""
    """Why it could not fire when it should have."""
    tags: list[str] = []
    secrets: dict[str, str] = {}
    output: str = ""


class ScheduledJobSummary(Told, frozen=True, kw_only=True):
    """A scheduled job in few words."""

    id: str
    created_by: User | None = None
    inputs: dict[str, str] = {}
    state: ScheduleState
    name: str = ""
    description: str = ""
    tags: list[str] = []
    created_at: datetime
    cron: str = ""
    next_at: datetime | None = None
    last_at: datetime | None = None
    error: str = ""


class FireTimesAnswer(Told, frozen=True, kw_only=True):
    """When a scheduled job fires next."""

    cron: str
    zone: str = ""
    """The time zone in which `cron` is read; an interval has none."""
    times: list[datetime]


def summary_of(scheduled: ScheduledJob) -> ScheduledJobSummary:
    """The same in few words."""
    return ScheduledJobSummary(**{name: getattr(scheduled, name) for name in ScheduledJobSummary.__struct_fields__})
